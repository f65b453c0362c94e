/**
 * Getting used to a voice and its channel, without labels.
 *
 * The same rule as `earnest.runtime.adaptation`, which explains it: along the few directions in which emotions differ a
 * window is a point, and from the points heard so far come the offset of the voice, the places of its emotions, and how
 * far both are trusted.
 */

import type { AdaptationEntry, Bundle } from "./bundle.js";
import { BundleError } from "./errors.js";
import { readNpz } from "./npy.js";

const ARRAYS = ["directions", "origin", "places", "spread"] as const;
const N_ROUNDS = 5; // of each estimate: it stands still by then
const LONGEST_MEMORY = 600; // windows
const SMALLEST = 2.2250738585072014e-308;

/** Where emotions lie in voices heard before; (classes, directions) arrays row by row. */
export interface Adaptation extends AdaptationEntry {
  directions: Float32Array;
  origin: Float32Array;
  places: Float32Array;
  spread: Float32Array;
}

/** What is known of a voice; trust is from 0 to 1. */
export interface Estimate {
  offset: Float64Array;
  places: Float64Array;
  trust: number;
}

/** The bundle's adaptation, null where it has none. */
export function adaptationOf({ info, files }: Bundle): Adaptation | null {
  if (!info.adaptation) return null;
  const entry = info.adaptation;
  const arrays = readNpz(files.get(entry.file)!, ARRAYS, `${info.name}: ${entry.file}`);
  const [nClasses, n] = [info.classes.length, info.classes.length - 1];
  const width = arrays["directions"].values.length / n;
  const shapes = { directions: [n, width], origin: [n], places: [nClasses, n], spread: [n] };
  if (!width || ARRAYS.some((name) => arrays[name].shape.join() !== shapes[name].join())) {
    throw new BundleError(`${info.name}: the shapes of 'adaptation' don't fit each other. Export the bundle again.`);
  }
  const [directions, origin, places, spread] = ARRAYS.map((name) => arrays[name].values) as [
    Float32Array, Float32Array, Float32Array, Float32Array,
  ];
  const positive = [
    ...[entry.scale, entry.posterior_scale, entry.largest_offset, entry.prior, entry.place_prior],
    ...[entry.variety_prior, ...spread],
  ];
  const graded = entry.full_variety > 1 && entry.trust_from < entry.trust_to && entry.told_from < entry.told_to;
  if (!graded || !positive.every((value) => value > 0)) {
    throw new BundleError(`${info.name}: 'adaptation' holds impossible numbers. Export the bundle again.`);
  }
  return { ...entry, directions, origin, places, spread };
}

/** Follows one voice; memory is a point for each of the latest windows. */
export class Adapter {
  /** What is known so far. */
  estimate: Estimate;
  private points: Float64Array[] = [];
  private weights: number[] = [];
  private heardS = 0;
  private isFixed = false;

  constructor(private readonly settings: Adaptation) {
    const places = Float64Array.from(settings.places);
    this.estimate = { offset: new Float64Array(settings.origin.length), places, trust: 0 };
  }

  /** Whether enough was heard for anything to be adapted. */
  get isActive(): boolean {
    return this.heardS >= this.settings.least_speech_s;
  }

  /** How far the adapted answer is believed, from 0 (one emotion so far, or little heard) to 1 (several). */
  get trust(): number {
    return this.estimate.trust;
  }

  /**
   * Answer one window with what was known before it, then learn from it.
   *
   * @param plain the window's probabilities without adaptation
   * @param seconds the window's length
   * @param newS how much of it no window before held; overlapping windows count as much as they add
   * @returns probabilities: the plain ones as far as the adapted ones aren't trusted; null while they aren't at all
   */
  hear(embedding: ArrayLike<number>, plain: ArrayLike<number>, seconds: number, newS: number): Float64Array | null {
    const point = this.point(embedding);
    const { offset, places, trust } = this.estimate;
    let answer: Float64Array | null = null;
    if (this.isActive && trust > 0) {
      const adapted = probabilities(less(point, offset), places, this.settings.scale);
      answer = adapted.map((value, index) => trust * value + (1 - trust) * plain[index]);
    }
    if (!this.isFixed) {
      if (newS > 0) {
        this.points = [...this.points, point].slice(-LONGEST_MEMORY);
        this.weights = [...this.weights, newS / seconds].slice(-LONGEST_MEMORY);
        this.estimate = estimated(this.settings, this.points, this.weights);
      }
      this.heardS += newS;
    }
    return answer;
  }

  /** Get used to recordings of this voice, all at once, and stay with that. */
  learnFrom(embeddings: readonly ArrayLike<number>[], seconds: number): void {
    const points = embeddings.map((embedding) => this.point(embedding));
    if (points.length) this.estimate = estimated(this.settings, points, points.map(() => 1));
    this.heardS = seconds;
    this.isFixed = true;
  }

  private point(embedding: ArrayLike<number>): Float64Array {
    const { directions, origin } = this.settings;
    const width = directions.length / origin.length;
    if (embedding.length !== width) {
      throw new BundleError(
        `'adaptation' is for embeddings of ${width} numbers, the graph gives ${embedding.length}. ` +
          "Export the bundle again.",
      );
    }
    return less(times(directions, Float64Array.from(embedding)), origin);
  }
}

/** What points with weights say about their voice; one at least. */
function estimated(rule: Adaptation, points: Float64Array[], weights: number[]): Estimate {
  const { prior, place_prior: placePrior } = rule;
  const usual = Float64Array.from(rule.places);
  const n = points[0].length;
  const heard = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = weighted(points, weights).map((value) => value / heard);
  const aboutMean = points.map((point) => less(point, mean));

  let aware: Float64Array = new Float64Array(n);
  for (let round = 0; round < N_ROUNDS; round++) {
    const rests = points.map((point) => {
      const shares = probabilities(less(point, aware), usual, rule.posterior_scale);
      return point.map((value, column) => {
        return value - shares.reduce((sum, share, row) => sum + share * usual[row * n + column], 0);
      });
    });
    aware = bounded(weighted(rests, weights).map((value) => value / (heard + prior)), rule);
  }
  const told = toldApart(aboutMean.map((point) => probabilities(point, usual)), weights.map((weight) => weight / heard));
  const whole = graded(told, rule.told_from, rule.told_to);
  const plain = bounded(mean.map((value) => (value * heard) / (heard + 1)), rule);
  const offset = aware.map((value, index) => whole * plain[index] + (1 - whole) * value);

  let places = usual;
  for (let round = 0; round < N_ROUNDS; round++) {
    const sums = new Float64Array(usual.length);
    const counts = new Float64Array(usual.length / n);
    points.forEach((point, window) => {
      const moved = less(point, offset);
      probabilities(moved, places).forEach((share, row) => {
        counts[row] += share * weights[window];
        for (let column = 0; column < n; column++) sums[row * n + column] += share * weights[window] * moved[column];
      });
    });
    places = sums.map((sum, index) => {
      return (placePrior * usual[index] + sum) / (placePrior + counts[Math.floor(index / n)]);
    });
  }
  const squares = weighted(aboutMean.map((point) => point.map((value) => value * value)), weights);
  const total = squares.reduce((sum, value) => sum + value, 0) / n;
  const variety = (total + rule.variety_prior) / (Math.max(heard - 1, 0) + rule.variety_prior);
  const share = (variety - 1) / (rule.full_variety - 1);
  return { offset, places, trust: Math.max(graded(share, rule.trust_from, rule.trust_to), whole) };
}

/** The probabilities of a point's classes, which scatter about their places by 1 / scale. */
function probabilities(point: Float64Array, places: Float64Array, scale = 1): Float64Array {
  const n = point.length;
  const powers = Float64Array.from({ length: places.length / n }, (_, row) => {
    let [product, square] = [0, 0];
    for (let column = 0; column < n; column++) {
      const place = places[row * n + column];
      product += place * point[column];
      square += place * place;
    }
    return scale * (product - 0.5 * square);
  });
  const most = Math.max(...powers);
  const shares = powers.map((power) => Math.exp(power - most));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

/** How many classes the windows' probabilities tell apart, as a share of all. */
function toldApart(shares: Float64Array[], weights: number[]): number {
  const within = shares.reduce((sum, own, window) => sum + weights[window] * entropy(own), 0);
  return Math.exp(entropy(weighted(shares, weights)) - within) / shares[0].length;
}

function entropy(shares: Float64Array): number {
  return -shares.reduce((sum, share) => sum + share * Math.log(Math.max(share, SMALLEST)), 0);
}

/** The sum of vectors times weights. */
function weighted(vectors: Float64Array[], weights: number[]): Float64Array {
  const sums = new Float64Array(vectors[0].length);
  vectors.forEach((vector, row) => {
    for (let index = 0; index < sums.length; index++) sums[index] += weights[row] * vector[index];
  });
  return sums;
}

function bounded(offset: Float64Array, { spread, largest_offset: largest }: Adaptation): Float64Array {
  const square = offset.reduce((sum, value, index) => sum + (value / spread[index]) ** 2, 0);
  const size = Math.sqrt(square / offset.length);
  return size > largest ? offset.map((value) => (value * largest) / size) : offset;
}

function graded(value: number, start: number, end: number): number {
  return Math.min(1, Math.max(0, (value - start) / (end - start)));
}

function less(first: Float64Array, second: ArrayLike<number>): Float64Array {
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
