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
   */
  classes?: readonly string[] | string | null;
  /** Confidence, 0 to 1, below which an answer is "unsure"; 0 tells every answer, null is the bundle's own. */
  abstainBelow?: number | null;
}

/** The names of an interface's options, all of them. */
export type Names<T> = Readonly<Record<keyof T, true>>;

/** Refuse a name that is none of the options: a slip would be taken for the default. */
export function checkNames<T extends object>(given: T, names: Names<T>): void {
  if (!isObject(given)) {
    throw new EarnestError(`Expected the options as an object of ${Object.keys(names).join(", ")}, got ${described(given)}.`);
  }
  const unknown = Object.keys(given).find((name) => !(name in names));
  if (unknown !== undefined) throw new EarnestError(`There is no option '${unknown}'.${suggestion(unknown, Object.keys(names))}`);
}

const SAME_WITHOUT: Partial<Record<string, string>> = { calm: "neutral" }; // where the first is not asked for, it counts as the second
const LEAST = 1e-12; // probability of a class; where all that are asked for have less, they are equal

/** The confidence below which an answer is "unsure". */
export function thresholdOf(info: BundleInfo, { abstainBelow = null }: Options): number {
  if (abstainBelow !== null && !(abstainBelow >= 0 && abstainBelow <= 1)) {
    throw new EarnestError(`abstainBelow must be from 0 to 1, got ${abstainBelow}.`);
  }
  return abstainBelow ?? info.abstain_below;
}

function isClasses(given: unknown): given is Options["classes"] {
  return given === null || typeof given === "string" || isTexts(given);
}

/** Probabilities of the classes asked for alone: p_k / Σ_j p_j over those j. */
export class ClassChoice {
  /** In the order in which they were asked for. */
  readonly classes: readonly string[];
  private readonly places: readonly number[]; // of each of the model's classes among those asked for, -1 for none
  private readonly isAll: boolean;

  constructor(info: BundleInfo, { classes = null }: Options) {
    if (!isClasses(classes)) {
      const example = info.classes.slice(0, 2);
      throw new EarnestError(
        `classes must be a list of names or a text of them with commas, such as "${example.join(", ")}", got ${described(classes)}.`,
      );
    }
    const names = (typeof classes === "string" ? classes.split(",") : (classes ?? [])).map((name) => name.trim());
    const asked = [...new Set(names.filter(Boolean))];
    this.classes = asked.length ? asked : info.classes;
    const unknown = this.classes.find((name) => !info.classes.includes(name));
    if (unknown !== undefined) {
      const hint = suggestion(unknown, info.classes);
      throw new EarnestError(`'${info.name}' has no class '${unknown}', but ${info.classes.join(", ")}.${hint}`);
    }
    if (this.classes.length < 2) throw new EarnestError(`Ask for two classes or more, not for '${this.classes[0]}' alone.`);
    this.isAll = this.classes.join() === info.classes.join();
    this.places = info.classes.map((name) => this.classes.indexOf(this.classes.includes(name) ? name : (SAME_WITHOUT[name] ?? name)));
  }

  /** Map the model's probabilities to those asked for. */
  of(probabilities: Values): Values {
    if (this.isAll) return probabilities;
    const taken = new Float64Array(this.classes.length).fill(LEAST);
    this.places.forEach((place, index) => {
      if (place >= 0) taken[place] += probabilities[index];
    });
    const total = taken.reduce((sum, share) => sum + share, 0);
    return taken.map((share) => share / total);
  }
}
