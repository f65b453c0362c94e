import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fetchBundle } from "../src/bundle.js";
import { BundleError } from "../src/errors.js";
import { Graph, type InferenceSession, openSession, type Ort, run, startRuntime } from "../src/graph.js";
import { joinedBytes, writtenField } from "../src/learning/protobuf.js";
import { Predictor } from "../src/predictor.js";

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

test("a policy that forbids WebAssembly is told as what it is", async () => {
  const refusals = [
    "no available backend found. ERR: [wasm] CompileError: WebAssembly.instantiate(): violates the following Content Security policy directive",
    "no available backend found. ERR: [wasm] CompileError: call to WebAssembly.instantiate() blocked by CSP",
  ];
  for (const refused of refusals) {
    const ort = { env: { wasm: {} }, InferenceSession: { create: () => Promise.reject(new Error(refused)) } } as unknown as Ort;
    await assert.rejects(startRuntime(ort), /Allow 'wasm-unsafe-eval' in script-src of the Content-Security-Policy/);
  }
});

test("a browser without WebAssembly SIMD is told to be too old, not to serve files", async () => {
  const refused = "no available backend found. ERR: [wasm] Error: WebAssembly SIMD is not supported in the current environment.";
  const ort = { env: { wasm: {} }, InferenceSession: { create: () => Promise.reject(new Error(refused)) } } as unknown as Ort;
  await assert.rejects(startRuntime(ort), /lacks WebAssembly SIMD .* Update it, use another browser, or let a server answer/);
});

test("networks run on the CPU, whichever onnxruntime is brought", async () => {
  const asked: unknown[] = [];
  const answer = (_: unknown, options: unknown): Promise<never> => (asked.push(options), create());
  const ort = { env: { wasm: {} }, InferenceSession: { create: answer } } as unknown as Ort;
  await assert.rejects(openSession(ort, new Uint8Array(), "small"));
  assert.deepEqual(new Set(asked.map((one) => JSON.stringify(one))), new Set(['{"executionProviders":["cpu"]}'])); // onnxruntime-node has no "wasm"
});

test("where the runtime that is for pages does not start in Node, it is told, not a bundle that is whole", async () => {
  const model = readFileSync("../earnest/bundles/small/model.onnx");
  const ofPages = (await import("onnxruntime-web/wasm")) as unknown as Ort;
  const told = await openSession(ofPages, model, "small").then((session) => session.release(), (error: unknown) => error);
  if (told !== undefined) { // it does from Node 24 on
    assert.ok(told instanceof BundleError);
    assert.match(told.message, /^onnxruntime: the runtime doesn't start .* In Node import "onnxruntime-node" or "onnxruntime-web"/);
  }
  const ofNode = (await import("onnxruntime-web")) as unknown as Ort;
  await (await openSession(ofNode, model, "small")).release();
  await assert.rejects(openSession(ofNode, model.subarray(0, 1000), "small"), /^BundleError: small: onnxruntime refuses it .* Export it again/);
});

test("labels or a rate that somebody changed are refused, a label with a comma is not", async () => {
  const session = { inputNames: ["waveform", "lengths"], outputNames: ["logits", "probabilities", "embedding"] };
  const ort = { InferenceSession: { create: () => Promise.resolve(session) } } as unknown as Ort;
  const fact = (key: string, value: string): Uint8Array => writtenField(14, joinedBytes([writtenField(1, key), writtenField(2, value)]));
  const model = (classes: string): Uint8Array => joinedBytes([fact("classes", classes), fact("sample_rate_hz", "16000")]);
  const opened = (told: Uint8Array, classes: string[], rate = 16_000): Promise<Graph> =>
    Graph.open(ort, told, { classes, sample_rate_hz: rate, sounds: [], out_of_domain_from: null }, "small");
  const advice = "Export or download the bundle again.";
  const labels = `small: its classes are happy,sad, and those of bundle.json are merry,sad. ${advice}`;
  await assert.rejects(opened(model("happy,sad"), ["merry", "sad"]), { name: "BundleError", message: labels });
  const rate = `small: its sample rate is 16000 Hz, and that of bundle.json 8000 Hz. ${advice}`;
  await assert.rejects(opened(model("happy,sad"), ["happy", "sad"], 8_000), { name: "BundleError", message: rate });
  for (const told of ["happy  glad,sad", "happy, glad,sad"]) await opened(model(told), ["happy, glad", "sad"]);
  await opened(new Uint8Array(), ["happy", "sad"]); // says nothing
});

test("a head that bundle.json names and the graph lacks is refused", async () => {
  const session = { inputNames: ["waveform", "lengths"], outputNames: ["logits", "probabilities", "embedding"] };
  const ort = { InferenceSession: { create: () => Promise.resolve(session) } } as unknown as Ort;
  const opened = (change: object): Promise<Graph> =>
    Graph.open(ort, new Uint8Array(), { classes: ["a", "b"], sample_rate_hz: 16_000, sounds: [], out_of_domain_from: null, ...change }, "small");
  await opened({});
  await assert.rejects(opened({ sounds: ["speech"] }), /no output 'sound', which bundle\.json names/);
  await assert.rejects(opened({ out_of_domain_from: 2.5 }), /no output 'distance', which bundle\.json names/);
});

test("networks are asked one after the other, also where one fails", async () => {
  let [nNow, nMost] = [0, 0];
  const session = (fails: boolean): InferenceSession => {
    const answer = async (): Promise<object> => {
      nMost = Math.max(nMost, ++nNow);
      await new Promise((resolve) => setTimeout(resolve, 2));
      nNow -= 1;
      if (fails) throw new Error("broken");
      return {};
    };
    return { run: answer } as unknown as InferenceSession;
  };
  const answers = [false, true, false].map((fails) => run(session(fails), {}, []));
  assert.deepEqual((await Promise.allSettled(answers)).map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
  assert.equal(nMost, 1);
});

test("a predictor that was closed says so, after it has answered what was asked before", async () => {
  const ort = (await import("onnxruntime-web")) as unknown as Ort;
  const bundle = await fetchBundle("../earnest/bundles/small/", undefined, async (path) => new Response(readFileSync(path)));
  const predictor = await Predictor.open(ort, bundle, readFileSync("../earnest/audio/silero_vad.onnx"));
  const sound = Float32Array.from({ length: 16_000 }, (_, index) => Math.sin(index / 20));
  const [stream, answer] = [predictor.stream(16_000), predictor.predict(sound, 16_000)];
  await new Promise((resolve) => setImmediate(resolve)); // its network is asked by now
  await Promise.all([predictor.close(), predictor.close()]);
  assert.equal((await answer).error, null);
  for (const late of [predictor.predict(sound, 16_000), stream.accept(sound)]) await assert.rejects(late, { name: "EarnestError", message: /closed/ });
});

test("without a worker, too, a recording tells how far it is, and is left early where that is asked", async () => {
  const ort = (await import("onnxruntime-web")) as unknown as Ort;
  const bundle = await fetchBundle("../earnest/bundles/small/", undefined, async (path) => new Response(readFileSync(path)));
  const predictor = await Predictor.open(ort, bundle);
  const [sound, rate] = [new Float32Array(25_000), 1_000];
  for (const asked of ["predict", "timeline"] as const) {
    const shares: number[] = [];
    assert.equal((await predictor[asked](sound, rate, { onProgress: (share) => shares.push(share) })).status, "no-speech");
    assert.deepEqual(shares, [0.4, 0.8, 1]);
    const abort = new AbortController();
    const answer = predictor[asked](sound, rate, { signal: abort.signal, onProgress: (share) => { shares.push(share); abort.abort(); } });
    await assert.rejects(answer, { name: "AbortError" });
    assert.deepEqual(shares, [0.4, 0.8, 1, 0.4]);
    const later = new AbortController();
    setTimeout(() => { later.abort(); });
    await assert.rejects(predictor[asked](new Float32Array(50_000), rate, { signal: later.signal }), { name: "AbortError" });
  }
  await predictor.close();
});
