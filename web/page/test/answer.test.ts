import assert from "node:assert/strict";
import { test } from "node:test";
import { type Timeline, unanswered } from "../../src/prediction.js";
import { answerOf } from "../src/answer.js";

const NOTHING: Timeline = { ...unanswered("a", "no-speech", "small"), activity: "", segments: [], spans: [], windows: [] };
const span = (start_s: number, end_s: number, emotion: string) => ({ start_s, end_s, emotion, confidence: 0.4 });
const spoken = (confidence: number, ...spans: Timeline["spans"]): Timeline => ({ ...NOTHING, status: "ok", emotion: "sad", confidence, spans });

test("from one half on it is an emotion and how sure", () => {
  assert.deepEqual(answerOf(spoken(0.5)), { text: "Sad", detail: "50 % sure", line: "Sad", emotion: "sad" });
});

test("below one half it is not sure, or mixed where the emotion changes", () => {
  const unsure = { text: "Not sure", detail: "perhaps sad, 40 %", line: "Not sure, perhaps sad", emotion: "sad" };
  assert.deepEqual(answerOf(spoken(0.4)), unsure);
  assert.deepEqual(answerOf(spoken(0.4, span(0, 1, "sad"), span(1, 2, "sad"))), unsure);
  const mixed = { text: "Mixed", detail: "most often angry, 75 % of the speech", line: "Mixed, most often angry", emotion: "angry" };
  assert.deepEqual(answerOf(spoken(0.4, span(0, 1, "sad"), span(1, 4, "angry"))), mixed);
});

test("without speech there is no emotion", () => {
  assert.deepEqual(answerOf(NOTHING), { text: "No speech", detail: "", line: "No speech", emotion: null });
});
