/** The engine in the worker: one model, its streams and its adapters, by number. */

import type { Adapter } from "./adaptation.js";
import type { AnswerOptions } from "./answers.js";
import { type Bundle, type BundleFiles, type BundleInfo, fetchBundle, fetchFrom, fetchListed, noPage, type Progress, reached } from "./bundle.js";
import { BundleError, EarnestError } from "./errors.js";
import { type Ort, startRuntime } from "./graph.js";
import type { Example, HeardRecording } from "./learning/examples.js";
import { learn, type LearnOptions, type Learnt, NOTICE } from "./learning/learn.js";
import type { Prediction, StreamEvent } from "./prediction.js";
import { Predictor, type Recording } from "./predictor.js";
import type { Profile } from "./profile.js";
import type { Stream } from "./stream.js";

/** News for a stream's caller after each piece. */
export interface Told {
  events: StreamEvent[];
  isSpeaking: boolean;
  receivedS: number;
}

export interface Opened {
  number: number;
  activity: string;
}

export class Engine {
  private predictor: Predictor | null = null;
  private bundle: Bundle | null = null;
  private url = "";
  private readonly adapters = new Map<number, Adapter>();
  private readonly streams = new Map<number, Stream>();
  private nGiven = 0;

  constructor(
    private readonly ort: Ort,
    private readonly onProgress: (progress: Progress) => void = () => undefined,
  ) {}

  /** @param source a folder's address, or the files of one */
  async open(source: string | BundleFiles, voiceActivityUrl: string | null, threads: number): Promise<BundleInfo> {
    this.ort.env.wasm.numThreads = threads;
    const opened = typeof source === "string" ? fetchBundle(source, this.onProgress) : fetchBundle("", undefined, fetchFrom(source));
    const [bundle, voiceActivity] = await Promise.all([
      opened,
      voiceActivityUrl === null ? null : fetchBytes(voiceActivityUrl),
      startRuntime(this.ort),
    ]);
    this.predictor = await Predictor.open(this.ort, bundle, voiceActivity);
    [this.bundle, this.url] = [bundle, typeof source === "string" ? source : ""];
    return bundle.info;
  }

  async hear(waveform: Float32Array, sampleRateHz: number): Promise<HeardRecording> {
    return this.model.hear(waveform, sampleRateHz);
  }

  async learn(examples: Example[], options: LearnOptions): Promise<Learnt> {
    if (!this.bundle) throw new EarnestError("There is no model. Call load(…) first.");
    const { info, files } = this.bundle;
    const isNoticed = NOTICE in info.files && !files.has(NOTICE);
    const notice = isNoticed ? new Map([[NOTICE, await fetchListed(this.url, info, NOTICE)]]) : new Map();
    return learn({ info, files: new Map([...files, ...notice]) }, examples, options);
  }

  async adapter(known: Recording[] | Profile): Promise<number> {
    const adapter = await this.model.adapter(known);
    this.adapters.set(++this.nGiven, adapter);
    return this.nGiven;
  }

  async profile(recordings: Recording[]): Promise<Profile> {
    return this.model.profile(recordings);
  }

  async forgetAdapter(number: number): Promise<void> {
    this.adapters.delete(number);
  }

  async stream(sampleRateHz: number, options: Omit<AnswerOptions, "adapter">, adapter: number | null, live: boolean): Promise<Opened> {
    const stream = this.model.stream(sampleRateHz, { ...options, adapter: this.adapterOf(adapter) }, live);
    this.streams.set(++this.nGiven, stream);
    return { number: this.nGiven, activity: stream.activity };
  }

  async accept(number: number, waveform: Float32Array): Promise<Told> {
    return this.heard(number, (stream) => stream.accept(waveform));
  }

  async skip(number: number, seconds: number): Promise<Told> {
    return this.heard(number, (stream) => stream.skip(seconds));
  }

  async finish(number: number): Promise<Told> {
    return this.heard(number, (stream) => stream.finish());
  }

  async streamPrediction(number: number, path: string, hasSeparateChannels = false): Promise<Prediction> {
    return this.streamOf(number).prediction(path, hasSeparateChannels);
  }

  async forgetStream(number: number): Promise<void> {
    this.streams.delete(number);
  }

  private async heard(number: number, work: (stream: Stream) => Promise<StreamEvent[]>): Promise<Told> {
    const stream = this.streamOf(number);
    const events = await work(stream);
    return { events, isSpeaking: stream.isSpeaking, receivedS: stream.receivedS };
  }

  private get model(): Predictor {
    if (!this.predictor) throw new EarnestError("There is no model. Call load(…) first.");
    return this.predictor;
  }

  private adapterOf(number: number | null): Adapter | null {
    if (number === null) return null;
    const adapter = this.adapters.get(number);
    if (!adapter) throw new EarnestError("This adapter was closed. Make another one with model.adapter(…).");
    return adapter;
  }

  private streamOf(number: number): Stream {
    const stream = this.streams.get(number);
    if (!stream) throw new EarnestError("This stream was closed. Open another one with model.stream(…).");
    return stream;
  }
}

async function fetchBytes(url: string): Promise<Uint8Array> {
  const response = await reached(url, fetch(url));
  if (!response.ok) throw new BundleError(`${url}: the server answers ${response.status}. Check the address.`);
  return noPage(url, new Uint8Array(await reached(url, response.arrayBuffer())));
}
