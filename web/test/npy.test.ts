import assert from "node:assert/strict";
import { test } from "node:test";
import { BundleError } from "../src/errors.js";
import { readNpy, readNpz } from "../src/npy.js";

function npy(shape: string, values: number[], descr = "<f4", byColumns = "False"): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': ${byColumns}, 'shape': ${shape}, }`.padEnd(117) + "\n";
  const bytes = new Uint8Array(10 + header.length + 4 * values.length);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, header.length, true);
  bytes.set(new TextEncoder().encode(header), 10);
  bytes.set(new Uint8Array(Float32Array.from(values).buffer), 10 + header.length);
  return bytes;
}

test("shape and values are read", () => {
  const { shape, values } = readNpy(npy("(2, 3)", [1, 2, 3, 4, 5, 6]), "x");
  assert.deepEqual(shape, [2, 3]);
  assert.deepEqual([...values], [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(readNpy(npy("(1,)", [7]), "x").shape, [1]);
});

test("a table that is stored column by column is turned", () => {
  assert.deepEqual([...readNpy(npy("(2, 3)", [1, 4, 2, 5, 3, 6], "<f4", "True"), "x").values], [1, 2, 3, 4, 5, 6]);
});

const WRONG: [string, Uint8Array][] = [
  ["nothing", new Uint8Array(0)],
  ["a text", new TextEncoder().encode("not an array at all")],
  ["fewer values than the shape says", npy("(3,)", [1, 2])],
  ["a shape beyond all memory", npy("(99999999999,)", [1])],
  ["objects", npy("(1,)", [1], "|O")],
  ["doubles", npy("(1,)", [1], "<f8")],
  ["a NaN", npy("(1,)", [NaN])],
];
for (const [what, bytes] of WRONG) {
  test(`${what} is refused`, () => {
    assert.throws(() => readNpy(bytes, "x"), BundleError);
  });
}

test("what is no archive is refused, at every cut", () => {
  assert.throws(() => readNpz(new Uint8Array(0), ["a"], "x"), BundleError);
  for (let size = 0; size < 200; size += 7) assert.throws(() => readNpz(npy("(9,)", Array<number>(9).fill(1)).slice(0, size), ["a"], "x"), BundleError);
});
