/** Tables as their rows, float64, and the little algebra that closed-form heads need. */

import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from "ml-matrix";

export type Rows = readonly Float64Array[];

// Loops over plain arrays, without a function called for each number: these are where learning spends its time.

/** Σ x_i·y_i, in four sums: a processor adds them side by side. */
export function dot(first: Float64Array, second: Float64Array): number {
  const { length } = first;
  const whole = length - (length % 4);
  let [one, two, three, four] = [0, 0, 0, 0];
  for (let index = 0; index < whole; index += 4) {
    one += first[index] * second[index];
    two += first[index + 1] * second[index + 1];
    three += first[index + 2] * second[index + 2];
    four += first[index + 3] * second[index + 3];
  }
  for (let index = whole; index < length; index++) one += first[index] * second[index];
  return one + two + (three + four);
}

/** X·Xᵀ of the rows X (n, width): (n, n). */
export function products(rows: Rows): Float64Array[] {
  const found = rows.map(() => new Float64Array(rows.length));
  for (let row = 0; row < rows.length; row++) {
    for (let other = 0; other <= row; other++) found[row][other] = found[other][row] = dot(rows[row], rows[other]);
  }
  return found;
}

/** Σ w_i·x_i of the rows, (width,). */
export function weightedSum(rows: Rows, weights: readonly number[] | Float64Array, width: number): Float64Array {
  const sum = new Float64Array(width);
  for (let place = 0; place < rows.length; place++) {
    const [row, weight] = [rows[place], weights[place]];
    for (let index = 0; index < width; index++) sum[index] += weight * row[index];
  }
  return sum;
}

/** (x − μ)/σ, value by value, σ for each value or for all. */
export function scaledBy(row: Float64Array, mean: Float64Array, deviation: Float64Array | number): Float64Array {
  const scaled = new Float64Array(row.length);
  if (typeof deviation === "number") for (let index = 0; index < row.length; index++) scaled[index] = (row[index] - mean[index]) / deviation;
  else for (let index = 0; index < row.length; index++) scaled[index] = (row[index] - mean[index]) / deviation[index];
  return scaled;
}

/** The mean of one row at least, (width,). */
export function meanOf(rows: Rows): Float64Array {
  return weightedSum(rows, new Float64Array(rows.length).fill(1 / rows.length), rows[0].length);
}

export interface Standardised {
  rows: Float64Array[];
  mean: Float64Array;
  deviation: Float64Array;
}

/** z = w·(x − μ)/σ, value by value, `counts` being w; the deviation that comes back is σ/w. A value that is the same in all rows is divided by one. */
export function standardised(rows: Rows, counts?: Float64Array): Standardised {
  const mean = meanOf(rows);
  const squares = new Float64Array(mean.length);
  for (const row of rows) for (let index = 0; index < row.length; index++) squares[index] += (row[index] - mean[index]) ** 2;
  const deviation = squares.map((sum, index) => (Math.sqrt(sum / rows.length) || 1) / (counts?.[index] ?? 1));
  return { rows: rows.map((row) => scaledBy(row, mean, deviation)), mean, deviation };
}

/** The columns of X in A·X = B; A (n, n) symmetric and positive definite, B (n, columns). */
export function solved(matrix: Rows, right: Rows): number[][] {
  return columnsOf(new CholeskyDecomposition(new Matrix(matrix)).solve(new Matrix(right)));
}

/** Eigenvalues of a symmetric matrix (n, n), the largest first, each with its vector of length one. */
export function eigen(matrix: Rows): { value: number; vector: number[] }[] {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(new Matrix(matrix), { assumeSymmetric: true });
  const vectors = columnsOf(eigenvectorMatrix);
  return vectors.map((vector, place) => ({ value: realEigenvalues[place], vector })).sort((one, other) => other.value - one.value);
}

function columnsOf(matrix: Matrix): number[][] {
  return matrix.transpose().to2DArray();
}

/** The places of a target. */
export function placesOf(targets: ArrayLike<number>, target: number): number[] {
  return Array.from(targets).flatMap((one, place) => (one === target ? [place] : []));
}

/** Numbers in rising order, each once. */
export function different(numbers: ArrayLike<number>): number[] {
  return [...new Set(Array.from(numbers))].sort((one, other) => one - other);
}

export function meanOfNumbers(numbers: ArrayLike<number>): number {
  return Array.from(numbers).reduce((sum, value) => sum + value, 0) / numbers.length;
}

/** The quantile between neighbours, in a straight line. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Array.from(values).sort((one, other) => one - other);
  const place = share * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}
