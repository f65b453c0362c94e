/** Out-of-domain detection: the distance of an embedding from those that were learnt from; as in `earnest.learning.domain`. */

import { dot, eigen, products, type Rows, scaledBy, standardised, weightedSum } from "./rows.js";

const N_DIRECTIONS = 64;
const CLIPS_PER_DIRECTION = 10;
const LEAST_VARIANCE = 1e-6;

/** The mean (width,) and the principal directions (directions, width), each scaled to its deviation; numbers of float32. */
export interface Domain {
  mean: Float64Array;
  directions: Float64Array[];
}

/** Fit on embeddings; null where they are too few. */
export function fitDomain(rows: Rows): Domain | null {
  const nDirections = Math.min(N_DIRECTIONS, rows[0].length, Math.floor(rows.length / CLIPS_PER_DIRECTION));
  if (nDirections < 1) return null;
  const { rows: scaled, mean, deviation } = standardised(rows);
  // Of ZZᵀ/n (n, n): u_k and λ_k; the directions are v_k/√λ_k = Zᵀu_k/(√n·λ_k), and 1/σ goes into them too.
  const n = rows.length;
  const among = products(scaled).map((row) => row.map((value) => value / n));
  const directions = eigen(among).slice(0, nDirections).reverse().map(({ value: variance, vector }) => {
    const size = Math.sqrt(n) * Math.max(variance, LEAST_VARIANCE);
    const direction = weightedSum(scaled, vector, mean.length);
    return direction.map((value, index) => Math.fround(value / size / deviation[index]));
  });
  return { mean: mean.map(Math.fround), directions };
}

/** d(x) = √(mean over k of (v_k·(x − μ))²). */
export function distance({ mean, directions }: Domain, row: Float64Array): number {
  const off = scaledBy(row, mean, 1);
  return Math.sqrt(directions.reduce((sum, direction) => sum + dot(direction, off) ** 2, 0) / directions.length);
}
