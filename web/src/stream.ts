/**
 * Sound that arrives piece by piece → events, as soon as they are certain; as in `earnest.runtime.stream`.
 *
 * A recording's timeline is the same machine, so the size of the pieces changes nothing: every window is cut at the same
 * samples and answered alone.
 */

import { type Activity, ACTIVITY_HZ, FRAME_SAMPLES } from "./activity.js";
import type { Adapter } from "./adaptation.js";
import type { BundleInfo } from "./bundle.js";
import type { Domain } from "./domain.js";
import { EarnestError } from "./errors.js";
import type { Graph } from "./graph.js";
import { joined, milliseconds, roundHalfEven } from "./numbers.js";
import { namedShares, type Prediction, type StreamEvent, unanswered } from "./prediction.js";
import { Resampler } from "./resample.js";
import { type Run, Smoother } from "./smoothing.js";
import { type Extent, frameStart, lengthOf, SpeechFinder, WindowCutter } from "./speech.js";
import { Tally } from "./tally.js";
import { checkSamples } from "./waveform.js";

const PIECE_S = 10; // what is worked on at a time, however much is handed over

/** What a stream and a recording's prediction are made with. */
export interface Parts {
  graph: Graph;
  info: BundleInfo;
  domain: Domain | null;
}

/** How a stream is cut: windows of `windowS` seconds every `hopS` seconds. */
export interface Windowing {
  windowS?: number;
  hopS?: number;
}

/** A window and its segment's start, or a whole segment that is over. */
interface Job {
  extent: Extent;
  segmentStart: number | null;
}

export class Stream {
  readonly activity: string;
  private readonly rate: number;
  private readonly withEmbedding: boolean;
  private readonly tally: Tally;
  private readonly toModel: Resampler;
  private readonly toActivity: Resampler;
  private readonly finder = new SpeechFinder();
  private readonly cutter: WindowCutter;
  private readonly smoother: Smoother;
  private readonly tail = new Tail();
  private frames: Float32Array = new Float32Array(0); // at 16 kHz, less than one frame
  private jobs: Job[] = [];
  private nSpeech = 0;
  private answeredTo = 0;
  private nReceived = 0;
  private finished = false;

  constructor(
    private readonly parts: Parts,
    private readonly sampleRateHz: number,
    private readonly detector: Activity,
    { windowS = 3, hopS = 1 }: Windowing = {},
    private readonly adapter: Adapter | null = null,
  ) {
    if (!(hopS >= 0.1 && hopS <= windowS && windowS <= 60)) {
      throw new EarnestError(`Expected 0.1 ≤ hop ≤ window ≤ 60 seconds, got hop ${hopS} s and window ${windowS} s.`);
    }
    this.activity = detector.name;
    this.rate = parts.info.sample_rate_hz;
    this.withEmbedding = Boolean(adapter ?? parts.domain);
    this.tally = new Tally(sampleRateHz);
    this.toModel = new Resampler(sampleRateHz, this.rate);
    this.toActivity = new Resampler(sampleRateHz, ACTIVITY_HZ);
    const hop = roundHalfEven(hopS * this.rate);
    this.cutter = new WindowCutter(roundHalfEven(windowS * this.rate), hop);
    this.smoother = new Smoother(hop);
  }

  /** Seconds that were handed over. */
  get receivedS(): number {
    return this.nReceived / this.sampleRateHz;
  }

  /** Whether somebody speaks now. */
  get isSpeaking(): boolean {
    return this.finder.start !== null;
  }

  /** Take the next samples, any number of them, and return what became certain. */
  async accept(waveform: Float32Array): Promise<StreamEvent[]> {
    this.refuseWhenFinished();
    checkSamples(waveform);
    const events: StreamEvent[] = [];
    const nPiece = Math.max(Math.round(PIECE_S * this.sampleRateHz), 1);
    for (let start = 0; start < waveform.length; start += nPiece) {
      events.push(...(await this.heard(waveform.subarray(start, start + nPiece))));
    }
    return events;
  }

  /** Tell that sound was lost: the clock goes on, speech before the gap ends there. */
  async skip(seconds: number): Promise<StreamEvent[]> {
    this.refuseWhenFinished();
    const startS = milliseconds(this.receivedS);
    const nPiece = Math.max(Math.round(PIECE_S * this.sampleRateHz), 1);
    const events: StreamEvent[] = [];
    for (let left = roundHalfEven(seconds * this.sampleRateHz); left > 0; left -= nPiece) {
      events.push(...(await this.heard(new Float32Array(Math.min(left, nPiece)))));
    }
    return [...events, { event: "gap", start_s: startS, end_s: milliseconds(this.receivedS) }];
  }

  /** End the recording and return the rest; nothing can be handed over afterwards. */
  async finish(): Promise<StreamEvent[]> {
    this.refuseWhenFinished();
    this.finished = true;
    this.tail.append(this.toModel.finish());
    const rest = joined(this.frames, this.toActivity.finish());
    const padded = new Float32Array(Math.ceil(rest.length / FRAME_SAMPLES) * FRAME_SAMPLES);
    padded.set(rest);
    await this.findSpeech(padded);
    const found = this.finder.finish();
    if (found) this.close(found);
    return this.answered();
  }

  /** What all windows so far say together, the mean weighted by length. */
  prediction(path = "-"): Prediction {
    const { info, domain } = this.parts;
    const status = this.receivedS < info.shortest_s ? "too-short" : "no-speech";
    const measured = {
      ...unanswered(path, status, info.name),
      duration_s: this.receivedS,
      speech_s: this.nSpeech / this.rate,
      quality: this.tally.quality(domain),
    };
    return this.tally.answer(measured, info.classes);
  }

  private refuseWhenFinished(): void {
    if (this.finished) throw new EarnestError("This stream is finished. Open another one with model.stream(…).");
  }

  private async heard(piece: Float32Array): Promise<StreamEvent[]> {
    this.nReceived += piece.length;
    this.tally.hear(piece);
    const atModelRate = this.toModel.accept(piece);
    this.tail.append(atModelRate);
    const heard = joined(this.frames, this.rate === ACTIVITY_HZ ? atModelRate : this.toActivity.accept(piece));
    const nWhole = heard.length - (heard.length % FRAME_SAMPLES);
    this.frames = heard.slice(nWhole);
    await this.findSpeech(heard.subarray(0, nWhole));
    const events = await this.answered();
    this.tail.forget(this.neededFrom());
    return events;
  }

  /** Note down windows and segments, in samples at the model's rate, that are to be answered. */
  private async findSpeech(samples: Float32Array): Promise<void> {
    for (let start = 0; start < samples.length; start += FRAME_SAMPLES) {
      const share = await this.detector.probability(samples.subarray(start, start + FRAME_SAMPLES));
      const found = this.finder.accept(share);
      if (found) {
        this.close(found);
      } else if (this.finder.start !== null && this.finder.certainEnd) {
        const first = frameStart(this.finder.start, this.rate);
        const windows = this.cutter.grow(first, frameStart(this.finder.certainEnd, this.rate));
        this.jobs.push(...windows.map((extent) => ({ extent, segmentStart: first })));
      }
    }
  }

  private close(frames: Extent): void {
    const start = frameStart(frames.start, this.rate);
    const last = frameStart(frames.end, this.rate);
    const end = this.finished ? Math.min(last, this.tail.end) : last;
    this.jobs.push(...this.cutter.close(start, end).map((extent) => ({ extent, segmentStart: start })));
    this.jobs.push({ extent: { start, end }, segmentStart: null });
  }

  private neededFrom(): number {
    let needed = frameStart(this.finder.neededFrom(), this.rate);
    if (this.finder.start !== null) {
      needed = this.cutter.neededFrom(frameStart(this.finder.certainEnd, this.rate)) ?? needed;
    }
    return this.jobs.reduce((least, { extent }) => Math.min(least, extent.start), needed);
  }

  /** Do the jobs whose samples have arrived, in order. */
  private async answered(): Promise<StreamEvent[]> {
    const events: StreamEvent[] = [];
    while (this.jobs.length && this.jobs[0].extent.end <= this.tail.end) {
      const { extent, segmentStart } = this.jobs.shift()!;
      if (segmentStart === null) {
        events.push(...this.smoother.close(extent).map((run) => this.span(run)));
        this.nSpeech += lengthOf(extent);
        events.push({ event: "segment", ...this.seconds(extent) });
      } else if (lengthOf(extent) >= this.parts.info.shortest_s * this.rate) {
        const shares = await this.answer(extent);
        const probabilities = namedShares(this.parts.info.classes, shares);
        events.push({ event: "window", ...this.seconds(extent), probabilities });
        events.push(...this.smoother.accept(extent, shares, segmentStart).map((run) => this.span(run)));
      }
    }
    return events;
  }

  /** Run the network on one window and return its probabilities, adapted where there is an adapter that knows enough. */
  private async answer(extent: Extent): Promise<ArrayLike<number>> {
    const { graph, domain } = this.parts;
    const { embedding, ...outputs } = await graph.run(this.tail.cut(extent), this.withEmbedding);
    const nSamples = lengthOf(extent);
    if (domain && embedding) this.tally.judge(domain, embedding, nSamples, this.rate);
    if (this.adapter && embedding) {
      const nNew = extent.end - Math.max(extent.start, this.answeredTo);
      const adapted = this.adapter.hear(embedding, outputs.probabilities, nSamples / this.rate, nNew / this.rate);
      if (adapted) {
        outputs.probabilities = adapted;
        this.tally.isAdapted = true;
      }
    }
    this.answeredTo = extent.end;
    this.tally.add(outputs, nSamples);
    return outputs.probabilities;
  }

  private span({ extent, emotion, confidence }: Run): StreamEvent {
    return { event: "span", ...this.seconds(extent), emotion: this.parts.info.classes[emotion], confidence };
  }

  private seconds(extent: Extent): { start_s: number; end_s: number } {
    return { start_s: milliseconds(extent.start / this.rate), end_s: milliseconds(extent.end / this.rate) };
  }
}

/** The last samples of a stream, by their position in the whole. */
class Tail {
  private samples: Float32Array = new Float32Array(0);
  private start = 0;

  get end(): number {
    return this.start + this.samples.length;
  }

  append(samples: Float32Array): void {
    this.samples = joined(this.samples, samples);
  }

  cut({ start, end }: Extent): Float32Array {
    return this.samples.slice(start - this.start, end - this.start);
  }

  forget(before: number): void {
    const nOld = Math.min(Math.max(before - this.start, 0), this.samples.length);
    this.samples = this.samples.slice(nOld);
    this.start += nOld;
  }
}
