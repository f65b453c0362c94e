/**
 * Getting used to a voice and its channel, without labels: the class-aware causal offset.
 *
 * The same rule as `earnest.runtime.adaptation`, which explains it: the offset of a voice is
 * Σ (x − μ − Σ_c p_c M_c) / (n + k), with p the probabilities of the windows under the offset known until then.
 */

import type { AdaptationEntry, Bundle } from "./bundle.js";
import { BundleError } from "./errors.js";
import { readNpz } from "./npy.js";

const ARRAYS = ["mean", "class_means", "weights", "bias", "spread"] as const;
const N_ROUNDS = 5; // of the estimate from given recordings: it stands still by then

/** A linear classifier of embeddings centred by speaker; (classes, width) arrays row by row. */
export interface Adaptation extends AdaptationEntry {
  mean: Float32Array;
  classMeans: Float32Array;
  weights: Float32Array;
  bias: Float32Array;
  spread: Float32Array;
}

/** The bundle's adaptation, null where it has none. */
export function adaptationOf({ info, files }: Bundle): Adaptation | null {
  if (!info.adaptation) return null;
  const entry = info.adaptation;
  const arrays = readNpz(files.get(entry.file)!, ARRAYS, `${info.name}: ${entry.file}`);
  const width = arrays["mean"].values.length;
  const nClasses = info.classes.length;
  const shapes = { mean: [width], spread: [width], bias: [nClasses], class_means: [nClasses, width], weights: [nClasses, width] };
  if (!width || ARRAYS.some((name) => arrays[name].shape.join() !== shapes[name].join())) {
    throw new BundleError(`${info.name}: the shapes of 'adaptation' don't fit each other. Export the bundle again.`);
  }
  const [mean, classMeans, weights, bias, spread] = ARRAYS.map((name) => arrays[name].values) as [
    Float32Array, Float32Array, Float32Array, Float32Array, Float32Array,
  ];
  const positive = [entry.scale, entry.posterior_scale, entry.prior, entry.largest_offset];
  if (!positive.every((value) => value > 0) || !spread.every((value) => value > 0)) {
    throw new BundleError(`${info.name}: 'adaptation' holds impossible numbers. Export the bundle again.`);
  }
  return { ...entry, mean, classMeans, weights, bias, spread };
}

/** Follows one voice; memory is one vector. */
export class Adapter {
  private sum: Float64Array;
  private n = 0;
  private heardS = 0;
  private isFixed = false;

  constructor(private readonly settings: Adaptation) {
    this.sum = new Float64Array(settings.mean.length);
  }

  /** Whether enough was heard for the offset to be used. */
  get isActive(): boolean {
    return this.heardS >= this.settings.least_speech_s;
  }

  /** The estimate so far, bounded. */
  get offset(): Float64Array {
    const { prior, spread, largest_offset: largest } = this.settings;
    const offset = this.sum.map((value) => value / (this.n + prior));
    const square = offset.reduce((sum, value, index) => sum + (value / spread[index]) ** 2, 0);
    const size = Math.sqrt(square / offset.length);
    return size > largest ? offset.map((value) => (value * largest) / size) : offset;
  }

  /**
   * Answer one window with what was known before it, then learn from it.
   *
   * @param seconds the window's length
   * @param newS how much of it no window before held; overlapping windows count as much as they add
   * @returns probabilities, null while too little was heard
   */
  hear(embedding: ArrayLike<number>, seconds: number, newS: number): Float64Array | null {
    const centred = this.centred(embedding);
    const offset = this.offset;
    const answer = this.isActive ? this.probabilities(less(centred, offset), this.settings.scale) : null;
    if (!this.isFixed) {
      this.learn(centred, offset, newS / seconds);
      this.heardS += newS;
    }
    return answer;
  }

  /** Estimate the offset from recordings of this voice, all at once, and keep it. */
  learnFrom(embeddings: readonly ArrayLike<number>[], seconds: number): void {
    const rows = embeddings.map((embedding) => this.centred(embedding));
    for (let round = 0; round < N_ROUNDS; round++) {
      const offset = this.offset;
      this.sum = new Float64Array(this.sum.length);
      this.n = 0;
      for (const centred of rows) this.learn(centred, offset, 1);
    }
    this.heardS = seconds;
    this.isFixed = true;
  }

  private centred(embedding: ArrayLike<number>): Float64Array {
    const { mean } = this.settings;
    if (embedding.length !== mean.length) {
      throw new BundleError(
        `'adaptation' is for embeddings of ${mean.length} numbers, the graph gives ${embedding.length}. ` +
          "Export the bundle again.",
      );
    }
    return Float64Array.from(mean, (value, index) => embedding[index] - value);
  }

  private learn(centred: Float64Array, offset: Float64Array, weight: number): void {
    const { scale, posterior_scale: posteriorScale, least_confidence: least, classMeans } = this.settings;
    const moved = less(centred, offset);
    if (Math.max(...this.probabilities(moved, scale)) < least) return;
    const width = centred.length;
    const shares = this.probabilities(moved, posteriorScale);
    for (let index = 0; index < width; index++) {
      let explained = 0;
      for (let row = 0; row < shares.length; row++) explained += shares[row] * classMeans[row * width + index];
      this.sum[index] += weight * (centred[index] - explained);
    }
    this.n += weight;
  }

  private probabilities(moved: Float64Array, scale: number): Float64Array {
    const { weights, bias } = this.settings;
    const scores = Float64Array.from(bias, (start, row) => {
      let score = start;
      for (let index = 0; index < moved.length; index++) score += weights[row * moved.length + index] * moved[index];
      return scale * score;
    });
    const most = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - most));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }
}

function less(first: Float64Array, second: Float64Array): Float64Array {
  return first.map((value, index) => value - second[index]);
}
