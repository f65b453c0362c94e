/** Controls that find recordings in a long list: a part of their names, one answer alone, an order. */

import { byId, fillSelect, say } from "../dom.js";
import type { Job } from "../job.js";
import { counts, inOrder, isSought, type Order } from "../listed.js";

const MANY = 6; // fewer are seen at once

export class Finder {
  private readonly text = byId<HTMLInputElement>("files-search");
  private readonly label = byId<HTMLSelectElement>("files-show");
  private readonly order = byId<HTMLSelectElement>("files-sort");
  private offered = "";

  constructor(
    private readonly list: HTMLElement,
    private readonly jobs: readonly Job[],
    private readonly rows: ReadonlyMap<Job, HTMLElement>,
  ) {
    const look = (): void => {
      say(byId("files-said"), this.arrange());
      list.scrollTop = 0;
    };
    this.text.addEventListener("input", look);
    this.label.addEventListener("change", look);
    this.order.addEventListener("change", look);
  }

  /** Show the rows that are looked for, in their order; return how many they are. A row that has the keyboard stays. */
  arrange(): string {
    this.offer();
    const active = document.activeElement as HTMLElement | null;
    let nShown = 0;
    inOrder(this.jobs, this.order.value as Order).forEach((job, place) => {
      const row = this.rows.get(job)!;
      row.hidden = !isSought(job, this.text.value, this.label.value) && !row.contains(active);
      if (!row.hidden) nShown++;
      if (this.list.children[place] !== row) this.list.insertBefore(row, this.list.children[place]);
    });
    if (active !== document.activeElement) active?.focus({ preventScroll: true }); // it was moved
    const told = `${nShown} of ${this.jobs.length} shown`;
    byId("files-shown").textContent = nShown < this.jobs.length ? `${told}; the buttons above are about all` : "";
    return `${told}.`;
  }

  /** The answers that there are, with counts; of few recordings nothing, and all are shown as they were added. */
  private offer(): void {
    const isMany = this.jobs.length >= MANY;
    byId("files-find").hidden = !isMany;
    if (!isMany) [this.text.value, this.label.value, this.order.value] = ["", "", "added"];
    const chosen = this.label.value;
    const found = counts(this.jobs);
    if (chosen && !found.has(chosen)) found.set(chosen, 0);
    const options = [["", "All"] as [string, string], ...[...found].map(([label, n]): [string, string] => [label, `${label} (${n})`])];
    if (this.offered === String(options)) return; // it may be open
    this.offered = String(options);
    fillSelect(this.label, options, chosen);
  }
}
