import assert from "node:assert/strict";
import { test } from "node:test";
import { confidence, counted, percent, spread } from "../src/words.js";

test("a count of one has no plural", () => {
  const told = [counted(1, "recording"), counted(2, "recording"), counted(0, "recording"), counted(1, "class"), counted(3, "class")];
  assert.deepEqual(told, ["1 recording", "2 recordings", "0 recordings", "1 class", "3 classes"]);
});

test("a share is shown as 0 only where it is 0", () => {
  assert.deepEqual([0, 0.0001, 0.005, 0.0051].map((share) => percent(share)), ["0\u00a0%", "<\u00a01\u00a0%", "<\u00a01\u00a0%", "1\u00a0%"]);
  assert.deepEqual([0.0004, 0.0006].map((share) => percent(share, 1)), ["<\u00a00.1\u00a0%", "0.1\u00a0%"]);
  assert.equal(confidence(0.001), percent(0.001));
  assert.deepEqual([spread(0.842, 0.0241), spread(0.842, null)], ["84.2 ± 2.4\u00a0%", "84.2\u00a0%"]);
});
