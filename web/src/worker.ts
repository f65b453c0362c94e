/** The worker's entry: calls are done one after the other, so that the network is never asked twice at once. */

import * as ort from "onnxruntime-web/wasm";
import { Engine } from "./engine.js";
import { failureOf } from "./errors.js";
import type { Call, Reply, RuntimeFiles } from "./messages.js";

declare const RUNTIME: { mjs: string; wasm: string }; // file names, by build.mjs

const page = globalThis as unknown as {
  postMessage(reply: Reply): void;
  onmessage: ((event: MessageEvent<Call | RuntimeFiles>) => void) | null;
};

const beside = (file: string): string => new URL(file, import.meta.url).href;
ort.env.wasm.wasmPaths = { mjs: beside(RUNTIME.mjs), wasm: beside(RUNTIME.wasm) };
ort.env.logLevel = "error";
const engine = new Engine(ort, (progress) => {
  page.postMessage({ progress });
});
let before = Promise.resolve();

page.onmessage = ({ data }) => {
  if ("runtime" in data) {
    ort.env.wasm.wasmPaths = data.runtime;
    return;
  }
  before = before.then(() => answer(data));
};

async function answer({ id, method, args }: Call): Promise<void> {
  try {
    const work = engine[method].bind(engine) as (...all: unknown[]) => Promise<unknown>;
    page.postMessage({ id, value: await work(...args) });
  } catch (error) {
    page.postMessage({ id, failure: failureOf(error) });
  }
}
