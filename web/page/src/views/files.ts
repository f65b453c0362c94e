/** Recordings from this device: answered one after the other, shown one at a time. */

import { type Prediction, unanswered } from "../../../src/index.js";
import { answererOf, answerOf } from "../answer.js";
import type { App, Clip } from "../app.js";
import { Awake } from "../awake.js";
import { asChosen } from "../chosen.js";
import { askBeforeLeaving, byId, download, h, onClick, say } from "../dom.js";
import { rows } from "../exports.js";
import { Job } from "../job.js";
import { amongChosen, filesDropped, hasFolders, leftOut, ofFolders, type Taken } from "../own/found.js";
import { dot } from "../parts/bars.js";
import { ClipDetail } from "../parts/clip-detail.js";
import { Finder } from "../parts/finder.js";
import { ProblemBox } from "../parts/problem-box.js";
import { sampleRow } from "../parts/sample-row.js";
import { sure } from "../parts/sure.js";
import { sample } from "../samples.js";
import { mostOf } from "../source.js";
import { capital, clock, counted, percent } from "../words.js";

const DOUBLE_CLICK_MS = 500;

export function filesView(app: App): void {
  new FilesView(app);
}

class FilesView {
  private readonly jobs: Job[] = []; // as they were added, each channel below its recording
  private readonly awake = new Awake();
  private untold: Job[] = []; // answered, or failed, since something was said
  private readonly rows = new Map<Job, HTMLElement>();
  private readonly finder = new Finder(byId("file-list"), this.jobs, this.rows);
  private isArranging = false;
  private readonly detail = new ClipDetail(byId("clip"), (clip, channel) => {
    const job = this.jobs.find(({ state }) => state.is === "done" && state.clip === clip);
    if (job) void this.hearChannel(job, channel);
  });
  private working: Promise<void> = Promise.resolve();
  private readonly problem = new ProblemBox(byId("files-problem"));
  private shown: Clip | null = null;

  constructor(private readonly app: App) {
    const [input, folder, drop] = [byId<HTMLInputElement>("files-input"), byId<HTMLInputElement>("files-folder"), byId("drop")];
    input.addEventListener("change", () => {
      this.take([...(input.files ?? [])]);
      input.value = "";
    });
    byId("files-folder-field").hidden = !hasFolders();
    folder.addEventListener("change", () => {
      const chosen = [...(folder.files ?? [])];
      void this.takeFound(Promise.resolve().then(() => ofFolders(amongChosen(chosen))));
      folder.value = "";
    });
    byId("files-go").addEventListener("click", ({ detail }) => {
      if (detail > 1) return; // the second of a double click would undo what the first began
      if (this.isBusy) this.cancelAll();
      else this.answerAgain();
    });
    onClick("files-save", () => {
      download(rows(this.predictions()), "answers.csv", "text/csv");
    });
    onClick("files-remove", () => this.removeAll());
    askBeforeLeaving(() => this.isBusy);
    app.addEventListener("engine", () => {
      say(byId("files-most"), mostOf(app.engine?.place === "server" ? app.site.limits : null));
    });
    sampleRow(byId("files-samples"), app, async (name) => this.trySample(name));
    for (const kind of ["dragover", "dragleave", "drop"] as const) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragover");
        if (kind === "drop" && event.dataTransfer) void this.takeFound(filesDropped(event.dataTransfer));
      });
    }
  }

  private get isBusy(): boolean {
    return this.jobs.some(({ isOpen }) => isOpen);
  }

  /** As a chosen file, shown at once. */
  private async trySample(name: string): Promise<void> {
    this.begin();
    const known = this.jobs.find(({ file, state }) => file.name === name && state.is === "done");
    if (known?.state.is === "done") {
      this.open(known.state.clip);
      this.tell(known);
      return;
    }
    try {
      const { file } = await sample(name);
      const job = new Job(this.app, new File([file], name, { type: file.type }));
      this.add(job);
      await this.working;
      if (job.state.is === "done") this.open(job.state.clip);
    } catch (error) {
      this.problem.show(error);
    }
  }

  /** @param finding files that were dropped, or those of a folder that was chosen */
  private async takeFound(finding: Promise<Taken>): Promise<void> {
    this.begin();
    try {
      const { files, nOthers } = await finding;
      this.take(files);
      say(byId("files-left-out"), leftOut(nOthers));
    } catch (error) {
      this.problem.show(error);
    }
  }

  private take(files: readonly File[]): void {
    this.begin();
    for (const file of files) this.add(new Job(this.app, file));
  }

  /** What is said next is new, also in the same words. */
  private begin(): void {
    this.problem.clear();
    for (const id of ["files-said", "files-left-out"]) say(byId(id), "");
  }

  private add(job: Job, place = this.jobs.length): void {
    const row = h("li", { class: "file", tabindex: -1 });
    this.jobs.splice(place, 0, job);
    this.rows.set(job, row);
    byId("file-list").append(row);
    job.onChange = () => {
      this.draw(job);
      this.tell(job);
      this.showAll();
      this.awake.keep(this.isBusy);
      const isEngineGone = job.state.is === "failed" && job.state.isOfTheEngine && this.app.engine?.place !== "browser";
      if (isEngineGone) this.cancelAll("not answered"); // none of them would fare better
    };
    this.draw(job);
    this.queue(job);
  }

  private queue(job: Job): void {
    this.awake.keep(true);
    this.showAll();
    this.working = this.working.then(() => job.run());
  }

  /** How many there are, how far they are, and what can be done with all of them. */
  private showAll(): void {
    const done = this.answered();
    const models = [...new Set(done.map(({ timeline }) => timeline.model))].sort();
    const by = models.length > 1 ? `, by several models: ${models.join(", ")}` : "";
    const nUseless = this.jobs.filter(isUseless).length;
    const useless = nUseless ? `, ${nUseless} can't be used` : "";
    byId("files-count").textContent = `${done.length} of ${counted(this.jobs.length, "recording")} answered${by}${useless}`;
    byId("files-all").hidden = !this.unanswered().length && this.jobs.length < 2;
    byId("files-go").textContent = this.isBusy ? "Cancel all" : this.unanswered().length ? "Try again" : "Answer again";
    byId("files-save").hidden = !done.length;
    this.arrangeSoon();
  }

  /** Once, whatever else happens to hundreds of recordings in the same moment. */
  private arrangeSoon(): void {
    if (this.isArranging) return;
    this.isArranging = true;
    setTimeout(() => {
      this.isArranging = false;
      this.finder.arrange();
    });
  }

  private answered(): Clip[] {
    return this.jobs.flatMap(({ state }) => (state.is === "done" ? [state.clip] : []));
  }

  /** Of recordings that were answered, and of those that can't be. */
  private predictions(): Prediction[] {
    return this.jobs.flatMap(({ state, name }) => {
      if (state.is === "done") return asChosen(state.clip.timeline);
      if (state.is !== "failed") return [];
      return { ...unanswered(name, "error", ""), error: `${state.problem.title}. ${state.problem.advice}` };
    });
  }

  /** What was cancelled, and what failed for a reason that is not in the file. */
  private unanswered(): Job[] {
    return this.jobs.filter(({ canTryAgain }) => canTryAgain);
  }

  /** What was left unanswered or, where nothing was, all: another model or other classes may be chosen by now. */
  private answerAgain(): void {
    this.begin();
    const left = this.unanswered();
    for (const job of left.length ? left : this.jobs) {
      const { state } = job;
      job.waitAgain();
      if (state.is === "done") this.app.remove(state.clip);
      this.queue(job);
    }
    if (!left.length) this.open(null);
  }

  private cancelAll(told: Parameters<Job["cancel"]>[0] = "cancelled"): void {
    for (const job of this.jobs) if (job.isOpen) job.cancel(told);
  }

  private async removeAll(): Promise<void> {
    const count = counted(this.jobs.length, "recording");
    const question = `Take ${count} out of the list, with the answers? Your files stay where they are.`;
    if ((await sure(question, "Remove all", "Keep them")) !== "delete") return;
    this.begin();
    for (const job of this.jobs.splice(0)) this.remove(job); // out of the list first: no other one is shown in between
    byId("files-input").focus();
  }

  /** In a row of its own below the recording's, shown as soon as it is answered. */
  private async hearChannel(whole: Job, channel: number): Promise<void> {
    let job = this.jobs.find((one) => one.file === whole.file && one.channel === channel);
    if (!job) {
      job = new Job(this.app, whole.file, channel);
      const before = this.jobs.filter((one) => one.file === whole.file && (one.channel ?? 0) < channel);
      this.add(job, this.jobs.indexOf(before[before.length - 1]) + 1);
    }
    await this.working;
    if (job.state.is !== "done") return;
    this.open(job.state.clip);
    byId("clip-title").focus();
  }

  /** Read out how a recording ended; where several were chosen, how many did, when the last one has. */
  private tell(job: Job): void {
    if (job.state.is === "done" || job.state.is === "failed") this.untold.push(job);
    if (this.isBusy || !this.untold.length) return;
    const nAnswered = this.untold.filter(({ state }) => state.is === "done").length;
    const nFailed = this.untold.filter(isUseless).length;
    const nLeft = this.unanswered().length;
    const all = [nAnswered && `${counted(nAnswered, "recording")} answered`, nFailed && `${nFailed} can't be used`, nLeft && `${nLeft} not answered`];
    say(byId("files-said"), this.untold.length > 1 ? `${all.filter(Boolean).join(", ")}.` : endOf(this.untold[0]));
    this.untold = [];
  }

  /** What has the keyboard keeps it: the same button or, where that is gone, the row. */
  private draw(job: Job): void {
    const row = this.rows.get(job);
    if (!row) return; // removed
    const active = row.querySelector(":focus");
    this.fill(row, job);
    if (!active || row.contains(document.activeElement)) return;
    const same = [...row.querySelectorAll("button")].find((one) => one.textContent === active.textContent);
    (same ?? row).focus();
  }

  private fill(row: HTMLElement, job: Job): void {
    const { state } = job;
    const isShown = state.is === "done" && state.clip === this.shown;
    row.classList.toggle("shown", isShown);
    const name = h("span", { class: "file-name" }, job.name);
    const meter = row.querySelector("progress");
    if (state.is === "working" && meter) {
      if (state.share) meter.value = state.share; // what has the keyboard stays
      if (meter.nextElementSibling) meter.nextElementSibling.textContent = far(state.share);
    } else if (state.is === "working") {
      const progress = h("progress", { max: 1, value: state.share || null, "aria-label": `Progress of ${job.name}` });
      row.replaceChildren(name, progress, h("span", {}, far(state.share)), this.button("Cancel", job.name, () => {
        job.cancel();
      }));
    } else if (state.is === "done") {
      row.replaceChildren(...this.finished(job, state.clip, name));
      if (!this.shown) this.open(state.clip);
    } else if (state.is === "failed") {
      const { title } = state.problem;
      const server = h("button", { type: "button", class: "small", click: () => void job.runOnServer() }, this.app.site.keeps ? "Send it to the server, which stores it" : "Send it to the server");
      const channel = this.button("Hear channel 1", job.name, () => void this.hearChannel(job, 1));
      const offer = { server, channel };
      const told = h("span", { class: "problem" }, h("strong", {}, `${title}.`), ` ${adviceOf(job)} `, state.offer && offer[state.offer]);
      row.replaceChildren(name, told, this.removal(job));
    } else {
      const button = state.is === "waiting" ? this.button("Cancel", job.name, () => {
        job.cancel();
      }) : this.removal(job);
      row.replaceChildren(name, h("span", {}, state.is === "waiting" ? "waits" : state.told), button);
    }
  }

  private finished(job: Job, clip: Clip, name: HTMLElement): (Node | string)[] {
    const { line, emotion } = answerOf(clip.timeline);
    const answer = h("span", { class: "with-dot" }, emotion ? dot(emotion) : null, line);
    const length = h("span", { class: "faint" }, `${clock(clip.timeline.duration_s ?? 0)}, ${answererOf(clip.timeline, clip.asked)}`);
    const show = this.button("Show", clip.name, () => {
      this.open(clip);
      byId("clip-title").focus();
    });
    show.setAttribute("aria-pressed", String(clip === this.shown));
    return [name, answer, length, show, this.removal(job)];
  }

  private removal(job: Job): HTMLElement {
    return this.button("Remove", job.name, () => {
      const shown = [...byId("file-list").querySelectorAll<HTMLElement>(".file:not([hidden])")];
      const place = shown.indexOf(this.rows.get(job)!);
      const neighbour = shown.at(place + 1) ?? shown.slice(0, place).at(-1);
      this.remove(job);
      (neighbour?.querySelector("button") ?? byId("files-input")).focus(); // rows are drawn anew meanwhile
    });
  }

  private remove(job: Job): void {
    job.cancel();
    this.rows.get(job)?.remove();
    this.rows.delete(job);
    if (this.jobs.includes(job)) this.jobs.splice(this.jobs.indexOf(job), 1);
    if (job.state.is === "done") {
      if (this.shown === job.state.clip) this.open(this.answered()[0] ?? null);
      this.app.remove(job.state.clip);
    }
    this.showAll();
  }

  private open(clip: Clip | null): void {
    const changed = [this.shown, clip];
    this.shown = clip;
    this.detail.show(clip);
    for (const job of this.jobs) if (job.state.is === "done" && changed.includes(job.state.clip)) this.draw(job);
  }

  private button(text: string, about: string, work: () => void): HTMLButtonElement {
    const made = performance.now();
    const press = (event: Event): void => {
      const isSecond = (event as MouseEvent).detail > 1 && event.timeStamp - made < DOUBLE_CLICK_MS;
      if (!isSecond) work(); // else it was meant for the button that was here at the first click
    };
    return h("button", { type: "button", class: "small", "aria-label": `${text} ${about}`, click: press }, text);
  }
}

/** How far a file is; a server doesn't tell, and to decode takes a while. */
function far(share: number): string {
  return share ? percent(share) : "at work …";
}

/** Whether it has no answer for a reason that is in the file. */
function isUseless({ state, canTryAgain }: Job): boolean {
  return state.is === "failed" && !canTryAgain;
}

/** "call.wav: Angry", or why there is no answer. */
function endOf(job: Job): string {
  const { name, state } = job;
  if (state.is === "failed") return `${name}: ${state.problem.title}. ${adviceOf(job)}`;
  return state.is === "done" ? `${name}: ${answerOf(state.clip.timeline).line}` : "";
}

/** Why there is no answer, without the recording's name before it: that is told already. */
function adviceOf({ name, state }: Job): string {
  if (state.is !== "failed") return "";
  const { advice } = state.problem;
  return advice.startsWith(`${name}: `) ? capital(advice.slice(name.length + 2)) : advice;
}
