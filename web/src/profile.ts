/** A speaker's or channel's profile: the plain answers to some of its recordings; as in `earnest.runtime.profile`. */

import type { BundleInfo } from "./bundle.js";
import { EarnestError } from "./errors.js";

export const MOST_ROWS = 600;
const LEAST_WEIGHT = 1e-6;
const TOLERANCE = 1e-2;

/** The content of a profile's JSON: no sound, and no words that were said. */
export interface Profile {
  format: 1;
  /** of the bundle that gave the answers */
  model: string;
  model_version: string;
  classes: string[];
  /** seconds of speech that the answers are about */
  speech_s: number;
  /** row by row */
  probabilities: number[][];
  /** how much of a window no window before it held, above 0 to 1 */
  weights: number[];
  /** of the network that gave the answers, see `networkDigest`; absent or "" in profiles of earlier versions */
  model_digest?: string;
}

/** The model that a profile is made with. */
type Made = Pick<BundleInfo, "name" | "version" | "classes"> & { files?: BundleInfo["files"] }; // a server's has no files

const NETWORK_FILES = ["model.onnx", "model.xml", "model.bin"];

/** The first twelve letters of the graph's sha256, without its adaptation's; of several files joined by "+". */
export function networkDigest(files: BundleInfo["files"]): string {
  return NETWORK_FILES.flatMap((name) => files[name]?.slice(0, 12) ?? []).sort().join("+");
}

/** Of a profile that is used nevertheless. */
export const OLD_PROFILE = "An earlier earnest wrote this profile, which didn't note its network. If the model has changed since then, it adapts wrongly.";

/** The values of a profile's JSON, once it is known that they are one and of this model. */
export function checkedProfile(values: unknown, info: Made): Profile {
  const profile = values as Profile; // until it is known
  const problem = problemWith(profile, info);
  if (problem) throw new EarnestError(`The profile ${problem}. Make it again.`);
  if (!profile.model_digest) console.warn(`${OLD_PROFILE} Make it again.`);
  return profile;
}

function problemWith(profile: Partial<Record<keyof Profile, unknown>> | null, info: Made): string | null {
  if (typeof profile !== "object" || profile === null) return "is none of format 1";
  if (isNumber(profile.format) && profile.format > 1) return `was made by a newer earnest (format ${profile.format}; this one reads 1: upgrade it)`;
  if (profile.format !== 1) return "is none of format 1";
  const { model, model_version: version, classes, speech_s: speechS, probabilities, weights, model_digest: digest } = profile;
  if (model !== info.name || version !== info.version) return `was not made with the model ${info.name} ${info.version}`;
  if (digest && info.files && digest !== networkDigest(info.files)) return `was made with another network than the ${info.name} ${info.version} that answers now`;
  if (!Array.isArray(classes) || classes.join() !== info.classes.join()) return "is of other classes";
  if (!isNumber(speechS) || speechS < 0) return "has no seconds of speech";
  if (!Array.isArray(probabilities) || !probabilities.length || probabilities.length > MOST_ROWS) return `must have 1 to ${MOST_ROWS} rows`;
  const areRows = probabilities.every((row: unknown) => Array.isArray(row) && row.length === classes.length && isDistribution(row));
  if (!areRows) return "has a row that holds no probabilities";
  const areWeights = Array.isArray(weights) && weights.length === probabilities.length && weights.every((weight) => isNumber(weight) && weight >= LEAST_WEIGHT && weight <= 1);
  return areWeights ? null : "has weights that are not from 0 to 1, one a row";
}

function isDistribution(row: unknown[]): boolean {
  if (!row.every((share) => isNumber(share) && share >= 0)) return false;
  return Math.abs((row as number[]).reduce((sum, share) => sum + share, 0) - 1) <= TOLERANCE;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
