/**
 * Answers of windows, one after the other → events over time, and one answer about the whole recording; as in
 * `earnest.runtime.answers`.
 */

import { adapterFor, type AnswerListener } from "./adaptation.js";
import type { BundleInfo } from "./bundle.js";
import { isSpeech, verdictOf } from "./gate.js";
import type { Outputs } from "./graph.js";
import { milliseconds } from "./numbers.js";
import { ClassChoice, type Options, thresholdOf } from "./options.js";
import { namedShares, type Prediction, type StreamEvent, unanswered } from "./prediction.js";
import { isSpoken, type Run, Smoother } from "./smoothing.js";
import { type Extent, lengthOf } from "./speech.js";
import { Tally } from "./tally.js";
import { type Heard, inSamples, type Job, type Over, type Windowing } from "./windows.js";

/** Options of an answer, beside the bundle. */
export interface AnswerOptions extends Options, Windowing {
  /** Follows one speaker; without it the model as it is. */
  adapter?: AnswerListener | null;
}

/** Takes the network's outputs for each window of one recording, in order; so every face of it says the same. */
export class Answers {
  /** Those that were asked for. */
  readonly classes: readonly string[];
  /** Quality of the recording, and the sum of its answers. */
  readonly tally: Tally;
  private readonly rate: number;
  private readonly adapter: AnswerListener | null;
  private readonly choice: ClassChoice;
  private readonly smoother: Smoother;
  private answeredTo = 0;
  private hasSpoken = false; // in the segment that goes on

  constructor(
    private readonly info: BundleInfo,
    sampleRateHz: number,
    { adapter, ...options }: AnswerOptions = {},
  ) {
    this.rate = info.sample_rate_hz;
    this.adapter = adapterFor(info, adapter);
    this.choice = new ClassChoice(info, options);
    this.classes = this.choice.classes;
    const below = thresholdOf(info, options);
    this.tally = new Tally(sampleRateHz, this.classes, below);
    this.smoother = new Smoother(inSamples(options, this.rate).nHop, this.classes, below);
  }

  /** Whether there is anything to do: a window must be long enough for the network. */
  wants({ sound }: Job): boolean {
    return sound === null || sound.length >= this.info.shortest_s * this.rate;
  }

  /** Take what the network says about one window. */
  async window({ extent, segmentStart }: Heard, { ...outputs }: Outputs): Promise<StreamEvent[]> {
    const verdict = verdictOf(outputs, this.info.sounds);
    const weight = isSpeech(verdict) && this.adapter ? await this.adapt(this.adapter, extent, outputs) : 0;
    const shares = (outputs.probabilities = this.choice.of(outputs.probabilities, weight));
    const events: StreamEvent[] = [];
    if (isSpeech(verdict)) {
      this.tally.add(outputs, lengthOf(extent));
      events.push({ event: "window", ...this.seconds(extent), probabilities: namedShares(this.classes, shares) });
    }
    for (const run of this.smoother.accept(extent, verdict, shares, segmentStart)) events.push(...this.told(run));
    return events;
  }

  /** End a segment, whose windows have all been taken. */
  segment({ extent }: Over): StreamEvent[] {
    const events = this.smoother.close(extent).flatMap((run) => this.told(run));
    if (this.hasSpoken) {
      this.tally.nSegments++;
      events.push({ event: "segment", ...this.seconds(extent) });
    }
    this.hasSpoken = false;
    return events;
  }

  /**
   * What all windows so far say together.
   *
   * @param isWhole whether the recording was heard at once
   * @param hasSeparateChannels of which it is the mean
   */
  prediction(path: string, isWhole = false, hasSeparateChannels = false): Prediction {
    const { durationS } = this.tally;
    const measured = {
      ...unanswered(path, durationS < this.info.shortest_s ? "too-short" : "no-speech", this.info.name),
      duration_s: durationS,
      speech_s: Math.min(this.tally.nSpeech / this.rate, durationS),
      quality: this.tally.quality(this.info.out_of_domain_from, hasSeparateChannels),
    };
    const isSummary = !isWhole && (this.tally.nSegments > 1 || durationS > this.info.longest_s);
    return this.tally.answer(measured, isSummary);
  }

  /** Put the adapted answer in the plain one's place, where the adapter knows enough; return its weight. */
  private async adapt(adapter: AnswerListener, extent: Extent, outputs: Outputs): Promise<number> {
    const nNew = extent.end - Math.max(extent.start, this.answeredTo);
    const adapted = await adapter.hear(outputs.probabilities, lengthOf(extent) / this.rate, nNew / this.rate);
    if (adapted) {
      outputs.probabilities = adapted.probabilities;
      this.tally.isAdapted = true;
      this.tally.nAdapted += adapted.weight * lengthOf(extent);
    }
    this.answeredTo = extent.end;
    return adapted?.weight ?? 0;
  }

  private told({ extent, label, confidence }: Run): StreamEvent[] {
    const time = this.seconds(extent);
    this.tally.hold(label, lengthOf(extent), confidence);
    if (isSpoken(label)) {
      this.hasSpoken = true;
      return [{ event: "span", ...time, emotion: label.name, confidence }];
    }
    if (label.kind !== "vocal-burst") return [];
    const burst = { ...time, kind: label.name, confidence };
    this.tally.bursts.push(burst);
    return [{ event: "vocal-burst", ...burst }];
  }

  private seconds({ start, end }: Extent): { start_s: number; end_s: number } {
    return { start_s: milliseconds(start / this.rate), end_s: milliseconds(end / this.rate) };
  }
}
