import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_SAMPLES, openVoiceActivity, SileroActivity } from "../src/activity.js";
import { BundleError } from "../src/errors.js";
import type { InferenceSession, Ort } from "../src/graph.js";

const runtime = (...inputNames: string[]): Ort => ({ InferenceSession: { create: async () => ({ inputNames }) } }) as unknown as Ort;

test("a voice activity network of earnest is opened, the published one is refused with the name of the right file", async () => {
  const session = await openVoiceActivity(runtime("frames", "hidden", "cell"), new Uint8Array());
  assert.deepEqual(session.inputNames, ["frames", "hidden", "cell"]);
  await assert.rejects(openVoiceActivity(runtime("input", "state", "sr"), new Uint8Array()), (error) => {
    assert.ok(error instanceof BundleError);
    return /they are input, state, sr\. Use earnest's silero_vad\.onnx\.$/.test(error.message);
  });
});

test("after half a second without speech the voice activity network begins anew, once until there is speech again", async () => {
  const begun: number[] = []; // frames at which the state is that of the beginning
  const shares = [...new Array<number>(16).fill(0.9), ...new Array<number>(48).fill(0.1), ...new Array<number>(8).fill(0.9), ...new Array<number>(40).fill(0.1)];
  let frame = 0;
  const session = {
    run: async ({ hidden }: { hidden: { data: Float32Array } }) => {
      if (hidden.data[0] === 0) begun.push(frame);
      const state = { data: new Float32Array(128).fill(1) };
      return { new_hidden: state, new_cell: state, probabilities: { data: [shares[frame]] } };
    },
  } as unknown as InferenceSession;
  const Tensor = class {
    constructor(
      readonly type: string,
      readonly data: Float32Array,
    ) {}
  };
  const loud = Float32Array.from({ length: FRAME_SAMPLES }, (_, at) => (at % 2 ? 0.1 : -0.1));
  const activity = new SileroActivity({ Tensor } as unknown as Ort, session);
  for (; frame < shares.length; frame += 1) await activity.probability(loud);
  assert.deepEqual(begun, [0, 32, 96]); // blocks of 16 frames: 16 to 31 and 80 to 95 are the first without speech after some
});

test("quiet frames reach the network amplified, as far as the loudest so far is below -30 dBFS, by 20 dB at most", async () => {
  const peaks: number[] = [];
  const session = {
    run: async ({ frames }: { frames: { data: Float32Array } }) => {
      peaks.push(20 * Math.log10(Math.max(...frames.data)));
      const state = { data: new Float32Array(128) };
      return { new_hidden: state, new_cell: state, probabilities: { data: [0] } };
    },
  } as unknown as InferenceSession;
  const Tensor = class {
    constructor(
      readonly type: string,
      readonly data: Float32Array,
    ) {}
  };
  const square = (dbfs: number): Float32Array => Float32Array.from({ length: FRAME_SAMPLES }, (_, at) => (at % 2 ? 1 : -1) * 10 ** (dbfs / 20));
  const activity = new SileroActivity({ Tensor } as unknown as Ort, session);
  for (const dbfs of [...new Array<number>(50).fill(-60), -50, -40, -20, -40, -41]) await activity.probability(square(dbfs));
  assert.deepEqual([peaks[0], peaks[29], peaks[49]].map((peak) => Math.round(10 * peak) / 10), [-59.5, -45, -40]); // it fades from -30
  // Context of the frame before is amplified with the frame.
  assert.deepEqual(peaks.slice(50).map(Math.round), [-30, -30, -20, -20, -40]);
});
