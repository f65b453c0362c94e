import assert from "node:assert/strict";
import { test } from "node:test";
import { type Adaptation, Adapter, type AnswerListener } from "../src/adaptation.js";
import { Answers, type AnswerOptions } from "../src/answers.js";
import { type BundleInfo, checkedInfo } from "../src/bundle.js";
import type { Client } from "../src/client.js";
import { BundleError, EarnestError } from "../src/errors.js";
import { SOUNDS, verdictOf } from "../src/gate.js";
import { Model } from "../src/model.js";
import { checkNames, ClassChoice, type Options } from "../src/options.js";
import { type Prediction, type StreamEvent, unanswered } from "../src/prediction.js";
import { Predictor } from "../src/predictor.js";
import { suggestion } from "../src/suggestion.js";
import { Tally } from "../src/tally.js";

const RATE = 16_000;

function info(changes: Partial<BundleInfo> = {}): BundleInfo {
  const values = {
    ...{ name: "made-up", version: "1", classes: ["neutral", "calm", "happy", "sad"], sample_rate_hz: RATE, licence: "CC0-1.0" },
    ...{ files: { "model.onnx": "0".repeat(64) }, schema: 1, shortest_s: 0.1, longest_s: 30 },
  };
  return checkedInfo(JSON.stringify({ ...values, ...changes }), "x");
}

/** Probabilities of `SOUNDS`, all but the named ones zero. */
const sound = (shares: Record<string, number>): number[] => SOUNDS.map((name) => shares[name] ?? 0);
const verdict = (shares: Record<string, number>): [string, number] => {
  const { sound: found, confidence } = verdictOf({ probabilities: [], sound: sound(shares) }, SOUNDS);
  return [found, confidence];
};

test("the gate names speech, a kind, another kind, or no speech", () => {
  assert.deepEqual(verdict({ speech: 0.5, laughter: 0.5 }), ["speech", 0.5]);
  assert.deepEqual(verdict({ speech: 0.4, laughter: 0.5625, "no-speech": 0.0375 }), ["laughter", 0.5625]);
  assert.deepEqual(verdict({ speech: 0.4, laughter: 0.5, "no-speech": 0.1 }), ["no-speech", 0.1]);
  assert.deepEqual(verdict({ speech: 0.25, crying: 0.375, sigh: 0.125, scream: 0.25 }), ["crying", 0.375]);
  assert.deepEqual(verdict({ laughter: 0.3125, crying: 0.3125, scream: 0.3125, "no-speech": 0.0625 }), ["other", 0.9375]);
});

test("without an output or names for it all is speech; a wrong number of names is refused", () => {
  assert.equal(verdictOf({ probabilities: [] }, SOUNDS).sound, "speech");
  assert.equal(verdictOf({ probabilities: [], sound: sound({ sigh: 1 }) }, []).sound, "speech");
  assert.throws(() => verdictOf({ probabilities: [], sound: [1] }, SOUNDS), BundleError);
});

test("classes asked for are renormalised, in their order; calm counts as neutral", () => {
  const of = (classes: string | string[]): number[] =>
    Array.from(new ClassChoice(info(), { classes }).of([0.25, 0.25, 0.25, 0.25]), (share) => Math.round(100 * share) / 100);
  assert.deepEqual(of("sad, neutral"), [0.33, 0.67]);
  assert.deepEqual(of(["calm", "neutral", "sad", "sad"]), [0.33, 0.33, 0.33]);
  assert.deepEqual(of(["happy", "sad"]), [0.5, 0.5]);
  assert.deepEqual(of(""), [0.25, 0.25, 0.25, 0.25]);
  assert.deepEqual(Array.from(new ClassChoice(info(), { classes: ["happy", "sad"] }).of([1, 0, 0, 0])), [0.5, 0.5]);
});

test("how frequent classes are weighs them, and what is left of 1 belongs to the others", () => {
  const of = (classes: string): number[] =>
    Array.from(new ClassChoice(info(), { classes }).of([0.1, 0.2, 0.3, 0.4]), (share) => Math.round(1e6 * share) / 1e6);
  assert.deepEqual(of("happy=0.5,sad,calm"), [0.5, 0.333333, 0.166667]);
  assert.deepEqual(of("neutral = 0.6,happy,sad=.3"), [0.375, 0.125, 0.5]);
  assert.deepEqual(of("neutral=0.25,calm=0.25,happy=0.25,sad=0.25"), [0.1, 0.2, 0.3, 0.4]);
  assert.deepEqual(of("happy=0.1,sad=0.3"), [0.125, 0.5, 0.125, 0.25]);
  assert.deepEqual(new ClassChoice(info(), { classes: "neutral=0.6" }).classes, ["neutral", "happy", "sad"]);
  const refusals: [string, RegExp][] = [
    ["neutral=most", /'neutral=most': how frequent it is lies between 0 and 1: neutral=0\.6/],
    ["neutral=1", /between 0 and 1/],
    ["neutral=0.6,happy=0.5", /is 1\.1 together\. It must be 1\./],
    ["neutral=0.6,happy=0.4,sad", /is 1 together\. It must be something less, for sad\./],
    ["neutral=0.6,neutral=0.2", /'neutral' is named with several shares/],
  ];
  for (const [classes, why] of refusals) assert.throws(() => new ClassChoice(info(), { classes }), why);
});

test("of an adapted answer, how frequent classes are counts for the part that is not adapted", async () => {
  const adapter: AnswerListener = { hear: (plain) => Promise.resolve({ probabilities: Float64Array.from(plain), weight: 0.5 }) };
  const told = async (options: AnswerOptions): Promise<number[]> => {
    const answers = new Answers(info(), RATE, { classes: "happy=0.64,sad=0.16,neutral=0.1,calm=0.1", ...options });
    const extent = { start: 0, end: RATE };
    await answers.window({ extent, segmentStart: 0, sound: new Float32Array(RATE) }, { probabilities: [0.1, 0.1, 0.4, 0.4] });
    return Object.values(answers.prediction("x", true).probabilities).map((share) => Math.round(1e4 * share) / 1e4);
  };
  const normed = (rows: number[]): number[] => rows.map((row) => Math.round((1e4 * row) / rows.reduce((sum, one) => sum + one, 0)) / 1e4);
  assert.deepEqual(await told({}), normed([0.4 * 0.64, 0.4 * 0.16, 0.1 * 0.1, 0.1 * 0.1]));
  assert.deepEqual(await told({ adapter }), normed([0.4 * 0.8, 0.4 * 0.4, 0.1 * 0.1 ** 0.5, 0.1 * 0.1 ** 0.5]));
});

test("wrong options say what is right", () => {
  const refused = (options: AnswerOptions, message: RegExp): void => {
    assert.throws(() => new Answers(info(), RATE, options), (error) => error instanceof EarnestError && message.test(error.message));
  };
  refused({ classes: ["hapy", "sad"] }, /no class 'hapy', but neutral, calm, happy, sad\. Did you mean 'happy'\?/);
  refused({ classes: "sad" }, /two classes or more, not for 'sad' alone/);
  refused({ abstainBelow: 1.5 }, /abstainBelow: expected a confidence from 0 to 1, got 1\.5\. 0 tells every answer, null goes/);
  refused({ abstainBelow: NaN }, /abstainBelow: expected a confidence from 0 to 1, got NaN/);
});

test("the nearest right name is Python's", () => {
  const choices = ["neutral", "happy", "sad", "angry", "fearful", "disgust"]; // compared with difflib.get_close_matches
  const expected = { anger: "angry", fear: "fearful", sadness: "sad", happiness: "happy", disgusted: "disgust", ngry: "angry", neutrality: "neutral" };
  for (const [wrong, right] of Object.entries(expected)) assert.equal(suggestion(wrong, choices), ` Did you mean '${right}'?`);
  assert.match(suggestion("xyz", choices), /^ Choose one of: angry, disgust,/);
  assert.equal(suggestion("xyz", []), "");
});

/** Segments of windows of a second each, one after the other: what the network says about them. */
async function answered(segments: [number[], Record<string, number>?][][], options: AnswerOptions = {}, changes: Partial<BundleInfo> = {}): Promise<{ events: StreamEvent[]; prediction: Prediction }> {
  const answers = new Answers(info({ sounds: [...SOUNDS], ...changes }), RATE, { windowS: 1, hopS: 1, ...options });
  const events: StreamEvent[] = [];
  let end = 0;
  for (const windows of segments) {
    const segmentStart = end;
    for (const [probabilities, shares = { speech: 1 }] of windows) {
      const extent = { start: end, end: (end += RATE) };
      answers.tally.hear(new Float32Array(RATE));
      events.push(...(await answers.window({ extent, segmentStart, sound: new Float32Array(RATE) }, { probabilities, sound: sound(shares), distance: [2] })));
    }
    events.push(...answers.segment({ extent: { start: segmentStart, end }, sound: null }));
  }
  return { events, prediction: answers.prediction("x") };
}

const HAPPY = [0, 0, 0.875, 0.125];
const SAD = [0, 0, 0.25, 0.75];
const EVEN = [0.25, 0.25, 0.25, 0.25];

test("of several segments the answer is what held longest, with shares", async () => {
  const { prediction } = await answered([[[HAPPY], [HAPPY]], [[SAD]], [[EVEN]]]);
  assert.equal(prediction.status, "ok");
  assert.deepEqual([prediction.emotion, prediction.confidence], ["happy", 0.875]);
  assert.deepEqual(prediction.shares, { happy: 0.5, sad: 0.25, unsure: 0.25 });
});

test("where nothing holds 60 % it is mixed, where too little is sure it is unsure", async () => {
  const mixed = (await answered([[[HAPPY]], [[SAD]]])).prediction;
  assert.deepEqual([mixed.status, mixed.emotion, mixed.confidence, mixed.shares], ["mixed", null, null, { happy: 0.5, sad: 0.5 }]);
  const unsure = (await answered([[[HAPPY]], [[EVEN]], [[EVEN]]])).prediction;
  assert.deepEqual([unsure.status, unsure.emotion], ["unsure", null]);
  assert.equal(unsure.confidence, Math.max(...Object.values(unsure.probabilities)));
});

test("one segment is answered by the mean over its windows; longer than the model hears at once by its time", async () => {
  const once = (await answered([[[HAPPY], [HAPPY], [SAD]]])).prediction;
  assert.deepEqual([once.emotion, once.shares], ["happy", null]);
  const long = (await answered([[[HAPPY], [HAPPY], [SAD]]], {}, { longest_s: 2 })).prediction;
  assert.deepEqual([long.emotion, long.shares], ["happy", { happy: 2 / 3, sad: 1 / 3 }]);
});

test("the threshold is the caller's, or the bundle's", async () => {
  assert.equal((await answered([[[SAD]]])).prediction.status, "ok");
  assert.equal((await answered([[[SAD]]], { abstainBelow: 0.8 })).prediction.status, "unsure");
  assert.equal((await answered([[[SAD]]], {}, { abstain_below: 0.8 })).prediction.status, "unsure");
  assert.equal((await answered([[[EVEN]]], { abstainBelow: 0 }, { abstain_below: 0.8 })).prediction.status, "ok");
});

test("a vocal burst is an event without windows, and a recording of bursts alone says so", async () => {
  const laughter = { laughter: 0.75, speech: 0.25 };
  const { events, prediction } = await answered([[[SAD, laughter], [SAD, laughter]]]);
  const burst = { start_s: 0, end_s: 2, kind: "laughter", confidence: 0.75 };
  assert.deepEqual(events, [{ event: "vocal-burst", ...burst }]);
  assert.deepEqual([prediction.status, prediction.emotion, prediction.speech_s], ["vocal-burst", null, 0]);
  assert.deepEqual(prediction.vocal_bursts, [burst]);
  const both = await answered([[[SAD], [SAD, laughter]]]);
  assert.deepEqual(both.events.map(({ event }) => event), ["window", "span", "vocal-burst", "segment"]);
  assert.deepEqual([both.prediction.emotion, both.prediction.speech_s], ["sad", 1]);
});

test("what is no speech is not told at all", async () => {
  const { events, prediction } = await answered([[[SAD, { "no-speech": 1 }]]]);
  assert.deepEqual(events, []);
  assert.equal(prediction.status, "no-speech");
});

test("the distance decides what is out-of-domain, where the bundle says from where on", async () => {
  assert.deepEqual((await answered([[[SAD]]], {}, { out_of_domain_from: 1.5 })).prediction.quality, ["too-quiet", "out-of-domain"]);
  assert.deepEqual((await answered([[[SAD]]], {}, { out_of_domain_from: 2.5 })).prediction.quality, ["too-quiet"]);
  assert.deepEqual((await answered([[[SAD]]])).prediction.quality, ["too-quiet"]);
});

test("overlapped speech is told where its mean over windows is above a half", () => {
  const told = (...overlaps: number[]): string[] => {
    const tally = new Tally(RATE, ["happy", "sad"]);
    for (const overlap of overlaps) tally.add({ probabilities: [0.5, 0.5], overlap: [overlap], distance: [2] }, 10);
    return tally.quality(1.5);
  };
  assert.deepEqual(told(0.9, 0.9, 0.1), ["overlapped-speech", "out-of-domain"]);
  assert.deepEqual(told(0.9, 0.1), ["out-of-domain"]);
});

test("affect that was learnt from ratings goes before what is derived, which has no dominance", () => {
  const told = (more: { affect?: number[]; affect_derived?: number[] }): [Prediction["affect"], boolean] => {
    const tally = new Tally(RATE, ["happy", "sad"]);
    tally.add({ probabilities: [0.5, 0.5], ...more }, RATE);
    const { affect, affect_derived: isDerived } = tally.answer(unanswered("a", "no-speech", "m"), false);
    return [affect, isDerived];
  };
  assert.deepEqual(told({}), [null, false]);
  assert.deepEqual(told({ affect_derived: [0.25, 0.75] }), [{ valence: 0.25, arousal: 0.75, dominance: null }, true]);
  const rated = [{ valence: 1, arousal: 0.5, dominance: 0.25 }, false];
  assert.deepEqual(told({ affect: [1, 0.5, 0.25], affect_derived: [0.25, 0.75] }), rated);
});

test("a slip in the name of an option is not taken for the default, with or without a worker", async () => {
  const predictor = Object.create(Predictor.prototype, { info: { value: info() } }) as Predictor;
  for (const model of [new Model(null as unknown as Client, info()), predictor]) await slipsAreRefused(model);
  checkNames({}, { classes: true });
});

async function slipsAreRefused(model: Model | Predictor): Promise<void> {
  const samples = new Float32Array(RATE);
  const [slip, window] = [{ abstain_below: 0 } as Options, { windowSeconds: 1 } as Options];
  await assert.rejects(model.predict(samples, RATE, slip), /There is no option 'abstain_below'\. Did you mean 'abstainBelow'/);
  await assert.rejects(model.timeline(samples, RATE, window), /no option 'windowSeconds'\. Did you mean 'windowS'/);
  await assert.rejects(async () => model.stream(RATE, window), EarnestError);
  const controller = new AbortController() as unknown as AbortSignal;
  for (const asked of ["predict", "timeline"] as const) {
    await assert.rejects(model[asked](samples, RATE, { signal: controller }), /an AbortSignal, such as the 'signal' of an AbortController, got an AbortController\.$/);
  }
}

test("without a worker, too, an adapter is one, and of the same bundle", () => {
  const own = info();
  const adapterOf = (bundle: BundleInfo): Adapter => new Adapter({ isOf: (other: BundleInfo) => other === bundle } as unknown as Adaptation);
  for (const adapter of [null, adapterOf(own), { hear: () => Promise.resolve(null) }]) new Answers(own, RATE, { adapter });
  const wrong = [[adapterOf(info()), /made by another model/], [Promise.resolve(), /a Promise/], [{ format: 1 }, /an Object/], [[], /an Array/]] as const;
  for (const [adapter, what] of wrong) {
    assert.throws(() => new Answers(own, RATE, { adapter: adapter as AnswerListener }), what);
  }
});
