/** Several recordings side by side, on one axis of time. */

import type { Timeline } from "../../../src/index.js";
import { answererOf, answerOf } from "../answer.js";
import type { App } from "../app.js";
import { byId, enable, h, onClick, say } from "../dom.js";
import { dot, qualityOf, showAnswer } from "../parts/bars.js";
import { ProblemBox } from "../parts/problem-box.js";
import { showLegend, TimelinePicture } from "../parts/timeline-picture.js";
import { samples } from "../samples.js";
import { classesOf } from "../series.js";
import { allKept } from "../store.js";
import { clock, counted } from "../words.js";

const MOST = 6;

interface Candidate {
  id: string;
  name: string;
  timeline: Timeline;
  /** of the model; 0 where that isn't known any more */
  asked: string;
}

export function compareView(app: App): void {
  new CompareView(app);
}

class CompareView {
  private readonly chosen = new Set<string>();
  private readonly known = new Set<string>();
  private pictures: TimelinePicture[] = [];
  private drawn = ""; // which recordings, by which names
  private readonly problem = new ProblemBox(byId("compare-problem"));
  private isSeen = false;

  constructor(private readonly app: App) {
    document.addEventListener("view", (event) => {
      this.isSeen = (event as CustomEvent<string>).detail === "compare";
      void this.offer();
    });
    app.addEventListener("clips", () => void this.offer());
    onClick("compare-samples", () => this.addSamples());
    this.isSeen = location.hash === "#/compare";
    void this.offer();
  }

  private async addSamples(): Promise<void> {
    const button = byId("compare-samples");
    enable(button, false);
    this.problem.clear();
    say(byId("compare-said"), "Hearing the samples …");
    let n = 0;
    try {
      for await (const clip of samples(this.app)) {
        this.app.add(clip);
        n++;
      }
      say(byId("compare-said"), n ? `${counted(n, "sample")} added.` : "All samples are there already.");
    } catch (error) {
      say(byId("compare-said"), "");
      this.problem.show(error);
    }
    enable(button, true);
  }

  /** List what there is; what is new is chosen as long as there is room. */
  private async offer(): Promise<void> {
    if (!this.isSeen) return;
    const kept = await allKept().catch(() => []);
    const candidates: Candidate[] = [...this.app.clips, ...kept.map(({ id, name, timeline }) => ({ id, name: `${name} (kept)`, timeline, asked: "" }))];
    for (const { id } of this.app.clips) {
      if (!this.known.has(id) && this.chosen.size < MOST) this.chosen.add(id);
      this.known.add(id);
    }
    for (const id of [...this.chosen]) if (!candidates.some((candidate) => candidate.id === id)) this.chosen.delete(id);
    byId("compare-empty").hidden = candidates.length > 0;
    const focused = document.activeElement?.getAttribute("value");
    const choices = byId("compare-choices");
    choices.replaceChildren(choices.querySelector("legend")!, ...candidates.map((candidate) => this.choice(candidate, candidates)));
    const inputs = [...choices.querySelectorAll("input")];
    inputs.find(({ value }) => value === focused)?.focus({ preventScroll: true }); // made anew with each recording that is answered
    this.draw(candidates);
  }

  private choice({ id, name }: Candidate, candidates: readonly Candidate[]): HTMLElement {
    const box = h("input", { type: "checkbox", value: id, checked: this.chosen.has(id), disabled: !this.chosen.has(id) && this.chosen.size >= MOST });
    box.addEventListener("change", () => {
      if (box.checked) this.chosen.add(id);
      else this.chosen.delete(id);
      for (const other of byId("compare-choices").querySelectorAll("input")) other.disabled = !other.checked && this.chosen.size >= MOST;
      this.draw(candidates);
    });
    return h("label", { class: "choice" }, box, name);
  }

  private draw(candidates: readonly Candidate[]): void {
    const seen = candidates.filter(({ id }) => this.chosen.has(id));
    const drawn = JSON.stringify(seen.map(({ id, name }) => [id, name]));
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    for (const picture of this.pictures) picture.close();
    const endS = Math.max(...seen.map(({ timeline }) => timeline.duration_s ?? 0), 1);
    byId("compare-cards").replaceChildren(...seen.map((candidate) => card(candidate)));
    const rows = seen.map((candidate) => row(candidate));
    byId("compare-rows").replaceChildren(...rows.map(({ element }) => element));
    byId("compare-time").hidden = seen.length === 0;
    const shown = seen.map(({ timeline: { windows, probabilities, spans, vocal_bursts: bursts } }) => ({ startS: 0, endS, classes: classesOf(windows, probabilities), windows, spans, bursts, peaks: null }));
    showLegend(byId("compare-legend"), shown);
    this.pictures = rows.map(({ place }, index) => {
      const picture = new TimelinePicture(place, null);
      picture.show(shown[index]);
      return picture;
    });
  }
}

function card({ name, timeline, asked }: Candidate): HTMLElement {
  const { text, detail, emotion } = answerOf(timeline);
  const bars = h("ul");
  showAnswer(bars, timeline);
  const facts = [detail, `${clock(timeline.duration_s ?? 0)}, ${answererOf(timeline, asked)}`].filter(Boolean).map((line) => h("p", { class: "faint" }, line));
  const quality = h("p", { class: "note" }, qualityOf(timeline));
  const answer = h("p", { class: "answer with-dot" }, emotion ? dot(emotion) : null, text);
  return h("article", { class: "card small-card" }, h("h3", {}, name), answer, ...facts, quality, bars);
}

function row({ name }: Candidate): { element: HTMLElement; place: HTMLElement } {
  const place = h("div", { class: "picture low" });
  return { element: h("div", { class: "compare-row" }, h("h4", {}, name), place), place };
}
