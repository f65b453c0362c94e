import assert from "node:assert/strict";
import { test } from "node:test";
import { rateInHeader } from "../../src/decode.js";
import { wave } from "../src/wave.js";

test("one channel alone is a WAV file of its samples, at its rate", async () => {
  const bytes = await wave(Float32Array.of(0, 1, -1, 2), 22_050).arrayBuffer();
  assert.equal(rateInHeader(new DataView(bytes)), 22_050);
  assert.equal(new DataView(bytes).getUint32(4, true), bytes.byteLength - 8);
  assert.deepEqual([...new Int16Array(bytes.slice(44))], [0, 32_767, -32_767, 32_767]);
});
