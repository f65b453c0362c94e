/** Numbers as people read them. */

export { counted } from "../../src/errors.js";

const NO_BREAK = "\u00a0"; // a sign alone in the next line looks lost

export function percent(share: number, decimals = 0): string {
  return `${(100 * share).toFixed(decimals)}${NO_BREAK}%`;
}

export const MOST_TOLD = 0.95; // acted speech lets a model be surer than it is about speech of every day

/** A probability or confidence in words; files have the number. */
export function confidence(share: number, decimals = 0): string {
  return share > MOST_TOLD ? `>${NO_BREAK}${percent(MOST_TOLD)}` : percent(share, decimals);
}

/** 75.3 → "1:15.3"; below a minute "15.3 s". */
export function clock(seconds: number, decimals = 1): string {
  const scale = 10 ** decimals;
  const all = Math.round(seconds * scale) / scale;
  if (all < 60) return `${all.toFixed(decimals)}${NO_BREAK}s`;
  const rest = (all % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return `${Math.floor(all / 60)}:${rest}`;
}

/** A time on an axis: whole seconds, or minutes and seconds. */
export function tick(seconds: number): string {
  const [tenths, whole] = [Math.round(10 * seconds) / 10, Math.round(seconds)];
  return tenths < 60 ? `${tenths}${NO_BREAK}s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
