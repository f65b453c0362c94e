import assert from "node:assert/strict";
import { test } from "node:test";
import { openVoiceActivity } from "../src/activity.js";
import { BundleError } from "../src/errors.js";
import type { Ort } from "../src/graph.js";

const runtime = (...inputNames: string[]): Ort => ({ InferenceSession: { create: async () => ({ inputNames }) } }) as unknown as Ort;

test("a voice activity network of earnest is opened, the published one is refused with the name of the right file", async () => {
  const session = await openVoiceActivity(runtime("frames", "hidden", "cell"), new Uint8Array());
  assert.deepEqual(session.inputNames, ["frames", "hidden", "cell"]);
  await assert.rejects(openVoiceActivity(runtime("input", "state", "sr"), new Uint8Array()), (error) => {
    assert.ok(error instanceof BundleError);
    return /they are input, state, sr\. Use earnest's silero_vad\.onnx\.$/.test(error.message);
  });
});
