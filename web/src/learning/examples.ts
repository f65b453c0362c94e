/** Labelled recordings that were heard: which can be learnt from, and why the others can't; as in `earnest.own.recordings`. */

import { EarnestError } from "../errors.js";
import { described, isObject, isTexts } from "../given.js";
import { UNSURE } from "../smoothing.js";
import type { Labelled } from "./discriminant.js";
import { byCodePoint } from "./folds.js";

export const MOST_EXAMPLES = 500; // with `base` and twelve speakers most of a minute
export const FEWEST_A_CLASS = 3;
const EXAMPLES = "a list of { name, label, speaker, ...(await model.hear(…)) }, texts and what was heard";
const MOST_CLASSES = 256;
const LONGEST_LABEL = 64;
const IN_ORDER = ["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised", "boredom", "excited", "frustration", "contempt", "other"];

/** The model's embedding of one recording; `embedding` is null where there is no speech, and `problem` says why. */
export interface HeardRecording {
  embedding: Float32Array | null;
  seconds: number;
  speechSeconds: number;
  problem: string;
  /** Of the samples, so that the same sound is not learnt from twice. */
  sha256: string;
}

/** One recording of one's own, with its class, and who speaks ("" where that is unknown). */
export interface Example {
  name: string;
  label: string;
  speaker: string;
  seconds: number;
  speechSeconds: number;
  embedding: Float32Array;
  sha256: string;
}

export interface RefusedExample {
  name: string;
  reason: string;
}

/** Recordings to learn from, and refused ones. */
export interface OwnExamples {
  kept: Example[];
  refused: RefusedExample[];
  /** Canonical emotions first, in their order. */
  classes: string[];
  knowsSpeakers: boolean;
  labelled: Labelled;
}

/** Whether text stands in one line; the joiners by which Persian and scripts of India are spelt may be in it. */
export function isPrintable(text: string): boolean {
  return !/[\p{C}\p{Zl}\p{Zp}]/u.test(text.replace(/[\u200c\u200d]/gu, ""));
}

/** Labels and names in one form, without spaces around; one that is no name of a class is an `EarnestError`. */
export function checkedLabel(label: string): string {
  const clean = label.normalize("NFC").trim();
  if (!clean || Array.from(clean).length > LONGEST_LABEL || !isPrintable(clean)) {
    throw new EarnestError(`A class has a name of 1 to ${LONGEST_LABEL} letters that can be printed, not “${clean.slice(0, LONGEST_LABEL)}”.`);
  }
  if (clean === UNSURE) throw new EarnestError(`“${UNSURE}” stands for no answer. Give the class another name.`);
  return clean;
}

/** Leave out the same sound twice and classes of fewer than three; two classes must be left. */
export function usable(all: readonly Example[]): OwnExamples {
  checkForm(all);
  const examples = all.map((one) => ({ ...one, label: checkedLabel(one.label), speaker: one.speaker.normalize("NFC").trim() }));
  const doubles = doublesAmong(examples);
  const single = examples.filter((_, place) => !doubles.has(place));
  const refused = [...doubles].map(([place, reason]) => ({ name: examples[place].name, reason }));
  const counts = new Map<string, number>();
  for (const { label } of single) counts.set(label, (counts.get(label) ?? 0) + 1);
  const isEnough = ({ label }: Example): boolean => counts.get(label)! >= FEWEST_A_CLASS;
  const rare = single.filter((one) => !isEnough(one));
  refused.push(...rare.map(({ name, label }) => ({ name, reason: `“${label}” has ${counts.get(label)!}, ${FEWEST_A_CLASS} are needed` })));
  const kept = single.filter(isEnough);
  const classes = inOrder(new Set(kept.map(({ label }) => label)));
  if (classes.length < 2) {
    throw new EarnestError(`Learning needs at least two classes of ${FEWEST_A_CLASS} recordings with speech each; usable classes: ${classes.join(", ") || "none"}.`);
  }
  if (classes.length > MOST_CLASSES) throw new EarnestError(`${classes.length} classes are too many; at most ${MOST_CLASSES} are learnt.`);
  const knowsSpeakers = kept.every(({ speaker }) => speaker) && new Set(kept.map(({ speaker }) => speaker)).size > 1;
  const labelled = {
    rows: kept.map(({ embedding }) => Float64Array.from(embedding)),
    targets: kept.map(({ label }) => classes.indexOf(label)),
    groups: kept.map(({ speaker, name }, place) => (knowsSpeakers ? speaker : `${name} ${String(place).padStart(6, "0")}`)),
    nClasses: classes.length,
  };
  return { kept, refused, classes, knowsSpeakers, labelled };
}

function checkForm(examples: unknown): asserts examples is readonly Example[] {
  if (!Array.isArray(examples)) throw new EarnestError(`Expected ${EXAMPLES}, got ${described(examples)}.`);
  const wrong = examples.findIndex((one) => !isExample(one));
  if (wrong >= 0) throw new EarnestError(`Recording ${wrong + 1} can't be learnt from. Expected ${EXAMPLES}; leave out those without an embedding.`);
  checkFit(examples as Example[]);
}

function isExample(given: unknown): boolean {
  if (!isObject(given)) return false;
  const { name, label, speaker, sha256, seconds, speechSeconds, embedding } = given;
  const isTimed = Number.isFinite(seconds) && Number.isFinite(speechSeconds) && Number(speechSeconds) > 0;
  return isTexts([name, label, speaker, sha256]) && isTimed && embedding instanceof Float32Array;
}

function checkFit(examples: readonly Example[]): void {
  if (examples.length > MOST_EXAMPLES) {
    throw new EarnestError(`${examples.length} recordings are too many for a page; at most ${MOST_EXAMPLES}. “earnest learn” takes any number.`);
  }
  const width = examples.at(0)?.embedding.length ?? 0;
  if (!examples.every(({ embedding }) => embedding.length === width && embedding.every(Number.isFinite))) {
    throw new EarnestError("The recordings were heard by different models. Hear them again.");
  }
}

/** The places of recordings with the sound of another: all but the first, or all where their labels differ. */
function doublesAmong(examples: readonly Example[]): Map<number, string> {
  const bySound = new Map<string, number[]>();
  examples.forEach(({ sha256 }, place) => bySound.set(sha256, [...(bySound.get(sha256) ?? []), place]));
  const doubles = new Map<number, string>();
  for (const same of bySound.values()) {
    const labels = new Set(same.map((place) => examples[place].label));
    const first = examples[same[0]].name;
    const [places, reason] =
      labels.size > 1 ? [same, `the same sound is in several classes: ${[...labels].join(", ")}`] : [same.slice(1), `the same sound as ${first}`];
    if (same.length > 1) for (const place of places) doubles.set(place, reason);
  }
  return doubles;
}

function inOrder(labels: ReadonlySet<string>): string[] {
  const others = [...labels].filter((label) => !IN_ORDER.includes(label)).sort(byCodePoint);
  return [...IN_ORDER.filter((name) => labels.has(name)), ...others];
}
