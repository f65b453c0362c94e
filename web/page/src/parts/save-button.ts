/** Save what was answered as a file, in a format of one's choice. */

import { asChosen } from "../chosen.js";
import { byId, download, fillSelect, onClick } from "../dom.js";
import { type FormatName, FORMATS } from "../exports.js";
import type { Named } from "./keep-button.js";

const ENDING = /\.[^.#\s]*\p{L}[^.#\s]*(#\d+)?$/u; // of a file's name; "10.15" in a name is a time

/** @param view whose #…-format and #…-export these are */
export function saveButton(view: "clip" | "live", given: () => Named | null, done: (what: Named) => void = () => undefined): void {
  const format = byId<HTMLSelectElement>(`${view}-format`);
  fillSelect(format, Object.entries(FORMATS).map(([name, { title }]) => [name, title]), "json");
  onClick(`${view}-export`, () => {
    const what = given();
    if (!what) return;
    const { suffix, type, written } = FORMATS[format.value as FormatName];
    download(written(asChosen(what.timeline)), `${what.name.replace(ENDING, "$1")}.${suffix}`, type);
    done(what);
  });
}
