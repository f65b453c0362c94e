/** The present moment: the emotion in large letters, bars, level, barometer, radar, facts. */

import type { Prediction, Shares, Timeline, VocalBurst, Window } from "../../../src/index.js";
import { affectOf, type Answer, answerOf, burst, likeliestOf, sure, unsure } from "../answer.js";
import { genderOf } from "../chosen.js";
import { byId, say } from "../dom.js";
import { colourOf } from "../emotions.js";
import { barometer } from "../series.js";
import { counted } from "../words.js";
import { qualityOf, showAnswer, showBars } from "./bars.js";
import { showBarometer } from "./barometer.js";
import { FEWEST_AXES, Radar } from "./small-pictures.js";

const QUIET_CHUNKS = 15; // tenths of a second without speech before the page says so
const LATE_CHUNKS = 20; // that an answer may come after the sound it needs

const NOTHING: Answer = { text: "–", detail: "", line: "", emotion: null };
const LISTENING = "Listening …";
const UNHEARD = "No speech yet: say something";
const TOLD: Record<string, string> = {
  idle: "Press Start, and speak",
  listening: LISTENING,
  starting: "Opening the microphone …",
  paused: "Paused",
  interrupted: "The browser has stopped its sound, or muted the microphone. Press Go on, or unmute it",
  ending: "Ending …",
  answering: "Hearing the sample …",
};

export class LiveNow {
  private nQuiet = QUIET_CHUNKS;
  private isListening = false;
  private hasEnded = false;
  private hasWindow = false; // or a vocal burst
  private isUnsure = false; // about what was heard last
  private isBurst = false; // what was heard last
  private headlined = "";
  private nFirst = 0; // tenths of a second until an answer, or its lack, can be told
  private readonly radar = new Radar(byId("live-radar"));
  private readonly sums: Shares = {};
  private nWindows = 0;
  private told: Prediction | null = null;
  private title = "";

  constructor() {
    document.addEventListener("chosen", () => {
      fact("live-gender", this.told && genderOf(this.told));
    });
  }

  /** @param neededS where it begins to listen: how much sound the first answer needs */
  state(state: string, neededS = 0): void {
    this.isListening = state === "listening";
    if (!this.isListening) this.meter(0);
    if (neededS) {
      this.nFirst = 10 * neededS + LATE_CHUNKS;
      say(byId("live-confidence"), `The first answer needs ${counted(neededS, "second")} of sound.`);
    }
    if (state === "idle" && !this.hasEnded && !this.hasWindow) {
      this.headline(NOTHING);
      say(byId("live-said"), ""); // where it was refused, "Opening …" would stay
    }
    if (state !== "idle" && state !== "ending") say(byId("live-said"), TOLD[state] ?? "");
    if (state === "idle" && this.hasEnded) this.tell(this.title);
    else if (this.isListening) this.waiting();
    else this.tell(TOLD[state] ?? "");
  }

  /** Why Start can't be pressed. */
  withoutModel(isFailed: boolean): void {
    this.tell(isFailed ? "The model can't be loaded; see above what to do" : "Start waits until the model is loaded …");
  }

  clear(): void {
    this.nQuiet = QUIET_CHUNKS;
    this.hasWindow = this.hasEnded = false;
    this.nWindows = 0;
    for (const name of Object.keys(this.sums)) this.sums[name] = 0;
    this.headline(NOTHING);
    this.emptyBars();
    showBarometer(byId("live-barometer"), null);
    byId("live-delay").textContent = "–";
    this.told = null;
    fact("live-gender", null);
    fact("live-affect", null);
    byId("live-quality").textContent = "";
  }

  /** Before the first answer: the classes that it will be among. */
  expect(classes: readonly string[]): void {
    byId("live-radar").hidden = classes.length < FEWEST_AXES;
    this.radar.show({}, classes);
  }

  /** Ten times a second. */
  level(peak: number, isSpeaking: boolean): void {
    if (!this.isListening) return;
    this.meter(peak);
    this.nQuiet = isSpeaking ? 0 : this.nQuiet + 1;
    this.nFirst = Math.max(this.nFirst - 1, 0);
    if (isSpeaking || this.nQuiet >= QUIET_CHUNKS) this.tellNow();
  }

  window(windows: readonly Window[], delayMs: number | null, abstainBelow: number): void {
    const { probabilities } = windows.at(-1)!;
    this.hasWindow = true;
    this.isBurst = false;
    const [emotion, share] = likeliestOf(probabilities);
    this.isUnsure = share < abstainBelow;
    this.headline(this.isUnsure ? unsure(probabilities) : sure(emotion, share));
    this.tellNow();
    showBars(byId("live-bars"), probabilities);
    showBarometer(byId("live-barometer"), barometer(windows));
    this.nWindows++;
    for (const [name, value] of Object.entries(probabilities)) this.sums[name] = (this.sums[name] ?? 0) + value;
    byId("live-radar").hidden = Object.keys(probabilities).length < FEWEST_AXES;
    this.radar.show(Object.fromEntries(Object.keys(probabilities).map((name) => [name, this.sums[name] / this.nWindows])));
    byId("live-delay").textContent = delayMs === null ? "–" : `${(delayMs / 1000).toFixed(1)} s`;
  }

  /** A voice without words, in place of an emotion. */
  burst(told: VocalBurst): void {
    this.hasWindow = this.isBurst = true;
    this.headline(burst([told]));
    this.tellNow();
    this.emptyBars();
  }

  /** The answer to the recording so far, where the model gives one. */
  whole(told: Prediction): void {
    this.told = told;
    fact("live-gender", genderOf(told));
    fact("live-affect", affectOf(told));
    byId("live-quality").textContent = qualityOf(told);
  }

  ended(timeline: Timeline, title: string): void {
    this.hasEnded = true;
    this.title = title;
    this.tell(this.title);
    const answer = answerOf(timeline);
    this.headline(answer);
    say(byId("live-said"), `${title}: ${[answer.text, answer.detail].filter(Boolean).join(", ")}`);
    showBarometer(byId("live-barometer"), barometer(timeline.windows));
    if (answer.emotion) showAnswer(byId("live-bars"), timeline);
    this.whole(timeline);
  }

  /** Above the headline, of which it is the beginning. */
  private tellNow(): void {
    if (!this.isListening) return;
    if (this.nQuiet < QUIET_CHUNKS) this.speaking();
    else this.waiting();
  }

  private speaking(): void {
    this.tell(!this.hasWindow || this.isBurst ? LISTENING : this.isUnsure ? "The model is" : "You sound");
  }

  private waiting(): void {
    if (this.hasWindow) this.tell("No speech now; last heard");
    else this.tell(this.nFirst ? LISTENING : UNHEARD);
    if (!this.hasWindow && !this.nFirst) say(byId("live-said"), UNHEARD);
  }

  private emptyBars(): void {
    byId("live-bars").replaceChildren();
    delete byId("live-bars").dataset["names"];
  }

  private tell(text: string): void {
    say(byId("live-state"), text);
  }

  /** In large letters; read out with another word only, as what is read out may be heard again. */
  private headline({ text, detail, line, emotion }: Answer): void {
    if (this.isListening && text !== this.headlined) say(byId("live-said"), line);
    this.headlined = text;
    say(byId("live-emotion"), text);
    say(byId("live-confidence"), detail);
    byId("live-hero").style.setProperty("--emotion", emotion ? colourOf(emotion) : "transparent");
  }

  private meter(peak: number): void {
    const dbfs = 20 * Math.log10(Math.max(peak, 1e-4));
    byId<HTMLMeterElement>("live-level").value = Math.max(1 + dbfs / 60, 0);
  }
}

/** Show a fact that not every model has; null hides it. */
function fact(id: string, text: string | null): void {
  byId(id).textContent = text;
  byId(id).parentElement!.hidden = text === null;
}
