/** Sums over a recording while it passes; as in `earnest.runtime.answers`. */

import type { Outputs, Values } from "./graph.js";
import { namedShares, polarityOf, type Prediction, type Shares, type VocalBurst } from "./prediction.js";
import { QualityMeter } from "./quality.js";
import { isSpoken, type Label, UNSURE } from "./smoothing.js";

const OVERLAPPED = "overlapped-speech";
const OVERLAPPED_FROM = 0.5; // the probability, mean over windows, above which it is said
const STRANGE = "out-of-domain";
const SEPARATE = "separate-channels";
const HELD_FROM = 0.6; // of the speech that was answered: what one emotion must hold to be the recording's
const ANSWERED_FROM = 0.5; // of all speech: what must have been answered

/** Time that a label held, in samples at the model's rate, and its confidence, summed over them. */
interface Held {
  label: Label;
  nSamples: number;
  weighted: number;
}

/** Sums over the blocks of one recording, at its own rate, and over its windows' and spans' answers. */
export class Tally {
  nSegments = 0;
  isAdapted = false;
  /** Samples of answers that were adapted, weighted by how far. */
  nAdapted = 0;
  readonly bursts: VocalBurst[] = [];
  private readonly meter: QualityMeter;
  private nSamples = 0;
  private nAnswered = 0;
  private readonly sums = new Map<string, Float64Array>();
  private readonly held = new Map<string, Held>();

  /** @param abstainBelow confidence below which the answer is "unsure" */
  constructor(
    private readonly sampleRateHz: number,
    private readonly classes: readonly string[],
    private readonly abstainBelow = 0,
  ) {
    this.meter = new QualityMeter(sampleRateHz);
  }

  /** Seconds heard. */
  get durationS(): number {
    return this.nSamples / this.sampleRateHz;
  }

  /** Samples of speech at the model's rate, answered or not. */
  get nSpeech(): number {
    return this.spoken().reduce((sum, { nSamples }) => sum + nSamples, 0);
  }

  /** The mean embedding over the windows of speech, where embeddings were asked for. */
  get embedding(): Float32Array | null {
    const mean = this.mean("embedding");
    return mean && Float32Array.from(mean);
  }

  /** Take the next samples. */
  hear(block: Float32Array): void {
    this.nSamples += block.length;
    this.meter.accept(block);
  }

  /** Add the answer to one window of speech, weighted by the window's length. */
  add(outputs: Outputs, nSamples: number): void {
    this.nAnswered += nSamples;
    for (const [name, values] of Object.entries(outputs) as [string, Values][]) {
      const sum = this.sums.get(name) ?? new Float64Array(values.length);
      for (let index = 0; index < sum.length; index++) sum[index] += nSamples * values[index];
      this.sums.set(name, sum);
    }
  }

  /** Add a span: a label that held for so many samples at the model's rate. */
  hold(label: Label, nSamples: number, confidence: number): void {
    const key = `${label.kind} ${label.name}`;
    const before = this.held.get(key) ?? { label, nSamples: 0, weighted: 0 };
    this.held.set(key, { label, nSamples: before.nSamples + nSamples, weighted: before.weighted + nSamples * confidence });
  }

  /** The words that apply; what the graph says of the sound is the mean over windows, weighted by length. */
  quality(strangeFrom: number | null, hasSeparateChannels = false): string[] {
    const words = hasSeparateChannels ? [...this.meter.words(), SEPARATE] : this.meter.words();
    if (this.isAbove("overlap", OVERLAPPED_FROM)) words.push(OVERLAPPED);
    if (strangeFrom !== null && this.isAbove("distance", strangeFrom)) words.push(STRANGE);
    return words;
  }

  private isAbove(output: string, limit: number): boolean {
    const sum = this.sums.get(output);
    return sum !== undefined && sum[0] > limit * this.nAnswered;
  }

  /**
   * `measured` with the recording's answer.
   *
   * @param isSummary whether it is what held longest over time, and not the mean over windows
   */
  answer(measured: Prediction, isSummary: boolean): Prediction {
    const told = { ...measured, vocal_bursts: [...this.bursts] };
    const means = this.mean("probabilities");
    const isOutvoted = this.held.size > 0 && !this.nSpeech; // windows of speech, by others that overlap them
    if (!means || isOutvoted) return this.bursts.length ? { ...told, status: "vocal-burst" } : told;
    const probabilities = namedShares(this.classes, means);
    const gender = this.mean("gender");
    const rated = this.mean("affect");
    const affect = rated ?? this.mean("affect_derived");
    const intensity = this.mean("intensity");
    const whole = {
      ...told,
      probabilities,
      polarity: polarityOf(probabilities),
      adapted: this.isAdapted,
      adaptation_weight: Math.min(this.nAdapted / this.nAnswered, 1),
      gender: gender && { female: gender[0], male: gender[1] },
      affect: affect && { valence: affect[0], arousal: affect[1], dominance: rated && rated[2] },
      affect_derived: affect !== null && rated === null,
      intensity: intensity && intensity[0],
    };
    if (isSummary && this.nSpeech) return this.summary(whole);
    const [emotion, confidence] = likeliest(probabilities);
    const isSure = confidence >= this.abstainBelow;
    return { ...whole, status: isSure ? "ok" : "unsure", emotion: isSure ? emotion : null, confidence };
  }

  /** Find what held longest: "ok" where an emotion holds most of the answered speech, and enough was answered. */
  private summary(measured: Prediction): Prediction {
    const { nSpeech } = this;
    const longestFirst = this.spoken().sort((one, other) => other.nSamples - one.nSamples);
    const shares = Object.fromEntries(longestFirst.map(({ label, nSamples }) => [label.name, nSamples / nSpeech]));
    const whole = { ...measured, shares };
    const answered = longestFirst.filter(({ label }) => label.name !== UNSURE);
    const nAnswered = answered.reduce((sum, { nSamples }) => sum + nSamples, 0);
    if (nAnswered < ANSWERED_FROM * nSpeech || !answered.length) {
      return { ...whole, status: "unsure", confidence: likeliest(whole.probabilities)[1] };
    }
    const [{ label, nSamples, weighted }] = answered;
    if (nSamples < HELD_FROM * nAnswered) return { ...whole, status: "mixed" };
    return { ...whole, status: "ok", emotion: label.name, confidence: weighted / nSamples };
  }

  private spoken(): Held[] {
    return [...this.held.values()].filter(({ label }) => isSpoken(label));
  }

  private mean(name: keyof Outputs): Float64Array | null {
    const sum = this.sums.get(name);
    return sum ? sum.map((value) => value / this.nAnswered) : null;
  }
}

/** The first one of equals. */
function likeliest(probabilities: Shares): [string, number] {
  return Object.entries(probabilities).reduce((best, item) => (item[1] > best[1] ? item : best));
}
