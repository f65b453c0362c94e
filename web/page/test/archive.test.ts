import assert from "node:assert/strict";
import { test } from "node:test";
import { zipSync } from "fflate";
import { fileName, unzipped, zipped } from "../src/own/archive.js";

const TEXT = new TextEncoder().encode("{}");
const FILES = new Map([
  ["bundle.json", TEXT],
  ["model.onnx", TEXT],
  ["card.md", TEXT],
]);

test("a bundle comes back out of its zip file", () => {
  assert.deepEqual([...unzipped(zipped("mine", FILES))], [...FILES]);
});

test("what a bundle has not is not unpacked, wherever it says it lies", () => {
  const more = { "../../model.onnx": TEXT, "mine/bundle.json": TEXT, "mine/run.sh": TEXT, "/etc/passwd": TEXT };
  assert.deepEqual([...unzipped(zipSync(more)).keys()].sort(), ["bundle.json", "model.onnx"]);
});

test("no zip file, a cut one and one without a model are told in a sentence", () => {
  const whole = zipped("mine", FILES);
  for (const wrong of [TEXT, new Uint8Array(), whole.subarray(0, 60)]) assert.throws(() => unzipped(wrong), /not a zip file|holds no/);
  assert.throws(() => unzipped(zipped("mine", new Map([["model.onnx", TEXT]]))), /holds no bundle\.json/);
});

test("a name is one that every file system takes", () => {
  assert.equal(fileName("../mine: *?"), "__mine_ _");
  assert.equal(fileName("müde 2"), "müde 2");
});

test("a file that is larger than it says is refused or cut, never grown", () => {
  const bomb = zipSync({ "model.onnx": new Uint8Array(1 << 20), "bundle.json": TEXT });
  const lie = bomb.slice();
  const view = new DataView(lie.buffer);
  for (let position = 0; position + 28 < lie.length; position++) {
    if (view.getUint32(position, true) === 0x02014b50) view.setUint32(position + 24, 10, true); // the size in the directory
  }
  let largest = 0;
  try {
    largest = Math.max(...[...unzipped(lie).values()].map(({ length }) => length));
  } catch (error) {
    assert.match(String(error), /zip file/);
  }
  assert.ok(largest <= 10);
});
