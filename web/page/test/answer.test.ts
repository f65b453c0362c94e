import assert from "node:assert/strict";
import { test } from "node:test";
import { type Prediction, type Timeline, unanswered } from "../../src/prediction.js";
import { affectOf, answererOf, answerOf, talkNote } from "../src/answer.js";
import { colourOf } from "../src/emotions.js";
import { askedInWords, askedOf, type Engine } from "../src/engine.js";
import { qualityOf } from "../src/parts/bars.js";
import { confidence } from "../src/words.js";

const EIGHT = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"];
const NOTHING: Timeline = { ...unanswered("a", "no-speech", "small"), activity: "", segments: [], spans: [], windows: [] };
const PROBABILITIES = { happy: 0.25, sad: 0.4, angry: 0.35 };
const span = (start_s: number, end_s: number, emotion: string) => ({ start_s, end_s, emotion, confidence: 0.4 });
const spoken = (confidence: number, ...spans: Timeline["spans"]): Timeline => ({
  ...NOTHING, status: "ok", emotion: "sad", confidence, probabilities: PROBABILITIES, spans,
});
const told = (status: string, more: Partial<Timeline> = {}): Timeline => ({
  ...NOTHING, probabilities: PROBABILITIES, ...more, status: status as Prediction["status"],
});

test("an answer that is adapted, or among chosen classes, is told as such", () => {
  const asked = (classes: string[] | null, isMostlyNeutral: boolean): string =>
    askedInWords({ about: { classes: EIGHT }, classes, isMostlyNeutral } as unknown as Engine);
  assert.equal(answererOf(spoken(0.5), asked(null, false)), "small");
  assert.equal(answererOf({ ...spoken(0.5), adapted: true }), "small, adapted to this speaker");
  const among = asked(["happy", "sad", "angry"], false);
  assert.equal(answererOf({ ...spoken(0.5), adapted: true }, among), "small, adapted to this speaker, among 3 of 8 classes");
  assert.equal(answererOf(spoken(0.5), asked(["sad", "neutral"], true)), "small, among 2 of 8 classes, expecting mostly neutral");
  assert.equal(answererOf(NOTHING, among), "small"); // nothing was answered
  const engine = { about: { classes: EIGHT }, classes: null, isMostlyNeutral: true } as unknown as Engine;
  assert.deepEqual(askedOf(engine), ["neutral=0.6"]); // as commands ask: calm is neutral then
  assert.deepEqual(askedOf({ ...engine, classes: ["sad", "neutral"] }), ["sad", "neutral=0.6"]);
});

test("from one half on it is an emotion and how sure", () => {
  assert.deepEqual(answerOf(spoken(0.5)), { text: "Sad", detail: "50 % sure", line: "Sad", emotion: "sad" });
});

test("nothing surer than 95 % is told", () => {
  assert.equal(answerOf(spoken(0.998)).detail, "> 95 % sure");
  assert.deepEqual([0, 0.949, 0.95, 0.9501, 1].map((share) => confidence(share)), ["0 %", "95 %", "95 %", "> 95 %", "> 95 %"]);
  assert.deepEqual([0.9496, 0.96].map((share) => confidence(share, 1)), ["95.0 %", "> 95 %"]);
});

test("unsure is told with the two likeliest, mixed with the shares", () => {
  const unsure = { text: "Unsure", detail: "likeliest: sad 40 %, angry 35 %", line: "Unsure: sad or angry", emotion: "unsure" };
  assert.deepEqual(answerOf(told("unsure")), unsure);
  assert.deepEqual(answerOf(told("unsure", { shares: { unsure: 1 } })), unsure);
  const parts = { ...unsure, detail: "of the speech: happy 30 %, sad 10 %", line: "Unsure" };
  assert.deepEqual(answerOf(told("unsure", { shares: { unsure: 0.6, happy: 0.3, sad: 0.1 } })), parts);
  const mixed = { text: "Mixed", detail: "several emotions: angry 75 %, sad 25 %", line: "Mixed: several emotions", emotion: "angry" };
  assert.deepEqual(answerOf({ ...told("mixed"), spans: [span(0, 1, "sad"), span(1, 4, "angry")] }), mixed);
  assert.deepEqual(answerOf(told("mixed", { shares: { sad: 0.25, angry: 0.75 } })), mixed);
});

test("a talk that is told as more emotional than neutral says what people do who don't act", () => {
  const talk = told("mixed", { speech_s: 12, shares: { sad: 0.5, neutral: 0.4, unsure: 0.1 }, probabilities: { neutral: 0.4, sad: 0.6 } });
  assert.match(talkNote(talk, ""), /Most of it is neutral.* in the settings/);
  const silent = [talkNote(talk, "expecting mostly neutral"), talkNote({ ...talk, speech_s: 9 }, ""), talkNote({ ...talk, shares: { sad: 0.4, neutral: 0.4 } }, "")];
  assert.deepEqual([...silent, talkNote({ ...talk, probabilities: PROBABILITIES }, "")], ["", "", "", ""]);
});

test("a mixed recording has the colour of an emotion, also where most of it is unsure", () => {
  const { emotion, detail } = answerOf(told("mixed", { shares: { unsure: 0.6, sad: 0.3, happy: 0.1 } }));
  assert.deepEqual([emotion, detail], ["sad", "several emotions: sad 30 %, happy 10 %"]);
  assert.equal(answerOf(told("mixed")).detail, "several emotions"); // told without shares
});

test("a vocal burst has its kind, and how sure; of several the kinds are told", () => {
  const burst = (kind: string) => ({ vocal_bursts: [{ start_s: 0, end_s: 1, kind, confidence: 0.87 }] });
  const laughter = { text: "Vocal burst", detail: "laughter, 87 %", line: "Vocal burst: laughter", emotion: null };
  assert.deepEqual(answerOf(told("vocal-burst", burst("laughter"))), laughter);
  assert.equal(answerOf(told("vocal-burst", burst("other"))).detail, "of another kind, 87 %");
  const [sigh, scream] = ["sigh", "scream"].flatMap((kind) => burst(kind).vocal_bursts);
  assert.equal(answerOf(told("vocal-burst", { vocal_bursts: [sigh, scream, sigh] })).detail, "sigh, scream");
});

test("without speech there is no emotion, and a word that nobody knows is no answer", () => {
  assert.deepEqual(answerOf(NOTHING), { text: "No speech", detail: "", line: "No speech", emotion: null });
  assert.equal(answerOf(told("something-new")).text, "No answer");
});

test("bad sound makes an answer worth less, and may be why there is none", () => {
  const said = (status: string) => qualityOf(told(status, { quality: ["clipped", "noisy"] }));
  const bad = "This recording is too loud, cut off at full scale, noisy";
  for (const status of ["ok", "mixed"]) assert.equal(said(status), `${bad}: trust the answer less.`);
  for (const status of ["no-speech", "unsure", "vocal-burst"]) assert.equal(said(status), `${bad}: that may be why there is no emotion.`);
  assert.equal(said("too-short"), `${bad}.`);
  assert.equal(qualityOf(NOTHING), "");
  assert.match(qualityOf(told("no-speech", { quality: ["separate-channels"] })), /^Its channels take turns/);
  const both = "This recording is noisy, of several people at once: that may be why there is no emotion.";
  assert.equal(qualityOf(told("unsure", { quality: ["noisy", "overlapped-speech"] })), both);
  assert.match(qualityOf(told("ok", { quality: ["low-bandwidth"] })), /^This recording is of telephone bandwidth: /);
});

test("an unsure span is grey, and no emotion's grey", () => {
  const [red, green, blue] = [1, 3, 5].map((start) => colourOf("unsure").slice(start, start + 2));
  assert.ok(red === green && green === blue);
  assert.notEqual(colourOf("unsure"), colourOf("neutral"));
});

test("derived affect says so, and tells no dominance", () => {
  const derived = { affect: { valence: 0.25, arousal: 0.755, dominance: null }, affect_derived: true };
  assert.equal(affectOf(derived), "valence 0.25, arousal 0.76 (derived from emotions)");
  const rated = { affect: { valence: 0.25, arousal: 0.5, dominance: 1 }, affect_derived: false };
  assert.equal(affectOf(rated), "valence 0.25, arousal 0.50, dominance 1.00");
  assert.equal(affectOf({ affect: null, affect_derived: false }), null);
});
