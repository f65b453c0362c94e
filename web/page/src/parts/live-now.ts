/** The present moment: the emotion in large letters, bars, level, barometer, radar, facts. */

import { ABSTAIN_BELOW, type Prediction, type Shares, type Timeline, type Window } from "../../../src/index.js";
import { answerOf } from "../answer.js";
import { byId, h } from "../dom.js";
import { colourOf } from "../emotions.js";
import { barometer } from "../series.js";
import { capital, percent, signed } from "../words.js";
import { qualityOf, showBars } from "./bars.js";
import { showBarometer } from "./barometer.js";
import { Radar } from "./small-pictures.js";

const QUIET_CHUNKS = 15; // tenths of a second without speech before the page says so

const TOLD: Record<string, string> = {
  idle: "Press Start, and speak",
  starting: "Opening the microphone …",
  paused: "Paused",
  ending: "Ending …",
};

export class LiveNow {
  private nQuiet = QUIET_CHUNKS;
  private isListening = false;
  private hasEnded = false;
  private hasWindow = false;
  private readonly radar = new Radar(byId("live-radar"));
  private readonly sums: Shares = {};
  private nWindows = 0;

  state(state: string): void {
    this.isListening = state === "listening";
    if (state === "idle" && this.hasEnded) return;
    if (this.isListening) this.waiting();
    else this.tell(state === "idle" && this.hasWindow ? "It ended early; it last sounded" : (TOLD[state] ?? ""));
  }

  clear(): void {
    this.nQuiet = QUIET_CHUNKS;
    this.hasWindow = this.hasEnded = false;
    this.nWindows = 0;
    for (const name of Object.keys(this.sums)) this.sums[name] = 0;
    this.headline("Listening for a voice", null, "");
    byId("live-emotion").textContent = "–";
    byId("live-bars").replaceChildren();
    delete byId("live-bars").dataset["names"];
    showBarometer(byId("live-barometer"), null);
    this.radar.show({});
    byId("live-delay").textContent = "–";
    fact("live-gender", null);
    fact("live-affect", null);
    byId("live-quality").textContent = "";
    this.meter(0);
  }

  /** Ten times a second. */
  level(peak: number, isSpeaking: boolean): void {
    this.meter(peak);
    if (!this.isListening) return;
    this.nQuiet = isSpeaking ? 0 : this.nQuiet + 1;
    if (this.nQuiet === QUIET_CHUNKS) this.waiting();
    else if (isSpeaking) this.tell(this.hasWindow ? "You sound" : "Somebody speaks …");
  }

  window(windows: readonly Window[], delayMs: number | null): void {
    const { probabilities } = windows.at(-1)!;
    this.hasWindow = true;
    const [emotion, share] = Object.entries(probabilities).reduce((best, item) => (item[1] > best[1] ? item : best));
    const isSure = share >= ABSTAIN_BELOW;
    this.headline(isSure ? capital(emotion) : "Not sure", emotion, isSure ? `${percent(share)} sure` : `perhaps ${emotion}, ${percent(share)}`);
    showBars(byId("live-bars"), probabilities);
    showBarometer(byId("live-barometer"), barometer(windows));
    this.nWindows++;
    for (const [name, value] of Object.entries(probabilities)) this.sums[name] = (this.sums[name] ?? 0) + value;
    this.radar.show(Object.fromEntries(Object.keys(probabilities).map((name) => [name, this.sums[name] / this.nWindows])));
    byId("live-delay").textContent = delayMs === null ? "–" : `${(delayMs / 1000).toFixed(1)} s`;
  }

  /** What the recording so far is, where the model tells it. */
  whole({ gender, affect, quality }: Prediction): void {
    fact("live-gender", gender && `female ${percent(gender.female)}, male ${percent(gender.male)}`);
    fact("live-affect", affect && `valence ${signed(affect.valence)}, arousal ${signed(affect.arousal)}, dominance ${signed(affect.dominance)}`);
    byId("live-quality").textContent = qualityOf(quality);
  }

  ended(timeline: Timeline): void {
    this.hasEnded = true;
    this.meter(0);
    const { text, detail, emotion } = answerOf(timeline);
    this.tell("All in all");
    this.headline(text, emotion, detail);
    if (emotion) showBars(byId("live-bars"), timeline.probabilities);
    this.whole(timeline);
  }

  private waiting(): void {
    this.tell(this.hasWindow ? "No speech now; it last sounded" : "No speech yet: say something");
  }

  private tell(text: string): void {
    const place = byId("live-state");
    if (place.textContent !== text) place.textContent = text;
  }

  private headline(text: string, emotion: string | null, confidence: string): void {
    const place = byId("live-emotion");
    if (place.textContent !== text) place.replaceChildren(h("span", {}, text)); // read out when it changes only
    byId("live-confidence").textContent = confidence;
    byId("live-hero").style.setProperty("--emotion", emotion ? colourOf(emotion) : "transparent");
  }

  private meter(peak: number): void {
    const dbfs = 20 * Math.log10(Math.max(peak, 1e-4));
    byId<HTMLMeterElement>("live-level").value = Math.max(1 + dbfs / 60, 0);
  }
}

/** Say a fact that not every model tells; null hides it. */
function fact(id: string, text: string | null): void {
  byId(id).textContent = text;
  byId(id).parentElement!.hidden = text === null;
}
