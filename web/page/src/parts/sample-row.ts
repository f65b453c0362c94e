/** A row of the clips that come with the page, to press. */

import type { App } from "../app.js";
import { enable, h } from "../dom.js";

/** @param onChoose called with a clip's file name; the row waits until it is done */
export function sampleRow(place: HTMLElement, app: App, onChoose: (name: string) => Promise<void>): void {
  let isBusy = false;
  const buttons = app.site.clips.map((name) => {
    const press = async (): Promise<void> => {
      isBusy = true;
      update();
      await onChoose(name);
      isBusy = false;
      update();
    };
    return h("button", { type: "button", class: "small", click: () => void press() }, titleOf(name));
  });
  const update = (): void => {
    for (const button of buttons) enable(button, !isBusy && Boolean(app.engine));
  };
  app.addEventListener("engine", update);
  update();
  place.setAttribute("role", "group");
  place.setAttribute("aria-label", "Try a sample");
  place.append("Try a sample:", ...buttons, h("span", { class: "faint" }, "Synthetic speech: it shows how this works, not how well."));
  place.hidden = !buttons.length;
}

/** "loud-and-fast.flac" → "loud and fast" */
export function titleOf(name: string): string {
  return name.replace(/\.\w+$/, "").replaceAll("-", " ");
}
