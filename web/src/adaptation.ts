/**
 * Adaptation to a speaker and a channel, without labels: a small network over the set of plain answers.
 *
 * The same as `earnest.runtime.adaptation`, which explains it.
 */

import type { Bundle, BundleInfo } from "./bundle.js";
import { BundleError, EarnestError } from "./errors.js";
import { described } from "./given.js";
import { firstLine, type InferenceSession, openSession, type Ort, release, run, type Values } from "./graph.js";
import { MOST_ROWS, networkDigest, type Profile } from "./profile.js";

const LEAST_SET = 2; // rows: one alone says nothing about what its speaker does to others
const LEAST_WEIGHT = 1e-3; // of a window that adds nothing to those before it
const TOLERANCE = 1e-2;
const INPUTS = ["probabilities", "weights"];
const OUTPUTS = ["adapted", "weight"];

export const ANOTHER_MODELS = "The adapter was made by another model";

/** A set of plain answers: probabilities row by row, and how much of a window no window before it held. */
export interface AnswerSet {
  probabilities: number[][];
  weights: number[];
}

/** One answer: its probabilities, and the share of the adapted answer in them, 0 to 1. */
export interface AdaptedAnswer {
  probabilities: Float64Array;
  weight: number;
}

/** A bundle's adaptation network. */
export class Adaptation {
  private constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
    private readonly info: BundleInfo,
    /** Seconds of speech before anything is adapted. */
    readonly leastSpeechS: number,
    private readonly where: string,
  ) {
    const { inputNames, outputNames } = session;
    if (inputNames.join() !== INPUTS.join() || !OUTPUTS.every((name) => outputNames.includes(name))) {
      throw this.broken(`from ${inputNames.join(", ")} to ${outputNames.join(", ")}, not ${INPUTS.join(", ")} to ${OUTPUTS.join(", ")}`);
    }
  }

  /** The bundle's, null where it has none. */
  static async of(ort: Ort, { info, files }: Bundle): Promise<Adaptation | null> {
    if (!info.adaptation) return null;
    const { file, least_speech_s: leastSpeechS } = info.adaptation;
    const where = `${info.name}: ${file}`;
    return new Adaptation(ort, await openSession(ort, files.get(file)!, where), info, leastSpeechS, where);
  }

  /** Whether its network was learnt from the answers of this bundle, as opened here. */
  isOf(info: BundleInfo): boolean {
    return this.info === info;
  }

  /** Answer the last row of a set again, from all of it. */
  async last({ probabilities, weights }: AnswerSet): Promise<AdaptedAnswer> {
    const { Tensor } = this.ort;
    const rows = probabilities.flatMap((row) => {
      const total = row.reduce((sum, share) => sum + Math.max(share, 0), 0);
      return row.map((share) => Math.max(share, 0) / total);
    });
    const feeds = {
      probabilities: new Tensor("float32", Float32Array.from(rows), [weights.length, this.info.classes.length]),
      weights: new Tensor("float32", Float32Array.from(weights), [weights.length]),
    };
    const values = await run(this.session, feeds, OUTPUTS).catch((error: unknown) => {
      if (error instanceof EarnestError) throw error;
      throw this.broken(`failed to run (${firstLine(error)})`);
    });
    const [adapted, shares] = OUTPUTS.map((name) => values[name].data as Float32Array);
    if (adapted.length !== rows.length || shares.length !== weights.length) throw this.broken("answers of other shapes");
    const found = Float64Array.from(adapted.subarray(-this.info.classes.length), (share) => Math.max(share, 0));
    const total = found.reduce((sum, share) => sum + share, 0);
    const weight = shares[shares.length - 1];
    if (!(Math.abs(total - 1) <= TOLERANCE && weight >= -TOLERANCE && weight <= 1 + TOLERANCE)) {
      throw this.broken("'adapted' or 'weight' holds no probabilities");
    }
    return { probabilities: found.map((share) => share / total), weight: Math.min(Math.max(weight, 0), 1) };
  }

  async close(): Promise<void> {
    await release(this.session);
  }

  private broken(why: string): BundleError {
    return new BundleError(`${this.where}: ${why}. Export the bundle again.`);
  }
}

/** Listens to each window's plain answer in turn, and may know a better one. */
export interface AnswerListener {
  /**
   * Answer one window.
   *
   * @param plain the window's probabilities without adaptation
   * @param seconds the window's length
   * @param newS how much of it no window before held; overlapping windows count as much as they add
   */
  hear(plain: Values, seconds: number, newS: number): Promise<AdaptedAnswer | null>;
}

/** Follows one speaker (causal adaptation), or stays with a profile; memory is a row for each of the latest windows. */
export class Adapter implements AnswerListener {
  private readonly set: AnswerSet;
  private heardS: number;
  private readonly isFixed: boolean;

  constructor(
    private readonly adaptation: Adaptation,
    profile: Profile | null = null,
  ) {
    this.isFixed = profile !== null;
    this.set = { probabilities: [...(profile?.probabilities ?? [])], weights: [...(profile?.weights ?? [])] };
    this.heardS = profile?.speech_s ?? 0;
  }

  /** Whether it was made by the model of this bundle: another one's answers mean something else. */
  isOf(info: BundleInfo): boolean {
    return this.adaptation.isOf(info);
  }

  /** Whether enough was heard for anything to be adapted. */
  get isActive(): boolean {
    return this.heardS >= this.adaptation.leastSpeechS;
  }

  /** Answer a window from the set of all so far, itself included; null while that is too little. */
  async hear(plain: Values, seconds: number, newS: number): Promise<AdaptedAnswer | null> {
    const { probabilities, weights } = this.set;
    probabilities.push(Array.from(plain));
    weights.push(Math.max(newS / seconds, LEAST_WEIGHT));
    if (!this.isFixed) this.heardS += Math.max(newS, 0);
    const found = this.isActive && weights.length >= LEAST_SET ? await this.adaptation.last(this.set) : null;
    const nDropped = this.isFixed || newS <= 0 ? -1 : Math.max(weights.length - MOST_ROWS, 0);
    for (const rows of [probabilities, weights]) rows.splice(nDropped < 0 ? -1 : 0, Math.abs(nDropped));
    return found;
  }
}

/** Return the adapter to use with a bundle, null for none; what is none, or another model's, is an `EarnestError`. */
export function adapterFor(info: BundleInfo, given: unknown): AnswerListener | null {
  if (given === undefined || given === null) return null;
  if (typeof (given as AnswerListener).hear !== "function") throw noAdapter(`The option 'adapter' is no adapter, but ${described(given)}`);
  if (given instanceof Adapter && !given.isOf(info)) throw noAdapter(ANOTHER_MODELS);
  return given as AnswerListener;
}

export function noAdapter(problem: string): EarnestError {
  return new EarnestError(`${problem}. Make it with this model's adapter(…), and await it: { adapter: await model.adapter(…) }.`);
}

/** Notes what it hears, and makes a profile of it. */
export class ProfileListener implements AnswerListener {
  private readonly set: AnswerSet = { probabilities: [], weights: [] };
  private speechS = 0;

  async hear(plain: Values, seconds: number, newS: number): Promise<null> {
    this.set.probabilities.push(Array.from(plain));
    this.set.weights.push(Math.max(newS / seconds, LEAST_WEIGHT));
    this.speechS += Math.max(newS, 0);
    return null;
  }

  /** The profile of whom it heard; of more rows than a profile takes, every n-th is kept. */
  profile({ name, version, classes, files }: BundleInfo): Profile {
    const nRows = this.set.weights.length;
    const step = Math.max(nRows - 1, 0) / Math.max(Math.min(nRows, MOST_ROWS) - 1, 1);
    const kept = Array.from({ length: Math.min(nRows, MOST_ROWS) }, (_, row) => Math.round(row * step));
    return {
      ...{ format: 1, model: name, model_version: version, model_digest: networkDigest(files), classes, speech_s: this.speechS },
      probabilities: kept.map((row) => this.set.probabilities[row]),
      weights: kept.map((row) => this.set.weights[row]),
    };
  }
}
