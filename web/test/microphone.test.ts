import assert from "node:assert/strict";
import { test } from "node:test";
import type { BundleInfo } from "../src/bundle.js";
import type { Client } from "../src/client.js";
import { EarnestError, MicrophoneError } from "../src/errors.js";
import { listen, Queue } from "../src/microphone.js";
import { Model } from "../src/model.js";
import { type Prediction, type StreamEvent, unanswered } from "../src/prediction.js";

const RATE = 1_000;

/** A stream that answers when it is told to. */
class SlowStream {
  readonly calls: string[] = [];
  private readonly open: (() => void)[] = [];

  accept = (waveform: Float32Array): Promise<StreamEvent[]> => this.called(`accept ${waveform.length}`);
  readonly skip = (seconds: number): Promise<StreamEvent[]> => this.called(`skip ${seconds}`);
  readonly finish = (): Promise<StreamEvent[]> => this.called("finish");

  async goOn(): Promise<void> {
    while (this.open.length) {
      this.open.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private called(what: string): Promise<StreamEvent[]> {
    this.calls.push(what);
    const event: StreamEvent = { event: "gap", start_s: this.calls.length, end_s: 0 };
    return new Promise((resolve) => this.open.push(() => { resolve([event]); }));
  }
}

test("sound beyond ten seconds is dropped and told as a gap before what comes next", async () => {
  const stream = new SlowStream();
  const queue = new Queue(stream, RATE, () => undefined);
  for (let second = 0; second < 13; second++) queue.put(new Float32Array(RATE));
  assert.equal(stream.calls.length, 10);
  await stream.goOn();
  queue.put(new Float32Array(RATE));
  assert.deepEqual(stream.calls.slice(10), ["skip 3", `accept ${RATE}`]);
});

test("events arrive in order, and the end waits for all of them", async () => {
  const stream = new SlowStream();
  const told: number[] = [];
  const queue = new Queue(stream, RATE, (event) => told.push(event.start_s));
  queue.put(new Float32Array(10));
  queue.put(new Float32Array(10));
  const finished = queue.finish();
  await stream.goOn();
  await finished;
  assert.deepEqual(told, [1, 2, 3]);
});

test("what the app throws at an event is reported, and the next events are told", async () => {
  const [stream, told, reported]: [SlowStream, number[], unknown[]] = [new SlowStream(), [], []];
  Object.assign(globalThis, { reportError: (error: unknown) => reported.push(error) });
  const mine = new Error("mine");
  const queue = new Queue(stream, RATE, (event) => {
    told.push(event.start_s);
    throw mine;
  });
  queue.put(new Float32Array(10));
  const finished = queue.finish();
  await stream.goOn();
  await finished;
  assert.deepEqual([told, reported], [[1, 2], [mine, mine]]);
});

test("a failure of the worker ends listening and is thrown at the end", async () => {
  const stream = new SlowStream();
  stream.accept = () => Promise.reject(new Error("broken"));
  const queue = new Queue(stream, RATE, () => undefined);
  let failed = 0;
  queue.onFailure = () => failed++;
  queue.put(new Float32Array(10));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(failed, 1);
  await assert.rejects(queue.finish(), /broken/);
});

test("sound that arrives after the end is left out, and is no failure", async () => {
  const stream = new SlowStream();
  const queue = new Queue(stream, RATE, () => undefined);
  queue.put(new Float32Array(10));
  const finished = queue.finish();
  queue.put(new Float32Array(10));
  await stream.goOn();
  await finished;
  assert.deepEqual(stream.calls, ["accept 10", "finish"]);
});

const track = { muted: false, onmute: (): void => undefined, onunmute: (): void => undefined };

/** Put a microphone and a sound system in the place of the browser's; returns how often the microphone was let go. */
function withSound(context: Record<string, unknown>): () => number {
  let stopped = 0;
  Object.assign(track, { muted: false, stop: () => stopped++ });
  const mediaDevices = { getUserMedia: async () => ({ getTracks: () => [track] }) };
  Object.defineProperty(globalThis, "navigator", { value: { mediaDevices }, configurable: true });
  const made = { sampleRate: RATE, close: async (): Promise<void> => undefined, addEventListener: () => undefined, ...context };
  Object.assign(globalThis, { AudioContext: function AudioContext() { return made; } });
  return () => stopped;
}

test("a worklet that can't be loaded says how it is served, and the microphone is let go", async () => {
  const audioWorklet = { addModule: () => Promise.reject(new DOMException("Failed to load worklet module script", "AbortError")) };
  const stopped = withSound({ audioWorklet });
  await assert.rejects(listen({ stream: () => Promise.reject(new Error("none")) }, { onEvent: () => undefined }), (error) => {
    assert.ok(error instanceof EarnestError);
    assert.match(error.message, /Serve earnest\.worklet\.js beside earnest\.js, or say where it is: listen\(\{ workletUrl \}\)/);
    return true;
  });
  assert.equal(stopped(), 1);
});

test("sound that never starts is an error that says why, and the microphone is let go", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const closed: string[] = [];
  Object.assign(globalThis, { AudioWorkletNode: class { port = {}; } });
  const stopped = withSound({
    audioWorklet: { addModule: async () => undefined },
    createMediaStreamSource: () => ({ connect: () => undefined }),
    resume: () => {
      setImmediate(() => { context.mock.timers.tick(5_000); });
      return new Promise(() => undefined);
    },
  });
  const { accept, skip, finish } = new SlowStream();
  const prediction = (): Promise<never> => Promise.reject(new Error("none"));
  const stream = { accept, skip, finish, prediction, isSpeaking: false, close: async () => void closed.push("stream") };
  await assert.rejects(listen({ stream: async () => stream }, { onEvent: () => undefined }), (error) => {
    assert.ok(error instanceof MicrophoneError);
    assert.equal(error.reason, "stopped");
    assert.match(error.message, /Firefox needs a sound output/);
    return true;
  });
  assert.deepEqual([stopped(), closed], [1, ["stream"]]);
});

test("sound that the browser stops or mutes is told and asked for again, and sound that was paused is not", async () => {
  Object.assign(globalThis, { AudioWorkletNode: class { port = {}; } });
  let resumed = 0;
  withSound({
    audioWorklet: { addModule: async () => undefined },
    createMediaStreamSource: () => ({ connect: () => undefined }),
    resume: async () => { resumed++; },
    suspend: async () => undefined,
  });
  const context = new AudioContext() as unknown as { state: string; onstatechange: () => void };
  const become = (state: string): void => {
    context.state = state;
    context.onstatechange();
  };
  const none = async (): Promise<StreamEvent[]> => [];
  const prediction = async (): Promise<Prediction> => unanswered("microphone", "no-speech", "made-up");
  const stream = { accept: none, skip: none, finish: none, prediction, isSpeaking: false, close: async () => undefined };
  const told: boolean[] = [];
  const listening = await listen({ stream: async () => stream }, { onEvent: () => undefined, onInterruption: (isInterrupted) => told.push(isInterrupted) });
  assert.equal(resumed, 1);
  become("interrupted");
  assert.deepEqual([told, resumed], [[true], 2]);
  become("running");
  told.length = 0;
  track.muted = true;
  track.onmute();
  assert.deepEqual([told, resumed], [[true], 2]);
  track.muted = false;
  track.onunmute();
  await listening.pause();
  become("suspended");
  assert.deepEqual([told, resumed], [[true, false], 2]);
  await listening.resume();
  become("running");
  assert.deepEqual([told, resumed], [[true, false], 3]);
  await listening.stop();
  become("closed");
  assert.deepEqual([told, resumed], [[true, false], 3]);
});

test("a pause is no sleep, whichever of its last and first chunks and its state comes first; standing still while it runs is", async (testing) => {
  let onmessage: (message: { data: Float32Array }) => void = () => undefined;
  class Worklet {
    port = { set onmessage(to: typeof onmessage) { onmessage = to; } };
  }
  Object.assign(globalThis, { AudioWorkletNode: Worklet });
  let turned = (): void => undefined;
  withSound({
    state: "running",
    currentTime: 0,
    audioWorklet: { addModule: async () => undefined },
    addEventListener: (_: string, listener: () => void) => (turned = listener),
    createMediaStreamSource: () => ({ connect: () => undefined }),
    resume: async () => undefined,
  });
  const context = new AudioContext() as unknown as { state: string; currentTime: number };
  const become = (state: string): void => {
    context.state = state;
    turned();
  };
  testing.mock.timers.enable({ apis: ["Date"] });
  const chunk = (): void => { onmessage({ data: new Float32Array(RATE / 10) }); };
  const hear = (): void => {
    context.currentTime += 0.1;
    testing.mock.timers.tick(100);
    chunk();
  };
  const none = async (): Promise<StreamEvent[]> => [];
  const prediction = async (): Promise<Prediction> => unanswered("microphone", "no-speech", "made-up");
  const stream = { accept: none, skip: none, finish: none, prediction, isSpeaking: false, close: async () => undefined };
  const slept: number[] = [];
  const listening = await listen({ stream: async () => stream }, { onEvent: () => undefined, onSleep: (seconds) => slept.push(Math.round(seconds)) });
  hear();
  hear();
  become("suspended");
  testing.mock.timers.tick(20_000);
  chunk(); // was on its way when the sound stopped
  testing.mock.timers.tick(20_000);
  chunk(); // the first, before the browser says that the sound runs
  become("running");
  hear();
  assert.deepEqual(slept, []);
  testing.mock.timers.tick(20_000);
  hear();
  assert.deepEqual(slept, [20]);
  const stopped = listening.stop();
  testing.mock.timers.tick(20_000);
  chunk(); // was on its way when listening ended, which is no sleep either
  assert.deepEqual(slept, [20]);
  await stopped;
});

test("after the end, pausing does nothing and what was said stays", async () => {
  Object.assign(globalThis, { AudioWorkletNode: class { port = {}; } });
  const refused = (): Promise<never> => Promise.reject(new DOMException("Cannot suspend a closed AudioContext.", "InvalidStateError"));
  withSound({
    audioWorklet: { addModule: async () => undefined },
    createMediaStreamSource: () => ({ connect: () => undefined }),
    resume: async () => undefined,
    suspend: refused,
  });
  const said = unanswered("microphone", "no-speech", "made-up");
  const none = async (): Promise<StreamEvent[]> => [];
  let isClosed = false;
  const prediction = async (): Promise<typeof said> => {
    assert.ok(!isClosed);
    return said;
  };
  const stream = { accept: none, skip: none, finish: none, prediction, isSpeaking: false, close: async () => void (isClosed = true) };
  const listening = await listen({ stream: async () => stream }, { onEvent: () => undefined });
  assert.equal(await listening.stop(), said);
  await listening.pause();
  await listening.resume();
  assert.equal(await listening.soFar(), said);
});

test("a model that is closed lets the microphone go, also while listening is paused", async () => {
  Object.assign(globalThis, { AudioWorkletNode: class { port = {}; } });
  const stopped = withSound({
    audioWorklet: { addModule: async () => undefined },
    createMediaStreamSource: () => ({ connect: () => undefined }),
    resume: async () => undefined,
    suspend: async () => undefined,
  });
  const closed = new EarnestError("This model was closed.");
  let isClosed = false;
  const client = {
    call: async () => {
      if (isClosed) throw closed;
      return { number: 1, activity: "energy", events: [], isSpeaking: false, receivedS: 0 };
    },
    close: () => { isClosed = true; },
  };
  const model = new Model(client as unknown as Client, {} as BundleInfo);
  const listening = await model.listen({ onEvent: () => undefined });
  await listening.pause();
  model.close();
  assert.equal(stopped(), 1);
  await assert.rejects(listening.ended, closed);
});

test("sound whose start is refused says what it needs", async () => {
  Object.assign(globalThis, { AudioWorkletNode: class { port = {}; } });
  withSound({
    audioWorklet: { addModule: async () => undefined },
    createMediaStreamSource: () => ({ connect: () => undefined }),
    resume: () => Promise.reject(new DOMException("Failed to start the audio device", "InvalidStateError")),
  });
  const { accept, skip, finish } = new SlowStream();
  const stream = { accept, skip, finish, prediction: () => Promise.reject(new Error("none")), isSpeaking: false, close: async () => undefined };
  const started = listen({ stream: async () => stream }, { onEvent: () => undefined });
  await assert.rejects(started, (error) => error instanceof MicrophoneError && error.reason === "stopped");
});
