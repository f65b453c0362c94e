/** Probabilities as bars with names and numbers; the list itself is the accessible form. */

import type { Shares } from "../../../src/index.js";
import { h } from "../dom.js";
import { colourOf } from "../emotions.js";
import { percent } from "../words.js";

/** Show the shares in the list, in their own order, so that bars don't jump. */
export function showBars(list: HTMLElement, shares: Shares): void {
  const names = Object.keys(shares);
  if (list.dataset["names"] !== names.join()) {
    list.dataset["names"] = names.join();
    list.classList.add("bars");
    list.replaceChildren(...names.map((name) => bar(name)));
  }
  const most = Math.max(...Object.values(shares));
  names.forEach((name, index) => {
    const item = list.children[index];
    item.classList.toggle("most", shares[name] === most && most > 0);
    item.querySelector<HTMLElement>(".fill")!.style.width = `${100 * shares[name]}%`;
    item.querySelector(".share")!.textContent = percent(shares[name]);
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
  "low-bandwidth": "telephone bandwidth",
  noisy: "noisy",
  "out-of-domain": "unlike what the model knows",
};

/** Quality words as a sentence, "" for none. */
export function qualityOf(words: readonly string[]): string {
  return words.length ? `This recording is ${words.map((word) => QUALITY[word] ?? word).join(", ")}: trust the answer less.` : "";
}
