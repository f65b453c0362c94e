/** Probabilities as bars with names and numbers; the list itself is the accessible form. */

import type { Prediction, Shares } from "../../../src/index.js";
import { h } from "../dom.js";
import { colourOf } from "../emotions.js";
import { HIGHEST_SHOWN } from "../../../src/prediction.js";
import { confidence, percent } from "../words.js";

/** Show what was told about a recording: the share of each emotion where there are several, else probabilities. */
export function showAnswer(list: HTMLElement, { shares, probabilities }: Prediction): void {
  if (shares && Object.keys(shares).length > 1) showShares(list, shares);
  else showBars(list, probabilities);
}

/** Probabilities, up to what is told. */
export function showBars(list: HTMLElement, probabilities: Shares): void {
  show(list, "Probabilities", probabilities, (share) => Math.min(share, HIGHEST_SHOWN), confidence);
}

/** Shares of the time in which somebody spoke. */
export function showShares(list: HTMLElement, shares: Shares): void {
  show(list, "Share of the spoken time", shares, (share) => share, percent);
}

/** In their own order, so that bars don't jump. */
function show(
  list: HTMLElement,
  title: string,
  shares: Shares,
  lengthOf: (share: number) => number,
  told: (share: number) => string,
): void {
  const names = Object.keys(shares);
  list.setAttribute("aria-label", title); // shown above the bars too, where no heading says it
  if (list.dataset["names"] !== names.join()) {
    list.dataset["names"] = names.join();
    list.classList.add("bars");
    list.replaceChildren(...names.map((name) => bar(name)));
  }
  const most = Math.max(...Object.values(shares));
  names.forEach((name, index) => {
    const item = list.children[index];
    item.classList.toggle("most", shares[name] === most && most > 0);
    item.querySelector<HTMLElement>(".fill")!.style.width = `${100 * lengthOf(shares[name])}%`;
    item.querySelector(".share")!.textContent = told(shares[name]);
  });
}

function bar(name: string): HTMLElement {
  const fill = h("span", { class: "fill" });
  fill.style.background = colourOf(name);
  const track = h("span", { class: "track", "aria-hidden": "true" }, fill);
  return h("li", {}, h("span", { class: "name" }, name), track, h("span", { class: "share" }));
}

/** A dot in an emotion's colour. */
export function dot(emotion: string): HTMLElement {
  const made = h("span", { class: "dot", "aria-hidden": "true" });
  made.style.background = colourOf(emotion);
  return made;
}

const QUALITY: Partial<Record<string, string>> = {
  clipped: "too loud, cut off at full scale",
  "low-bandwidth": "of telephone bandwidth",
  noisy: "noisy",
  "too-quiet": "too quiet",
  "overlapped-speech": "of several people at once",
  "out-of-domain": "unlike what the model learnt from",
};

export const SEPARATE = "separate-channels";
/** Sentences for words of `quality`: the part of the file that was heard. */
const HEARD: Partial<Record<string, string>> = {
  [SEPARATE]: "Its channels take turns, like two sides of a call: the answer is about their mean.",
  "other-tracks": "It has more sound tracks; the first was heard.",
};

const LESS = ": trust the answer less";
/** Status → what bad sound means for it; for all others it may be the reason that nothing more is told. */
const MEANS: Partial<Record<string, string>> = { ok: LESS, mixed: LESS, "too-short": "" };

/** Quality words in sentences, "" for none. */
export function qualityOf({ quality, status }: Pick<Prediction, "quality" | "status">): string {
  const bad = quality.filter((word) => !HEARD[word]).map((word) => QUALITY[word] ?? word);
  const means = MEANS[status] ?? ": that may be why there is no emotion";
  const sentences = bad.length ? [`This recording is ${bad.join(", ")}${means}.`] : [];
  return [...sentences, ...quality.flatMap((word) => HEARD[word] ?? [])].join(" ");
}
