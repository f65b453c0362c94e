/** A kept recording as a JSON file, and back: what comes in is checked field by field. */

import type { Shares, Span, Status, Timeline, VocalBurst, Window } from "../../src/index.js";
import { unanswered } from "../../src/index.js";
import { isObject } from "../../src/given.js";

const FORMAT = "earnest-recording";
const VERSION = 1;
const MOST_ROWS = 50_000; // four hours, and some
const MOST_LETTERS = 1024;
const MOST_CLASSES = 256;
const STATUSES: readonly Status[] = ["ok", "unsure", "mixed", "vocal-burst", "no-speech", "too-short"]; // no "error"
const LONGEST_S = 4 * 3600 + 60;
export const MOST_BYTES = 20e6;

interface Exchanged {
  name: string;
  created: string;
  timeline: Timeline;
}

export function written({ name, created, timeline }: Exchanged): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, name, created, timeline })}\n`;
}

/** Read what `written` wrote; an `Error` says what is wrong. Fields that aren't known are left out. */
export function read(text: string): Exchanged {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON. Choose one that was exported under Recordings.");
  }
  if (!isObject(values) || values["format"] !== FORMAT || values["version"] !== VERSION) {
    throw new Error(`The file is not a recording of version ${VERSION}. Choose one that was exported under Recordings.`);
  }
  const { name, created, timeline } = values;
  return { name: textOf(name, "name"), created: date(created), timeline: timelineFrom(timeline) };
}

function timelineFrom(value: unknown): Timeline {
  const timeline = fields(value, "timeline");
  const probabilities = shares(timeline["probabilities"], "probabilities");
  const duration = timeline["duration_s"] === null ? null : number(timeline["duration_s"], "duration_s", 0, LONGEST_S);
  const word = textOf(timeline["status"], "status");
  const status = STATUSES.find((known) => known === word);
  if (!status) throw new Error("The file's status is unknown.");
  return {
    ...unanswered(textOf(timeline["path"], "path"), status, textOf(timeline["model"], "model")),
    duration_s: duration,
    speech_s: timeline["speech_s"] === null ? null : number(timeline["speech_s"], "speech_s", 0, LONGEST_S),
    emotion: timeline["emotion"] === null ? null : textOf(timeline["emotion"], "emotion"),
    confidence: timeline["confidence"] === null ? null : number(timeline["confidence"], "confidence", 0, 1),
    probabilities,
    polarity: timeline["polarity"] === null ? null : number(timeline["polarity"], "polarity", -1, 1),
    gender: timeline["gender"] === null ? null : (named(timeline["gender"], ["female", "male"], 0) as Timeline["gender"]),
    affect: timeline["affect"] === null ? null : affectFrom(timeline["affect"]),
    affect_derived: timeline["affect_derived"] === true,
    quality: rows(timeline["quality"], "quality").map((word) => textOf(word, "quality")),
    adapted: timeline["adapted"] === true,
    adaptation_weight: number(timeline["adaptation_weight"] ?? 0, "adaptation_weight", 0, 1), // older files have none
    shares: timeline["shares"] ? shares(timeline["shares"], "shares") : null,
    vocal_bursts: rows(timeline["vocal_bursts"] ?? [], "vocal_bursts").map(burst), // older files have none
    activity: textOf(timeline["activity"], "activity"),
    segments: rows(timeline["segments"], "segments").map((item) => extent(item)),
    spans: rows(timeline["spans"], "spans").map((item): Span => {
      const span = fields(item, "a span");
      return { ...extent(span), emotion: textOf(span["emotion"], "emotion"), confidence: number(span["confidence"], "confidence", 0, 1) };
    }),
    windows: rows(timeline["windows"], "windows").map((item): Window => {
      const window = fields(item, "a window");
      return { ...extent(window), probabilities: shares(window["probabilities"], "probabilities") };
    }),
  };
}

function burst(value: unknown): VocalBurst {
  const { kind, confidence } = fields(value, "a vocal burst");
  return { ...extent(value), kind: textOf(kind, "kind"), confidence: number(confidence, "confidence", 0, 1) };
}

function extent(value: unknown): { start_s: number; end_s: number } {
  const { start_s, end_s } = fields(value, "an extent");
  const start = number(start_s, "start_s", 0, LONGEST_S);
  return { start_s: start, end_s: number(end_s, "end_s", start, LONGEST_S) };
}

function shares(value: unknown, name: string): Shares {
  const entries = Object.entries(fields(value, name));
  if (entries.length > MOST_CLASSES) throw new Error(`The file has too many ${name}.`);
  return Object.fromEntries(entries.map(([key, share]) => [textOf(key, name), number(share, name, 0, 1)]));
}

/** Numbers by these names, from `least` to its counterpart (0 to 1, -10 to 10). */
function affectFrom(value: unknown): Timeline["affect"] {
  const sides = named(value, ["valence", "arousal"], -10) as { valence: number; arousal: number };
  const { dominance } = fields(value, "affect");
  return { ...sides, dominance: dominance === null ? null : number(dominance, "dominance", -10, 10) };
}

function named(value: unknown, names: readonly string[], least: number): Record<string, number> {
  const found = fields(value, names.join(" and "));
  return Object.fromEntries(names.map((name) => [name, number(found[name], name, least, least ? -least : 1)]));
}

function fields(value: unknown, name: string): Record<string, unknown> {
  if (!isObject(value)) throw new Error(`In the file, ${name} is not an object.`);
  return value;
}

function rows(value: unknown, name: string): unknown[] {
  if (!Array.isArray(value) || value.length > MOST_ROWS) throw new Error(`In the file, ${name} is not a list, or is too long.`);
  return value;
}

function textOf(value: unknown, name: string): string {
  if (typeof value !== "string" || value.length > MOST_LETTERS) throw new Error(`In the file, ${name} is not a text, or is too long.`);
  return value;
}

function number(value: unknown, name: string, least: number, most: number): number {
  if (typeof value !== "number" || !(value >= least && value <= most)) {
    throw new Error(`In the file, ${name} must be a number from ${least} to ${most}.`);
  }
  return value;
}

function date(value: unknown): string {
  const time = Date.parse(textOf(value, "created"));
  if (Number.isNaN(time)) throw new Error("In the file, created is not a date.");
  return new Date(time).toISOString();
}
