/** Keep what was answered in this browser: results, never sound. */

import type { Timeline } from "../../../src/index.js";
import { asChosen } from "../chosen.js";
import { h } from "../dom.js";
import { notStored } from "../problems.js";
import { identity, keep } from "../store.js";

export interface Named {
  name: string;
  timeline: Timeline;
}

export function keepButton(given: () => Named | null, done: (what: Named) => void = () => undefined): HTMLElement {
  const id = identity(); // pressed again, it is the same recording
  const said = h("span", { role: "status" });
  const work = async (): Promise<void> => {
    const what = given();
    if (!what) return;
    try {
      await keep(what.name, { ...asChosen(what.timeline), path: what.name }, id);
      said.replaceChildren("Kept under ", h("a", { href: "#/recordings" }, "Recordings"), ".");
      document.dispatchEvent(new Event("kept"));
      done(what);
    } catch (error) {
      const { title, advice } = notStored(error);
      said.textContent = `${title}. ${advice}`;
    }
  };
  const button = h("button", { type: "button", click: () => void work() }, "Keep the result");
  return h("span", { class: "row" }, button, said);
}
