/**
 * Sound that arrives piece by piece → events, as soon as they are certain; as in `earnest.runtime.stream`.
 *
 * A recording's timeline is the same machine, so the size of the pieces changes nothing: every window is cut at the same
 * samples and answered alone.
 */

import type { Activity } from "./activity.js";
import { type AnswerOptions, Answers } from "./answers.js";
import type { BundleInfo } from "./bundle.js";
import { EarnestError } from "./errors.js";
import { described } from "./given.js";
import type { Graph } from "./graph.js";
import { InOrder } from "./in-order.js";
import { milliseconds, roundHalfEven } from "./numbers.js";
import { pieceLength, pieces } from "./pieces.js";
import type { Prediction, StreamEvent } from "./prediction.js";
import { checkSamples } from "./waveform.js";
import { type Job, Windower } from "./windows.js";

/** A stream of sound: a recording of at most a window and a hop is answered at its end; of longer ones, windows are told as soon as they are whole. */
export class Stream {
  /** Voice activity detection: "silero" or "energy". */
  readonly activity: string;
  /** Those that were asked for. */
  readonly classes: readonly string[];
  private readonly answers: Answers;
  private readonly windower: Windower;
  private readonly calls = new InOrder(); // a caller need not wait for one before the next
  private finished = false;

  constructor(
    private readonly graph: Graph,
    info: BundleInfo,
    private readonly sampleRateHz: number,
    newDetector: () => Activity,
    options: AnswerOptions = {},
    live = true,
  ) {
    this.answers = new Answers(info, sampleRateHz, options);
    const needsActivity = !info.sounds.length;
    this.windower = new Windower(info.sample_rate_hz, sampleRateHz, newDetector, { ...options, needsActivity, live });
    this.activity = this.windower.activity;
    this.classes = this.answers.classes;
  }

  /** Seconds that were handed over. */
  get receivedS(): number {
    return this.answers.tally.durationS;
  }

  /** Whether somebody speaks now. */
  get isSpeaking(): boolean {
    return this.windower.isSpeaking;
  }

  /** Take the next samples, any number of them, and return what became certain. */
  async accept(waveform: Float32Array): Promise<StreamEvent[]> {
    checkSamples(waveform);
    const copy = waveform.slice(); // until its turn comes, the caller may write over it
    return this.calls.next(async () => {
      this.refuseWhenFinished();
      const events: StreamEvent[] = [];
      for (const piece of pieces(copy, this.sampleRateHz)) events.push(...(await this.heard(piece)));
      return events;
    });
  }

  /** Skip lost sound: it is heard as silence, so speech ends there where the gap is as long as a pause. */
  async skip(seconds: number): Promise<StreamEvent[]> {
    if (!Number.isFinite(seconds) || seconds < 0) {
      throw new EarnestError(`Expected how many seconds were lost, a number from 0 on, got ${described(seconds)}.`);
    }
    return this.calls.next(async () => {
      this.refuseWhenFinished();
      const startS = milliseconds(this.receivedS);
      const nPiece = pieceLength(this.sampleRateHz);
      const events: StreamEvent[] = [];
      for (let left = roundHalfEven(seconds * this.sampleRateHz); left > 0; left -= nPiece) {
        events.push(...(await this.heard(new Float32Array(Math.min(left, nPiece)))));
      }
      return [...events, { event: "gap", start_s: startS, end_s: milliseconds(this.receivedS) }];
    });
  }

  /** End the recording and return the rest; nothing can be handed over afterwards. */
  async finish(): Promise<StreamEvent[]> {
    return this.calls.next(async () => {
      this.refuseWhenFinished();
      this.finished = true;
      return told(this.graph, this.answers, this.windower.finish());
    });
  }

  /**
   * The answer of all windows so far together.
   *
   * @param hasSeparateChannels whether that was found where channels were mixed before they were handed over
   */
  prediction(path = "-", hasSeparateChannels = false): Prediction {
    return this.answers.prediction(path, this.windower.isWhole, hasSeparateChannels);
  }

  private refuseWhenFinished(): void {
    if (this.finished) throw new EarnestError("This stream is finished. Open another one with model.stream(…).");
  }

  private async heard(piece: Float32Array): Promise<StreamEvent[]> {
    this.answers.tally.hear(piece);
    return told(this.graph, this.answers, this.windower.accept(piece));
  }
}

/** Do jobs in turn, and return what is told about them. */
export async function told(
  graph: Graph,
  answers: Answers,
  jobs: AsyncIterable<Job>,
  wanted: readonly string[] = graph.predicted,
): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const job of jobs) {
    if (!answers.wants(job)) continue;
    if (job.sound === null) events.push(...answers.segment(job));
    else events.push(...(await answers.window(job, await graph.run(job.sound, wanted))));
  }
  return events;
}
