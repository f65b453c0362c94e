import assert from "node:assert/strict";
import { test } from "node:test";
import type { Span, Window } from "../../src/prediction.js";
import { Delay } from "../src/delay.js";
import { inkOn } from "../src/emotions.js";
import { barometer, brokenOff, changesOf, movingAverage, rollercoaster, shareOfTime, sharesOverTime, smoothingWidth } from "../src/series.js";
import { clock, tick, timeStep } from "../src/words.js";

const window = (start_s: number, end_s: number, happy: number): Window => ({ start_s, end_s, probabilities: { sad: 1 - happy, happy } });
const span = (start_s: number, end_s: number, emotion: string): Span => ({ start_s, end_s, emotion, confidence: 1 });

test("overlapping windows are averaged, silence is left out, equal neighbours are one cell", () => {
  const cells = sharesOverTime([window(0, 2, 1), window(1, 3, 0)], ["sad", "happy"], 0, 5, 10);
  assert.deepEqual(cells, [
    { startS: 0, endS: 1, shares: [0, 1] },
    { startS: 1, endS: 2, shares: [0.5, 0.5] },
    { startS: 2, endS: 3, shares: [1, 0] },
  ]);
});

test("a part of a timeline begins where it is told to, windows that reach into it count", () => {
  assert.deepEqual(sharesOverTime([window(0, 12, 1)], ["happy"], 10, 14, 4), [{ startS: 10, endS: 12, shares: [1] }]);
});

test("shares of time add up to one, the largest first", () => {
  const shares = shareOfTime([span(0, 1, "sad"), span(2, 5, "happy"), span(5, 6, "sad")]);
  assert.deepEqual(Object.entries(shares), [["happy", 0.6], ["sad", 0.4]]);
  assert.deepEqual(shareOfTime([]), {});
});

test("the same emotion after a pause is no change", () => {
  assert.equal(changesOf([span(0, 1, "sad"), span(2, 3, "sad"), span(3, 4, "happy"), span(4, 5, "sad")]), 2);
});

test("the barometer is the mean polarity of the last five windows, the newest among them", () => {
  assert.equal(barometer([]), null);
  assert.equal(barometer([window(0, 1, 1)]), 1);
  const windows = [1, 1, 0, 0, 0, 0, 0.5].map((happy, index) => window(index, index + 1, happy));
  assert.equal(barometer(windows), -0.8);
});

test("smoothing keeps every point, and is wider where values jump", () => {
  assert.deepEqual(movingAverage([0, 1, 2, 3], 2), [0, 0.5, 1.5, 2.5]);
  assert.equal(smoothingWidth([]), 1);
  assert.equal(smoothingWidth([0.5, 0.5, 0.5]), 1); // ln 3 = 1.1
  assert.equal(smoothingWidth([-1, 1, -1, 1, -1, 1, -1, 1]), 12); // 10 · 1 + ln 8
  const line = rollercoaster([window(0, 2, 1), window(1, 3, 1)]);
  assert.deepEqual(line, [[1, 1], [2, 1]]);
});

test("the delay counts from the arrival of a window's last tenth of a second", () => {
  let now = 0;
  const delay = new Delay(() => now);
  assert.equal(delay.of(1), null);
  for (let tenth = 1; tenth <= 1000; tenth++) {
    now = 100 * tenth;
    delay.hear();
  }
  assert.equal(delay.of(99), 1000);
  assert.equal(delay.of(1), null); // long forgotten
});

test("letters on a colour are black or white, whichever is easier to read", () => {
  assert.equal(inkOn("#f0e442"), "#000");
  assert.equal(inkOn("#0072b2"), "#fff");
});

test("times are told as people do", () => {
  assert.deepEqual([clock(5.04), clock(65.25), clock(59.96), clock(120, 0)], ["5.0\u00a0s", "1:05.3", "1:00.0", "2:00"]);
  assert.deepEqual([tick(2.5), tick(90), tick(100.2)], ["2.5\u00a0s", "1:30", "1:40.2"]);
});

test("times on an axis are as far from each other as people count, and have room", () => {
  assert.deepEqual([timeStep(3, 1000), timeStep(20, 300), timeStep(600, 1000), timeStep(600, 300), timeStep(4 * 3600, 100)], [0.2, 5, 60, 300, 7200]);
});

test("a recording that breaks off is answered by what was told until then", () => {
  const windows = [window(0, 3, 0.9), window(1, 4, 0.7), window(2, 5, 0.5)];
  const spans = [{ ...span(0, 4, "happy"), confidence: 0.8 }, { ...span(4, 5, "unsure"), confidence: 0.5 }];
  const told = brokenOff("base", 0.6, windows, spans, []);
  const { model, status, emotion, confidence, duration_s, speech_s, shares } = told;
  assert.deepEqual([model, status, emotion, confidence, duration_s, speech_s], ["base", "ok", "happy", 0.8, 5, 5]);
  assert.deepEqual(shares, { happy: 0.8, unsure: 0.2 });
  assert.ok(Math.abs(told.probabilities["happy"] - 0.7) < 1e-9);
  assert.deepEqual([told.windows, told.spans], [windows, spans]);
  assert.equal(brokenOff("base", 0.6, windows, [span(0, 5, "unsure")], []).status, "unsure");
});
