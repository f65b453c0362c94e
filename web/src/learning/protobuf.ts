/** Protobuf messages as their fields, read and written by hand; as in `earnest.onnx.check`. */

const MOST_FIELDS = 200_000; // each costs memory before anything is known about it
const LONGEST_VARINT = 10; // bytes of 64 bits

/** One field of a message: its number, its content, null where that is a number, and both as they are written. */
export interface Field {
  number: number;
  content: Uint8Array | null;
  raw: Uint8Array;
}

/** Split a message into its fields; what is none is a `RangeError`. */
export function fieldsOf(message: Uint8Array): Field[] {
  const found: Field[] = [];
  for (let position = 0; position < message.length; ) {
    if (found.length >= MOST_FIELDS) throw new RangeError("too many fields");
    const start = position;
    const key = varint(message, position);
    const [number, kind] = [Math.floor(key.value / 8), key.value % 8];
    let content: Uint8Array | null = null;
    if (kind === 0) position = varint(message, key.end).end;
    else if (kind === 1 || kind === 5) position = key.end + (kind === 1 ? 8 : 4);
    else if (kind === 2) {
      const size = varint(message, key.end);
      position = size.end + size.value;
      content = message.subarray(size.end, position);
    } else throw new RangeError("unknown wire type");
    if (position > message.length || number === 0) throw new RangeError("truncated message");
    found.push({ number, content, raw: message.subarray(start, position) });
  }
  return found;
}

/** The messages or texts under a number. */
export function contentsOf(message: Uint8Array, number: number): Uint8Array[] {
  return fieldsOf(message).flatMap((field) => (field.number === number && field.content ? [field.content] : []));
}

/** The first text under a number, "" where there is none. */
export function textOf(message: Uint8Array, number: number): string {
  const [first] = contentsOf(message, number);
  return (first as Uint8Array | undefined) ? decoded(first) : "";
}

/** UTF-8; damaged text is a `TypeError`. */
export function decoded(text: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(text);
}

function varint(message: Uint8Array, start: number): { value: number; end: number } {
  // Seven bits a byte, the lowest first; the eighth bit says that another byte follows. What is larger than 2⁵³ is not
  // read as a number here, only passed over.
  let [value, scale] = [0, 1];
  for (let position = start; position < Math.min(message.length, start + LONGEST_VARINT); position++) {
    value += (message[position] & 0x7f) * scale;
    if (message[position] < 0x80) return { value, end: position + 1 };
    scale *= 128;
  }
  throw new RangeError("a number without end");
}

export function joinedBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let start = 0;
  for (const part of parts) {
    whole.set(part, start);
    start += part.length;
  }
  return whole;
}

/** A field that holds a message or a text. */
export function writtenField(number: number, content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return joinedBytes([writtenVarint(number * 8 + 2), writtenVarint(bytes.length), bytes]);
}

/** A field that holds a whole number, 0 or more. */
export function writtenNumber(number: number, value: number): Uint8Array {
  return joinedBytes([writtenVarint(number * 8), writtenVarint(value)]);
}

function writtenVarint(value: number): Uint8Array {
  const written: number[] = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) written.push((value % 128) + 128);
  return Uint8Array.from([...written, value]);
}
