/** Scores of a model that was learnt here: one honest table. */

import type { ClassResult, Summary } from "../../../src/index.js";
import { h, scrolling, table } from "../dom.js";
import type { Unusable } from "../own/classes.js";
import { counted, percent, spread } from "../words.js";

const MOST_NAMED = 200;
const NOTHING_STANDS_OUT = "Nothing stands out. “earnest learn” also measures whether more of the same kind may help.";

export function showLearnt(place: HTMLElement, summary: Summary, unusable: readonly Unusable[]): void {
  place.replaceChildren(
    ...summary.warnings.map((warning) => h("p", { class: warning.startsWith("NOT") ? "problem" : "note" }, warning)),
    h("p", { class: "faint" }, "Each recording was answered by a model that had not learnt from it:"),
    h("dl", { class: "facts" }, ...lines(summary, unusable).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    scrolling(table("Each class", ["class", "recordings", "speakers", "recognised", "most often taken for"], summary.classes.map(classRow))),
    h("h4", {}, "What would help most"),
    h("ul", { class: "advice" }, ...(summary.advice.length ? summary.advice : [NOTHING_STANDS_OUT]).map((text) => h("li", {}, text))),
    ...refused(unusable),
  );
}

function lines(summary: Summary, unusable: readonly Unusable[]): string[][] {
  const { n, nSpeakers, hours, folds, classes, wa, waSd, ua, uaOverFolds, uaSd, ece, eceByChance } = summary;
  const kind = summary.speakerIndependent ? "speaker-independent" : "NOT speaker-independent";
  return [
    ["recordings", `${n}${unusable.length ? ` (${unusable.length} could not be used)` : ""}, ${(60 * hours).toFixed(1)} min`],
    ["speakers", nSpeakers ? String(nSpeakers) : "unknown"],
    ["tested", `${kind}, ${folds}`],
    ["right answers (WA)", `${spread(wa, waSd)} over folds`],
    ["mean recall of the classes (UA)", `${spread(uaOverFolds, uaSd)} over folds, ${percent(ua, 1)} over all recordings, by chance ${percent(1 / classes.length, 1)}`],
    ["calibration error (ECE)", `${ece.toFixed(3)}, by chance alone ${eceByChance.toFixed(3)}`],
  ];
}

function classRow({ name, n, nSpeakers, recall, takenFor, takenShare }: ClassResult): string[] {
  return [name, String(n), nSpeakers ? String(nSpeakers) : "?", percent(recall, 1), takenShare ? `${takenFor} ${percent(takenShare)}` : "–"];
}

function refused(unusable: readonly Unusable[]): HTMLElement[] {
  if (!unusable.length) return [];
  const rows = unusable.slice(0, MOST_NAMED).map(({ name, reason }) => h("li", {}, h("strong", {}, name), `: ${reason}`));
  return [h("details", {}, h("summary", {}, `${counted(unusable.length, "recording")} could not be used`), h("ul", { class: "advice" }, ...rows))];
}
