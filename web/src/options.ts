/** A caller's options: classes, and the least confidence; as in `earnest.runtime.prediction`. */

import type { BundleInfo } from "./bundle.js";
import { EarnestError } from "./errors.js";
import { described, isObject, isTexts } from "./given.js";
import type { Values } from "./graph.js";
import { suggestion } from "./suggestion.js";

export interface Options {
  /**
   * Names of the classes asked for, two at least, or a text of them with commas; their probabilities are then
   * renormalised. Without, or empty: all of the model's. Where "calm" is not among them, it counts as "neutral".
   * "neutral=0.6" says how frequent a class is among the recordings; a model treats its classes as equally frequent.
   */
  classes?: readonly string[] | string | null;
  /** Confidence, 0 to 1, below which an answer is "unsure"; 0 tells every answer, null is the bundle's own. */
  abstainBelow?: number | null;
}

/** The names of an interface's options, all of them. */
export type Names<T> = Readonly<Record<keyof T, true>>;

/** Of `predict`, with or without a worker. */
export const PREDICTING = {
  adapter: true, path: true, classes: true, abstainBelow: true, hasSeparateChannels: true, onProgress: true, signal: true,
} as const;
/** Of a stream. */
export const STREAMING = { adapter: true, classes: true, abstainBelow: true, windowS: true, hopS: true } as const;

/** Refuse a name that is none of the options: a slip would be taken for the default. */
export function checkNames<T extends object>(given: T, names: Names<T>): void {
  if (!isObject(given)) {
    throw new EarnestError(`Expected the options as an object of ${Object.keys(names).join(", ")}, got ${described(given)}.`);
  }
  const unknown = Object.keys(given).find((name) => !(name in names));
  if (unknown !== undefined) throw new EarnestError(`There is no option '${unknown}'.${suggestion(unknown, Object.keys(names))}`);
}

/** Refuse what is no signal, such as the controller in its place; throw the reason of one that is aborted already. */
export function checkSignal(signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  if (typeof (signal as Partial<AbortSignal> | null)?.throwIfAborted !== "function") {
    throw new EarnestError(`signal must be an AbortSignal, such as the 'signal' of an AbortController, got ${described(signal)}.`);
  }
  signal.throwIfAborted();
}

const SAME_WITHOUT: Partial<Record<string, string>> = { calm: "neutral" }; // where the first is not asked for, it counts as the second
const LEAST_LEFT = 1e-6; // of 1, for classes without a share
const LEAST = 1e-12; // probability of a class; where all that are asked for have less, they are equal

/** The confidence below which an answer is "unsure". */
export function thresholdOf(info: BundleInfo, { abstainBelow = null }: Options): number {
  if (abstainBelow !== null && !(abstainBelow >= 0 && abstainBelow <= 1)) {
    const told = "0 tells every answer, null goes by the model's own";
    throw new EarnestError(`abstainBelow: expected a confidence from 0 to 1, got ${abstainBelow}. ${told}.`);
  }
  return abstainBelow ?? info.abstain_below;
}

function isClasses(given: unknown): given is Options["classes"] {
  return given === null || typeof given === "string" || isTexts(given);
}

/** Split "neutral=0.6" into a class and its share of the recordings; a class alone has none. */
function withShare(text: string, classes: readonly string[]): [string, number | null] {
  const at = text.lastIndexOf("=");
  if (classes.includes(text) || at < 0) return [text, null];
  const [name, share] = [text.slice(0, at).trim(), Number(text.slice(at + 1))];
  if (!(share > 0 && share < 1)) {
    throw new EarnestError(`classes: '${text}': how frequent it is lies between 0 and 1: ${name}=0.6.`);
  }
  return [name, share];
}

/** Give each class its share, so that all are 1 together; empty where no class has one. */
function filled(asked: ReadonlyMap<string, number | null>, classes: readonly string[]): ReadonlyMap<string, number> {
  const told = new Map([...asked].flatMap(([name, share]) => (share === null ? [] : [[name, share] as const])));
  if (!told.size) return told;
  const left = [...told.values()].reduce((rest, share) => rest - share, 1);
  let others = [...asked.keys()].filter((name) => !told.has(name));
  if (!others.length && left > LEAST_LEFT) {
    others = classes.filter((name) => !told.has(name) && !told.has(SAME_WITHOUT[name] ?? name));
  }
  if (left > LEAST_LEFT !== others.length > 0 || left < -LEAST_LEFT) {
    const rest = others.length ? `something less, for ${others.join(", ")}` : "1";
    const together = Number((1 - left).toPrecision(6));
    throw new EarnestError(`classes: what is given of how frequent they are is ${together} together. It must be ${rest}.`);
  }
  return new Map([...asked.keys(), ...others].map((name) => [name, told.get(name) ?? left / others.length]));
}

/**
 * Probabilities of the classes asked for alone: p_k / Σ_j p_j over those j; where it is told how frequent they are, q_k,
 * p_k·(q_k/n_k) / Σ_j p_j·(q_j/n_j), where n_k of the model's classes count as k (Saerens et al., 2002). Of an answer that
 * is adapted by the weight w, q_k/n_k counts with the power 1 − w: what adapts has heard how frequent they are.
 */
export class ClassChoice {
  /** In the order in which they were asked for. */
  readonly classes: readonly string[];
  private readonly places: readonly number[]; // of each of the model's classes among those asked for, -1 for none
  private readonly weights: readonly number[]; // of each of the classes asked for
  private readonly isAll: boolean;

  constructor(info: BundleInfo, { classes = null }: Options) {
    if (!isClasses(classes)) {
      const example = info.classes.slice(0, 2);
      throw new EarnestError(
        `classes must be a list of names or a text of them with commas, such as "${example.join(", ")}", got ${described(classes)}.`,
      );
    }
    const names = (typeof classes === "string" ? classes.split(",") : (classes ?? [])).map((name) => name.trim());
    const named = names.filter(Boolean).map((name) => withShare(name, info.classes));
    const asked = new Map(named);
    const twice = named.find(([name, share]) => asked.get(name) !== share);
    if (twice) throw new EarnestError(`classes: '${twice[0]}' is named with several shares. Give it one.`);
    const unknown = [...asked.keys()].find((name) => !info.classes.includes(name));
    if (unknown !== undefined) {
      const hint = suggestion(unknown, info.classes);
      throw new EarnestError(`'${info.name}' has no class '${unknown}', but ${info.classes.join(", ")}.${hint}`);
    }
    const shares = filled(asked, info.classes);
    this.classes = shares.size ? [...shares.keys()] : asked.size ? [...asked.keys()] : info.classes;
    if (this.classes.length < 2) throw new EarnestError(`Ask for two classes or more, not for '${this.classes[0]}' alone.`);
    this.isAll = this.classes.join() === info.classes.join() && !shares.size;
    this.places = info.classes.map((name) => this.classes.indexOf(this.classes.includes(name) ? name : (SAME_WITHOUT[name] ?? name)));
    const counts = this.classes.map((_, at) => this.places.filter((place) => place === at).length);
    this.weights = this.classes.map((name, at) => (shares.size ? shares.get(name)! / counts[at] : 1));
  }

  /**
   * Map the model's probabilities to those asked for.
   *
   * @param adapted the share of the adapted answer in them, 0 to 1
   */
  of(probabilities: Values, adapted = 0): Values {
    if (this.isAll) return probabilities;
    const weights = this.weights.map((weight) => weight ** (1 - adapted));
    const taken = new Float64Array(this.classes.length).fill(LEAST);
    this.places.forEach((place, index) => {
      if (place >= 0) taken[place] += weights[place] * probabilities[index];
    });
    const total = taken.reduce((sum, share) => sum + share, 0);
    return taken.map((share) => share / total);
  }
}
