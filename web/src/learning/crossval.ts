/** Each recording answered by a head that hasn't learnt from its group; as in `earnest.learning.crossval`. */

import { indexOfLargest } from "../numbers.js";
import { softmax, temperatureOf } from "./calibration.js";
import { fitHead, type Labelled, scoresOf, taken } from "./discriminant.js";
import { distance, fitDomain } from "./domain.js";
import { different, placesOf, quantile, type Rows } from "./rows.js";

const KNOWN_SHARE = 0.99; // of recordings that count as in domain
const FEWEST_FOR_THRESHOLD = 50;
const HIGHEST_THRESHOLD = 0.9;

/** Out-of-fold answers of heads to recordings of groups that they haven't learnt from. */
export interface OutOfFold {
  folds: readonly number[];
  logits: Rows;
  /** Distance of each from the embeddings that the fold's head learnt from; null of too few rows. */
  distances: Float64Array | null;
  temperature: number;
  /** Each fold's by the temperature of the others, whose heads have learnt from it: answers are nested, these aren't. */
  probabilities: Rows;
}

/** Answer each row by a head that was fitted, its shrinkage chosen, on the other folds alone. */
export function crossValidate(data: Labelled, folds: readonly number[]): OutOfFold {
  const logits = new Array<Float64Array>(folds.length);
  const distances = new Float64Array(folds.length).fill(NaN);
  for (const fold of different(folds)) {
    const others = taken(data, folds.flatMap((one, place) => (one === fold ? [] : [place])));
    const [head, domain] = [fitHead(others), fitDomain(others.rows)];
    for (const place of placesOf(folds, fold)) {
      logits[place] = scoresOf(head, data.rows[place]);
      if (domain) distances[place] = distance(domain, data.rows[place]);
    }
  }
  return {
    folds,
    logits,
    distances: distances.some(Number.isNaN) ? null : distances,
    temperature: temperatureOf(logits, data.targets),
    probabilities: calibrated(logits, data.targets, folds),
  };
}

/** Probabilities, those of each fold by the temperature of all others. */
function calibrated(logits: Rows, targets: readonly number[], folds: readonly number[]): Float64Array[] {
  const temperatures = different(folds).map((fold) => {
    const others = folds.flatMap((one, place) => (one === fold ? [] : [place]));
    return temperatureOf(others.map((place) => logits[place]), others.map((place) => targets[place]));
  });
  const numbers = different(folds);
  return logits.map((row, place) => softmax(row, temperatures[numbers.indexOf(folds[place])]));
}

/** The distance that all but a hundredth of rows stay below whose group the domain wasn't fitted on. */
export function thresholdOf(distances: Float64Array): number {
  return quantile(distances, KNOWN_SHARE);
}

/** The confidence below which answers are more often wrong than right, out of fold; 0.5 of few rows, at most 0.9. */
export function abstainBelow(probabilities: Rows, targets: readonly number[]): number {
  if (targets.length < FEWEST_FOR_THRESHOLD) return 0.5;
  const answers = probabilities.map(indexOfLargest);
  const confidence = probabilities.map((row, place) => row[answers[place]]);
  const order = confidence.map((_, place) => place).sort((one, other) => confidence[other] - confidence[one]);
  let [gain, most, lowest] = [0, -Infinity, 0];
  for (const place of order) {
    gain += Number(answers[place] === targets[place]) - 0.5;
    if (gain >= most) [most, lowest] = [gain, confidence[place]];
  }
  return Number(Math.min(Math.max(lowest, 1 / probabilities[0].length), HIGHEST_THRESHOLD).toFixed(2));
}
