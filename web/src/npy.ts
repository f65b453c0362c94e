/** NumPy's files: one array (npy), or several in an uncompressed archive (npz, as `numpy.savez` writes it). */

import { BundleError } from "./errors.js";

export interface NumpyArray {
  shape: number[];
  values: Float32Array;
}

const LARGEST_BYTES = 64 * 2 ** 20;
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
const HEADER = /^\{'descr': '<f4', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \}\s*$/;
const END_OF_ARCHIVE = 0x06054b50;
const ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;

/** Read float32 values, of tables in either order; anything else is refused. */
export function readNpy(bytes: Uint8Array, where: string): NumpyArray {
  const view = viewOf(bytes);
  const version = bytes[6];
  if (bytes.length < 12 || MAGIC.some((byte, index) => bytes[index] !== byte) || (version !== 1 && version !== 2)) {
    throw new BundleError(`${where}: not a NumPy array. Export the bundle again.`);
  }
  const from = version === 1 ? 10 : 12;
  const nHeader = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const header = HEADER.exec(new TextDecoder("latin1").decode(bytes.subarray(from, from + nHeader)));
  if (!header) throw new BundleError(`${where}: expected float32 values. Export the bundle again.`);
  const shape = header[2].split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  const count = shape.reduce((product, size) => product * size, 1);
  const content = bytes.slice(from + nHeader);
  if (content.length !== 4 * count || content.length > LARGEST_BYTES) {
    throw new BundleError(`${where}: ${content.length} bytes for an array of shape (${shape.join(", ")}). Export it again.`);
  }
  const values = new Float32Array(content.buffer);
  if (!values.every(Number.isFinite)) throw new BundleError(`${where}: holds numbers that aren't finite. Export it again.`);
  return { shape, values: header[1] === "True" && shape.length === 2 ? byRows(values, shape) : values };
}

/** Reorder a table that is stored column by column. */
function byRows(values: Float32Array, [nRows, nColumns]: number[]): Float32Array {
  return Float32Array.from(values, (_, place) => values[(place % nColumns) * nRows + Math.floor(place / nColumns)]);
}

/** Read the arrays of an archive by name; exactly `names` must be in it. */
export function readNpz(bytes: Uint8Array, names: readonly string[], where: string): Record<string, NumpyArray> {
  const members = membersOf(bytes, where);
  if ([...members.keys()].sort().join() !== names.map((name) => `${name}.npy`).sort().join()) {
    throw new BundleError(`${where}: must hold ${names.join(", ")}. Export the bundle again.`);
  }
  return Object.fromEntries(names.map((name) => [name, readNpy(members.get(`${name}.npy`)!, `${where}: ${name}`)]));
}

function membersOf(bytes: Uint8Array, where: string): Map<string, Uint8Array> {
  const damaged = new BundleError(`${where}: not an uncompressed npz archive. Export the bundle again.`);
  const view = viewOf(bytes);
  const end = bytes.length - 22; // without a comment, as NumPy writes it
  if (end < 0 || view.getUint32(end, true) !== END_OF_ARCHIVE) throw damaged;
  const members = new Map<string, Uint8Array>();
  let position = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    if (position + 46 > end || view.getUint32(position, true) !== ENTRY) throw damaged;
    const [method, size] = [view.getUint16(position + 10, true), view.getUint32(position + 24, true)];
    const local = view.getUint32(position + 42, true);
    const nName = view.getUint16(position + 28, true);
    if (method !== 0 || local + 30 > end || view.getUint32(local, true) !== LOCAL_HEADER) throw damaged;
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (start + size > end) throw damaged;
    const name = new TextDecoder("latin1").decode(bytes.subarray(position + 46, position + 46 + nName));
    members.set(name, bytes.subarray(start, start + size));
    position += 46 + nName + view.getUint16(position + 30, true) + view.getUint16(position + 32, true);
  }
  return members;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
