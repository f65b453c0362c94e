/** Scores of a learnt model, in numbers and in words; as in `earnest.own.bundle` and `earnest.own.learn`. */

import type { BundleInfo } from "../bundle.js";
import { indexOfLargest, inPercent } from "../numbers.js";
import { eceByChance, quality } from "./calibration.js";
import type { OutOfFold } from "./crossval.js";
import { recallsOf } from "./discriminant.js";
import type { OwnExamples, RefusedExample } from "./examples.js";
import { different, meanOfNumbers, placesOf } from "./rows.js";

const FEW_SPEAKERS = 8;
const FEW_A_CLASS = 20;
const OFTEN = 0.15; // of a class that is taken for another one: worth a word
const NON_COMMERCIAL = /\bNC\b|non-?commercial|\bresearch\b/i;

/** One class out of fold: the share recognised, and what it is most often taken for. */
export interface ClassResult {
  name: string;
  n: number;
  /** 0 where they are unknown */
  nSpeakers: number;
  recall: number;
  takenFor: string;
  takenShare: number;
}

/**
 * All scores are of cross-validation, from 0 to 1. WA is the mean over folds, UA the mean recall over classes of all
 * recordings together, as a fold may lack classes; beside them their standard deviation over folds, and the mean of UA
 * over folds, which cards tell.
 */
export interface Summary {
  base: string;
  n: number;
  /** 0 where a recording names none */
  nSpeakers: number;
  hours: number;
  speakerIndependent: boolean;
  folds: string;
  wa: number;
  waSd: number | null;
  ua: number;
  uaOverFolds: number;
  uaSd: number | null;
  ece: number;
  eceByChance: number;
  shrinkage: number;
  classes: ClassResult[];
  refused: RefusedExample[];
  /** Warnings that make the numbers worth less. */
  warnings: string[];
  /** A note for the card, which tells `uaOverFolds`, where folds lack classes; else "". */
  lacking: string;
  /** Advice: the data that would help most. */
  advice: string[];
}

export function summaryOf(own: OwnExamples, out: OutOfFold, base: BundleInfo, shrinkage: number): Summary {
  const { kept, labelled, knowsSpeakers, refused } = own;
  const answers = out.probabilities.map(indexOfLargest);
  const scores = different(out.folds).map((fold) => {
    const places = placesOf(out.folds, fold);
    const [told, right] = [answers, labelled.targets].map((values) => places.map((place) => values[place]));
    return { nClasses: new Set(right).size, wa: meanOfNumbers(told.map((answer, place) => Number(answer === right[place]))), ua: meanOfNumbers(recallsOf(told, right)) };
  });
  const [wa, ua] = [scores.map((one) => one.wa), scores.map((one) => one.ua)];
  const uaOfAll = meanOfNumbers(recallsOf(answers, labelled.targets));
  const nSpeakers = kept.every(({ speaker }) => speaker) ? new Set(kept.map(({ speaker }) => speaker)).size : 0;
  const classes = own.classes.map((_, number) => classResult(own, answers, number));
  return {
    base: base.name,
    n: kept.length,
    nSpeakers,
    hours: kept.reduce((sum, { seconds }) => sum + seconds, 0) / 3600,
    speakerIndependent: knowsSpeakers,
    folds: inWords(scores.length, knowsSpeakers ? nSpeakers : 0),
    wa: meanOfNumbers(wa),
    waSd: deviation(wa),
    ua: uaOfAll,
    uaOverFolds: meanOfNumbers(ua),
    uaSd: deviation(ua),
    ece: quality(out.probabilities, labelled.targets).ece,
    eceByChance: eceByChance(out.probabilities),
    shrinkage,
    classes,
    refused,
    warnings: [...warnings(own, nSpeakers, base), ...(out.distances ? [] : [NO_DOMAIN]), ...(meanOfNumbers(wa) < 1 ? [] : [withoutErrors(kept.length)])],
    lacking: lacking(scores.map((one) => one.nClasses), classes.length, uaOfAll),
    advice: [...advice(classes, nSpeakers, areGuesses(own, answers))],
  };
}

/** A note on folds that lack classes, of which UA is over fewer; as `earnest.evaluation.metrics.Scores.lacking` says it, without macro-F1. */
export function lacking(nInFolds: readonly number[], nClasses: number, ua: number): string {
  const nLacking = nInFolds.filter((one) => one < nClasses).length;
  if (!nLacking) return "";
  const told = `UA: in ${nLacking} of ${nInFolds.length} folds a class has no recording, and their UA is the mean recall over the others.`;
  return `${told} Over all recordings UA is ${inPercent(ua, 1)}.`;
}

const NO_DOMAIN =
  "Without one fold (or speaker) fewer than ten recordings are left, too few to know which sound is unlike them: " +
  'this model never says "out-of-domain".';

/** What answers that are all right leave open: the exact bound of the rule of three, p with (1 − p)ⁿ = 0.05. */
function withoutErrors(n: number): string {
  const most = (100 * (1 - 0.05 ** (1 / n))).toFixed(1);
  return `Every answer is right. Up to ${most} % of recordings can be wrong (rule of three, 95 %), were they independent; those of one speaker are not.`;
}

function inWords(nFolds: number, nSpeakers: number): string {
  if (!nSpeakers) return `${nFolds} folds of recordings`;
  return nFolds === nSpeakers ? `each of ${nFolds} speakers left out once` : `${nFolds} folds of whole speakers`;
}

function classResult({ classes, kept, labelled: { targets } }: OwnExamples, answers: readonly number[], number: number): ClassResult {
  const places = placesOf(targets, number);
  const shares = classes.map((_, other) => placesOf(places.map((place) => answers[place]), other).length / places.length);
  const wrong = indexOfLargest(shares.map((share, other) => (other === number ? 0 : share)));
  const speakers = new Set(places.map((place) => kept[place].speaker).filter(Boolean));
  const [recall, takenShare] = [shares[number], wrong === number ? 0 : shares[wrong]];
  return { name: classes[number], n: places.length, nSpeakers: speakers.size, recall, takenFor: classes[wrong], takenShare };
}

function* warnings({ kept, knowsSpeakers }: OwnExamples, nSpeakers: number, base: BundleInfo): Generator<string> {
  const corpora = corporaOf(base);
  if (corpora.length) {
    const names = corpora.map(({ name }) => name).join(", ");
    yield `“${base.name}” was trained on ${names}. If your recordings are from these, the numbers are too high.`;
  }
  if (!knowsSpeakers) {
    const some = kept.some(({ speaker }) => speaker) ? "some recordings have no speaker" : "no speakers are known";
    const why = nSpeakers === 1 ? "there is one speaker" : some;
    yield `NOT speaker-independent: ${why}, so the same speaker may be in training and test. For other people it works less well than these numbers.`;
  }
  const closed = corpora.filter(({ licence }) => NON_COMMERCIAL.test(licence)).map(({ name, licence }) => `${name} (${licence})`);
  if (closed.length) yield `For non-commercial use only: the weights of “${base.name}” were trained on ${closed.join(" and ")}.`;
}

interface Corpus {
  name: string;
  licence: string;
}

/** Training data that a bundle names, as far as that can be read. */
export function corporaOf({ training_corpora: corpora }: BundleInfo): Corpus[] {
  const isCorpus = (one: unknown): one is Corpus =>
    typeof one === "object" && one !== null && "name" in one && "licence" in one && typeof one.name === "string" && typeof one.licence === "string";
  return Array.isArray(corpora) ? corpora.filter(isCorpus) : [];
}

/** Its licence; where it doesn't say what the corpora forbid that its weights heard, that first. */
export function licenceOf(info: BundleInfo): string {
  const isTold = NON_COMMERCIAL.test(info.licence) || !corporaOf(info).some(({ licence }) => NON_COMMERCIAL.test(licence));
  return isTold ? info.licence : `non-commercial use only: ${info.licence}`;
}

/** Sentences, the most helpful first. Whether more speakers help is left to `earnest learn`: it fits ten halves of them for that. */
function* advice(classes: readonly ClassResult[], nSpeakers: number, isGuessing: boolean): Generator<string> {
  if (!nSpeakers) {
    const whom = classes.some((one) => one.nSpeakers) ? "speaker of every recording" : "speakers";
    yield `Name the ${whom}: only then the numbers show how well the model works for people that it never heard.`;
  } else if (nSpeakers === 1) yield "Recordings of more speakers: with one, the numbers say nothing about other people.";
  if (isGuessing) yield "Its answers can't be told from guesses: the labels can't be heard, are wrong, or are too few.";
  else if (nSpeakers > 1 && nSpeakers < FEW_SPEAKERS) yield `More speakers: results of ${nSpeakers} say little about other people.`;
  const alone = classes.filter((one) => one.nSpeakers === 1 && nSpeakers > 1);
  const confusion = ({ takenShare, recall }: ClassResult): number => takenShare * (1 - recall);
  const tested = classes.filter((one) => !alone.includes(one)).sort((one, other) => confusion(other) - confusion(one));
  const confused = tested.at(0);
  if (confused && confused.takenShare >= OFTEN) {
    yield `Clearer examples of “${confused.name}” against “${confused.takenFor}”: ${inPercent(confused.takenShare)} % of the ${confused.n} were taken for it. Perhaps their labels overlap.`;
  }
  const smallest = classes.reduce((least, one) => (one.n < least.n ? one : least));
  if (smallest.n < FEW_A_CLASS) yield `More of “${smallest.name}”: ${smallest.n} recordings are few.`;
  if (alone.length) yield `A second speaker of ${alone.map(({ name }) => name).join(", ")}: with one, this class is never tested on another speaker.`;
}

/** Whether UA is within two standard errors of guesses, or below. */
export function areGuesses({ labelled: { targets, groups, nClasses } }: Pick<OwnExamples, "labelled">, answers: readonly number[]): boolean {
  const counts = Array.from({ length: nClasses }, (_, target) => placesOf(targets, target).length);
  const chance = 1 / nClasses;
  // UA − 1/K as a sum over groups, (1/K)·Σ_i (right_i − 1/K)/n_k(i): Var = G/(G − 1)·Σ_g (x_g − mean)².
  const sums = new Map<string, number>();
  targets.forEach((target, place) => {
    const value = (Number(answers[place] === target) - chance) / (nClasses * counts[target]);
    sums.set(groups[place], (sums.get(groups[place]) ?? 0) + value);
  });
  const all = [...sums.values()];
  const above = all.reduce((sum, value) => sum + value, 0);
  const error = (deviation(all) ?? Infinity) * Math.sqrt(all.length);
  // Guesses among K classes: each recall has mean 1/K and variance 1/K·(1 − 1/K)/n_k, and UA is their mean.
  const ofGuesses = chance * Math.sqrt(counts.reduce((sum, count) => sum + (chance * (1 - chance)) / count, 0));
  return above < 2 * Math.max(ofGuesses, error);
}

/** The sample standard deviation; null of one. */
function deviation(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const mean = meanOfNumbers(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}
