/** State that all views share: the engine, and the recordings of this visit. */

import type { BundleFiles, Timeline } from "../../src/index.js";
import { BrowserEngine } from "./browser-engine.js";
import type { Engine, Place } from "./engine.js";
import { keptForOffline } from "./offline.js";
import type { Peaks } from "./peaks.js";
import { ServerEngine, serverModels } from "./server-engine.js";

/** The longest timeline, and the most bytes of a request. */
export interface ServerLimits {
  timeline_s: number;
  body_bytes: number;
}

/** `site.json`: what lies beside the page, and whether a server is behind it. */
export interface Site {
  version: string;
  server: boolean;
  /** whether that server wants a key */
  keys: boolean;
  /** whether that server stores the files that it is sent, and its answers */
  keeps: boolean;
  /** what that server takes of one recording; null without a server */
  limits: ServerLimits | null;
  models: string[];
  clips: string[];
}

/** A recording that was answered about, with what is needed to show and play it. */
export interface Clip {
  id: string;
  name: string;
  place: Place;
  timeline: Timeline;
  /** what the model was asked for, see `askedInWords` */
  asked: string;
  peaks: Peaks | null;
  /** how many channels can be heard each by itself; 0 where they don't take turns */
  nChannels: number;
  /** of the sound, in this visit only; null where there is none */
  url: string | null;
}

export interface Choice {
  place: Place;
  model: string;
}

/** A model that was learnt, or opened, in this visit. */
export interface LearntModel {
  name: string;
  files: BundleFiles;
}

export const LEARNT = "learnt here"; // in place of a model's name

/** Tells "engine" (another one is being loaded, is ready, or failed), "models" (one was learnt), "progress", "clips", and "kept" for offline use. */
export class App extends EventTarget {
  engine: Engine | null = null;
  failure: unknown = null;
  loadedBytes = 0;
  learnt: LearntModel | null = null;
  choice: Choice | null = null;
  readonly clips: Clip[] = [];
  private nLoads = 0;

  constructor(readonly site: Site) {
    super();
  }

  /** Names of the models at a place, `LEARNT` for the one of this visit. */
  async models(place: Place): Promise<string[]> {
    if (place === "server") return (await serverModels()).map(({ name }) => name);
    return this.learnt ? [...this.site.models, LEARNT] : this.site.models;
  }

  /** Let a model that was learnt here be among those that can be chosen. */
  offer(learnt: LearntModel): void {
    this.learnt = learnt;
    this.tell("models");
  }

  /** Let nobody answer until an engine is chosen. */
  leave(): void {
    this.nLoads++;
    this.engine?.close();
    this.engine = null;
    this.failure = null;
    this.loadedBytes = 0;
    this.tell("engine");
  }

  /** Let another engine answer from now on. */
  async use({ place, model }: Choice): Promise<void> {
    this.choice = { place, model };
    this.leave();
    const number = this.nLoads;
    try {
      const engine = await this.opened(place, model);
      if (number !== this.nLoads) {
        engine.close();
        return;
      }
      this.engine = engine;
    } catch (error) {
      if (number === this.nLoads) this.fail(error);
      return;
    }
    this.tell("engine");
  }

  /** Report that there will be no engine, and why. */
  fail(error: unknown): void {
    this.failure = error;
    this.tell("engine");
  }

  /** Wait until an engine is ready, or can't be had. */
  async settled(): Promise<void> {
    while (!this.engine && this.failure === null) {
      await new Promise((resolve) => {
        this.addEventListener("engine", resolve, { once: true });
      });
    }
  }

  /** The engine, or an error that says why there is none. */
  ready(): Engine {
    if (this.engine) return this.engine;
    throw this.failure instanceof Error ? this.failure : new Error("The model is still being loaded. Try again in a moment.");
  }

  add(clip: Clip): void {
    this.clips.push(clip);
    this.tell("clips");
  }

  remove(clip: Clip): void {
    this.clips.splice(this.clips.indexOf(clip), 1);
    if (clip.url) URL.revokeObjectURL(clip.url);
    this.tell("clips");
  }

  private async opened(place: Place, model: string): Promise<Engine> {
    if (place === "server") {
      const models = await serverModels();
      return new ServerEngine(models.find(({ name }) => name === model) ?? models[0]);
    }
    if (model === LEARNT && this.learnt) return BrowserEngine.openFiles(this.learnt.files);
    const loaded = new Map<string, number>();
    const engine = await BrowserEngine.open(model, ({ file, loadedBytes }) => {
      loaded.set(file, loadedBytes);
      this.loadedBytes = [...loaded.values()].reduce((sum, bytes) => sum + bytes, 0);
      this.tell("progress");
    });
    void keptForOffline(engine.files).then((isKept) => {
      if (isKept && engine === this.engine) this.tell("kept");
    });
    return engine;
  }

  private tell(what: string): void {
    this.dispatchEvent(new Event(what));
  }
}
