/** Speak, and see the emotion. */

import {
  EarnestError,
  listen,
  type Listening,
  type Span,
  type StreamEvent,
  type Timeline,
  timelineOf,
  type VocalBurst,
  type Window,
} from "../../../src/index.js";
import { likeliestOf, UNSURE } from "../answer.js";
import type { App } from "../app.js";
import { Awake } from "../awake.js";
import { askBeforeLeaving, byId, enable, fillSelect, onClick } from "../dom.js";
import { Delay } from "../delay.js";
import type { About } from "../engine.js";
import { keepButton, type Named } from "../parts/keep-button.js";
import { LiveNow } from "../parts/live-now.js";
import { ProblemBox } from "../parts/problem-box.js";
import { sampleRow, titleOf } from "../parts/sample-row.js";
import { saveButton } from "../parts/save-button.js";
import { Summary } from "../parts/summary.js";
import { sure } from "../parts/sure.js";
import { type Shown, TimelinePicture } from "../parts/timeline-picture.js";
import { spanTable, windowTable } from "../parts/tables.js";
import type { Problem } from "../problems.js";
import { sample } from "../samples.js";
import { brokenOff, classesOf } from "../series.js";
import { clock } from "../words.js";

declare const BUILT: { worklet: string }; // file names, by build.mjs

const SEEN_S = 60; // of the timeline while it grows
const LONG_S = 30; // a shorter result is soon had again: no question
const STOPPED_EARLY = "It stopped early; until then";
const ENDED_BY_ITSELF = {
  title: "Listening ended by itself",
  advice: "The microphone was unplugged or taken away, or the server ended a long pause. What was heard until then stays below. Press Start to listen again.",
};
const ANOTHER_WAS_CHOSEN = {
  title: "Listening ended: another model or place was chosen",
  advice: "What was heard until then stays below. Press Start to listen again, with what is chosen now.",
};
const SLEPT = "The device slept, or the browser froze the page. The times below leave that out, as a pause.";
const PACES = { calm: { windowS: 3, hopS: 1 }, quick: { windowS: 1.5, hopS: 0.5 } };

type State = "idle" | "starting" | "listening" | "interrupted" | "paused" | "ending" | "answering";

export function liveView(app: App): void {
  new LiveView(app);
}

class LiveView {
  private state: State = "idle";
  private listening: Listening | null = null;
  private whyEnded: Problem | null = null; // null where Stop was pressed
  private heardBy: About | null = null;
  private events: StreamEvent[] = [];
  private windows: Window[] = [];
  private spans: Span[] = [];
  private bursts: VocalBurst[] = [];
  private delay = new Delay();
  private readonly awake = new Awake();
  private sleptS = 0;
  private timeline: Timeline | null = null;
  private safe: Timeline | null = null; // kept, or saved
  private readonly now = new LiveNow();
  private readonly picture = new TimelinePicture(byId("live-timeline"), byId("live-legend"));
  private readonly problem = new ProblemBox(byId("live-problem"));
  private readonly summary = new Summary(byId("live-summary"));
  private readonly media = navigator.mediaDevices as MediaDevices | undefined; // on http: pages there are none
  private readonly sound = byId<HTMLAudioElement>("live-sample");
  private readonly devices = byId<HTMLSelectElement>("live-device");

  constructor(private readonly app: App) {
    onClick("live-start", () => (this.listening ? this.stop() : this.start()));
    onClick("live-pause", () => this.pause());
    onClick("live-clear", () => this.makeRoom());
    saveButton("live", () => this.result(), ({ timeline }) => (this.safe = timeline));
    sampleRow(byId("live-samples"), app, async (name) => this.answerSample(name));
    app.addEventListener("engine", () => {
      void this.stop(ANOTHER_WAS_CHOSEN);
      this.become(this.state); // whether there is a model to start with
      if (!this.timeline && !this.windows.length) this.now.expect(this.classes);
    });
    askBeforeLeaving(() => this.listening !== null || this.wouldBeMissed());
    this.media?.addEventListener("devicechange", () => void this.listDevices());
    void this.listDevices();
    this.clear();
  }

  private async start(): Promise<void> {
    if (!(await this.makeRoom())) return;
    this.become("starting");
    const pace = byId<HTMLSelectElement>("live-pace").value === "quick" ? PACES.quick : PACES.calm;
    let listening: Listening;
    try {
      const engine = this.app.ready();
      this.heardBy = engine.about;
      const { value: device } = this.devices;
      listening = await listen(engine, {
        ...pace,
        workletUrl: new URL(BUILT.worklet, location.href),
        constraints: device ? { deviceId: { exact: device } } : {},
        onLevel: (peak, isSpeaking) => {
          this.delay.hear();
          this.now.level(peak, isSpeaking);
        },
        onInterruption: (isInterrupted) => {
          if (this.state === (isInterrupted ? "listening" : "interrupted")) this.become(isInterrupted ? "interrupted" : "listening");
        },
        onSleep: (seconds) => {
          this.sleptS += seconds;
          this.problem.tell({ title: `About ${clock(this.sleptS, 0)} were not heard`, advice: SLEPT });
        },
        onEvent: (event) => {
          this.hear(event);
        },
      });
      if (engine !== this.app.engine) {
        void listening.stop().catch(() => undefined); // of an engine that was closed
        throw new EarnestError("Another model was chosen before the microphone was ready. Start again.");
      }
    } catch (error) {
      this.become("idle");
      this.problem.show(error);
      return;
    }
    this.listening = listening;
    this.become("listening", pace.windowS + pace.hopS);
    void this.listDevices(); // their names are told after permission only
    void this.whenEnded(listening);
  }

  /** Answer about a clip of the page, as if it had been spoken. */
  private async answerSample(name: string): Promise<void> {
    if (this.state !== "idle" || !(await this.makeRoom())) return;
    this.become("answering");
    try {
      const source = await sample(name);
      const timeline = await this.app.ready().timeline(source);
      this.windows = timeline.windows;
      this.show(timeline, `The sample “${titleOf(name)}”, synthetic speech`);
      URL.revokeObjectURL(this.sound.src);
      this.sound.src = URL.createObjectURL(source.file);
      this.sound.hidden = false;
    } catch (error) {
      this.problem.show(error);
    }
    this.become("idle");
  }

  private async stop(why: Problem | null = null): Promise<void> {
    if (!this.listening || this.state === "ending") return;
    this.whyEnded = why;
    this.become("ending");
    await this.listening.stop().catch(() => undefined); // told by whenEnded
  }

  private async pause(): Promise<void> {
    const { listening } = this;
    if (!listening) return;
    const isHeard = this.state === "listening";
    await (isHeard ? listening.pause() : listening.resume());
    if (listening === this.listening) this.become(isHeard ? "paused" : "listening"); // it may have ended meanwhile
  }

  /** By Stop, by another model, by an unplugged microphone, or by a server that is gone: what was heard stays. */
  private async whenEnded(listening: Listening): Promise<void> {
    try {
      const timeline = { ...timelineOf(await listening.ended, "", this.events), path: nameNow() };
      const why = this.state === "ending" ? this.whyEnded : ENDED_BY_ITSELF;
      this.show(timeline, why ? STOPPED_EARLY : "All in all");
      if (why) this.problem.tell(why);
    } catch (error) {
      this.problem.show(error);
      if (this.windows.length + this.bursts.length) this.show({ ...this.untilNow(), path: nameNow() }, STOPPED_EARLY);
    }
    this.listening = null;
    this.become("idle");
  }

  /** The answers on the screen, as the timeline of a recording that ends here. */
  private untilNow(): Timeline {
    return brokenOff(this.heardBy?.name ?? "", this.threshold(), this.windows, this.spansSoFar(), this.bursts);
  }

  private result(): Named | null {
    return this.timeline && { name: this.timeline.path, timeline: this.timeline };
  }

  /** Whether there is a long result that is neither kept nor saved. */
  private wouldBeMissed(): boolean {
    return this.timeline !== this.safe && (this.timeline?.duration_s ?? 0) >= LONG_S;
  }

  /** Clear for the next result, unless this one has to stay. */
  private async makeRoom(): Promise<boolean> {
    if (this.wouldBeMissed()) {
      const answer = await sure(`Delete what was heard, ${clock(this.timeline?.duration_s ?? 0, 0)}? It is neither kept nor saved. You can't undo this.`);
      const keep = byId("live-keep").querySelector("button")!;
      if (answer === "keep") {
        keep.focus(); // so that what it says is in view
        keep.click();
      }
      if (answer !== "delete") return false;
    }
    this.clear();
    return true;
  }

  private clear(): void {
    [this.events, this.windows, this.spans, this.bursts, this.timeline] = [[], [], [], [], null];
    this.delay = new Delay();
    this.sleptS = 0;
    this.problem.clear();
    this.now.clear();
    this.now.expect(this.classes);
    this.summary.hide();
    byId("live-result").hidden = true;
    byId("live-keep").replaceChildren(keepButton(() => this.result(), ({ timeline }) => (this.safe = timeline)));
    this.sound.pause();
    this.sound.hidden = true;
    byId("live-so-far").hidden = false;
    if (!this.listening) this.become("idle");
    this.draw();
  }

  private hear(event: StreamEvent): void {
    this.events.push(event);
    if (event.event === "span") this.spans.push(event);
    if (event.event === "vocal-burst") {
      this.bursts.push(event);
      this.now.burst(event);
    } else if (event.event === "window") {
      this.windows.push(event);
      this.now.window(this.windows, this.delay.of(event.end_s), this.threshold());
    } else return;
    this.draw();
    if (this.app.engine?.place === "browser") void this.tellWhole(); // a server tells it at the end
  }

  /** Those that the next answers will be among. */
  private get classes(): string[] {
    const { engine } = this.app;
    return engine?.classes ?? engine?.about.classes ?? [];
  }

  /** Confidence below which the model's answer is "unsure". */
  private threshold(): number {
    return this.heardBy?.abstain_below ?? 0;
  }

  private async tellWhole(): Promise<void> {
    const whole = await this.listening?.soFar().catch(() => null); // the stream has ended
    if (whole) this.now.whole(whole);
  }

  private draw(): void {
    const lastS = this.windows.at(-1)?.end_s ?? 0;
    const endS = Math.max(lastS, 20);
    const startS = Math.max(endS - SEEN_S, 0);
    const classes = this.app.engine?.about.classes ?? Object.keys(this.windows.at(-1)?.probabilities ?? {});
    const isSeen = ({ end_s }: { end_s: number }): boolean => end_s > startS;
    const shown = { windows: this.windows.filter(isSeen), spans: this.spansSoFar().filter(isSeen), bursts: this.bursts.filter(isSeen) };
    this.showTime({ startS, endS, classes, ...shown, peaks: null });
  }

  /** As a picture, and as tables of the same. */
  private showTime(shown: Shown): void {
    this.picture.show(shown);
    byId("live-spans").replaceChildren(spanTable(shown.spans, shown.bursts, null));
    byId("live-windows").replaceChildren(windowTable("Windows", shown.windows));
  }

  /** Spans are certain late; until then the last windows speak for themselves. */
  private spansSoFar(): Span[] {
    const certainTo = Math.max(this.spans.at(-1)?.end_s ?? 0, this.bursts.at(-1)?.end_s ?? 0);
    const open = this.windows.filter((window) => window.end_s > certainTo).map((window, index, all): Span => {
      const [likeliest, confidence] = likeliestOf(window.probabilities);
      const emotion = confidence >= this.threshold() ? likeliest : UNSURE;
      const end = all.at(index + 1)?.start_s ?? window.end_s;
      return { start_s: Math.max(window.start_s, certainTo), end_s: Math.min(end, window.end_s), emotion, confidence };
    });
    return [...this.spans, ...joined(open.filter((span) => span.end_s > span.start_s))];
  }

  private show(timeline: Timeline, title: string): void {
    const hasWindows = timeline.windows.length > 0;
    const hasTime = hasWindows || timeline.vocal_bursts.length > 0;
    this.timeline = hasTime ? timeline : null; // nothing to keep
    byId("live-result").hidden = !hasTime;
    if (hasWindows) this.summary.show(timeline);
    byId("live-so-far").hidden = hasWindows; // the summary says it
    const endS = timeline.duration_s ?? 0;
    const classes = classesOf(timeline.windows, timeline.probabilities); // another engine may have been chosen
    if (hasTime) this.showTime({ startS: 0, endS, classes, windows: timeline.windows, spans: timeline.spans, bursts: timeline.vocal_bursts, peaks: null });
    this.now.ended(timeline, title);
  }

  /** @param neededS where it begins to listen: how much sound the first answer needs */
  private become(state: State, neededS = 0): void {
    this.state = state;
    const isStill = state === "paused" || state === "interrupted";
    const isOn = state === "listening" || isStill;
    this.awake.keep(isOn && state !== "paused");
    document.documentElement.dataset["live"] = state;
    byId("live-start").textContent = isOn ? "Stop" : state === "ending" ? "Ending …" : "Start";
    const isWithoutModel = !isOn && !this.app.engine;
    enable(byId("live-start"), !["starting", "ending", "answering"].includes(state) && !isWithoutModel);
    document.dispatchEvent(new Event("listening"));
    byId("live-pause").textContent = isStill ? "Go on" : "Pause";
    byId("live-pause").toggleAttribute("disabled", !isOn);
    byId("live-clear").toggleAttribute("disabled", isOn || state === "ending" || state === "answering");
    byId("live-pace").toggleAttribute("disabled", isOn);
    this.devices.disabled = isOn;
    if (state === "idle" && isWithoutModel) this.now.withoutModel(this.app.failure !== null);
    else this.now.state(state, neededS);
  }

  private async listDevices(): Promise<void> {
    const all = (await this.media?.enumerateDevices()) ?? [];
    const inputs = all.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default");
    const options = inputs.map(({ deviceId, label }, index): [string, string] => [deviceId, label || `Microphone ${index + 1}`]);
    fillSelect(this.devices, [["", "The usual microphone"], ...options], this.devices.value);
  }
}

/** Neighbours of one emotion as one span. */
function joined(spans: readonly Span[]): Span[] {
  const all: Span[] = [];
  for (const span of spans) {
    const last = all.at(-1);
    if (last?.emotion === span.emotion && span.start_s - last.end_s < 0.01) last.end_s = span.end_s;
    else all.push({ ...span });
  }
  return all;
}

function nameNow(): string {
  return `Microphone, ${new Date().toLocaleString([], { dateStyle: "medium", timeStyle: "short" })}`;
}
