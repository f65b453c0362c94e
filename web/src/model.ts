/** A model as the page sees it: everything it does, it does in a worker. */

import type { BundleFiles, BundleInfo, Progress } from "./bundle.js";
import { Client } from "./client.js";
import { EarnestError } from "./errors.js";
import { described, isObject } from "./given.js";
import type { Example, HeardRecording } from "./learning/examples.js";
import type { LearnOptions, Learnt } from "./learning/learn.js";
import { Adapter, LiveStream, type StreamOptions } from "./live.js";
import type { RuntimeFiles } from "./messages.js";
import { listen, type Listening, type ListenOptions } from "./microphone.js";
import { checkNames, checkSignal, type Names, type Options, PREDICTING, STREAMING } from "./options.js";
import { type Following, handedOver } from "./pieces.js";
import { type Prediction, type StreamEvent, type Timeline, timelineOf } from "./prediction.js";
import type { Recording } from "./predictor.js";
import type { Profile } from "./profile.js";
import { checkRecording, copied } from "./waveform.js";
import type { Windowing } from "./windows.js";

export interface LoadOptions {
  /** Called while files arrive. */
  onProgress?: (progress: Progress) => void;
  /** Ends the loading; the promise is then rejected with the signal's reason. */
  signal?: AbortSignal;
  /** Address of earnest's `silero_vad.onnx`, the voice activity network; without it the level tells speech from the rest. */
  voiceActivityUrl?: string | URL;
  /** Cores for one prediction; more than one needs a page with COOP and COEP headers. */
  threads?: number;
  /** Address of `earnest.worker.js`, if not beside this module. */
  workerUrl?: string | URL;
  /** Folder of `ort-wasm-simd-threaded.mjs` and `.wasm`; default: beside this module, with `workerUrl` beside the worker. */
  runtimeUrl?: string | URL;
}

export interface PredictOptions extends Options, Following {
  /** Of this speaker; without it the model as it is. */
  adapter?: Adapter;
  /** Name of the recording in the result. */
  path?: string;
  /** Notes of `decode` on the recording; then `quality` has them too. */
  hasSeparateChannels?: boolean;
}

export interface TimelineOptions extends PredictOptions, Windowing {}

/** A recording that was heard; its stream is closed. */
interface Answered {
  stream: LiveStream;
  events: StreamEvent[];
  prediction: Prediction;
}

const RECORDINGS = "a list of what decode(…) returns, [{ waveform, sampleRateHz }, …]";

const LOADING: Names<LoadOptions> = { onProgress: true, signal: true, voiceActivityUrl: true, threads: true, workerUrl: true, runtimeUrl: true };
const FOLLOWING: Names<TimelineOptions> = { ...PREDICTING, ...STREAMING };
const LISTENING: Names<ListenOptions> = { ...STREAMING, onEvent: true, onLevel: true, onInterruption: true, onSleep: true, constraints: true, workletUrl: true };
const LEARNING: Names<LearnOptions> = { name: true, licence: true };

/** Load a bundle from its folder's address, or from its files by name. */
export async function load(source: string | URL | BundleFiles, options: LoadOptions = {}): Promise<Model> {
  checkSource(source);
  checkNames(options, LOADING);
  checkThreads(options.threads);
  checkSignal(options.signal);
  if (!("Worker" in globalThis)) throw new EarnestError("There are no workers here. In Node and in service workers use @earnest/browser/core.");
  const workerUrl = absolute(options.workerUrl ?? new URL("./earnest.worker.js", import.meta.url), "workerUrl");
  const runtime = runtimeFiles(options);
  const voiceActivityUrl = options.voiceActivityUrl === undefined ? null : absolute(options.voiceActivityUrl, "voiceActivityUrl");
  const from = typeof source === "string" || source instanceof URL ? absolute(source, "the bundle's address") : source;
  const worker = startWorker(workerUrl);
  if (runtime) worker.postMessage(runtime);
  const client = new Client(worker, options.onProgress, workerUrl);
  const abort = (): void => {
    client.close(options.signal?.reason as Error);
  };
  options.signal?.addEventListener("abort", abort);
  try {
    return new Model(client, await client.call("open", [from, voiceActivityUrl, options.threads ?? 1]));
  } catch (error) {
    client.close();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", abort);
  }
}

function startWorker(url: string): Worker {
  try {
    return new Worker(url, { type: "module", name: "earnest" });
  } catch (error) {
    const advice = String(error).includes("TrustedScriptURL")
      ? "With require-trusted-types-for, give the page a default policy that lets this address be a script's."
      : "Its file must be of the page's own origin.";
    throw new EarnestError(`${url}: the worker can't start (${String(error)}). ${advice}`);
  }
}

/** The result of `work`, or the signal's reason as soon as it is aborted, whatever `work` does then. */
async function unlessAborted<Value>(work: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (!signal) return work;
  let abort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => { reject(signal.reason as Error); };
    signal.addEventListener("abort", abort);
  });
  return Promise.race([aborted, work]).finally(() => { signal.removeEventListener("abort", abort); });
}

function checkSource(source: unknown): void {
  if (typeof source === "string" || source instanceof URL || source instanceof Map) return;
  throw new EarnestError(
    `Expected the address of a bundle's folder, load("models/small/"), or its files as a Map of name to Uint8Array, ` +
      `such as the \`files\` that learn(…) returns, got ${described(source)}.`,
  );
}

function checkThreads(threads: unknown): void {
  if (threads === undefined || (Number.isInteger(threads) && Number(threads) >= 1)) return;
  throw new EarnestError(`threads must be a whole number from 1 on, got ${described(threads)}.`);
}

/** Files are named in full where bundlers must see them: `new URL("…", import.meta.url)` is what they look for. */
function runtimeFiles({ workerUrl, runtimeUrl }: LoadOptions): RuntimeFiles | null {
  if (runtimeUrl !== undefined) {
    const folder = `${absolute(runtimeUrl, "runtimeUrl").replace(/\/$/, "")}/`;
    return { runtime: { mjs: `${folder}ort-wasm-simd-threaded.mjs`, wasm: `${folder}ort-wasm-simd-threaded.wasm` } };
  }
  if (workerUrl !== undefined) return null;
  const mjs = new URL("./ort-wasm-simd-threaded.mjs", import.meta.url).href;
  return { runtime: { mjs, wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url).href } };
}

function isRecordings(given: unknown): given is Recording[] {
  return Array.isArray(given) && given.every((one) => isObject(one) && "waveform" in one && "sampleRateHz" in one);
}

/** The address that `fetch` would ask for: from the page's base, `<base href>` where it has one; the worker's base is another. */
function absolute(url: string | URL, what: string): string {
  try {
    return new URL(url, "document" in globalThis ? document.baseURI : location.href).href;
  } catch {
    throw new EarnestError(`${what} is no address: ${described(url)}.`);
  }
}

export class Model {
  /** The bundle's description. */
  readonly info: BundleInfo;
  private readonly listenings = new Set<Listening>();

  constructor(
    private readonly client: Client,
    info: BundleInfo,
  ) {
    this.info = info;
  }

  /** Whether `adapter` works: whether the bundle holds an adaptation network. */
  get canAdapt(): boolean {
    return Boolean(this.info.adaptation);
  }

  /**
   * Predict the emotion of one recording.
   *
   * @param waveform one channel in [-1, 1], at any level; it is copied
   */
  async predict(waveform: Float32Array, sampleRateHz: number, options: PredictOptions = {}): Promise<Prediction> {
    checkNames<PredictOptions>(options, PREDICTING);
    return (await this.heard(waveform, sampleRateHz, options)).prediction;
  }

  /** Predict the emotion over time of one recording. */
  async timeline(waveform: Float32Array, sampleRateHz: number, options: TimelineOptions = {}): Promise<Timeline> {
    checkNames(options, FOLLOWING);
    const { stream, events, prediction } = await this.heard(waveform, sampleRateHz, options);
    return timelineOf(prediction, stream.activity, events);
  }

  private async heard(waveform: Float32Array, sampleRateHz: number, options: TimelineOptions): Promise<Answered> {
    checkRecording(waveform, sampleRateHz);
    checkSignal(options.signal);
    return unlessAborted(this.followed(waveform, sampleRateHz, options), options.signal);
  }

  private async followed(waveform: Float32Array, sampleRateHz: number, options: TimelineOptions): Promise<Answered> {
    const { path = "array", hasSeparateChannels, onProgress, signal, ...how } = options;
    const stream = await this.opened(sampleRateHz, how, false);
    const accept = (piece: Float32Array): Promise<StreamEvent[]> => stream.accept(piece);
    const end = (): Promise<[StreamEvent[], Prediction]> => Promise.all([stream.finish(), stream.prediction(path, hasSeparateChannels)]);
    try {
      const [events, prediction] = await handedOver({ accept, end }, waveform, sampleRateHz, { onProgress, signal });
      return { stream, events, prediction };
    } finally {
      await stream.close().catch(() => undefined); // where the model was closed, the stream is gone with it
    }
  }

  /** Return an adapter to one speaker and its channel: by recordings or their profile, or by the sound it will hear. */
  async adapter(known: Recording[] | Profile = []): Promise<Adapter> {
    if (!isRecordings(known) && !(isObject(known) && "format" in known)) {
      throw new EarnestError(`Expected recordings of the speaker, ${RECORDINGS}, or their profile, got ${described(known)}.`);
    }
    return new Adapter(this.client, await this.client.call("adapter", [known]));
  }

  /** Hear recordings of one speaker, and return their profile: JSON that `adapter` and the Python package take. */
  async profile(recordings: Recording[]): Promise<Profile> {
    if (!isRecordings(recordings)) {
      throw new EarnestError(`Expected recordings of one speaker, ${RECORDINGS}, got ${described(recordings)}.`);
    }
    return this.client.call("profile", [recordings]);
  }

  /** Hear one recording, to `learn` from it: its embedding, or why there is none. */
  async hear(waveform: Float32Array, sampleRateHz: number): Promise<HeardRecording> {
    const own = copied(waveform);
    return this.client.call("hear", [own, sampleRateHz], [own.buffer]);
  }

  /**
   * Learn classes of one's own from recordings that this model heard; as `earnest learn` does. What comes back are the
   * files of a bundle, for `load` and `earnest predict --model`, and what it is worth.
   */
  async learn(examples: Example[], options: LearnOptions): Promise<Learnt> {
    checkNames(options, LEARNING);
    return this.client.call("learn", [examples, options]);
  }

  /** Open a stream of sound from anywhere. */
  async stream(sampleRateHz: number, options: StreamOptions = {}): Promise<LiveStream> {
    checkNames(options, STREAMING);
    return this.opened(sampleRateHz, options, true);
  }

  private async opened(sampleRateHz: number, { adapter, ...asked }: StreamOptions, live: boolean): Promise<LiveStream> {
    const number = Adapter.numberOf(adapter, this.client);
    return new LiveStream(this.client, await this.client.call("stream", [sampleRateHz, asked, number, live]));
  }

  /** Listen to the microphone until it is told to stop. */
  async listen(options: ListenOptions): Promise<Listening> {
    if (isObject(options)) {
      checkNames(options, LISTENING); // without any, listen says what it needs
      Adapter.numberOf(options.adapter, this.client); // before anybody is asked for the microphone
    }
    const listening = await listen(this, options);
    this.listenings.add(listening);
    const forget = (): void => void this.listenings.delete(listening);
    listening.ended.then(forget, forget);
    return listening;
  }

  /** End listening and the worker, and free its memory. */
  close(): void {
    // Where it is paused, no sound comes whose loss would end it: the microphone would stay open.
    for (const listening of this.listenings) listening.stop().catch(() => undefined);
    this.client.close();
  }
}
