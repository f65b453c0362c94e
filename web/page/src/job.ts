/** One chosen file on its way to an answer. */

import { ChannelError, type Recording } from "../../src/index.js";
import type { App, Clip } from "./app.js";
import { askedInWords, type Engine, type Place, type Source } from "./engine.js";
import { SEPARATE } from "./parts/bars.js";
import { identity } from "./store.js";
import { isAbort, type Problem, problemOf, ServerError } from "./problems.js";
import { ServerEngine, serverModels } from "./server-engine.js";
import { peaksOf } from "./peaks.js";
import { sourceOf, TooLongHereError } from "./source.js";
import { wave } from "./wave.js";

type JobState =
  | { is: "waiting" }
  | { is: "cancelled"; told: "cancelled" | "not answered" }
  | { is: "working"; share: number }
  | { is: "done"; clip: Clip }
  | { is: "failed"; problem: Problem; offer: "server" | "channel" | null; isOfTheEngine: boolean };

const NOT_THE_FILES = [0, 401, 429, 503]; // answers of a server that is gone, wants a key, or is busy

export class Job {
  state: JobState = { is: "waiting" };
  onChange: () => void = () => undefined;
  private controller = new AbortController();
  private opened: { place: Place; source: Source } | null = null; // so that another model needn't decode it again

  constructor(
    private readonly app: App,
    readonly file: File,
    /** which one is heard by itself; null for the mean of all */
    readonly channel: number | null = null,
  ) {}

  /** "call.wav", or, of one channel by itself, "call.wav#2", as in the tables of `earnest predict`. */
  get name(): string {
    return this.channel === null ? this.file.name : `${this.file.name}#${this.channel}`;
  }

  /** As soon as the model is loaded. Where another one is chosen before it has answered, that one answers. */
  async run(): Promise<void> {
    while (this.state.is === "waiting") {
      await this.app.settled();
      if (this.isWaiting()) await this.answer(() => this.app.ready());
    }
  }

  /** Where this browser can't decode it: only when a person asks for it. */
  async runOnServer(): Promise<void> {
    await this.answer(async () => {
      const [models, here] = [await serverModels(), this.app.engine];
      const same = models.find(({ name }) => name === here?.about.name);
      const engine = new ServerEngine(same ?? models[0]);
      if (same && here) [engine.classes, engine.isMostlyNeutral, engine.adapt] = [here.classes, here.isMostlyNeutral, here.adapt];
      return engine;
    });
  }

  /** Whether it will be answered, unless it is cancelled. */
  get isOpen(): boolean {
    return this.state.is === "waiting" || this.state.is === "working";
  }

  /** Whether it has no answer though nothing is wrong with the file. */
  get canTryAgain(): boolean {
    return this.state.is === "cancelled" || (this.state.is === "failed" && this.state.isOfTheEngine);
  }

  /** Wait for an answer as if it had just been chosen. */
  waitAgain(): void {
    this.controller = new AbortController();
    this.become({ is: "waiting" });
  }

  private isWaiting(): boolean {
    return this.state.is === "waiting";
  }

  /** @param told by a person, or as nobody is there to answer it */
  cancel(told: "cancelled" | "not answered" = "cancelled"): void {
    this.controller.abort();
    if (this.state.is === "waiting") this.become({ is: "cancelled", told });
  }

  private async answer(engineOf: () => Engine | Promise<Engine>): Promise<void> {
    this.become({ is: "working", share: 0 });
    let engine: Engine | null = null;
    let isUndecodable = false;
    try {
      engine = await engineOf();
      const { place } = engine;
      const server = place === "server" ? this.app.site.limits : null;
      if (this.opened?.place !== place) this.opened = { place, source: await sourceOf(this.file, this.name, this.channel, server) };
      const { source } = this.opened;
      const asked = askedInWords(engine);
      isUndecodable = source.sound === null;
      const timeline = await engine.timeline(source, {
        signal: this.controller.signal,
        onProgress: (share) => {
          this.become({ is: "working", share });
        },
      });
      const clip: Clip = {
        id: identity(),
        name: this.name,
        place,
        timeline,
        asked,
        peaks: source.sound && peaksOf(source.sound.waveform, source.sound.sampleRateHz),
        nChannels: timeline.quality.includes(SEPARATE) ? (source.sound?.nChannels ?? 2) : 0,
        url: source.plays ? URL.createObjectURL(heard(source.sound, this)) : null,
      };
      this.become({ is: "done", clip });
      this.app.add(clip);
    } catch (error) {
      const isForServers = isUndecodable || error instanceof TooLongHereError;
      const seconds = error instanceof TooLongHereError ? error.seconds : 0;
      const canTryServer = isForServers && engine?.place === "browser" && this.isTaken(seconds);
      const offer = error instanceof ChannelError ? "channel" : canTryServer ? "server" : null;
      if (isAbort(error)) this.become({ is: "cancelled", told: "cancelled" });
      else if (engine?.isClosed) this.become({ is: "waiting" }); // another model was chosen meanwhile
      else {
        const isOfTheEngine = !engine || (error instanceof ServerError && NOT_THE_FILES.includes(error.status));
        this.become({ is: "failed", problem: problemOf(error), offer, isOfTheEngine });
      }
    }
  }

  /** Whether there is a server that takes so long a recording, and so large a file. */
  private isTaken(seconds: number): boolean {
    const { server, limits } = this.app.site;
    return server && (!limits || (seconds <= limits.timeline_s && this.file.size <= limits.body_bytes));
  }

  private become(state: JobState): void {
    this.state = state;
    if (!this.isOpen) this.opened = null;
    this.onChange();
  }
}

/** The sound to play: the file, or its one channel alone. */
function heard(sound: Recording | null, { file, channel }: Job): Blob {
  return sound && channel !== null ? wave(sound.waveform, sound.sampleRateHz) : file;
}
