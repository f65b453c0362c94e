/** Voice activity detection, frame by frame, as the samples arrive; the same rules as `earnest.audio.activity`. */

import { BundleError } from "./errors.js";
import { type InferenceSession, openSession, type Ort, run } from "./graph.js";
import { levelDbfs, SILENCE_DBFS, SPEECH_RANGE_DB } from "./levels.js";

export const ACTIVITY_HZ = 16_000;
export const FRAME_SAMPLES = 512; // 32 ms, what Silero's network was trained on
export const FRAME_SECONDS = FRAME_SAMPLES / ACTIVITY_HZ;
export const BEGINS_AT = 0.5; // probability of speech: what began ends later than it would not have begun
export const ENDS_BELOW = 0.35;
// Loud sound that Silero's network doubts to be speech, such as shouting on a telephone: the model's own answer decides.
export const DOUBT_BEGINS_AT = 0.05;
export const DOUBT_ENDS_BELOW = 0.03;
const LOUD_DBFS = -50; // loud is no frame below it, nor so far below the loudest frame
const LOUD_RANGE_DB = 20;
const CONTEXT = 64; // samples of the frame before, which Silero's network hears too
const STATE = [1, 1, 128];
const BLOCK = 16; // frames: half a second
const HEARD_AT_DBFS = -30; // a loudest frame that Silero's network hears in full
const MOST_GAIN_DB = 20;
const FADE_DB = 0.5; // of one frame: 16 dB a second
const INPUTS = ["frames", "hidden", "cell"];
const WHERE = "voice activity network";

/** Remembers what it heard; frames of 512 samples at 16 kHz are handed over in order, each once. */
export interface Activity {
  readonly name: "silero" | "energy";
  probability(frame: Float32Array): Promise<number> | number;
}

/** A peak meter: the level of the loudest frame so far, which fades from frame to frame. */
class Loudest {
  constructor(
    private dbfs: number,
    private readonly fadeDb: number,
  ) {}

  follow(levelDbfs: number): number {
    return (this.dbfs = Math.max(levelDbfs, this.dbfs - this.fadeDb));
  }
}

/** Which frames are loud, handed over in order; the loudest so far fades by 1 dB a second. */
export class Loudness {
  private readonly loudest = new Loudest(SILENCE_DBFS, FRAME_SECONDS);

  isLoud(levelDbfs: number): boolean {
    return levelDbfs >= Math.max(LOUD_DBFS, this.loudest.follow(levelDbfs) - LOUD_RANGE_DB);
  }
}

/** Speech is louder than -65 dBFS and than 35 dB below the loudest so far, which fades by 1 dB a second. */
export class EnergyActivity implements Activity {
  readonly name = "energy";
  private readonly loudest = new Loudest(SILENCE_DBFS, FRAME_SECONDS);

  probability(frame: Float32Array): number {
    const level = levelDbfs(frame);
    return Number(level > Math.max(SILENCE_DBFS, this.loudest.follow(level) - SPEECH_RANGE_DB));
  }
}

/** Open the network as earnest ships it, `silero_vad.onnx`: the graph that Silero published has other inputs. */
export async function openVoiceActivity(ort: Ort, network: Uint8Array): Promise<InferenceSession> {
  const session = await openSession(ort, network, WHERE);
  const inputs = session.inputNames.join(", ");
  if (inputs === INPUTS.join(", ")) return session;
  throw new BundleError(`${WHERE}: the inputs must be ${INPUTS.join(", ")}, they are ${inputs}. Use earnest's silero_vad.onnx.`);
}

/**
 * Silero's recurrent network (MIT); frames that are silent by their level are not asked about. It depends on the level: each
 * frame is amplified as far as the loudest one so far is below -30 dBFS, by 20 dB at most. After half a second without
 * speech it begins anew, once until there is speech again: a state that loud speech has left would not hear a softer speaker.
 * A recording that never crosses zero lies on an offset, which is taken off: it hears no speech there.
 */
export class SileroActivity implements Activity {
  readonly name = "silero";
  private hidden = new Float32Array(128);
  private cell = new Float32Array(128);
  private context = new Float32Array(CONTEXT);
  private readonly loudest = new Loudest(HEARD_AT_DBFS, FADE_DB);
  private lowest = Infinity; // sample of the recording so far
  private highest = -Infinity;
  private frames = 0;
  private isQuiet = true; // no speech in this block so far
  private hasSpoken = false; // since the state is this one

  constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
  ) {}

  async probability(frame: Float32Array): Promise<number> {
    const share = await this.hear(frame);
    this.frames += 1;
    this.hasSpoken ||= share >= BEGINS_AT;
    this.isQuiet &&= share < ENDS_BELOW;
    if (this.frames % BLOCK === 0) {
      if (this.isQuiet && this.hasSpoken) this.beginAnew();
      this.isQuiet = true;
    }
    return share;
  }

  private beginAnew(): void {
    this.hidden = new Float32Array(128);
    this.cell = new Float32Array(128);
    this.hasSpoken = false;
  }

  private async hear(frame: Float32Array): Promise<number> {
    const { Tensor } = this.ort;
    const before = this.context;
    this.context = frame.slice(-CONTEXT);
    this.lowest = Math.min(this.lowest, ...frame);
    this.highest = Math.max(this.highest, ...frame);
    const level = levelDbfs(frame);
    const gainDb = Math.min(Math.max(HEARD_AT_DBFS - this.loudest.follow(level), 0), MOST_GAIN_DB);
    if (level <= SILENCE_DBFS) return 0;
    const gain = Math.fround(10 ** (gainDb / 20));
    const offset = this.lowest > 0 || this.highest < 0 ? frame.reduce((sum, sample) => sum + sample, 0) / frame.length : 0;
    const input = new Float32Array(CONTEXT + FRAME_SAMPLES);
    input.set(before);
    input.set(frame, CONTEXT);
    const feeds = {
      frames: new Tensor("float32", input.map((sample) => Math.min(Math.max((sample - offset) * gain, -1), 1)), [1, input.length]),
      hidden: new Tensor("float32", this.hidden, STATE),
      cell: new Tensor("float32", this.cell, STATE),
    };
    const outputs = await run(this.session, feeds, ["probabilities", "new_hidden", "new_cell"]);
    this.hidden = outputs["new_hidden"].data as Float32Array<ArrayBuffer>;
    this.cell = outputs["new_cell"].data as Float32Array<ArrayBuffer>;
    return (outputs["probabilities"].data as Float32Array)[0];
  }
}
