/** The engine that answers: the network in this browser's worker, or the server that sent the page. */

import type { Example, HeardRecording, LearnOptions, Learnt, Listener, Prediction, Profile, Recording, Timeline } from "../../src/index.js";

export const NEUTRAL = "neutral";

export type Place = "browser" | "server";

/** A model's description, here and there. */
export interface About {
  name: string;
  version: string;
  classes: string[];
  licence: string;
  network: string;
  n_parameters: number;
  /** confidence below which an answer is "unsure" */
  abstain_below: number;
  /** "base 0.1.0", of a model that was learnt from another one */
  origin?: string;
  /** whether it can adapt to a speaker, as a server says it */
  adapts?: boolean;
  notes?: string;
  training_corpora: { name: string; licence: string; n_utterances: number; n_speakers: number; hours: number }[];
  results: Record<string, unknown>[];
}

/** To whom a model adapts: nobody, a speaker by what was heard before, or the speaker of a profile. */
export type Adapt = "off" | "auto" | Profile;

export interface Work {
  signal?: AbortSignal;
  onProgress?: (share: number) => void;
}

/** A recording as it was given, and, where this browser can decode it, its sound. */
export interface Source {
  name: string;
  file: Blob;
  /** which one is heard by itself, 1 for the left one; null for the mean of all */
  channel: number | null;
  sound: Recording | null;
  /** whether this browser plays what is heard of it */
  plays: boolean;
}

/** Learns classes of one's own from recordings that it heard. */
export interface Learner {
  /** whose hearing it is: name and version */
  readonly model: string;
  hear(source: Source): Promise<HeardRecording>;
  learn(examples: Example[], options: LearnOptions): Promise<Learnt>;
}

export interface Engine extends Listener {
  readonly place: Place;
  readonly about: About;
  /** Classes of the model that answer; null for all of them. */
  classes: string[] | null;
  /** Whether most of what is said is neutral; a model treats its classes as equally frequent. */
  isMostlyNeutral: boolean;
  readonly canAdapt: boolean;
  adapt: Adapt;
  /** The profile of the speaker of recordings, where it can be made. */
  profile?(sources: Source[]): Promise<Profile>;
  /** Whether another one was chosen in its place. */
  readonly isClosed: boolean;
  /** The emotion over time. */
  timeline(source: Source, work?: Work): Promise<Timeline>;
  /** The emotion of the whole. */
  predict(source: Source): Promise<Prediction>;
  close(): void;
}

/** What a model is asked for; null for all of its classes. Those that are not named share what neutral leaves. */
export function askedOf({ classes, isMostlyNeutral }: Engine): string[] | null {
  return isMostlyNeutral ? (classes ?? [NEUTRAL]).map((name) => (name === NEUTRAL ? `${NEUTRAL}=0.6` : name)) : classes;
}

/** The same in words, "among 2 of 6 classes, expecting mostly neutral"; "" where it is asked as it is. */
export function askedInWords({ about, classes, isMostlyNeutral }: Engine): string {
  const among = classes ? `among ${classes.length} of ${about.classes.length} classes` : "";
  return [among, isMostlyNeutral && "expecting mostly neutral"].filter(Boolean).join(", ");
}
