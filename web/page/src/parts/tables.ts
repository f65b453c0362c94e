/** Windows and spans as tables: the same numbers as the pictures. */

import type { Span, Window } from "../../../src/index.js";
import { h, table } from "../dom.js";
import { clock, percent } from "../words.js";
import { dot } from "./bars.js";

export function windowTable(caption: string, windows: readonly Window[]): HTMLTableElement {
  const names = Object.keys(windows.at(-1)?.probabilities ?? {});
  const rows = windows.map(({ start_s, end_s, probabilities }) => [
    `${clock(start_s)} – ${clock(end_s)}`,
    ...names.map((name) => percent(probabilities[name] ?? 0, 1)),
  ]);
  return table(caption, ["heard", ...names], rows);
}

/** @param onPlay called with a span's start; without it there are no buttons */
export function spanTable(spans: readonly Span[], onPlay: ((startS: number) => void) | null): HTMLTableElement {
  const rows = spans.map(({ start_s, end_s, emotion, confidence }) => {
    const times = `${clock(start_s)} – ${clock(end_s)}`;
    const play = h("button", { type: "button", class: "small", "aria-label": `Play from ${clock(start_s)}`, click: () => onPlay?.(start_s) }, "Play");
    return [times, h("span", { class: "with-dot" }, dot(emotion), emotion), percent(confidence), ...(onPlay ? [play] : [])];
  });
  return table("Segments", ["when", "emotion", "confidence", ...(onPlay ? ["listen"] : [])], rows);
}
