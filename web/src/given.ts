/** Checks of a caller's values, where the compiler didn't look: plain JavaScript, JSON, a forgotten `await`. */

const LONGEST_SHOWN = 40; // letters of a text

/** Description of a value, ready to end an error message: "5", "the text 'x'", "an Array", "a Promise". */
export function described(value: unknown): string {
  if (typeof value === "string") return `the text '${value.slice(0, LONGEST_SHOWN)}'`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  const kind = Object.prototype.toString.call(value).slice("[object ".length, -1);
  return `${/^[AEIOU]/.test(kind) ? "an" : "a"} ${kind}`;
}

/** Whether a value is of a class of the browser's, of this window or another one's, an iframe's say. */
export function isA(value: unknown, kind: "ArrayBuffer" | "Blob" | "File" | "Float32Array"): boolean {
  return Object.prototype.toString.call(value) === `[object ${kind}]`;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === "string");
}
