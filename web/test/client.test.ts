import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, type WorkerLike } from "../src/client.js";
import { AudioError, EarnestError } from "../src/errors.js";
import { load } from "../src/model.js";
import type { Call, Reply } from "../src/messages.js";

class FakeWorker implements WorkerLike {
  onmessage: WorkerLike["onmessage"] = null;
  onerror: WorkerLike["onerror"] = null;
  readonly calls: Call[] = [];
  ended = false;

  postMessage(call: Call): void {
    this.calls.push(call);
  }

  terminate(): void {
    this.ended = true;
  }

  reply(data: Reply): void {
    this.onmessage?.({ data } as MessageEvent<Reply>);
  }
}

test("answers go to the calls they belong to, in any order", async () => {
  const worker = new FakeWorker();
  const client = new Client(worker);
  const answers = [client.call("streamPrediction", [1, "a"]), client.call("streamPrediction", [1, "b"])];
  worker.reply({ id: worker.calls[1].id, value: "second" });
  worker.reply({ id: worker.calls[0].id, value: "first" });
  assert.deepEqual(await Promise.all(answers), ["first", "second"]);
});

test("a deliberate error keeps its class on its way to the page", async () => {
  const worker = new FakeWorker();
  const answer = new Client(worker).call("finish", [1]);
  worker.reply({ id: worker.calls[0].id, failure: { name: "AudioError", message: "no sound" } });
  await assert.rejects(answer, (error) => error instanceof AudioError && error.message === "no sound");
});

test("when the worker can't start, calls that wait and calls to come are refused", async () => {
  const worker = new FakeWorker();
  const client = new Client(worker, undefined, "https://host/w.js");
  const answer = client.call("finish", [1]);
  worker.onerror?.({ message: "" } as ErrorEvent);
  await assert.rejects(answer, EarnestError);
  await assert.rejects(client.call("finish", [1]), /file can't be loaded: https:\/\/host\/w\.js\. .*workerUrl.*worker-src/);
  assert.ok(worker.ended);
});

test("progress is passed on", () => {
  const worker = new FakeWorker();
  const told: string[] = [];
  new Client(worker, ({ file }) => told.push(file));
  worker.reply({ progress: { file: "model.onnx", loadedBytes: 1, totalBytes: null } });
  assert.deepEqual(told, ["model.onnx"]);
});

test("loading that is aborted is refused with the signal's reason, and its worker ends", async () => {
  const made: FakeWorker[] = [];
  class MadeWorker extends FakeWorker {
    constructor() {
      super();
      made.push(this);
    }
  }
  Object.assign(globalThis, { Worker: MadeWorker, location: { href: "https://app.test/" } });
  const abort = new AbortController();
  const loading = load("models/base/", { signal: abort.signal });
  abort.abort();
  await assert.rejects(loading, { name: "AbortError" });
  assert.deepEqual(made.map(({ ended }) => ended), [true]);
  await assert.rejects(load("models/base/", { signal: abort.signal }), { name: "AbortError" });
  assert.equal(made.length, 1);
});
