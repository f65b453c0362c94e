/** What a page in plain JavaScript hands over by mistake: a sentence says what is expected. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Activity } from "../src/activity.js";
import { Answers, type AnswerOptions } from "../src/answers.js";
import { type BundleInfo, checkedInfo } from "../src/bundle.js";
import { Client, type WorkerLike } from "../src/client.js";
import { decode } from "../src/decode.js";
import { AudioError, ChannelError, EarnestError } from "../src/errors.js";
import { described } from "../src/given.js";
import { learn } from "../src/learning/learn.js";
import { listen } from "../src/microphone.js";
import type { Graph } from "../src/graph.js";
import { load, Model } from "../src/model.js";
import { Stream } from "../src/stream.js";

const INFO = {
  ...{ name: "made-up", version: "1", classes: ["happy", "sad"], sample_rate_hz: 16_000, licence: "CC0-1.0" },
  ...{ files: { "model.onnx": "0".repeat(64) }, schema: 1, shortest_s: 0.1, longest_s: 30 },
};
const model = new Model(null as unknown as Client, {} as BundleInfo);

/** A call with whatever is no right argument. */
type Loose = (...given: unknown[]) => Promise<unknown>;
const loose = (call: unknown): Loose => call as Loose;

async function refused(answer: Promise<unknown>, message: RegExp, Kind = EarnestError): Promise<void> {
  await assert.rejects(answer, (error) => {
    assert.ok(error instanceof Kind, String(error));
    assert.match(error.message, message);
    return true;
  });
}

/** Decodes nothing; notes what it is handed. */
class FakeContext {
  static readonly handed: ArrayBuffer[] = [];

  decodeAudioData = async (bytes: ArrayBuffer): Promise<object> => {
    FakeContext.handed.push(bytes);
    const channels = [Float32Array.of(0.5, 0), Float32Array.of(0, 0.5)];
    return { numberOfChannels: 2, sampleRate: 48_000, getChannelData: (index: number) => channels[index] };
  };
}
globalThis.OfflineAudioContext = FakeContext as unknown as typeof OfflineAudioContext;

test("a file is decoded as a Blob, as a buffer and as a part of one, and stays the caller's", async () => {
  const bytes = Uint8Array.of(9, 1, 2, 3, 9);
  const part = bytes.subarray(1, 4);
  for (const file of [new Blob([part]), part.slice().buffer, part, new DataView(bytes.buffer, 1, 3)]) {
    const { waveform, sampleRateHz } = await decode(file);
    assert.deepEqual([...waveform], [0.25, 0.25]);
    assert.equal(sampleRateHz, 48_000);
    const handed = FakeContext.handed.at(-1)!;
    assert.deepEqual([...new Uint8Array(handed)], [1, 2, 3]);
    assert.notEqual(handed, file);
  }
});

test("null is no channel, and the name of a File is its own", async () => {
  const file = new File([Uint8Array.of(1)], "call.wav");
  assert.deepEqual([...(await decode(file, "a.wav", null)).waveform], [0.25, 0.25]);
  assert.deepEqual([...(await decode(file, null, 2)).waveform], [0, 0.5]);
  await refused(decode(file, null, 3), /^call\.wav: there is no channel 3, only 2 channels/, ChannelError);
});

test("a file that is gone since it was chosen is told so", async () => {
  const file = new File(["x"], "call.wav");
  file.arrayBuffer = () => Promise.reject(new DOMException("The requested file could not be read", "NotReadableError"));
  await refused(decode(file), /^call\.wav: the file can't be read; it was moved, changed or removed since it was chosen\. Choose it again\.$/, AudioError);
});

test("an empty file is called empty, and no kind of file that another program may decode", async () => {
  await refused(decode(new Blob([]), "a.wav"), /^a\.wav: empty, no bytes at all\. Record or copy it again\.$/, AudioError);
});

test("a worker, which has no decoders, blames no file", async () => {
  Reflect.deleteProperty(globalThis, "OfflineAudioContext");
  try {
    await refused(decode(new Blob(["x"])), /Only pages have the browser's decoders.*Call decode\(…\) in the page/);
  } finally {
    globalThis.OfflineAudioContext = FakeContext as unknown as typeof OfflineAudioContext;
  }
});

test("what is no file, no name or no channel is refused", async () => {
  const file = new Blob(["x"]);
  for (const wrong of [undefined, "a.wav", [1, 2], Promise.resolve(file), new Response("x")]) {
    await refused(loose(decode)(wrong, "a.wav"), /^a\.wav: expected the file as a File or Blob, an ArrayBuffer or a Uint8Array, got /, AudioError);
  }
  await refused(loose(decode)(file, 2), /name of a recording is a text, got 2\. The channel comes after it/, AudioError);
  for (const wrong of [0, -1, 1.5, NaN, "2"]) {
    await refused(loose(decode)(file, "a.wav", wrong), /^a\.wav: a channel is a whole number from 1 on/, ChannelError);
  }
});

test("classes are names", () => {
  for (const wrong of [5, [1, 2], new Set(["happy", "sad"]), { happy: true }]) {
    const asked = { classes: wrong } as unknown as AnswerOptions;
    const call = (): unknown => new Answers(checkedInfo(JSON.stringify(INFO), "x"), 16_000, asked);
    assert.throws(call, (error) => error instanceof EarnestError && /classes must be a list of names .* such as "happy, sad", got /.test(error.message));
  }
});

test("load says what it opens, and how many threads there can be", async () => {
  for (const wrong of [undefined, null, 5, { files: new Map() }, Promise.resolve("m/")]) {
    await refused(loose(load)(wrong), /address of a bundle's folder, load\("models\/small\/"\), or its files as a Map/);
  }
  for (const threads of [0, -1, 1.5, NaN, "2", null]) {
    await refused(loose(load)("m/", { threads }), /threads must be a whole number from 1 on/);
  }
});

test("a worker that can't be made is told with what to do", async () => {
  await refused(load("m/"), /no workers here\. .*@earnest\/browser\/core/);
  const refusals: [Error, RegExp][] = [
    [new DOMException("Script at 'https://cdn/w.js' cannot be accessed from origin 'https://host'.", "SecurityError"), /the page's own origin\./],
    [new TypeError("This document requires 'TrustedScriptURL' assignment."), /default policy that lets this address/],
  ];
  for (const [refusal, advice] of refusals) {
    Object.assign(globalThis, { Worker: function () { throw refusal; }, document: { baseURI: "https://host/app/" } });
    try {
      const started = load("m/", { workerUrl: "https://cdn/w.js" });
      await refused(started, /^https:\/\/cdn\/w\.js: the worker can't start/);
      await refused(started, advice);
    } finally {
      for (const name of ["Worker", "document"]) Reflect.deleteProperty(globalThis, name);
    }
  }
});

test("what is no address is told by its option, and no worker was started", async () => {
  let nStarted = 0;
  Object.assign(globalThis, { Worker: function () { nStarted++; }, document: { baseURI: "https://host/app/" } });
  try {
    await refused(load("http://["), /the bundle's address is no address: the text 'http:\/\/\['/);
    for (const name of ["voiceActivityUrl", "runtimeUrl", "workerUrl"]) {
      await refused(load("m/", { [name]: "http://[" }), new RegExp(`${name} is no address`));
    }
    assert.equal(nStarted, 0);
  } finally {
    for (const name of ["Worker", "document"]) Reflect.deleteProperty(globalThis, name);
  }
});

test("addresses are those of the page's base, as for fetch", () => {
  const told: object[] = [];
  Object.assign(globalThis, {
    Worker: class { postMessage = (call: object): number => told.push(call); },
    ...{ document: { baseURI: "https://host/app/" }, location: { href: "https://host/app/route/deep" } },
  });
  try {
    void load("models/small/", { voiceActivityUrl: "silero_vad.onnx", runtimeUrl: "runtime" });
  } finally {
    for (const name of ["Worker", "document", "location"]) Reflect.deleteProperty(globalThis, name);
  }
  const runtime = { mjs: "https://host/app/runtime/ort-wasm-simd-threaded.mjs", wasm: "https://host/app/runtime/ort-wasm-simd-threaded.wasm" };
  assert.deepEqual(told, [{ runtime }, { id: 1, method: "open", args: ["https://host/app/models/small/", "https://host/app/silero_vad.onnx", 1] }]);
});

test("adapter and profile say what they learn a speaker from", async () => {
  const recording = { waveform: new Float32Array(4), sampleRateHz: 16_000 };
  for (const wrong of [5, null, recording, [recording.waveform], [Promise.resolve(recording)]]) {
    await refused(loose(model.adapter.bind(model))(wrong), /recordings of the speaker, a list of what decode\(…\) returns.* or their profile, got/);
  }
  for (const wrong of [undefined, recording, [recording.waveform]]) {
    await refused(loose(model.profile.bind(model))(wrong), /recordings of one speaker, a list of what decode\(…\) returns/);
  }
});

test("learning says what it learns from, and that the model has a name", async () => {
  const example = { name: "a.wav", label: "happy", speaker: "", seconds: 1, speechSeconds: 1, embedding: new Float32Array(4), sha256: "0" };
  const base = { info: checkedInfo(JSON.stringify(INFO), "x"), files: new Map() };
  for (const wrong of [undefined, 5, {}]) await refused(loose(learn)(base, wrong, { name: "mine" }), /^Expected a list of \{ name, label, speaker/);
  for (const wrong of [5, { ...example, label: 1 }, { ...example, embedding: null }]) {
    await refused(loose(learn)(base, [example, wrong], { name: "mine" }), /^Recording 2 can't be learnt from\. Expected a list of/);
  }
  for (const wrong of [{}, { name: 5 }]) await refused(loose(learn)(base, [example], wrong), /name of the model as a text/);
  await refused(loose(model.learn.bind(model))([example]), /options as an object of name, licence, got undefined/);
});

test("listening says that it needs a model and a function for events", async () => {
  await refused(loose(listen)(), /the model that listens, got undefined/);
  for (const wrong of [undefined, {}, () => undefined, { onEvent: 5 }]) {
    for (const answer of [loose(listen)(model, wrong), loose(model.listen.bind(model))(wrong)]) {
      await refused(answer, /a function that is told each event: listen\(\{ onEvent/);
    }
  }
});

test("options are an object", async () => {
  for (const wrong of [null, 5, "happy", ["happy"]]) {
    await refused(loose(model.predict.bind(model))(new Float32Array(4), 16_000, wrong), /options as an object of adapter, path, .*, got /);
  }
});

test("what can't cross to the worker is told, and the call does not wait for ever", async () => {
  const worker: WorkerLike = {
    ...{ onmessage: null, onerror: null, terminate: () => undefined },
    postMessage: (call) => void structuredClone(call),
  };
  const real = new Model(new Client(worker), {} as BundleInfo);
  const examples = [{ heard: Promise.resolve() }];
  await refused(loose(real.learn.bind(real))(examples, { name: "own" }), /^'learn' was handed .*could not be cloned.*await promises first/);
});

test("a value is described in a few words", () => {
  const found = [5, null, undefined, "x", [], {}, new Float32Array(1), Promise.resolve(), (): void => undefined].map(described);
  assert.deepEqual(found, ["5", "null", "undefined", "the text 'x'", "an Array", "an Object", "a Float32Array", "a Promise", "a function"]);
});

test("lost seconds that are none are refused, not waited for without end", async () => {
  const stream = new Stream(null as unknown as Graph, checkedInfo(JSON.stringify(INFO), "x"), 16_000, () => ({ kind: "energy" }) as unknown as Activity);
  for (const wrong of [Infinity, NaN, -1, "1", undefined]) await refused(stream.skip(wrong as number), /how many seconds were lost, .* got /);
});
