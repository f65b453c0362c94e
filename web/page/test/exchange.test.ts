import assert from "node:assert/strict";
import { test } from "node:test";
import { type Timeline, unanswered } from "../../src/prediction.js";
import { read, written } from "../src/exchange.js";

const TIMELINE: Timeline = {
  ...unanswered("microphone", "ok", "small"),
  duration_s: 4,
  speech_s: 3,
  emotion: "sad",
  confidence: 0.75,
  probabilities: { sad: 0.75, happy: 0.25 },
  polarity: -0.5,
  gender: { female: 0.5, male: 0.5 },
  quality: ["noisy"],
  activity: "silero",
  segments: [{ start_s: 0.5, end_s: 3.5 }],
  spans: [{ start_s: 0.5, end_s: 3.5, emotion: "sad", confidence: 0.75 }],
  windows: [{ start_s: 0.5, end_s: 3.5, probabilities: { sad: 0.75, happy: 0.25 } }],
};
const KEPT = { name: "Tuesday", created: "2026-01-02T03:04:05.000Z", timeline: TIMELINE };

/** The file with one change somewhere inside. */
function changed(change: (file: Record<string, unknown>, timeline: Record<string, unknown>) => void): string {
  const file = JSON.parse(written(KEPT)) as { timeline: Record<string, unknown> };
  change(file, file.timeline);
  return JSON.stringify(file);
}

test("what is written is read back", () => {
  assert.deepEqual(read(written(KEPT)), KEPT);
});

test("affect is read back, derived or not; older files do not say", () => {
  for (const [dominance, isDerived] of [[0.5, false], [null, true]] as const) {
    const told = { ...KEPT, timeline: { ...TIMELINE, affect: { valence: 0.25, arousal: 0.75, dominance }, affect_derived: isDerived } };
    assert.deepEqual(read(written(told)), told);
  }
  assert.equal(read(changed((_, timeline) => delete timeline["affect_derived"])).timeline.affect_derived, false);
  assert.throws(() => read(changed((_, timeline) => (timeline["affect"] = { valence: 1, arousal: 0 }))), /dominance must be a number/);
});

test("a recording without speech is read back", () => {
  const silent = { ...KEPT, timeline: { ...unanswered("a.wav", "no-speech", "small"), activity: "", segments: [], spans: [], windows: [] } };
  assert.deepEqual(read(written(silent)), silent);
});

test("recordings that are unsure, mixed or vocal bursts are read back, and checked", () => {
  const more = { status: "mixed", shares: { sad: 0.6, unsure: 0.4 }, vocal_bursts: [{ start_s: 1, end_s: 2, kind: "sigh", confidence: 0.5 }] };
  const text = changed((_, timeline) => Object.assign(timeline, more));
  assert.deepEqual(read(text).timeline, { ...TIMELINE, ...more });
  for (const status of ["unsure", "vocal-burst"]) {
    const spans = [{ start_s: 0.5, end_s: 3.5, emotion: "unsure", confidence: 0.3 }];
    const other = changed((_, timeline) => Object.assign(timeline, { status, emotion: null, spans }));
    assert.deepEqual(read(other).timeline, { ...TIMELINE, status, emotion: null, spans });
  }
  assert.throws(() => read(changed((_, timeline) => (timeline["shares"] = { sad: 3 }))), /shares must be a number/);
  assert.throws(() => read(changed((_, timeline) => (timeline["vocal_bursts"] = [{ ...more.vocal_bursts[0], kind: 5 }]))), /kind is not a text/);
  assert.throws(() => read(changed((_, timeline) => (timeline["vocal_bursts"] = [{ kind: "sigh" }]))), /start_s must be a number/);
});

test("a file of an older page, without shares and vocal bursts, is read", () => {
  const text = changed((_, timeline) => {
    delete timeline["shares"];
    delete timeline["vocal_bursts"];
  });
  assert.deepEqual(read(text), KEPT);
});

test("fields that aren't known are left out", () => {
  const text = changed((file, timeline) => {
    file["more"] = timeline["sound"] = "AAAA";
  });
  assert.deepEqual(read(text), KEPT);
});

test("what is wrong is refused with a sentence that says where", () => {
  const row = (values: object): object => ({ start_s: 0, end_s: 1, emotion: "sad", confidence: 0.5, ...values });
  const cases: [string, RegExp][] = [
    ["", /not JSON/],
    ["[]", /not a recording of version 1/],
    ["{}", /not a recording of version 1/],
    [changed((file) => (file["version"] = 2)), /version 1/],
    [changed((file) => (file["name"] = 5)), /name is not a text/],
    [changed((file) => (file["name"] = "x".repeat(1025))), /name is not a text, or is too long/],
    [changed((file) => (file["created"] = "soon")), /created is not a date/],
    [changed((_, timeline) => (timeline["status"] = "error")), /status is unknown/],
    [changed((_, timeline) => (timeline["confidence"] = 1.5)), /confidence must be a number from 0 to 1/],
    [changed((_, timeline) => (timeline["duration_s"] = "4")), /duration_s must be a number/],
    [changed((_, timeline) => (timeline["spans"] = {})), /spans is not a list/],
    [changed((_, timeline) => (timeline["spans"] = [row({ end_s: -1 })])), /end_s must be a number/],
    [changed((_, timeline) => (timeline["spans"] = [row({ emotion: null })])), /emotion is not a text/],
    [changed((_, timeline) => (timeline["windows"] = [row({ probabilities: { sad: 2 } })])), /probabilities must be a number/],
    [changed((_, timeline) => (timeline["windows"] = Array.from({ length: 50_001 }, () => row({})))), /windows is not a list, or is too long/],
    [changed((_, timeline) => (timeline["gender"] = { female: 1 })), /male must be a number/],
  ];
  for (const [text, expected] of cases) assert.throws(() => read(text), expected);
});
