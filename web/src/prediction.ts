/** The answer of a model to one recording: the same fields as the Python package's JSON. */

import { inPercent } from "./numbers.js";

/**
 * "ok" has an emotion, all others have none. "unsure": the likeliest is less likely than the threshold. "mixed": several
 * emotions over time, none of which holds 60 % of the answered speech. "vocal-burst": a voice without words.
 */
export type Status = "ok" | "unsure" | "mixed" | "vocal-burst" | "no-speech" | "too-short" | "error";
export type Shares = Record<string, number>;

export interface Prediction {
  path: string;
  status: Status;
  duration_s: number | null;
  speech_s: number | null;
  /** null unless the status is "ok" */
  emotion: string | null;
  /** probability of `emotion`, or of the likeliest where it is "unsure"; null where it is "mixed" */
  confidence: number | null;
  /** class → probability, calibrated, in the bundle's order or as asked for; empty without an answer */
  probabilities: Shares;
  /** Pleasant minus unpleasant probability, -1 to 1; see polarityOf. */
  polarity: number | null;
  gender: { female: number; male: number } | null;
  /** 0 to 1, 0.5 being the middle: unpleasant to pleasant, calm to excited; `dominance` is null where it is derived */
  affect: { valence: number; arousal: number; dominance: number | null } | null;
  /** whether `affect` was learnt from emotions and where they lie on the two scales, not from ratings: no measurement */
  affect_derived: boolean;
  intensity: number | null;
  /** "clipped", "low-bandwidth", "noisy", "too-quiet", "separate-channels", "overlapped-speech", "out-of-domain"; of a server also "other-tracks", "not-adapted" */
  quality: string[];
  /** whether other recordings or windows of the speaker had a say */
  adapted: boolean;
  /** share of the adapted answer in this one, 0 to 1; of several windows its mean over their time */
  adaptation_weight: number;
  /**
   * of a recording of several segments, or longer than the model hears at once: emotion → share of its speech, the
   * largest first, "unsure" among them; null for others
   */
  shares: Shares | null;
  vocal_bursts: VocalBurst[];
  model: string;
  error: string | null;
}

/** A laugh, a cry, a scream, a sigh or another sound of a voice without words. */
export interface VocalBurst {
  start_s: number;
  end_s: number;
  /** "laughter", "crying", "scream", "sigh" or, where none of these is likely, "other" */
  kind: string;
  confidence: number;
}

/** One emotion, from a segment's start or a change to the next change or the segment's end. */
export interface Span {
  start_s: number;
  end_s: number;
  /** "unsure" where the likeliest is less likely than the threshold */
  emotion: string;
  confidence: number;
}

/** The network's answer to one window. */
export interface Window {
  start_s: number;
  end_s: number;
  probabilities: Shares;
}

/** An event of a stream; "segment": somebody spoke, "gap": sound was lost because the listener was too slow. */
export type StreamEvent =
  | ({ event: "window" } & Window)
  | ({ event: "span" } & Span)
  | ({ event: "vocal-burst" } & VocalBurst)
  | { event: "segment" | "gap"; start_s: number; end_s: number };

export interface Timeline extends Prediction {
  /** what told speech from the rest, "silero" or "energy" */
  activity: string;
  segments: { start_s: number; end_s: number }[];
  spans: Span[];
  windows: Window[];
}

/** Sort a stream's events into a recording's timeline. */
export function timelineOf(prediction: Prediction, activity: string, events: readonly StreamEvent[]): Timeline {
  const timeline: Timeline = { ...prediction, activity, segments: [], spans: [], windows: [] };
  for (const { event, ...rest } of events) {
    if (event === "span") timeline.spans.push(rest as Span);
    else if (event === "window") timeline.windows.push(rest as Window);
    else if (event === "segment") timeline.segments.push(rest);
  }
  return timeline;
}

const POSITIVE = new Set(["happy", "surprised", "excited", "positive"]);
const NEGATIVE = new Set(["sad", "angry", "disgust", "fearful", "frustration", "contempt", "negative"]);
export const HIGHEST_SHOWN = 0.95; // more than that is never shown as a number: too few recordings to measure it on

/** A prediction without an answer. */
export function unanswered(path: string, status: Status, model: string): Prediction {
  return {
    path,
    status,
    duration_s: null,
    speech_s: null,
    emotion: null,
    confidence: null,
    probabilities: {},
    polarity: null,
    gender: null,
    affect: null,
    affect_derived: false,
    intensity: null,
    quality: [],
    adapted: false,
    adaptation_weight: 0,
    shares: null,
    vocal_bursts: [],
    model,
    error: null,
  };
}

/** Pleasant minus unpleasant probability, -1 to 1; classes on neither side count as zero. */
export function polarityOf(probabilities: Shares): number {
  let sum = 0;
  for (const [name, share] of Object.entries(probabilities)) {
    sum += share * (Number(POSITIVE.has(name)) - Number(NEGATIVE.has(name)));
  }
  return sum;
}

/** A probability as people are shown it: "73%", at most "> 95%"; "< 1%" where it is small, but not zero; "–" where there is none. */
export function percent(confidence: number | null): string {
  if (confidence === null) return "–";
  return confidence > HIGHEST_SHOWN ? `> ${Math.round(100 * HIGHEST_SHOWN)}%` : `${inPercent(confidence)}%`;
}

/** The most probable classes with their probabilities, the first one first. */
export function top(prediction: Prediction, count = 3): [string, number][] {
  return Object.entries(prediction.probabilities)
    .sort(([, first], [, second]) => second - first)
    .slice(0, count);
}

export function namedShares(names: readonly string[], values: ArrayLike<number>): Shares {
  return Object.fromEntries(names.map((name, index) => [name, values[index]]));
}
