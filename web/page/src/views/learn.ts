/** Learn classes of one's own, in this browser. */

import { checkedLabel, EarnestError, FEWEST_A_CLASS } from "../../../src/index.js";
import { type App, LEARNT, type LearntModel } from "../app.js";
import { Awake } from "../awake.js";
import { askBeforeLeaving, byId, download, enable, h, onClick, say } from "../dom.js";
import { BrowserEngine } from "../browser-engine.js";
import { fileName, unzipped, zipped } from "../own/archive.js";
import { type Group, OwnClasses } from "../own/classes.js";
import { type Among, amongChosen, amongDropped, hasFolders, leftOut } from "../own/found.js";
import { Recorder } from "../own/recorder.js";
import { showLearnt } from "../parts/learnt.js";
import { ProblemBox } from "../parts/problem-box.js";
import { counted } from "../words.js";

const LARGEST_ZIP = 1 << 27; // bytes

export function learnView(app: App): void {
  new LearnView(app);
}

class LearnView {
  private readonly own = new OwnClasses();
  private readonly awake = new Awake();
  private readonly problem = new ProblemBox(byId("learn-problem"));
  private readonly label = byId<HTMLInputElement>("learn-class");
  private readonly speaker = byId<HTMLInputElement>("learn-speaker");
  private readonly name = byId<HTMLInputElement>("learn-name");
  private readonly status = byId("learn-status");
  private readonly progress = byId<HTMLProgressElement>("learn-progress");
  private recording: { recorder: Promise<Recorder>; label: string; speaker: string } | null = null;
  private learnt: LearntModel | null = null; // whose results are shown
  private isBusy = false;
  private isLearnt = false; // all that was spoken, by the model below
  private isSaved = false; // that model

  constructor(private readonly app: App) {
    this.takeFiles("learn-folder");
    this.takeFiles("learn-files");
    const drop = byId("learn-drop");
    drop.hidden = !hasFolders();
    for (const kind of ["dragover", "dragleave", "drop"] as const) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragover");
        if (kind === "drop" && event.dataTransfer) this.add(amongDropped(event.dataTransfer));
      });
    }
    onClick("learn-record", () => this.told(() => (this.recording ? this.endRecording() : this.record())));
    onClick("learn-start", () => this.told(() => this.learn()));
    onClick("learn-download", () => {
      this.save();
    });
    const input = byId<HTMLInputElement>("learn-open");
    input.addEventListener("change", () => {
      const [file] = input.files ?? [];
      input.value = "";
      void this.told(() => this.open(file));
    });
    askBeforeLeaving(
      () =>
        this.recording !== null ||
        this.isBusy ||
        (this.learnt !== null && !this.isSaved) ||
        (this.own.hasSpoken && !(this.isLearnt && this.isSaved)),
    );
    app.addEventListener("engine", () => {
      this.draw();
    });
    this.draw();
  }

  private takeFiles(id: string): void {
    const input = byId<HTMLInputElement>(id);
    input.addEventListener("change", () => {
      const chosen = [...(input.files ?? [])];
      input.value = "";
      this.add(Promise.resolve().then(() => amongChosen(chosen)));
    });
  }

  private add(finding: Promise<Among>): void {
    void this.told(async () => {
      say(byId("learn-left-out"), "");
      const { recordings, nOthers } = await finding;
      this.own.addFiles(recordings, this.label.value, this.speaker.value);
      say(byId("learn-left-out"), leftOut(nOthers));
      this.drawGroups();
    });
  }

  private async record(): Promise<void> {
    if (!this.label.value.trim()) throw new EarnestError("Say which class you will record: type its name first.");
    const label = checkedLabel(this.label.value); // what is typed meanwhile is for the next one
    const recorder = Recorder.start((peak, seconds, isFull) => {
      byId<HTMLMeterElement>("learn-level").value = peak;
      byId("learn-seconds").textContent = `${seconds.toFixed(0)} s`; // not read out: it would be in the recording
      if (isFull) void this.told(() => this.endRecording());
    });
    this.recording = { recorder, label, speaker: this.speaker.value };
    byId("learn-seconds").textContent = "";
    say(this.status, `Recording “${label}”`);
    this.draw();
    try {
      const { ended } = await recorder;
      void ended.then(async () => {
        if (this.recording?.recorder === recorder) await this.told(() => this.endRecording()); // the microphone was unplugged
      });
    } catch (error) {
      this.recording = null;
      throw error;
    }
  }

  private async endRecording(): Promise<void> {
    const { recording } = this;
    this.recording = null;
    if (!recording) return;
    const sound = await (await recording.recorder).stop();
    say(this.status, "");
    this.own.addSound(sound, recording.label, recording.speaker);
    this.isLearnt = false;
    this.drawGroups();
  }

  private async learn(): Promise<void> {
    this.isBusy = true;
    this.progress.value = 0;
    say(this.status, "Loading the model …");
    this.draw();
    let engine: BrowserEngine | null = null;
    try {
      engine = await BrowserEngine.open(this.base(), () => undefined); // of its own: whatever is chosen above meanwhile, it learns on
      this.isLearnt = true; // what is spoken from here on is not
      const name = this.name.value.trim() || "mine";
      const { learnt, unusable } = await this.own.learn(engine.learner, name, (share) => {
        this.progress.value = share;
        say(this.status, share < 1 ? "Hearing the recordings …" : "Learning, and testing by cross-validation …");
      });
      byId("learnt").hidden = false;
      byId("learnt-title").textContent = `“${name}”, learnt with the encoder of “${learnt.summary.base}”`;
      byId("learnt-command").textContent = `earnest predict talk.wav --model "${fileName(name)}"`;
      showLearnt(byId("learnt-result"), learnt.summary, unusable);
      this.learnt = { name, files: learnt.files };
      this.isSaved = false;
      this.app.offer(this.learnt);
      say(this.status, "Learnt. This model answers from now on, also under Live and Files.");
      byId("learnt-title").focus();
    } catch (error) {
      this.isLearnt = false;
      throw error;
    } finally {
      engine?.close();
      this.isBusy = false;
    }
  }

  /** The model above; in place of one that was learnt, the one whose hearing that has. */
  private base(): string {
    const { choice, site } = this.app;
    const { place, about } = this.app.ready();
    if (place !== "browser") throw new EarnestError("Learning happens in this browser. Choose “In this browser” above.");
    const name = choice?.model === LEARNT ? about.origin?.split(" ")[0] : choice?.model;
    return name !== undefined && site.models.includes(name) ? name : site.models[0];
  }

  private save(): void {
    if (!this.learnt) return;
    const folder = fileName(this.learnt.name);
    download(zipped(folder, this.learnt.files), `${folder}.zip`, "application/zip");
    this.isSaved = true;
  }

  private async open(file: File | undefined): Promise<void> {
    if (!file) return;
    if (file.size > LARGEST_ZIP) throw new EarnestError("The file is larger than 128 MB. Choose one that was downloaded here.");
    const files = unzipped(new Uint8Array(await file.arrayBuffer()));
    say(this.status, `Opening ${file.name} …`);
    (await BrowserEngine.openFiles(files)).close(); // one that can't answer takes no other's place
    this.app.offer({ name: file.name.replace(/\.zip$/i, ""), files });
    say(this.status, `${file.name} answers from now on, also under Live and Files.`);
  }

  /** Do something; what goes wrong is told, and the page shows what is there now. */
  private async told(work: () => unknown): Promise<void> {
    this.problem.clear();
    try {
      await work();
    } catch (error) {
      say(this.status, "");
      this.problem.show(error);
    }
    this.draw();
  }

  private draw(): void {
    const { groups, count } = this.own;
    byId("learn-empty").hidden = groups.length > 0;
    const counts = new Map<string, number>();
    for (const { label, recordings } of groups) counts.set(label, (counts.get(label) ?? 0) + recordings.length);
    const enough = [...counts.values()].filter((n) => n >= FEWEST_A_CLASS).length;
    const missing = `At least two classes are needed, with ${FEWEST_A_CLASS} recordings each.`;
    say(byId("learn-count"), count ? `${counted(count, "recording")}, ${counted(counts.size, "class")}. ${enough < 2 ? missing : ""}` : missing);
    byId("learn-record").textContent = this.recording ? "Stop recording" : "Record one";
    byId("learn-level").hidden = byId("learn-seconds").hidden = !this.recording;
    document.documentElement.dataset["learn"] = this.recording ? "recording" : "idle";
    this.awake.keep(this.recording !== null || this.isBusy);
    document.dispatchEvent(new Event("listening"));
    enable(byId("learn-start"), !this.isBusy && enough >= 2 && Boolean(this.app.engine));
    this.progress.hidden = !this.isBusy;
  }

  /** When they change alone: what is being typed in a row must stay. */
  private drawGroups(): void {
    byId("learn-groups").replaceChildren(...this.own.groups.map((group) => this.row(group)));
  }

  private row(group: Group): HTMLElement {
    const { label, speaker, recordings } = group;
    const who = h("input", { type: "text", value: speaker, maxlength: 64, autocomplete: "off", placeholder: "unknown", "aria-label": `Speaker of these ${recordings.length} of ${label}` });
    who.addEventListener("change", () => {
      group.speaker = who.value.trim(); // drawn at the next change: whoever types on must not lose the place
    });
    const remove = h("button", { type: "button", class: "small", "aria-label": `Remove ${label}${speaker && ` by ${speaker}`}`, click: () => {
      this.own.remove(group);
      this.drawGroups();
      this.draw();
      this.label.focus();
    } }, "Remove");
    return h("li", { class: "file" }, h("span", { class: "file-name" }, label), h("span", {}, counted(recordings.length, "recording")), h("label", { class: "row" }, "by ", who), remove);
  }
}
