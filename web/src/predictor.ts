/** A bundle, ready to answer about recordings and streams, in the thread that calls it. */

import { type Activity, EnergyActivity, SileroActivity } from "./activity.js";
import { type Adaptation, adaptationOf, Adapter } from "./adaptation.js";
import type { Bundle, BundleInfo } from "./bundle.js";
import { Domain } from "./domain.js";
import { EarnestError } from "./errors.js";
import { Graph, type InferenceSession, openSession, type Ort, type Values } from "./graph.js";
import { frameLevelsDbfs, isSilent, speechSeconds } from "./levels.js";
import { roundHalfEven } from "./numbers.js";
import { type Prediction, type Timeline, timelineOf, unanswered } from "./prediction.js";
import { resampled } from "./resample.js";
import { type Parts, Stream, type Windowing } from "./stream.js";
import { Tally } from "./tally.js";
import { checkRate, checkRecording } from "./waveform.js";

/** Sound and its rate. */
export interface Recording {
  waveform: Float32Array;
  sampleRateHz: number;
}

export class Predictor {
  readonly info: BundleInfo;

  private constructor(
    private readonly ort: Ort,
    private readonly parts: Parts,
    private readonly adaptation: Adaptation | null,
    private readonly voiceActivity: InferenceSession | null,
  ) {
    this.info = parts.info;
  }

  /** @param voiceActivity Silero's network; without it a rule on the level tells speech from the rest in streams */
  static async open(ort: Ort, bundle: Bundle, voiceActivity: Uint8Array | null = null): Promise<Predictor> {
    const { info } = bundle;
    const where = `${info.name}: model.onnx`;
    const graph = await Graph.open(ort, bundle.files.get("model.onnx")!, info.classes.length, where);
    const detector = voiceActivity && (await openSession(ort, voiceActivity, "voice activity network"));
    return new Predictor(ort, { graph, info, domain: Domain.of(bundle) }, adaptationOf(bundle), detector);
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
      for (const window of this.windows(resampled(waveform, sampleRateHz, this.info.sample_rate_hz)).heard) {
        const { embedding } = await this.parts.graph.run(window, true);
        if (embedding) embeddings.push(embedding);
        nSamples += window.length;
      }
    }
    adapter.learnFrom(embeddings, nSamples / this.info.sample_rate_hz);
    return adapter;
  }

  /**
   * Predict the emotion of one recording.
   *
   * @param waveform one channel in [-1, 1]
   * @param path what to call it in the result
   */
  async predict(waveform: Float32Array, sampleRateHz: number, adapter: Adapter | null = null, path = "array"): Promise<Prediction> {
    checkRecording(waveform, sampleRateHz);
    const { graph, domain } = this.parts;
    const rate = this.info.sample_rate_hz;
    const tally = new Tally(sampleRateHz);
    tally.hear(waveform);
    const atModelRate = resampled(waveform, sampleRateHz, rate);
    const { heard, levels } = this.windows(atModelRate);
    for (const window of heard) {
      const { embedding, ...outputs } = await graph.run(window, Boolean(adapter ?? domain));
      if (domain && embedding) tally.judge(domain, embedding, window.length, rate);
      const seconds = window.length / rate;
      const adapted = adapter && embedding ? adapter.hear(embedding, outputs.probabilities, seconds, seconds) : null;
      if (adapted) {
        outputs.probabilities = adapted;
        tally.isAdapted = true;
      }
      tally.add(outputs, window.length);
    }
    const status = atModelRate.length < this.info.shortest_s * rate ? "too-short" : "no-speech";
    const measured = {
      ...unanswered(path, status, this.info.name),
      duration_s: tally.durationS,
      speech_s: Math.min(speechSeconds(levels), tally.durationS),
      quality: tally.quality(domain),
    };
    return tally.answer(measured, this.info.classes);
  }

  /** Open a stream; hand it sound with `accept`, end it with `finish`. */
  stream(sampleRateHz: number, windowing: Windowing = {}, adapter: Adapter | null = null): Stream {
    checkRate(sampleRateHz);
    return new Stream(this.parts, sampleRateHz, this.activity(), windowing, adapter);
  }

  /** Tell the emotion over time of a recording. */
  async timeline(
    waveform: Float32Array,
    sampleRateHz: number,
    windowing: Windowing = {},
    adapter: Adapter | null = null,
    path = "array",
  ): Promise<Timeline> {
    checkRecording(waveform, sampleRateHz);
    const stream = this.stream(sampleRateHz, windowing, adapter);
    const events = [...(await stream.accept(waveform)), ...(await stream.finish())];
    return timelineOf(stream.prediction(path), stream.activity, events);
  }

  async close(): Promise<void> {
    await this.parts.graph.close();
    await this.voiceActivity?.release();
  }

  private activity(): Activity {
    return this.voiceActivity ? new SileroActivity(this.ort, this.voiceActivity) : new EnergyActivity();
  }

  /** Cut a recording into windows of `longest_s`; those that are long enough and not silent are heard. */
  private windows(waveform: Float32Array): { heard: Float32Array[]; levels: number[] } {
    const { sample_rate_hz: rate, shortest_s: shortestS, longest_s: longestS } = this.info;
    const nWindow = roundHalfEven(longestS * rate);
    const heard: Float32Array[] = [];
    const levels: number[] = [];
    for (let start = 0; start < waveform.length; start += nWindow) {
      const window = waveform.subarray(start, start + nWindow);
      const found = frameLevelsDbfs(window, rate);
      for (const level of found) levels.push(level);
      if (window.length >= shortestS * rate && !isSilent(found)) heard.push(window);
    }
    return { heard, levels };
  }
}
