/**
 * Getting used to a voice and its channel, without labels: the class-aware causal offset.
 *
 * The same rule as `earnest.runtime.adaptation`, which explains it: the offset of a voice is
 * Σ (x − μ − Σ_c p_c M_c) / (n + k), with p the probabilities of the windows under the offset known until then. The
 * adapted answer replaces the plain one as far as the windows heard vary by more than one emotion does.
 */

import type { AdaptationEntry, Bundle } from "./bundle.js";
import { BundleError } from "./errors.js";
import { readNpz } from "./npy.js";

const ARRAYS = ["mean", "class_means", "weights", "bias", "spread", "directions"] as const;
const N_ROUNDS = 5; // of the estimate from given recordings: it stands still by then

/** A linear classifier of embeddings centred by speaker; (classes, width) arrays row by row. */
export interface Adaptation extends AdaptationEntry {
  mean: Float32Array;
  classMeans: Float32Array;
  weights: Float32Array;
  bias: Float32Array;
  spread: Float32Array;
  directions: Float32Array;
}

/** The bundle's adaptation, null where it has none. */
export function adaptationOf({ info, files }: Bundle): Adaptation | null {
  if (!info.adaptation) return null;
  const entry = info.adaptation;
  const arrays = readNpz(files.get(entry.file)!, ARRAYS, `${info.name}: ${entry.file}`);
  const width = arrays["mean"].values.length;
  const nClasses = info.classes.length;
  const perClass = [nClasses, width];
  const vectors = { mean: [width], spread: [width], bias: [nClasses] };
  const shapes = { ...vectors, class_means: perClass, weights: perClass, directions: [nClasses - 1, width] };
  if (!width || ARRAYS.some((name) => arrays[name].shape.join() !== shapes[name].join())) {
    throw new BundleError(`${info.name}: the shapes of 'adaptation' don't fit each other. Export the bundle again.`);
  }
  const [mean, classMeans, weights, bias, spread, directions] = ARRAYS.map((name) => arrays[name].values) as [
    Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array,
  ];
  const positive = [entry.scale, entry.posterior_scale, entry.prior, entry.largest_offset];
  const graded = entry.full_variety > 1 && entry.trust_from < entry.trust_to && entry.variety_prior > 0;
  if (!graded || !positive.every((value) => value > 0) || !spread.every((value) => value > 0)) {
    throw new BundleError(`${info.name}: 'adaptation' holds impossible numbers. Export the bundle again.`);
  }
  return { ...entry, mean, classMeans, weights, bias, spread, directions };
}

/** Follows one voice; memory is one vector of an embedding's width and one of its variety. */
export class Adapter {
  private sum: Float64Array;
  private n = 0;
  private heardS = 0;
  private isFixed = false;
  private readonly variety: Variety;

  constructor(private readonly settings: Adaptation) {
    this.sum = new Float64Array(settings.mean.length);
    this.variety = new Variety(settings.directions.length / settings.mean.length);
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

  /** How far the offset is believed, from 0 (one emotion so far, or little heard) to 1 (several emotions). */
  get trust(): number {
    const { full_variety: full, trust_from: from, trust_to: to, variety_prior: prior } = this.settings;
    const share = (this.variety.value(prior) - 1) / (full - 1);
    return Math.min(1, Math.max(0, (share - from) / (to - from)));
  }

  /**
   * Answer one window with what was known before it, then learn from it.
   *
   * @param plain the window's probabilities without adaptation
   * @param seconds the window's length
   * @param newS how much of it no window before held; overlapping windows count as much as they add
   * @returns probabilities: the plain ones as far as the offset isn't trusted; null while it isn't at all
   */
  hear(embedding: ArrayLike<number>, plain: ArrayLike<number>, seconds: number, newS: number): Float64Array | null {
    const centred = this.centred(embedding);
    const { offset, trust } = this;
    let answer: Float64Array | null = null;
    if (this.isActive && trust > 0) {
      const adapted = this.probabilities(less(centred, offset), this.settings.scale);
      answer = adapted.map((value, index) => trust * value + (1 - trust) * plain[index]);
    }
    if (!this.isFixed) {
      this.learn(centred, offset, newS / seconds);
      this.watch(centred, newS / seconds);
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
    for (const centred of rows) this.watch(centred, 1);
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

  private watch(centred: Float64Array, weight: number): void {
    this.variety.add(times(this.settings.directions, centred), weight);
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
    const scores = times(weights, moved).map((product, row) => scale * (product + bias[row]));
    const most = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - most));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }
}

function less(first: Float64Array, second: Float64Array): Float64Array {
  return first.map((value, index) => value - second[index]);
}

/** The product of a matrix, row by row, and a vector. */
function times(matrix: Float32Array, vector: Float64Array): Float64Array {
  return Float64Array.from({ length: matrix.length / vector.length }, (_, row) => {
    let sum = 0;
    for (let index = 0; index < vector.length; index++) sum += matrix[row * vector.length + index] * vector[index];
    return sum;
  });
}

/** The variance of weighted vectors that come one by one (West, 1979), a mean over their numbers. */
class Variety {
  private mean: Float64Array;
  private weight = 0;
  private squares = 0;

  constructor(width: number) {
    this.mean = new Float64Array(width);
  }

  add(vector: Float64Array, weight: number): void {
    if (weight <= 0) return;
    this.weight += weight;
    const before = less(vector, this.mean);
    this.mean = this.mean.map((value, index) => value + before[index] * (weight / this.weight));
    const after = less(vector, this.mean);
    this.squares += weight * before.reduce((sum, value, index) => sum + value * after[index], 0);
  }

  /** It, drawn towards 1 by `prior` vectors' worth. */
  value(prior: number): number {
    const width = Math.max(1, this.mean.length);
    return (this.squares / width + prior) / (Math.max(this.weight - 1, 0) + prior);
  }
}
