/** The box for a view's error message and its remedy; read out at once. */

import { h } from "../dom.js";
import { type Problem, problemOf } from "../problems.js";

export class ProblemBox {
  constructor(private readonly place: HTMLElement) {
    place.setAttribute("role", "alert");
  }

  /** @param again what a button does that tries again */
  show(error: unknown, again?: () => void): void {
    this.tell(problemOf(error), again);
  }

  tell({ title, advice }: Problem, again?: () => void): void {
    const button = again ? h("button", { type: "button", class: "small", click: again }, "Try again") : null;
    const box = h("div", { class: "problem" }, h("strong", {}, title), h("p", {}, advice), button);
    this.place.replaceChildren(box);
  }

  clear(): void {
    this.place.replaceChildren();
  }
}
