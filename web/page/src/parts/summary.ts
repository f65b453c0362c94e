/** A recording as a whole: share of time, radar, rollercoaster. */

import type { Timeline } from "../../../src/index.js";
import { answererOf } from "../answer.js";
import { h } from "../dom.js";
import { changesOf, rollercoaster, shareOfTime } from "../series.js";
import { clock, counted } from "../words.js";
import { showShares } from "./bars.js";
import { FEWEST_AXES, Radar, Rollercoaster } from "./small-pictures.js";

export class Summary {
  private readonly bars = h("ul");
  private readonly facts = h("p", { class: "facts" });
  private readonly radar: Radar;
  private readonly line: Rollercoaster;
  private readonly columns: Record<"radar" | "line", HTMLElement>;

  constructor(private readonly place: HTMLElement) {
    const [radar, line] = [h("div", { class: "picture" }), h("div", { class: "picture" })];
    this.columns = {
      radar: h("div", {}, h("h3", {}, "Mean probabilities"), radar),
      line: h("div", {}, h("h3", {}, "Polarity over time: unpleasant to pleasant"), line),
    };
    place.append(
      this.facts,
      h(
        "div",
        { class: "columns" },
        h("div", {}, h("h3", {}, "Share of the spoken time"), this.bars),
        this.columns.radar,
        this.columns.line,
      ),
    );
    this.radar = new Radar(radar);
    this.line = new Rollercoaster(line);
    this.hide();
  }

  show(timeline: Timeline): void {
    this.place.hidden = false;
    const { duration_s: duration, speech_s: speech, spans, windows } = timeline;
    const changes = changesOf(spans);
    this.facts.textContent =
      `${clock(duration ?? 0)} in all, ${clock(speech ?? 0)} of speech, ${counted(changes, "change")} of emotion. ` +
      `Model: ${answererOf(timeline)}.`;
    showShares(this.bars, timeline.shares ?? shareOfTime(spans)); // none where it was heard at once
    const polarities = rollercoaster(windows);
    this.columns.radar.hidden = Object.keys(timeline.probabilities).length < FEWEST_AXES;
    this.columns.line.hidden = polarities.length < 2; // of one answer there is no line
    this.radar.show(timeline.probabilities);
    this.line.show(polarities);
  }

  hide(): void {
    this.place.hidden = true;
  }
}
