import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import type { BundleInfo } from "../src/bundle.js";
import type { Client } from "../src/client.js";
import { AudioError, EarnestError } from "../src/errors.js";
import { type Adapter, LiveStream } from "../src/live.js";
import { Model } from "../src/model.js";
import { unanswered } from "../src/prediction.js";

const RATE = 16_000;

/** The other end of the wire: what arrives there is moved or copied, as by a worker. */
class FakeClient {
  readonly arrived: { method: string; args: unknown[] }[] = [];
  private nGiven = 0;

  call = async (method: string, args: unknown[], transfer: Transferable[] = []): Promise<unknown> => {
    this.arrived.push({ method, args: structuredClone(args, { transfer: transfer as ArrayBuffer[] }) });
    if (method === "adapter") return ++this.nGiven;
    if (method === "stream") return { number: ++this.nGiven, activity: "energy" };
    if (method === "streamPrediction") return unanswered("x", "no-speech", "made-up");
    return { events: [], isSpeaking: false, receivedS: 0 };
  };

  get pieces(): Float32Array[] {
    return this.arrived.filter(({ method }) => method === "accept").map(({ args }) => args[1] as Float32Array);
  }
}

function opened(): { client: FakeClient; model: Model } {
  const client = new FakeClient();
  return { client, model: new Model(client as unknown as Client, {} as BundleInfo) };
}

test("parts of a recording can be handed over: all of them arrive, and the recording stays the caller's", async () => {
  const client = new FakeClient();
  const stream = new LiveStream(client as unknown as Client, { number: 1, activity: "energy" });
  const waveform = Float32Array.from({ length: 10 }, (_, index) => index / 10);
  for (let start = 0; start < waveform.length; start += 4) await stream.accept(waveform.subarray(start, start + 4));
  assert.equal(waveform.length, 10);
  assert.deepEqual(client.pieces.flatMap((piece) => [...piece]), [...waveform]);
  assert.deepEqual(client.pieces.map((piece) => piece.buffer.byteLength), [16, 16, 8]); // no more than the part itself
});

test("predict and hear hand over a part of a recording alone, and the recording stays the caller's", async () => {
  const { client, model } = opened();
  const waveform = Float32Array.from({ length: 10 }, (_, index) => index / 10);
  await model.predict(waveform.subarray(2, 5), RATE);
  await model.hear(waveform.subarray(5, 7), RATE);
  const handed = [client.pieces[0], client.arrived.find(({ method }) => method === "hear")?.args[0] as Float32Array];
  assert.deepEqual(handed.map((part) => [...part]), [[...waveform.subarray(2, 5)], [...waveform.subarray(5, 7)]]);
  assert.deepEqual(handed.map((part) => part.buffer.byteLength), [12, 8]);
  assert.equal(waveform.length, 10);
});

const ASKED = ["predict", "timeline"] as const;

test("all of a recording is handed over, in parts that leave others their turn, and it stays the caller's", async () => {
  for (const asked of ASKED) {
    const { client, model } = opened();
    const waveform = new Float32Array(25 * RATE).fill(0.5);
    const shares: number[] = [];
    await model[asked](waveform, RATE, { onProgress: (share) => shares.push(share) });
    assert.equal(waveform.length, 25 * RATE);
    assert.deepEqual(client.pieces.map((piece) => piece.length), [10 * RATE, 10 * RATE, 5 * RATE]);
    assert.deepEqual(shares, [0.4, 0.8, 1]);
  }
});

test("of short recordings that are asked at once, each is answered before the next one is heard", async () => {
  const { client, model } = opened();
  await Promise.all([1, 2].map(() => model.predict(new Float32Array(RATE), RATE)));
  const order = client.arrived.map(({ method }) => method).filter((method) => !["stream", "forgetStream"].includes(method));
  assert.deepEqual(order, ["accept", "finish", "streamPrediction", "accept", "finish", "streamPrediction"]);
});

test("what is aborted is refused with the signal's reason at once, also where the model is closed then", async () => {
  for (const [asked, isClosed] of ASKED.flatMap((one) => [[one, false], [one, true]] as const)) {
    const { client, model } = opened();
    const call = client.call;
    let closed: (() => void) | null = null;
    client.call = (method, args, transfer) =>
      method === "accept" ? new Promise((_, reject) => (closed = () => { reject(new EarnestError("This model was closed.")); })) : call(method, args, transfer);
    const abort = new AbortController();
    const answer = model[asked](new Float32Array(RATE), RATE, { signal: abort.signal });
    await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    if (isClosed) (closed as (() => void) | null)?.();
    await assert.rejects(answer, { name: "AbortError" });
  }
  const signal = AbortSignal.abort();
  const { client, model } = opened();
  for (const asked of ASKED) await assert.rejects(model[asked](new Float32Array(RATE), RATE, { signal }), { name: "AbortError" });
  assert.deepEqual(client.arrived, []);
});

test("who aborts is told no progress any more", async () => {
  for (const asked of ASKED) {
    const { client, model } = opened();
    const call = client.call;
    let answer: () => void = () => undefined;
    const isAsked = new Promise<void>((asks) => {
      client.call = async (method, args, transfer) => {
        if (method === "accept") await new Promise<void>((resolve) => { answer = resolve; asks(); });
        return call(method, args, transfer);
      };
    });
    const abort = new AbortController();
    const shares: number[] = [];
    const work = model[asked](new Float32Array(25 * RATE), RATE, { signal: abort.signal, onProgress: (share) => shares.push(share) });
    await isAsked;
    abort.abort();
    await assert.rejects(work, { name: "AbortError" });
    answer();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(shares, []);
  }
});

test("what is aborted with its last piece is refused too", async () => {
  for (const asked of ASKED) {
    const abort = new AbortController();
    const onProgress = (share: number): void => { if (share === 1) abort.abort(); };
    const answer = opened().model[asked](new Float32Array(25 * RATE), RATE, { signal: abort.signal, onProgress });
    await assert.rejects(answer, { name: "AbortError" });
  }
});

test("samples of another window, such as an iframe's, are samples", async () => {
  const { client, model } = opened();
  await model.timeline(runInNewContext("new Float32Array(8)") as Float32Array, RATE);
  assert.equal(client.pieces[0].length, 8);
});

test("samples that are no Float32Array are refused", async () => {
  const stream = new LiveStream(new FakeClient() as unknown as Client, { number: 1, activity: "energy" });
  for (const [wrong, what] of [[[0, 1], "an Array"], [new Int16Array(2), "an Int16Array"], [undefined, "undefined"]] as const) {
    const answer = stream.accept(wrong as unknown as Float32Array);
    for (const refused of [answer, opened().model.predict(wrong as unknown as Float32Array, RATE)]) {
      await assert.rejects(refused, (error) => error instanceof AudioError && error.message.endsWith(`as a Float32Array, one channel in [-1, 1], got ${what}. Of what decode(…) returns, hand over waveform and sampleRateHz.`));
    }
  }
});

test("an adapter is this model's own", async () => {
  const { client, model } = opened();
  const waveform = new Float32Array(RATE);
  const adapter = await model.adapter();
  await model.predict(waveform, RATE, { adapter });
  await model.timeline(waveform, RATE, { adapter });
  const numbers = client.arrived.filter(({ method }) => method === "stream").map(({ args }) => args[2]);
  assert.deepEqual(numbers, [1, 1]);
});

test("another model's adapter, a profile, recordings and a forgotten await are refused", async () => {
  const { client, model } = opened();
  const waveform = new Float32Array(RATE);
  const others = await opened().model.adapter();
  await model.adapter(); // of the same number
  const wrong = [[others, /made by another model/], [model.adapter(), /a Promise/], [{ format: 1 }, /an Object/], [[{ waveform, sampleRateHz: RATE }], /an Array/]] as const;
  for (const [given, what] of wrong) {
    const options = { adapter: given as Adapter };
    const isRight = (error: unknown): boolean =>
      error instanceof EarnestError && what.test(error.message) && error.message.includes("await model.adapter(…)");
    await assert.rejects(model.predict(waveform, RATE, options), isRight);
    await assert.rejects(model.timeline(waveform, RATE, options), isRight);
    await assert.rejects(model.stream(RATE, options), isRight);
    await assert.rejects(model.listen({ onEvent: () => undefined, ...options }), isRight); // and no microphone is asked for
  }
  assert.deepEqual(client.arrived.map(({ method }) => method), ["adapter", "adapter"]);
});
