/** How likely somebody speaks, frame by frame, as the samples arrive; the same rules as `earnest.audio.activity`. */

import type { InferenceSession, Ort } from "./graph.js";
import { levelDbfs, SILENCE_DBFS, SPEECH_RANGE_DB } from "./levels.js";

export const ACTIVITY_HZ = 16_000;
export const FRAME_SAMPLES = 512; // 32 ms, what Silero's network was trained on
export const FRAME_SECONDS = FRAME_SAMPLES / ACTIVITY_HZ;
const CONTEXT = 64; // samples of the frame before, which Silero's network hears too
const STATE = [2, 1, 128];

/** Remembers what it heard; frames of 512 samples at 16 kHz are handed over in order, each once. */
export interface Activity {
  readonly name: "silero" | "energy";
  probability(frame: Float32Array): Promise<number> | number;
}

/** Speech is louder than -65 dBFS and than 35 dB below the loudest so far, which fades by 1 dB a second. */
export class EnergyActivity implements Activity {
  readonly name = "energy";
  private loudestDbfs = SILENCE_DBFS;

  probability(frame: Float32Array): number {
    const level = levelDbfs(frame);
    this.loudestDbfs = Math.max(level, this.loudestDbfs - FRAME_SECONDS);
    return Number(level > Math.max(SILENCE_DBFS, this.loudestDbfs - SPEECH_RANGE_DB));
  }
}

/** Silero's recurrent network (MIT); frames that are silent by their level are not asked about. */
export class SileroActivity implements Activity {
  readonly name = "silero";
  private state = new Float32Array(256);
  private context = new Float32Array(CONTEXT);

  constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
  ) {}

  async probability(frame: Float32Array): Promise<number> {
    const { Tensor } = this.ort;
    const before = this.context;
    this.context = frame.slice(-CONTEXT);
    if (levelDbfs(frame) <= SILENCE_DBFS) return 0;
    const input = new Float32Array(CONTEXT + FRAME_SAMPLES);
    input.set(before);
    input.set(frame, CONTEXT);
    const outputs = await this.session.run({
      input: new Tensor("float32", input.map((sample) => Math.min(Math.max(sample, -1), 1)), [1, input.length]),
      state: new Tensor("float32", this.state, STATE),
      sr: new Tensor("int64", BigInt64Array.of(BigInt(ACTIVITY_HZ)), []),
    });
    this.state = outputs["stateN"].data as Float32Array<ArrayBuffer>;
    return (outputs["output"].data as Float32Array)[0];
  }
}
