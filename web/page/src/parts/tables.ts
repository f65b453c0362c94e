/** Windows and spans as tables: the same numbers as the pictures. */

import type { Span, VocalBurst, Window } from "../../../src/index.js";
import { h, table } from "../dom.js";
import { clock, confidence as shown } from "../words.js";
import { dot } from "./bars.js";

export function windowTable(caption: string, windows: readonly Window[]): HTMLTableElement {
  const names = Object.keys(windows.at(-1)?.probabilities ?? {});
  const rows = windows.map(({ start_s, end_s, probabilities }) => [
    `${clock(start_s)} – ${clock(end_s)}`,
    ...names.map((name) => shown(probabilities[name] ?? 0, 1)),
  ]);
  return table(caption, ["heard", ...names], rows);
}

/**
 * Spans of speech and vocal bursts, in order of time.
 *
 * @param onPlay called with a row's start; without it there are no buttons
 */
export function spanTable(
  spans: readonly Span[],
  bursts: readonly VocalBurst[],
  onPlay: ((startS: number) => void) | null,
): HTMLTableElement {
  const told = [
    ...spans.map((span) => ({ ...span, name: h("span", { class: "with-dot" }, dot(span.emotion), span.emotion) })),
    ...bursts.map((burst) => ({ ...burst, name: `vocal burst: ${burst.kind}` })),
  ].sort((one, other) => one.start_s - other.start_s);
  const rows = told.map(({ start_s, end_s, name, confidence }) => {
    const times = `${clock(start_s)} – ${clock(end_s)}`;
    const play = h("button", { type: "button", class: "small", "aria-label": `Play from ${clock(start_s)}`, click: () => onPlay?.(start_s) }, "Play");
    return [times, name, shown(confidence), ...(onPlay ? [play] : [])];
  });
  return table("Spans", ["when", "emotion", "confidence", ...(onPlay ? ["listen"] : [])], rows);
}
