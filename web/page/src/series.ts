/** Windows and spans → what charts and sums show. Plain functions. */

import { polarityOf, type Prediction, type Shares, type Span, type Timeline, unanswered, type VocalBurst, type Window } from "../../src/index.js";
import { UNSURE } from "../../src/smoothing.js";
import { Tally } from "../../src/tally.js";

export const BAROMETER_WINDOWS = 5;

/** The classes in the order of a timeline's windows. */
export function classesOf(windows: readonly Window[], shares: Shares): string[] {
  return Object.keys(windows.length ? windows[0].probabilities : shares);
}

/** A stretch of time with one mean of all windows that reach into it; shares are in the order of the classes. */
interface Cell {
  startS: number;
  endS: number;
  shares: number[];
}

/** Divide a stretch of time into equal steps; steps without speech are left out, equal neighbours are one cell. */
export function sharesOverTime(
  windows: readonly Window[],
  classes: readonly string[],
  startS: number,
  endS: number,
  nSteps: number,
): Cell[] {
  const step = (endS - startS) / nSteps;
  const heard: Window[][] = Array.from({ length: nSteps }, () => []);
  for (const window of windows) {
    const first = Math.max(Math.floor((window.start_s - startS) / step), 0);
    const last = Math.min(Math.max(first + 1, Math.round((window.end_s - startS) / step)), nSteps);
    for (let index = first; index < last; index++) heard[index].push(window);
  }
  const cells: Cell[] = [];
  heard.forEach((those, index) => {
    const before = heard[index - 1] as Window[] | undefined;
    const [from, to] = [startS + index * step, startS + (index + 1) * step];
    if (!those.length) return;
    if (before?.length === those.length && before.every((window, place) => window === those[place])) cells.at(-1)!.endS = to;
    else cells.push({ startS: from, endS: to, shares: classes.map((name) => meanOf(those, name)) });
  });
  return cells;
}

function meanOf(windows: readonly Window[], name: string): number {
  return windows.reduce((sum, { probabilities }) => sum + (probabilities[name] ?? 0), 0) / windows.length;
}

/** Number of changes of the emotion. */
export function changesOf(spans: readonly Span[]): number {
  return spans.filter(({ emotion }, index) => index > 0 && emotion !== spans[index - 1].emotion).length;
}

/** Emotion → share of all spoken seconds, the largest first. */
export function shareOfTime(spans: readonly Span[]): Shares {
  const seconds = new Map<string, number>();
  let all = 0;
  for (const { emotion, start_s: start, end_s: end } of spans) {
    seconds.set(emotion, (seconds.get(emotion) ?? 0) + end - start);
    all += end - start;
  }
  return Object.fromEntries([...seconds].sort(([, one], [, other]) => other - one).map(([name, value]) => [name, value / all]));
}

/**
 * A broken recording's events so far, as a timeline: its answer follows the same rules.
 *
 * @param abstainBelow confidence below which an answer is "unsure"
 */
export function brokenOff(model: string, abstainBelow: number, windows: Window[], spans: Span[], bursts: VocalBurst[]): Timeline {
  const seconds = ({ start_s: start, end_s: end }: Window | Span): number => end - start;
  const tally = new Tally(1, classesOf(windows, {}), abstainBelow); // in seconds: only ratios count
  for (const window of windows) tally.add({ probabilities: Object.values(window.probabilities) }, seconds(window));
  for (const span of spans) {
    tally.hold({ kind: span.emotion === UNSURE ? "unsure" : "emotion", name: span.emotion }, seconds(span), span.confidence);
  }
  tally.bursts.push(...bursts);
  const endS = Math.max(...[...windows, ...bursts].map(({ end_s: end }) => end), 0);
  const measured: Prediction = { ...unanswered("", "no-speech", model), duration_s: endS, speech_s: tally.nSpeech };
  return { ...tally.answer(measured, windows.length > 1), activity: "", segments: [], spans, windows };
}

/** Whether a class is pleasant or unpleasant; words of one's own are neither. */
function hasPolarity(probabilities: Shares): boolean {
  return Object.keys(probabilities).some((name) => polarityOf({ [name]: 1 }) !== 0);
}

/** Mean of the polarities of the last windows, -1 to 1; null before the first one, and where no class has any. */
export function barometer(windows: readonly Window[], count = BAROMETER_WINDOWS): number | null {
  const last = windows.slice(-count);
  if (!last.length || !hasPolarity(last[0].probabilities)) return null;
  return last.reduce((sum, { probabilities }) => sum + polarityOf(probabilities), 0) / last.length;
}

/** Number of points that a rollercoaster's smoothing joins: more where it jumps and where there are many (Moody's rule). */
export function smoothingWidth(values: readonly number[]): number {
  if (!values.length) return 1;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return Math.max(Math.floor(10 * deviation + Math.log(values.length)), 1);
}

/** Each value's mean with those before it, `width` in all; at the start with as many as there are. */
export function movingAverage(values: readonly number[], width: number): number[] {
  return values.map((_, index) => {
    const part = values.slice(Math.max(index - width + 1, 0), index + 1);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

/** Polarity over time, smoothed: [seconds, -1 to 1] at each window's middle; none where no class has any. */
export function rollercoaster(windows: readonly Window[]): [number, number][] {
  if (!windows.length || !hasPolarity(windows[0].probabilities)) return [];
  const values = windows.map(({ probabilities }) => polarityOf(probabilities));
  const smooth = movingAverage(values, smoothingWidth(values));
  return windows.map(({ start_s: start, end_s: end }, index) => [(start + end) / 2, smooth[index]]);
}
