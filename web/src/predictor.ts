/** A bundle, ready to answer about recordings and streams, in the thread that calls it. */

import { type Activity, EnergyActivity, openVoiceActivity, SileroActivity } from "./activity.js";
import { type Adaptation, adaptationOf, Adapter } from "./adaptation.js";
import { type AnswerOptions, Answers } from "./answers.js";
import type { Bundle, BundleInfo } from "./bundle.js";
import { EarnestError } from "./errors.js";
import { isSpeech, verdictOf } from "./gate.js";
import { Graph, type InferenceSession, type Ort, type Values } from "./graph.js";
import type { Options } from "./options.js";
import { type Prediction, type Timeline, timelineOf } from "./prediction.js";
import { lengthOf } from "./speech.js";
import { pieces, Stream, told } from "./stream.js";
import { checkRate, checkRecording } from "./waveform.js";
import { type Job, Windower } from "./windows.js";

/** Sound and its rate. */
export interface Recording {
  waveform: Float32Array;
  sampleRateHz: number;
}

export interface RecordingOptions extends Options {
  /** Follows one voice; without it the model as it is. */
  adapter?: Adapter | null;
  /** What to call the recording in the result. */
  path?: string;
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
    const graph = await Graph.open(ort, bundle.files.get("model.onnx")!, info.classes.length, `${info.name}: model.onnx`);
    const detector = voiceActivity && (await openVoiceActivity(ort, voiceActivity));
    return new Predictor(ort, graph, info, adaptationOf(bundle), detector);
  }

  /** What gets used to one voice and its channel, from given recordings of it or from what it hears. */
  async adapter(recordings: readonly Recording[] = []): Promise<Adapter> {
    if (!this.adaptation) throw new EarnestError(`The model '${this.info.name}' can't adapt to a voice. Use another.`);
    const adapter = new Adapter(this.adaptation);
    if (!recordings.length) return adapter;
    const embeddings: Values[] = [];
    let nSamples = 0;
    for (const { waveform, sampleRateHz } of recordings) {
      checkRecording(waveform, sampleRateHz);
      const answers = new Answers(this.info, sampleRateHz);
      for await (const job of jobsOf(this.windower(sampleRateHz), waveform, sampleRateHz)) {
        if (job.sound === null || !answers.wants(job)) continue;
        const { embedding, ...outputs } = await this.graph.run(job.sound, true);
        if (!embedding || !isSpeech(verdictOf(outputs, this.info.sounds))) continue;
        embeddings.push(embedding);
        nSamples += lengthOf(job.extent);
      }
    }
    adapter.learnFrom(embeddings, nSamples / this.info.sample_rate_hz);
    return adapter;
  }

  /**
   * Predict the emotion of one recording.
   *
   * @param waveform one channel in [-1, 1]
   */
  async predict(waveform: Float32Array, sampleRateHz: number, options: RecordingOptions = {}): Promise<Prediction> {
    checkRecording(waveform, sampleRateHz);
    const { path = "array", ...how } = options;
    const answers = new Answers(this.info, sampleRateHz, how);
    const windower = this.windower(sampleRateHz);
    answers.tally.hear(waveform);
    await told(this.graph, answers, jobsOf(windower, waveform, sampleRateHz));
    return answers.prediction(path, windower.isWhole);
  }

  /** Open a stream; hand it sound with `accept`, end it with `finish`. */
  stream(sampleRateHz: number, options: AnswerOptions = {}): Stream {
    checkRate(sampleRateHz);
    return new Stream(this.graph, this.info, sampleRateHz, () => this.activity(), options);
  }

  /** Tell the emotion over time of a recording. */
  async timeline(waveform: Float32Array, sampleRateHz: number, options: AnswerOptions & RecordingOptions = {}): Promise<Timeline> {
    checkRecording(waveform, sampleRateHz);
    const { path = "array", ...how } = options;
    const stream = this.stream(sampleRateHz, how);
    const events = [...(await stream.accept(waveform)), ...(await stream.finish())];
    return timelineOf(stream.prediction(path), stream.activity, events);
  }

  async close(): Promise<void> {
    await this.graph.close();
    await this.voiceActivity?.release();
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

async function* jobsOf(windower: Windower, waveform: Float32Array, sampleRateHz: number): AsyncGenerator<Job, void, undefined> {
  for (const piece of pieces(waveform, sampleRateHz)) yield* windower.accept(piece);
  yield* windower.finish();
}
