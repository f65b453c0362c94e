/** Recordings kept in this browser: opened, named, handed on, deleted. */

import { answerOf } from "../answer.js";
import { asChosen } from "../chosen.js";
import { byId, download, h, table } from "../dom.js";
import { MOST_BYTES, read, written } from "../exchange.js";
import { dot, qualityOf } from "../parts/bars.js";
import { ProblemBox } from "../parts/problem-box.js";
import { Summary } from "../parts/summary.js";
import { sure } from "../parts/sure.js";
import { spanTable } from "../parts/tables.js";
import { TimelinePicture } from "../parts/timeline-picture.js";
import { notStored } from "../problems.js";
import { classesOf } from "../series.js";
import { allKept, forget, type Kept, keep, put } from "../store.js";
import { clock, counted } from "../words.js";

export function recordingsView(): void {
  new RecordingsView();
}

class RecordingsView {
  private readonly others = otherTabs();
  private opened: Kept | null = null;
  private readonly names = new Map<string, () => void>(); // shows a recording's name in its row, in place
  private readonly problem = new ProblemBox(byId("recordings-problem"));
  private readonly summary = new Summary(byId("kept-summary"));
  private readonly picture = new TimelinePicture(byId("kept-timeline"), byId("kept-legend"));
  private readonly name = byId<HTMLInputElement>("kept-name");

  constructor() {
    const input = byId<HTMLInputElement>("import");
    input.addEventListener("change", () => void this.take(input));
    this.name.addEventListener("change", () => void this.told(() => this.rename()));
    byId("kept").hidden = true;
    document.addEventListener("kept", () => void this.changed());
    this.others?.addEventListener("message", () => void this.list());
    void this.list();
  }

  private async list(): Promise<void> {
    const found = await allKept().catch((error: unknown) => {
      this.problem.tell(notStored(error));
      return null;
    });
    if (found) this.follow(found);
    const all = found ?? [];
    this.names.clear();
    byId("recordings-empty").hidden = all.length > 0;
    const columns = ["name", "kept", "length", "all in all", "what to do"];
    byId("recordings-list").replaceChildren(...(all.length ? [table("Kept in this browser", columns, all.map((kept) => this.row(kept)))] : []));
  }

  /** What is open may have been deleted, or named anew, in another tab. */
  private follow(all: readonly Kept[]): void {
    if (!this.opened) return;
    const { id } = this.opened;
    this.opened = all.find((kept) => kept.id === id) ?? null;
    if (!this.opened) this.open(null);
    else if (document.activeElement !== this.name) this.tellName(this.opened.name);
  }

  private tellName(name: string): void {
    byId("kept-title").textContent = name;
    this.name.value = name;
  }

  /** Show what there is now, here and in other tabs. */
  private async changed(): Promise<void> {
    this.others?.postMessage(null);
    await this.list();
  }

  private row(kept: Kept): (Node | string)[] {
    const { created, timeline } = kept;
    const { line, emotion } = answerOf(timeline);
    const buttons = [
      button("Open", () => {
        this.open(kept);
        byId("kept-title").focus();
      }),
      button("Export", () => {
        download(written({ ...kept, timeline: asChosen(timeline) }), `${kept.name.replace(/[^\p{L}\p{N} ._-]+/gu, "_")}.json`, "application/json");
      }),
      button("Delete", () => void this.told(() => this.remove(kept))),
    ];
    const when = new Date(created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const answer = h("span", { class: "with-dot" }, emotion ? dot(emotion) : null, line);
    const name = h("span");
    const show = (): void => {
      name.textContent = kept.name;
      for (const one of buttons) one.setAttribute("aria-label", `${one.textContent} ${kept.name}`);
    };
    show();
    this.names.set(kept.id, show);
    return [name, when, clock(timeline.duration_s ?? 0), answer, h("span", { class: "row" }, ...buttons)];
  }

  private open(kept: Kept | null): void {
    this.opened = kept;
    byId("kept").hidden = kept === null;
    if (!kept) return;
    const { timeline } = kept;
    this.tellName(kept.name);
    byId("kept-quality").textContent = qualityOf(timeline);
    const classes = classesOf(timeline.windows, timeline.probabilities);
    const hasTime = timeline.windows.length + timeline.vocal_bursts.length > 0;
    byId("kept-timeline").hidden = byId("kept-tables").hidden = !hasTime;
    this.picture.chart.resize();
    this.picture.show({ startS: 0, endS: Math.max(timeline.duration_s ?? 0, 0.1), classes, windows: timeline.windows, spans: timeline.spans, bursts: timeline.vocal_bursts, peaks: null });
    if (timeline.windows.length) this.summary.show(timeline);
    else this.summary.hide();
    byId("kept-spans").replaceChildren(spanTable(timeline.spans, timeline.vocal_bursts, null));
  }

  private async told(work: () => Promise<void>): Promise<void> {
    this.problem.clear();
    await work().catch((error: unknown) => {
      this.problem.tell(notStored(error));
    });
  }

  /** In place: a button of the list that is being pressed must stay. */
  private async rename(): Promise<void> {
    const { opened } = this;
    const name = this.name.value.trim();
    if (!opened) return;
    if (!name) {
      this.name.value = opened.name; // a recording has one
      return;
    }
    await put({ ...opened, name });
    opened.name = name;
    this.names.get(opened.id)?.();
    if (this.opened === opened) byId("kept-title").textContent = name;
    this.others?.postMessage(null);
  }

  private async remove(kept: Kept): Promise<void> {
    if ((await sure(`Delete “${kept.name}”? You can't undo this.`)) !== "delete") return;
    await forget(kept.id);
    await this.changed();
    byId("recordings-title").focus();
  }

  private async take(input: HTMLInputElement): Promise<void> {
    this.problem.clear();
    const refused: string[] = [];
    for (const file of input.files ?? []) {
      try {
        if (file.size > MOST_BYTES) throw new Error("The file is larger than 20 MB. Choose one that was exported under Recordings.");
        const { name, created, timeline } = read(await file.text());
        await put({ ...(await keep(name, timeline)), created });
      } catch (error) {
        refused.push(`${file.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    if (refused.length) this.problem.tell({ title: `${counted(refused.length, "file")} can't be imported`, advice: refused.join(" ") });
    input.value = "";
    await this.changed();
  }
}

/** Tabs and windows with the same page; null where the browser blocks all that a page could store. */
function otherTabs(): BroadcastChannel | null {
  try {
    return new BroadcastChannel("earnest.recordings");
  } catch {
    return null;
  }
}

function button(text: string, work: () => void): HTMLElement {
  return h("button", { type: "button", class: "small", click: work }, text);
}
