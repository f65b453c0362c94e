/** Temperatures, and how true probabilities are; as in `earnest.evaluation.calibration`. */

import { indexOfLargest } from "../numbers.js";
import { ABSENT } from "./discriminant.js";
import { dot, meanOfNumbers, type Rows } from "./rows.js";

const LOWEST = 0.05;
const HIGHEST = 200;
const N_STEPS = 60;
const N_BINS = 15;
const SMALLEST = 1.1754943508222875e-38; // of float32

export function softmax(logits: Float64Array, temperature = 1): Float64Array {
  const largest = logits[indexOfLargest(logits)];
  const powers = logits.map((value) => Math.exp((value - largest) / temperature));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}

/**
 * The temperature of the smallest negative log-likelihood; without a single error that of the mean confidence which n
 * right answers of n allow, (n + 1)/(n + 2). Rows whose class had nobody to be learnt from don't count.
 */
export function temperatureOf(logits: Rows, targets: readonly number[]): number {
  const known = logits.flatMap((row, place) => (row[targets[place]] > ABSENT / 2 ? [place] : []));
  if (!known.length) return 1;
  const rows = known.map((place) => logits[place]);
  const right = known.map((place) => targets[place]);
  const isAllRight = rows.every((row, place) => indexOfLargest(row) === right[place]);
  const isTooFlat = (temperature: number): boolean =>
    isAllRight
      ? meanOfNumbers(rows.map((row) => Math.max(...softmax(row, temperature)))) < (rows.length + 1) / (rows.length + 2)
      : slope(rows, right, temperature) > 0; // more likely when sharper
  let [low, high] = [Math.log(LOWEST), Math.log(HIGHEST)];
  for (let step = 0; step < N_STEPS; step++) {
    const middle = (low + high) / 2;
    if (isTooFlat(Math.exp(middle))) high = middle;
    else low = middle;
  }
  return Math.exp((low + high) / 2);
}

/** d/d(1/T) of the mean log-likelihood: z_y − Σ_c p_c·z_c. */
function slope(logits: Rows, targets: readonly number[], temperature: number): number {
  return meanOfNumbers(logits.map((row, place) => row[targets[place]] - dot(softmax(row, temperature), row)));
}

/** Calibration error (15 bins of equal width) and mean negative log-likelihood. */
export interface Quality {
  ece: number;
  nll: number;
  n: number;
}

export function quality(probabilities: Rows, targets: readonly number[]): Quality {
  const nll = meanOfNumbers(probabilities.map((row, place) => -Math.log(Math.max(row[targets[place]], SMALLEST))));
  const bins = binsOf(probabilities, targets);
  return { ece: bins.reduce((sum, { right, total }) => sum + Math.abs(right - total), 0) / targets.length, nll, n: targets.length };
}

/** The calibration error that chance alone gives where probabilities are true: Σ_b E|right_b − Σ confidence| / n. */
export function eceByChance(probabilities: Rows): number {
  const bins = binsOf(probabilities, new Array<number>(probabilities.length).fill(-1));
  return bins.reduce((sum, { count, total }) => sum + meanDeviation(count, Math.min(total / count, 1)), 0) / probabilities.length;
}

interface Bin {
  count: number;
  right: number;
  /** of the confidences */
  total: number;
}

function binsOf(probabilities: Rows, targets: readonly number[]): Bin[] {
  const bins = new Map<number, Bin>();
  probabilities.forEach((row, place) => {
    const answer = indexOfLargest(row);
    const number = Math.min(Math.max(Math.ceil(row[answer] * N_BINS) - 1, 0), N_BINS - 1);
    const { count, right, total } = bins.get(number) ?? { count: 0, right: 0, total: 0 };
    bins.set(number, { count: count + 1, right: right + Number(answer === targets[place]), total: total + row[answer] });
  });
  return [...bins.values()];
}

/** E|X − n·p| of a binomial X. */
function meanDeviation(n: number, p: number): number {
  if (p <= 0 || p >= 1) return 0;
  let chance = n * Math.log1p(-p); // ln P(X = 0)
  let sum = 0;
  for (let count = 0; count <= n; count++) {
    sum += Math.exp(chance) * Math.abs(count - n * p);
    chance += Math.log(((n - count) / (count + 1)) * (p / (1 - p)));
  }
  return sum;
}
