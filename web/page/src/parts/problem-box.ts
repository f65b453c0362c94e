/** The box for a view's error message and its remedy; read out at once. */

import { h } from "../dom.js";
import { isOutdated, OUTDATED, type Problem, problemOf } from "../problems.js";

export class ProblemBox {
  constructor(private readonly place: HTMLElement) {
    place.setAttribute("role", "alert");
  }

  /** @param again what a button does that tries again */
  show(error: unknown, again?: () => void): void {
    const box = this.tell(problemOf(error), again);
    void isOutdated().then((is) => {
      if (is && box.isConnected) this.tell(OUTDATED);
    });
  }

  tell({ title, advice }: Problem, again?: () => void): HTMLElement {
    const button = again ? h("button", { type: "button", class: "small", click: again }, "Try again") : null;
    const box = h("div", { class: "problem" }, h("strong", {}, title), h("p", {}, advice), button);
    this.place.replaceChildren(box);
    return box;
  }

  clear(): void {
    this.place.replaceChildren();
  }
}
