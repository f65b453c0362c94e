/** Where a view says what went wrong and what to do; read out at once. */

import { h } from "../dom.js";
import { type Problem, problemOf } from "../problems.js";

export class ProblemBox {
  constructor(private readonly place: HTMLElement) {
    place.setAttribute("role", "alert");
  }

  show(error: unknown): void {
    this.tell(problemOf(error));
  }

  tell({ title, advice }: Problem): void {
    const box = h("div", { class: "problem" }, h("strong", {}, title), h("p", {}, advice));
    this.place.replaceChildren(box);
  }

  clear(): void {
    this.place.replaceChildren();
  }
}
