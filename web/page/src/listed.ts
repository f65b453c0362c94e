/** Which recordings of the list are shown, and in which order. */

import { answerOf } from "./answer.js";
import type { Job } from "./job.js";

export type Order = "added" | "name" | "emotion" | "most-sure" | "least-sure";

const collator = new Intl.Collator(undefined, { numeric: true }); // "call 2" before "call 10"

const BY: Record<Exclude<Order, "added">, (one: Job, other: Job) => number> = {
  name: (one, other) => collator.compare(one.name, other.name),
  emotion: (one, other) => rankOf(one) - rankOf(other) || collator.compare(labelOf(one), labelOf(other)),
  "most-sure": (one, other) => confidenceOf(other, -1) - confidenceOf(one, -1),
  "least-sure": (one, other) => confidenceOf(one, 2) - confidenceOf(other, 2),
};

/** Those that wait for an answer stand at the end, in the order in which they are answered. */
export function inOrder(jobs: readonly Job[], order: Order): Job[] {
  if (order === "added") return [...jobs];
  return [...jobs.filter(({ isOpen }) => !isOpen).sort(BY[order]), ...jobs.filter(({ isOpen }) => isOpen)];
}

/**
 * Whether a recording is among those that are looked for.
 *
 * @param text a part of its name, "" for any
 * @param label "" for any; what waits for an answer may still get this one
 */
export function isSought(job: Job, text: string, label: string): boolean {
  return folded(job.name).includes(folded(text)) && (!label || job.isOpen || labelOf(job) === label);
}

/** Label → how many recordings have it: emotions first, then other answers, then what has none. */
export function counts(jobs: readonly Job[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const label of inOrder(jobs, "emotion").map(labelOf).filter(Boolean)) found.set(label, (found.get(label) ?? 0) + 1);
  return found;
}

/** The answer in a word or two, or why there is none; "" while one is waited for. */
function labelOf({ state, canTryAgain }: Job): string {
  if (state.is === "done") return answerOf(state.clip.timeline).text;
  if (canTryAgain) return "Not answered";
  return state.is === "failed" ? "Can't be used" : "";
}

function rankOf({ state }: Job): number {
  if (state.is !== "done") return 2;
  return state.clip.timeline.status === "ok" ? 0 : 1;
}

function confidenceOf({ state }: Job, otherwise: number): number {
  return (state.is === "done" ? state.clip.timeline.confidence : null) ?? otherwise;
}

/** As somebody types it: a Mac writes "ü" of a file's name as two characters. */
function folded(text: string): string {
  return text.normalize("NFKC").toLowerCase();
}
