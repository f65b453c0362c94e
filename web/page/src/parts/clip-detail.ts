/** One recording: its answer, its picture to play from and zoom into, its spans, its files. */

import type { Clip } from "../app.js";
import { answererOf, answerOf, talkNote } from "../answer.js";
import { genderOf } from "../chosen.js";
import { byId, h, onClick } from "../dom.js";
import { classesOf } from "../series.js";
import { clock, counted } from "../words.js";
import { qualityOf, showAnswer } from "./bars.js";
import { keepButton } from "./keep-button.js";
import { saveButton } from "./save-button.js";
import { spanTable, windowTable } from "./tables.js";
import { TimelinePicture } from "./timeline-picture.js";

export class ClipDetail {
  private clip: Clip | null = null;
  private frame = 0;
  private readonly picture = new TimelinePicture(byId("clip-timeline"), byId("clip-legend"), true);
  private readonly audio = byId<HTMLAudioElement>("clip-audio");
  private readonly playhead = byId("clip-playhead");

  /** @param hearChannel called with a channel, 1 for the left one, that is to be heard by itself */
  constructor(
    private readonly place: HTMLElement,
    private readonly hearChannel: (clip: Clip, channel: number) => void,
  ) {
    place.hidden = true;
    saveButton("clip", () => this.clip);
    onClick("clip-closer", () => {
      this.picture.zoom(2, this.picture.inView(this.audio.currentTime));
      this.follow();
    });
    onClick("clip-farther", () => {
      this.picture.zoom(0.5, this.picture.inView(this.audio.currentTime));
      this.follow();
    });
    onClick("clip-whole", () => {
      this.picture.zoom(0, 0);
      this.follow();
    });
    document.addEventListener("chosen", () => {
      this.tellGender();
    });
    this.picture.chart.getZr().on("click", ({ offsetX }: { offsetX: number }) => {
      const seconds = this.picture.secondsAt(offsetX);
      if (seconds !== null) this.playFrom(seconds);
    });
    this.picture.chart.on("dataZoom", () => {
      this.follow();
    });
    for (const kind of ["timeupdate", "seeked", "play"]) {
      this.audio.addEventListener(kind, () => {
        this.follow();
      });
    }
  }

  show(clip: Clip | null): void {
    this.clip = clip;
    this.place.hidden = clip === null;
    this.audio.pause();
    if (!clip) return;
    const { timeline, name, place, peaks, url } = clip;
    const { text, detail } = answerOf(timeline);
    byId("clip-title").textContent = name;
    byId("clip-answer").textContent = text;
    byId("clip-confidence").textContent = detail;
    byId("clip-facts").textContent = factsOf(clip);
    this.tellGender();
    byId("clip-quality").textContent = [qualityOf(timeline), talkNote(timeline, clip.asked)].filter(Boolean).join(" ");
    this.offerChannels(clip);
    byId("clip-keep").replaceChildren(keepButton(() => clip)); // "kept" was said of the one before
    showAnswer(byId("clip-bars"), timeline);
    byId("clip-place").textContent = place === "browser" ? "Answered in this browser." : "Answered on the server.";
    this.audio.hidden = url === null;
    if (url) this.audio.src = url;
    else this.audio.removeAttribute("src");
    const endS = timeline.duration_s ?? 0;
    const classes = classesOf(timeline.windows, timeline.probabilities);
    const hasTime = timeline.windows.length + timeline.vocal_bursts.length > 0;
    byId("clip-picture").hidden = byId("clip-tables").hidden = !hasTime;
    if (hasTime) {
      this.picture.chart.resize();
      this.picture.show({ startS: 0, endS, classes, windows: timeline.windows, spans: timeline.spans, bursts: timeline.vocal_bursts, peaks });
      this.picture.zoom(0, 0);
    }
    byId("clip-spans").replaceChildren(spanTable(timeline.spans, timeline.vocal_bursts, url ? (startS) => {
      this.playFrom(startS);
    } : null));
    byId("clip-windows").replaceChildren(windowTable("Windows", timeline.windows));
    this.follow();
  }

  private offerChannels(clip: Clip): void {
    const place = byId("clip-channels");
    place.hidden = clip.nChannels === 0;
    const buttons = Array.from({ length: clip.nChannels }, (_, index) => {
      const press = (): void => {
        this.hearChannel(clip, index + 1);
      };
      return h("button", { type: "button", class: "small", click: press }, `Channel ${index + 1}`);
    });
    place.replaceChildren("Each by itself:", ...buttons);
  }

  private tellGender(): void {
    const told = this.clip && genderOf(this.clip.timeline);
    byId("clip-gender").textContent = told ? `Gender: ${told}.` : "";
  }

  private playFrom(seconds: number): void {
    if (!this.clip?.url) return;
    this.audio.currentTime = seconds;
    if (this.picture.placeOf(seconds) === null) this.picture.zoom(1, seconds);
    void this.audio.play().catch(() => undefined); // a browser that wants a press of its own button
    this.follow();
  }

  private follow(): void {
    const x = this.picture.placeOf(this.audio.currentTime);
    this.playhead.hidden = x === null || !this.clip?.url || !this.audio.currentTime;
    if (x !== null) this.playhead.style.transform = `translateX(${x}px)`;
    cancelAnimationFrame(this.frame); // one chain, whatever else called
    if (!this.audio.paused) {
      this.frame = requestAnimationFrame(() => {
        this.follow();
      });
    }
  }
}

function factsOf({ timeline, asked }: Clip): string {
  const { duration_s, speech_s, segments } = timeline;
  const speech = speech_s === null ? "" : `, ${clock(speech_s)} of speech in ${counted(segments.length, "segment")}`;
  return `${clock(duration_s ?? 0)}${speech}. Model: ${answererOf(timeline, asked)}.`;
}
