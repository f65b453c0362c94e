/** A bundle, ready to answer about recordings and streams, in the thread that calls it. */

import { type Activity, EnergyActivity, openVoiceActivity, SileroActivity } from "./activity.js";
import { Adaptation, Adapter, type AnswerListener, ProfileListener } from "./adaptation.js";
import { type AnswerOptions, Answers } from "./answers.js";
import { type Bundle, type BundleInfo, sha256Of } from "./bundle.js";
import { EarnestError } from "./errors.js";
import { Graph, type InferenceSession, type Ort, release } from "./graph.js";
import type { HeardRecording } from "./learning/examples.js";
import { checkNames, checkSignal, type Options, PREDICTING, STREAMING } from "./options.js";
import { type Prediction, type Status, type StreamEvent, type Timeline, timelineOf } from "./prediction.js";
import { checkedProfile, type Profile } from "./profile.js";
import { type Following, handedOver, pieces } from "./pieces.js";
import { Stream, told } from "./stream.js";
import { checkRate, checkRecording } from "./waveform.js";
import { type Job, Windower } from "./windows.js";

const UNHEARD: Partial<Record<Status, string>> = {
  "too-short": "too short",
  "no-speech": "no speech in it",
  "vocal-burst": "a voice without words (laugh, cry, sigh, scream), no speech",
};

/** Sound and its rate. */
export interface Recording {
  waveform: Float32Array;
  sampleRateHz: number;
  /** Whether it is the mean of channels that take turns, like two sides of a call, as `decode` finds. */
  hasSeparateChannels?: boolean;
  /** Number of channels of its file, as `decode` finds. */
  nChannels?: number;
}

export interface RecordingOptions extends Options, Following {
  /** Follows one speaker; without it the model as it is. */
  adapter?: AnswerListener | null;
  /** Name of the recording in the result. */
  path?: string;
  /** Notes of `decode` on the recording; then `quality` has them too. */
  hasSeparateChannels?: boolean;
}

export class Predictor {
  private constructor(
    private readonly ort: Ort,
    private readonly graph: Graph,
    readonly info: BundleInfo,
    private readonly adaptation: Adaptation | null,
    private readonly voiceActivity: InferenceSession | null,
  ) {}

  /** @param voiceActivity earnest's `silero_vad.onnx`; without it a rule on the level tells speech from the rest */
  static async open(ort: Ort, bundle: Bundle, voiceActivity: Uint8Array | null = null): Promise<Predictor> {
    const { info } = bundle;
    const graph = await Graph.open(ort, bundle.files.get("model.onnx")!, info, `${info.name}: model.onnx`);
    const detector = voiceActivity && (await openVoiceActivity(ort, voiceActivity));
    return new Predictor(ort, graph, info, await Adaptation.of(ort, bundle), detector);
  }

  /** Adapter to one speaker and its channel: by recordings or their profile, or by the sound it hears. */
  async adapter(known: readonly Recording[] | Profile = []): Promise<Adapter> {
    const adaptation = this.adapting();
    if (!isRecordings(known)) return new Adapter(adaptation, checkedProfile(known, this.info));
    return new Adapter(adaptation, known.length ? await this.profile(known) : null);
  }

  /** Hear recordings of one speaker, and return what others are adapted with; its JSON is that of `earnest adapt`. */
  async profile(recordings: readonly Recording[]): Promise<Profile> {
    this.adapting();
    const listener = new ProfileListener();
    for (const { waveform, sampleRateHz } of recordings) {
      await this.predict(waveform, sampleRateHz, { adapter: listener });
    }
    const profile = listener.profile(this.info);
    if (!profile.weights.length) throw new EarnestError("There is no speech to adapt to. Name other recordings.");
    return profile;
  }

  private adapting(): Adaptation {
    if (!this.adaptation) throw new EarnestError(`The model '${this.info.name}' can't adapt to a speaker. Use another.`);
    return this.adaptation;
  }

  /**
   * Predict the emotion of one recording.
   *
   * @param waveform one channel in [-1, 1]
   */
  async predict(waveform: Float32Array, sampleRateHz: number, options: RecordingOptions = {}): Promise<Prediction> {
    checkRecording(waveform, sampleRateHz);
    checkNames<RecordingOptions>(options, PREDICTING);
    return (await this.heard(waveform, sampleRateHz, options)).prediction;
  }

  /** The embedding of a recording that can be learnt from, the mean over its windows of speech; or why there is none. */
  async hear(waveform: Float32Array, sampleRateHz: number): Promise<HeardRecording> {
    checkRecording(waveform, sampleRateHz);
    const answers = new Answers(this.info, sampleRateHz);
    const windower = this.windower(sampleRateHz);
    answers.tally.hear(waveform);
    await told(this.graph, answers, jobsOf(windower, waveform, sampleRateHz), [...this.graph.predicted, "embedding"]);
    const { status, speech_s: speechS } = answers.prediction("", windower.isWhole);
    const problem = UNHEARD[status] ?? "";
    return {
      embedding: problem ? null : answers.tally.embedding,
      seconds: waveform.length / sampleRateHz,
      speechSeconds: speechS ?? 0,
      problem,
      sha256: await sha256Of(new Uint8Array(waveform.slice().buffer)),
    };
  }

  /**
   * Open a stream; hand it sound with `accept`, end it with `finish`.
   *
   * @param live whether `isSpeaking` is asked meanwhile; else speech is looked for in a short recording only if it must be
   */
  stream(sampleRateHz: number, options: AnswerOptions = {}, live = true): Stream {
    checkRate(sampleRateHz);
    checkNames<AnswerOptions>(options, STREAMING);
    return new Stream(this.graph, this.info, sampleRateHz, () => this.activity(), options, live);
  }

  /** Predict the emotion over time of a recording. */
  async timeline(waveform: Float32Array, sampleRateHz: number, options: AnswerOptions & RecordingOptions = {}): Promise<Timeline> {
    checkRecording(waveform, sampleRateHz);
    checkNames<AnswerOptions & RecordingOptions>(options, { ...PREDICTING, ...STREAMING });
    const { stream, events, prediction } = await this.heard(waveform, sampleRateHz, options);
    return timelineOf(prediction, stream.activity, events);
  }

  private async heard(
    waveform: Float32Array,
    sampleRateHz: number,
    { path = "array", hasSeparateChannels = false, onProgress, signal, ...how }: AnswerOptions & RecordingOptions,
  ): Promise<{ stream: Stream; events: StreamEvent[]; prediction: Prediction }> {
    checkSignal(signal);
    const stream = this.stream(sampleRateHz, how, false);
    const accept = async (piece: Float32Array): Promise<StreamEvent[]> => {
      const events = await stream.accept(piece);
      await othersTurn();
      return events;
    };
    const end = async (): Promise<[StreamEvent[], Prediction]> => [await stream.finish(), stream.prediction(path, hasSeparateChannels)];
    const [events, prediction] = await handedOver({ accept, end }, waveform, sampleRateHz, { onProgress, signal });
    return { stream, events, prediction };
  }

  async close(): Promise<void> {
    await this.graph.close();
    await this.adaptation?.close();
    if (this.voiceActivity) await release(this.voiceActivity);
  }

  private activity(): Activity {
    return this.voiceActivity ? new SileroActivity(this.ort, this.voiceActivity) : new EnergyActivity();
  }

  /** Cuts a recording that is all there. */
  private windower(sampleRateHz: number): Windower {
    const needsActivity = !this.info.sounds.length;
    return new Windower(this.info.sample_rate_hz, sampleRateHz, () => this.activity(), { needsActivity, live: false });
  }
}

/** WebAssembly gives nobody else a turn: no timer, no signal, no request. A timer for this would be late in hidden pages. */
async function othersTurn(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(null);
  });
  port1.close();
}

async function* jobsOf(windower: Windower, waveform: Float32Array, sampleRateHz: number): AsyncGenerator<Job, void, undefined> {
  for (const piece of pieces(waveform, sampleRateHz)) yield* windower.accept(piece);
  yield* windower.finish();
}

function isRecordings(known: readonly Recording[] | Profile): known is readonly Recording[] {
  return Array.isArray(known);
}
