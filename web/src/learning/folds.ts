/** Folds of cross-validation; as in `earnest.learning.crossval` and `earnest.learning.discriminant`, with the seed 0. */

import { permutation } from "./draws.js";
import { different, meanOfNumbers } from "./rows.js";

const MOST_LEFT_OUT_ALONE = 12; // groups that each make a fold of their own
const N_FOLDS = 10;
const N_FOLDS_OF_CLIPS = 5;

/** The fold of each row: each speaker alone where they are few, else in ten folds; five without speakers. */
export function foldsOf(groups: readonly string[], targets: readonly number[], knowsSpeakers: boolean): number[] {
  const { names, groupOf } = numbered(groups);
  if (knowsSpeakers && names.length <= MOST_LEFT_OUT_ALONE) return groupOf;
  return groupedFolds(groups, targets, knowsSpeakers ? N_FOLDS : N_FOLDS_OF_CLIPS);
}

/**
 * The fold of each row: whole groups, in folds of about equal size and equal shares of classes. Groups are taken in the
 * order of their size, those of equal size as drawn, and each goes where it makes the counts of classes most even.
 */
export function groupedFolds(groups: readonly string[], targets: readonly number[], mostFolds: number): number[] {
  const { names, groupOf } = numbered(groups);
  const nFolds = Math.min(mostFolds, names.length);
  const present = different(targets);
  const counts = names.map(() => new Float64Array(present.length));
  targets.forEach((target, row) => counts[groupOf[row]][present.indexOf(target)]++);
  const sizes = counts.map((count) => sum(count));
  const total = present.map((_, index) => counts.reduce((all, count) => all + count[index], 0));
  const held = Array.from({ length: nFolds }, () => new Float64Array(present.length));
  const foldOf = new Array<number>(names.length).fill(0);
  for (const group of permutation(names.length).sort((one, other) => sizes[other] - sizes[one])) {
    const fold = evenest(held, counts[group], total);
    held[fold] = held[fold].map((count, index) => count + counts[group][index]);
    foldOf[group] = fold;
  }
  return groupOf.map((group) => foldOf[group]);
}

/** The fold that a group makes most even; of equal ones the smallest, of those the first. */
function evenest(held: readonly Float64Array[], count: Float64Array, total: readonly number[]): number {
  const spreads = held.map((_, fold) => {
    const deviations = total.map((all, index) =>
      deviation(held.map((own, other) => (own[index] + (other === fold ? count[index] : 0)) / all)),
    );
    return Math.round(meanOfNumbers(deviations) * 1e12);
  });
  const sizes = held.map((own) => sum(own));
  const isBetter = (one: number, other: number): boolean =>
    spreads[one] < spreads[other] || (spreads[one] === spreads[other] && sizes[one] < sizes[other]);
  return held.reduce((best, _, fold) => (isBetter(fold, best) ? fold : best), 0);
}

function numbered(groups: readonly string[]): { names: string[]; groupOf: number[] } {
  const names = [...new Set(groups)].sort(byCodePoint);
  const place = new Map(names.map((name, number) => [name, number]));
  return { names, groupOf: groups.map((group) => place.get(group)!) };
}

/** The order in which Python sorts texts. */
export function byCodePoint(one: string, other: string): number {
  const [first, second] = [Array.from(one), Array.from(other)];
  const place = first.findIndex((letter, index) => letter !== second[index]);
  if (place < 0) return first.length - second.length;
  return place < second.length ? first[place].codePointAt(0)! - second[place].codePointAt(0)! : 1;
}

function sum(values: Float64Array): number {
  return values.reduce((all, value) => all + value, 0);
}

function deviation(values: readonly number[]): number {
  const mean = meanOfNumbers(values);
  return Math.sqrt(meanOfNumbers(values.map((value) => (value - mean) ** 2)));
}
