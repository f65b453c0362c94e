import assert from "node:assert/strict";
import { test } from "node:test";
import { BundleError } from "../src/errors.js";
import { type Ort, startRuntime } from "../src/graph.js";

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
