/** A recording as a whole: share of time, radar, rollercoaster. */

import type { Timeline } from "../../../src/index.js";
import { h } from "../dom.js";
import { changesOf, rollercoaster, shareOfTime } from "../series.js";
import { clock, counted } from "../words.js";
import { showShares } from "./bars.js";
import { Radar, Rollercoaster } from "./small-pictures.js";

export class Summary {
  private readonly bars = h("ul");
  private readonly facts = h("p", { class: "facts" });
  private readonly radar: Radar;
  private readonly line: Rollercoaster;

  constructor(private readonly place: HTMLElement) {
    const [radar, line] = [h("div", { class: "picture" }), h("div", { class: "picture" })];
    place.append(
      this.facts,
      h(
        "div",
        { class: "columns" },
        h("div", {}, h("h3", {}, "Share of the spoken time"), this.bars),
        h("div", {}, h("h3", {}, "Mean probabilities"), radar),
        h("div", {}, h("h3", {}, "Polarity over time: unpleasant to pleasant"), line),
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
      `Model “${timeline.model}”.`;
    showShares(this.bars, timeline.shares ?? shareOfTime(spans)); // none where it was heard as a whole
    this.radar.show(timeline.probabilities);
    this.line.show(rollercoaster(windows));
  }

  hide(): void {
    this.place.hidden = true;
  }
}
