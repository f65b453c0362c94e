import assert from "node:assert/strict";
import { test } from "node:test";
import { counted } from "../src/words.js";

test("a count of one has no plural", () => {
  const told = [counted(1, "recording"), counted(2, "recording"), counted(0, "recording"), counted(1, "class"), counted(3, "class")];
  assert.deepEqual(told, ["1 recording", "2 recordings", "0 recordings", "1 class", "3 classes"]);
});
