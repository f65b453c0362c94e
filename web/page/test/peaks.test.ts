import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsWithin, peaksOf } from "../src/peaks.js";

const RATE_HZ = 48_000;

test("a column goes from the least to the greatest sample, as shares of the largest one", () => {
  const peaks = peaksOf(Float32Array.of(0.1, -0.5, 0.25, 0), 4000); // two stretches of half a millisecond
  const told = columnsWithin(peaks, 0.001, 0, 0.001, 10).map(([seconds, ...shares]) => [seconds, ...shares.map((share) => share.toFixed(2))]);
  assert.deepEqual(told, [[0.00025, "-1.00", "0.20"], [0.00075, "0.00", "0.50"]]);
});

test("who looks closer sees what lies within half a millisecond, not the whole recording's columns", () => {
  const minute = new Float32Array(60 * RATE_HZ);
  for (let pulse = 0; pulse < 120; pulse++) minute[30 * RATE_HZ + pulse * 240] = 1; // every 5 ms for 0.6 s
  const peaks = peaksOf(minute, RATE_HZ);
  const high = (startS: number, endS: number): boolean[] => columnsWithin(peaks, 60, startS, endS, 2000).map(([, , greatest]) => greatest > 0.5);
  assert.ok(high(0, 60).slice(1001, 1019).every(Boolean)); // from afar a block
  const near = high(30, 30.5);
  assert.equal(near.filter(Boolean).length, 100);
  assert.equal(near.filter((is, column) => is && near[column + 1]).length, 0); // each by itself
});

test("the edges of columns stay where they are when the view moves", () => {
  const peaks = peaksOf(Float32Array.from({ length: RATE_HZ }, (_, index) => Math.sin(index)), RATE_HZ);
  const [one, other] = [columnsWithin(peaks, 1, 0.2, 0.6, 50), columnsWithin(peaks, 1, 0.2035, 0.6035, 50)];
  assert.deepEqual(other.filter(([seconds]) => seconds < 0.59).every((column) => one.some((same) => same.join() === column.join())), true);
});

test("hours take no more room than half an hour, silence and nothing have their peaks too", () => {
  assert.equal(peaksOf(new Float32Array(3600 * 8000), 8000).least.length, 1 << 19);
  assert.deepEqual([...peaksOf(new Float32Array(4), 8000).greatest], [0]);
  assert.deepEqual(columnsWithin(peaksOf(new Float32Array(0), 8000), 1, 0, 1, 10), []);
});
