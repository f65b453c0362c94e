/** What adds up while a recording passes: what it is like, and the answers to its windows. */

import { type Domain, STRANGE } from "./domain.js";
import type { Outputs, Values } from "./graph.js";
import { namedShares, polarityOf, type Prediction } from "./prediction.js";
import { QualityMeter } from "./quality.js";

export class Tally {
  isAdapted = false;
  private readonly meter: QualityMeter;
  private nSamples = 0;
  private nAnswered = 0;
  private nJudged = 0;
  private distance = 0;
  private readonly sums = new Map<keyof Outputs, Float64Array>();

  constructor(private readonly sampleRateHz: number) {
    this.meter = new QualityMeter(sampleRateHz);
  }

  get durationS(): number {
    return this.nSamples / this.sampleRateHz;
  }

  hear(block: Float32Array): void {
    this.nSamples += block.length;
    this.meter.accept(block);
  }

  /** Add one window's answer, weighted by the window's length. */
  add(outputs: Outputs, nSamples: number): void {
    this.nAnswered += nSamples;
    for (const [name, values] of Object.entries(outputs) as [keyof Outputs, Values][]) {
      const sum = this.sums.get(name) ?? new Float64Array(values.length);
      for (let index = 0; index < sum.length; index++) sum[index] += nSamples * values[index];
      this.sums.set(name, sum);
    }
  }

  /** Add one window's distance to known sound, unless it is too long for a verdict. */
  judge(domain: Domain, embedding: ArrayLike<number>, nSamples: number, sampleRateHz: number): void {
    if (nSamples > domain.longestS * sampleRateHz) return;
    this.nJudged += nSamples;
    this.distance += nSamples * domain.distance(embedding);
  }

  quality(domain: Domain | null): string[] {
    const strange = domain !== null && this.distance > domain.threshold * this.nJudged;
    return strange ? [...this.meter.words(), STRANGE] : this.meter.words();
  }

  /** `measured` with the mean of the windows' answers, as it is when there was none. */
  answer(measured: Prediction, classes: readonly string[]): Prediction {
    const shares = this.mean("probabilities");
    if (!shares) return measured;
    const probabilities = namedShares(classes, shares);
    const [emotion, confidence] = Object.entries(probabilities).reduce((best, item) => (item[1] > best[1] ? item : best));
    const gender = this.mean("gender");
    const affect = this.mean("affect");
    return {
      ...measured,
      status: "ok",
      emotion,
      confidence,
      probabilities,
      polarity: polarityOf(probabilities),
      adapted: this.isAdapted,
      gender: gender && { female: gender[0], male: gender[1] },
      affect: affect && { valence: affect[0], arousal: affect[1], dominance: affect[2] },
    };
  }

  private mean(name: keyof Outputs): Float64Array | null {
    const sum = this.sums.get(name);
    return sum ? sum.map((value) => value / this.nAnswered) : null;
  }
}
