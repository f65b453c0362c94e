/** Answers in this browser: nothing leaves it. */

import {
  type Adapter,
  AudioError,
  type BundleFiles,
  load,
  type Model,
  type Prediction,
  type Profile,
  type Progress,
  type SoundStream,
  type StreamOptions,
  type Timeline,
  UnreachableError,
} from "../../src/index.js";
import { licenceOf } from "../../src/learning/summary.js";
import { type About, type Adapt, askedOf, type Engine, type Learner, type Source, type Work } from "./engine.js";
import { isSpectrogram } from "./source.js";

declare const BUILT: { worker: string }; // file names, by build.mjs
const VOICE_ACTIVITY = "models/silero_vad.onnx";
const AGAIN_MS = 500; // until what could not be fetched is asked for once more

export class BrowserEngine implements Engine {
  readonly place = "browser";
  classes: string[] | null = null;
  isMostlyNeutral = false;
  adapt: Adapt = "off";
  isClosed = false;
  private readonly streams = new Set<SoundStream>(); // that are open

  private constructor(
    private readonly model: Model,
    readonly files: readonly string[],
  ) {}

  /**
   * Load a model. A service worker that the browser ends, because there is little memory or the machine is busy, takes what it
   * was fetching with it, and starts anew at the next request: what can't be had is asked for once more.
   */
  private static async loaded(source: string | BundleFiles, onProgress: (progress: Progress) => void = () => undefined): Promise<Model> {
    const once = async (): Promise<Model> => load(source, { workerUrl: workerUrl(), onProgress, voiceActivityUrl: VOICE_ACTIVITY });
    return once().catch(async (error: unknown) => {
      if (!(error instanceof UnreachableError)) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      return once();
    });
  }

  /** Load `models/NAME/`, with Silero's voice activity network. */
  static async open(name: string, onProgress: (progress: Progress) => void): Promise<BrowserEngine> {
    const folder = `models/${name}/`;
    const model = await BrowserEngine.loaded(folder, onProgress);
    const notice = "NOTICE.txt" in model.info.files ? "NOTICE.txt" : undefined; // goes along with what is learnt from it
    const files = ["bundle.json", "model.onnx", model.info.adaptation?.file, notice].filter((file) => file !== undefined);
    return new BrowserEngine(model, [...files.map((file) => folder + file), VOICE_ACTIVITY]);
  }

  /** Load a bundle whose files are at hand. */
  static async openFiles(files: BundleFiles): Promise<BrowserEngine> {
    return new BrowserEngine(await BrowserEngine.loaded(files), [VOICE_ACTIVITY]);
  }

  get learner(): Learner {
    const { model } = this;
    return {
      model: `${model.info.name} ${model.info.version}`,
      hear: async (source) => {
        const { waveform, sampleRateHz } = soundOf(source);
        return model.hear(waveform, sampleRateHz);
      },
      learn: (examples, options) => model.learn(examples, options),
    };
  }

  get about(): About {
    return { ...this.model.info, licence: licenceOf(this.model.info) } as unknown as About;
  }

  get canAdapt(): boolean {
    return this.model.canAdapt;
  }

  async stream(sampleRateHz: number, options: StreamOptions): Promise<SoundStream> {
    const stream: SoundStream = await this.adapted((adapting) => this.model.stream(sampleRateHz, { ...options, ...adapting, classes: askedOf(this) }));
    const close = stream.close.bind(stream);
    stream.close = async () => {
      await close();
      this.streams.delete(stream);
      this.closeModel();
    };
    this.streams.add(stream);
    return stream;
  }

  async timeline(source: Source, work: Work = {}): Promise<Timeline> {
    const { waveform, sampleRateHz, hasSeparateChannels = false } = soundOf(source);
    return this.adapted((adapting) =>
      this.model.timeline(waveform, sampleRateHz, { ...work, hasSeparateChannels, ...adapting, classes: askedOf(this), path: source.name }),
    );
  }

  async predict(source: Source): Promise<Prediction> {
    const { waveform, sampleRateHz, hasSeparateChannels = false } = soundOf(source);
    return this.adapted((adapting) =>
      this.model.predict(waveform, sampleRateHz, { hasSeparateChannels, ...adapting, classes: askedOf(this), path: source.name }),
    );
  }

  async profile(sources: Source[]): Promise<Profile> {
    return this.model.profile(sources.map(soundOf));
  }

  /** Do something with an adapter of its own; a stream keeps it for itself. */
  private async adapted<Value>(work: (adapting: { adapter?: Adapter }) => Promise<Value>): Promise<Value> {
    if (this.adapt === "off") return work({});
    const adapter = await this.model.adapter(this.adapt === "auto" ? [] : this.adapt);
    try {
      return await work({ adapter });
    } finally {
      await adapter.close();
    }
  }

  /** Close the model when its streams have ended: listeners end them when another engine is chosen, and need it until then. */
  close(): void {
    this.isClosed = true;
    this.closeModel();
  }

  private closeModel(): void {
    if (this.isClosed && !this.streams.size) this.model.close();
  }
}

function workerUrl(): URL {
  return new URL(BUILT.worker, location.href);
}

function soundOf({ name, file, sound }: Source): NonNullable<Source["sound"]> {
  if (sound) return sound;
  if (isSpectrogram(file)) {
    throw new AudioError(`${name}: a picture. Of pictures, only those of “earnest spectrogram” are answered, by a server: choose “On the server” above, where “earnest serve” sent this page.`);
  }
  throw new AudioError(`${name}: this browser can't decode it, or there is no sound in it. Convert it to WAV, FLAC or MP3.`);
}
