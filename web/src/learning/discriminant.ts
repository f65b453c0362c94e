/**
 * Linear discriminants with shrunk covariance, in closed form, and the choice of the shrinkage; as in
 * `earnest.learning.discriminant`, which tells the algebra (Woodbury's identity: a matrix of rows × rows is solved).
 */

import { indexOfLargest } from "../numbers.js";
import { groupedFolds } from "./folds.js";
import { different, dot, meanOf, meanOfNumbers, placesOf, products, type Rows, scaledBy, solved, standardised, weightedSum } from "./rows.js";

const SHRINKAGES = [0.2, 0.4, 0.6, 0.8, 0.95];
const USUAL = 0.6; // of every model that ships
export const ABSENT = -1e4; // the score of a class without rows: it is never the answer
const N_INNER = 3; // folds that choose the shrinkage
const SCORE_COUNTS = 24; // what a score of the base counts beside a value of the embedding

/** Data to learn from: embeddings (rows, width), numbers of classes, and groups of rows that stay together. */
export interface Labelled {
  rows: Rows;
  targets: readonly number[];
  groups: readonly string[];
  nClasses: number;
  /** The last layer of the base, whose scores are learnt from beside the embeddings. */
  base?: Head | null;
  /** Weight of each value of a row, (width,); without it all count the same. */
  counts?: Float64Array;
}

/** Scores W·x + b of embeddings x; W (classes, width). */
export interface Head {
  weights: Float64Array[];
  bias: Float64Array;
}

export interface FittedHead extends Head {
  shrinkage: number;
}

export function taken(data: Labelled, places: readonly number[]): Labelled {
  const pick = <Value>(values: readonly Value[]): Value[] => places.map((place) => values[place]);
  return { ...data, rows: pick(data.rows), targets: pick(data.targets), groups: pick(data.groups) };
}

export function scoresOf({ weights, bias }: Head, row: Float64Array): Float64Array {
  return bias.map((constant, number) => constant + dot(weights[number], row));
}

/** The head of all rows; its shrinkage is chosen among groups. */
export function fitHead(data: Labelled): FittedHead {
  const base = data.base && centred(data.base);
  const values = base ? withScores(data, base) : data;
  const shrinkage = bestShrinkage(values);
  const [found] = discriminants(values, [shrinkage]);
  return { ...ofSizeOne(base ? onEmbeddings(found, base) : found, data), shrinkage };
}

/** The head whose scores have a deviation of one, so that heads of several shrinkages share one temperature. */
function ofSizeOne({ weights, bias }: Head, { rows, targets }: Labelled): Head {
  const isThere = bias.map((_, number) => Number(targets.includes(number)));
  // Less a row's mean over classes: only differences of scores change an answer.
  const own = centred({ weights: weights.filter((_, number) => isThere[number]), bias: bias.filter((_, number) => isThere[number]) });
  const scores = rows.flatMap((row) => Array.from(scoresOf(own, row)));
  const level = meanOfNumbers(scores);
  const size = Math.sqrt(meanOfNumbers(scores.map((score) => (score - level) ** 2))) || 1;
  return {
    weights: weights.map((row, number) => (isThere[number] ? row.map((value) => value / size) : row)),
    bias: bias.map((constant, number) => (isThere[number] ? constant / size : constant)),
  };
}

/** Scores less their mean over classes, which carries nothing. */
function centred({ weights, bias }: Head): Head {
  const [usual, level] = [meanOf(weights), meanOfNumbers(bias)];
  return { weights: weights.map((row) => scaledBy(row, usual, 1)), bias: bias.map((constant) => constant - level) };
}

/** Rows with the base's scores behind the embedding. */
function withScores(data: Labelled, base: Head): Labelled {
  const rows = data.rows.map((row) => Float64Array.from([...row, ...scoresOf(base, row)]));
  const width = data.rows[0].length;
  return { ...data, rows, counts: Float64Array.from(rows[0], (_, index) => (index < width ? 1 : SCORE_COUNTS)) };
}

/** With s = W₀·e + b₀ beside e, δ = V·e + U·s + b = (V + U·W₀)·e + (b + U·b₀): one layer of the embedding. */
function onEmbeddings({ weights, bias }: Head, base: Head): Head {
  const width = base.weights[0].length;
  const onScores = weights.map((row) => row.slice(width)); // U, (classes, classes of the base)
  const moved = onScores.map((row) => weightedSum(base.weights, row, width));
  return {
    weights: weights.map((row, number) => row.slice(0, width).map((value, index) => value + moved[number][index])),
    bias: bias.map((constant, number) => constant + dot(onScores[number], base.bias)),
  };
}

/** Discriminants at each shrinkage, above 0; classes are weighted equally, scores less their mean over classes. */
export function discriminants({ rows: embeddings, targets, nClasses, counts }: Labelled, shrinkages: readonly number[]): Head[] {
  const present = different(targets);
  const { rows: scaled, mean, deviation } = standardised(embeddings, counts);
  const places = present.map((target) => placesOf(targets, target));
  const centres = places.map((own) => meanOf(own.map((place) => scaled[place])));
  // S = (1/C)·Σ_c (1/n_c)·Σ (z − m_c)(z − m_c)ᵀ = XᵀX with the rows x = (z − m_c)/√(C·n_c).
  const rows = scaled.map((row, place) => {
    const number = present.indexOf(targets[place]);
    return scaledBy(row, centres[number], Math.sqrt(present.length * places[number].length));
  });
  const among = products(rows);
  const width = mean.length;
  const scatter = among.reduce((sum, row, place) => sum + row[place], 0) / width || 1; // tr(S)/D; without any the nearest mean wins
  const crossed = rows.map((row) => Float64Array.from(centres, (centre) => dot(row, centre)));
  return shrinkages.map((shrinkage) => {
    const floor = shrinkage * scatter;
    const shrunk = among.map((row, place) => row.map((value, other) => (1 - shrinkage) * value + (place === other ? floor : 0)));
    const parts = solved(shrunk, crossed);
    const slopes = centres.map((centre, number) => {
      const within = weightedSum(rows, parts[number], width);
      return centre.map((value, index) => (value - (1 - shrinkage) * within[index]) / floor);
    });
    return head(slopes, centres, { mean, deviation, present, nClasses });
  });
}

interface Frame {
  mean: Float64Array;
  deviation: Float64Array;
  present: readonly number[];
  nClasses: number;
}

/** Slopes on standardised values → weights and bias on embeddings. */
function head(slopes: Rows, centres: Rows, { mean, deviation, present, nClasses }: Frame): Head {
  const own = slopes.map((slope) => slope.map((value, index) => value / deviation[index]));
  const constants = slopes.map((slope, number) => -0.5 * dot(slope, centres[number]) - dot(own[number], mean));
  const [usual, level] = [meanOf(own), meanOfNumbers(constants)];
  const weights = Array.from({ length: nClasses }, () => new Float64Array(mean.length));
  const bias = new Float64Array(nClasses).fill(ABSENT);
  present.forEach((target, number) => {
    weights[target] = own[number].map((value, index) => value - usual[index]);
    bias[target] = constants[number] - level;
  });
  return { weights, bias };
}

/** `USUAL` unless the answers about groups left out are better (UA) at another by more than a standard error. */
function bestShrinkage(data: Labelled): number {
  const { rows, targets, groups } = data;
  const folds = groupedFolds(groups, targets, N_INNER);
  const answers = SHRINKAGES.map(() => new Array<number>(rows.length).fill(-1));
  for (const fold of different(folds)) {
    const others = taken(data, folds.flatMap((one, place) => (one === fold ? [] : [place])));
    if (different(others.targets).length < 2) continue;
    const found = discriminants(others, SHRINKAGES);
    for (const place of placesOf(folds, fold)) {
      found.forEach((one, number) => (answers[number][place] = indexOfLargest(scoresOf(one, rows[place]))));
    }
  }
  const recalls = answers.map((told) => recallsOf(told, targets));
  const ua = recalls.map(meanOfNumbers);
  const [best, usual] = [indexOfLargest(ua), SHRINKAGES.indexOf(USUAL)];
  // var(UA) = (1/C²)·Σ_c r_c·(1 − r_c)/n_c, of the better one.
  const counts = different(targets).map((target) => placesOf(targets, target).length);
  const variance = recalls[best].reduce((sum, recall, number) => sum + (recall * (1 - recall)) / counts[number], 0);
  return ua[best] > ua[usual] + Math.sqrt(variance) / counts.length ? SHRINKAGES[best] : USUAL;
}

/** The share of each class there is that was answered right. */
export function recallsOf(answers: readonly number[], targets: readonly number[]): number[] {
  return different(targets).map((target) => meanOfNumbers(placesOf(targets, target).map((place) => Number(answers[place] === target))));
}
