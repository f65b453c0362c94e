import assert from "node:assert/strict";
import { test } from "node:test";
import { BundleError } from "../src/errors.js";
import { Graph, type Ort, startRuntime } from "../src/graph.js";
import { joinedBytes, writtenField } from "../src/learning/protobuf.js";

const REFUSED = "no available backend found. ERR: [wasm] TypeError: Failed to fetch dynamically imported module";
const create = (): Promise<never> => Promise.reject(new Error(REFUSED));

test("a runtime that isn't there is told with its address, its files and the option", async () => {
  for (const wasmPaths of ["/nowhere/", { mjs: "/nowhere/a.mjs", wasm: "/nowhere/a.wasm" }]) {
    const ort = { env: { wasm: { wasmPaths } }, InferenceSession: { create } } as unknown as Ort;
    await assert.rejects(startRuntime(ort), (error) => {
      assert.ok(error instanceof BundleError);
      assert.match(error.message, /^\/nowhere\/.*: the runtime doesn't start \(no available backend found/);
      assert.match(error.message, /Serve ort-wasm-simd-threaded\.mjs and ort-wasm-simd-threaded\.wasm .* runtimeUrl/);
      return true;
    });
  }
});

test("labels that somebody changed are refused, one with a comma is not", async () => {
  const session = { inputNames: ["waveform", "lengths"], outputNames: ["logits", "probabilities", "embedding"] };
  const ort = { InferenceSession: { create: () => Promise.resolve(session) } } as unknown as Ort;
  const model = (classes: string): Uint8Array => writtenField(14, joinedBytes([writtenField(1, "classes"), writtenField(2, classes)]));
  const message = "small: its classes are happy,sad, and those of bundle.json are merry,sad. Export or download the bundle again.";
  await assert.rejects(Graph.open(ort, model("happy,sad"), ["merry", "sad"], "small"), { name: "BundleError", message });
  for (const told of ["happy  glad,sad", "happy, glad,sad"]) await Graph.open(ort, model(told), ["happy, glad", "sad"], "small");
  await Graph.open(ort, new Uint8Array(), ["happy", "sad"], "small"); // says nothing
});
