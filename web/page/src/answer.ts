/** The answer about a recording as people say it. */

import type { Prediction, Shares, Timeline, VocalBurst } from "../../src/index.js";
import { shareOfTime } from "./series.js";
import { capital, confidence, percent } from "./words.js";

export const UNSURE = "unsure"; // in place of an emotion, of a span too

export interface Answer {
  /** a word or two: "Angry", "Mixed", "Unsure", "No speech" */
  text: string;
  /** how sure, or what else it may be; "" where there is nothing to say */
  detail: string;
  /** both, in a few words */
  line: string;
  /** whose colour it has */
  emotion: string | null;
}

const WITHOUT: Partial<Record<string, string>> = { "no-speech": "No speech", "too-short": "Too short to tell", error: "No answer" };

/** Text of the status; "mixed" with the shares that the answer has, or those of its spans. */
export function answerOf(timeline: Timeline): Answer {
  const { status, emotion } = timeline;
  if (status === "vocal-burst") return burst(timeline.vocal_bursts);
  if (status === "mixed") return mixed(timeline.shares ?? shareOfTime(timeline.spans));
  if (status === "ok" && emotion) return sure(emotion, timeline.confidence ?? 0);
  if (status === "unsure") return { ...unsure(timeline.probabilities), ...ofTheSpeech(timeline.shares ?? {}) };
  const text = WITHOUT[status] ?? "No answer";
  return { text, detail: "", line: text, emotion: null };
}

export function sure(emotion: string, share: number): Answer {
  return { text: capital(emotion), detail: `${confidence(share)} sure`, line: capital(emotion), emotion };
}

/** With the two likeliest classes. */
export function unsure(probabilities: Shares): Answer {
  const likeliest = sorted(probabilities).slice(0, 2);
  const detail = likeliest.map(([name, share]) => `${name} ${confidence(share)}`).join(", ");
  const line = ["Unsure", likeliest.map(([name]) => name).join(" or ")].filter(Boolean).join(": ");
  return { text: "Unsure", detail: detail && `likeliest: ${detail}`, line, emotion: UNSURE };
}

/** Emotions of an answer to less than half of the speech; nothing where no part was answered. */
function ofTheSpeech(shares: Shares): Partial<Answer> {
  const told = threeOf(emotionsOf(shares));
  return told ? { detail: `of the speech: ${told}`, line: "Unsure" } : {};
}

function emotionsOf(shares: Shares): [string, number][] {
  return sorted(shares).filter(([name]) => name !== UNSURE);
}

function threeOf(emotions: readonly [string, number][]): string {
  return emotions.slice(0, 3).map(([name, share]) => `${name} ${percent(share)}`).join(", ");
}

function mixed(shares: Shares): Answer {
  const emotions = emotionsOf(shares);
  const told = threeOf(emotions);
  const [longest] = emotions.at(0) ?? [UNSURE];
  return { text: "Mixed", detail: `several emotions${told && `: ${told}`}`, line: "Mixed: several emotions", emotion: longest };
}

/** The kinds, and of a single one how sure. */
export function burst(bursts: readonly VocalBurst[]): Answer {
  const kinds = [...new Set(bursts.map(({ kind }) => (kind === "other" ? "of another kind" : kind)))].join(", ");
  const detail = bursts.length === 1 ? `${kinds}, ${confidence(bursts[0].confidence)}` : kinds;
  const text = "Vocal burst";
  return { text, detail, line: kinds ? `${text}: ${kinds}` : text, emotion: null };
}

const TALK_S = 10; // of speech; less is hardly a talk

/**
 * Where of a talk more is told as emotional than as neutral, what may be wrong with that; "" elsewhere. As
 * `Prediction.is_emotional_talk` in Python.
 *
 * @param asked what it was asked for, see `askedInWords`
 */
export function talkNote({ speech_s: speechS, shares, probabilities }: Prediction, asked: string): string {
  const told = emotionsOf(shares ?? {});
  const sum = (some: [string, number][]): number => some.reduce((all, [, share]) => all + share, 0);
  const neutral = sum(told.filter(([name]) => ["neutral", "calm"].includes(name)));
  const isTalk = (speechS ?? 0) >= TALK_S && "neutral" in probabilities;
  if (asked !== "" || !isTalk || sum(told) <= 2 * neutral) return "";
  return "More of the speech is told as emotional than as neutral. When people talk and don't act, most of it is neutral: then switch on \u201cMost of it is neutral\u201d in the settings.";
}

/** Valence, arousal and dominance as far as the model tells them, 0 to 1; what is derived says so. */
export function affectOf({ affect, affect_derived: isDerived }: Pick<Prediction, "affect" | "affect_derived">): string | null {
  if (!affect) return null;
  const told = Object.entries(affect).flatMap(([name, value]) => (value === null ? [] : `${name} ${value.toFixed(2)}`));
  return `${told.join(", ")}${isDerived ? " (derived from emotions)" : ""}`;
}

/** The first one of equals. */
export function likeliestOf(shares: Shares): [string, number] {
  return Object.entries(shares).reduce((best, item) => (item[1] > best[1] ? item : best));
}

/**
 * By whom, and what tells the answer from the model's plain one: "small, adapted to this speaker, among 3 of 8 classes".
 *
 * @param asked what it was asked for, see `askedInWords`; "" where nobody knows any more
 */
export function answererOf({ model, adapted, probabilities }: Prediction, asked = ""): string {
  const isAnswered = Object.keys(probabilities).length > 0;
  return [model, adapted && "adapted to this speaker", isAnswered && asked].filter(Boolean).join(", ");
}

function sorted(shares: Shares): [string, number][] {
  return Object.entries(shares).sort(([, one], [, other]) => other - one);
}
