/**
 * Sound that arrives piece by piece → the windows that a network is to hear, and the segments they belong to; as in
 * `earnest.runtime.windows`.
 *
 * A recording no longer than a window and a hop is heard at once. In a longer one speech is found first; each segment of
 * it is cut into overlapping windows, and at its ends a window is heard with up to half a second of what comes before and
 * after. Of a short recording that begins or ends with more room noise than that, no more is heard either.
 * Nothing here depends on how the sound was divided into pieces.
 */

import { type Activity, ACTIVITY_HZ, FRAME_SAMPLES } from "./activity.js";
import { EarnestError } from "./errors.js";
import { activePart, levelDbfs } from "./levels.js";
import { concatenated, roundHalfEven } from "./numbers.js";
import { Resampler } from "./resample.js";
import { type Extent, frameStart, SpeechFinder, WindowCutter } from "./speech.js";

const CONTEXT_S = 0.5;
/** Room noise of more than so long at an end: softer than speech, and louder than what front ends cut off (40 dB). */
const NOISE_S = CONTEXT_S + 0.1;
const NOISE_DB = [20, 45]; // below the loudest frame
const TAIL_SAMPLES = 2 ** 14;

/** Windowing of sound: windows of `windowS` seconds every `hopS` seconds. */
export interface Windowing {
  /** 3 by default */
  windowS?: number;
  /** 1 by default */
  hopS?: number;
}

/** The windowing with its defaults, in samples at the model's rate. */
export function inSamples({ windowS = 3, hopS = 1 }: Windowing, rate: number): { nWindow: number; nHop: number } {
  if (!(hopS >= 0.1 && hopS <= windowS && windowS <= 60)) {
    throw new EarnestError(`Expected 0.1 ≤ hop ≤ window ≤ 60 seconds, got hop ${hopS} s and window ${windowS} s.`);
  }
  return { nWindow: roundHalfEven(windowS * rate), nHop: roundHalfEven(hopS * rate) };
}

/** A window: the part of the recording that it stands for, and what is heard of it, context included. */
export interface Heard {
  extent: Extent;
  /** where its segment starts */
  segmentStart: number;
  sound: Float32Array;
}

/** A segment whose windows have all been handed out. */
export interface Over {
  extent: Extent;
  sound: null;
}

export type Job = Heard | Over;

/** A window with what is to be heard of it, or a segment that is over (`heard` null), still to be handed out. */
interface Planned {
  extent: Extent;
  heard: Extent | null;
  segmentStart: number;
}

export interface WindowerOptions extends Windowing {
  /** Whether only activity detection tells what is speech, as the model has no answer of its own; true by default. */
  needsActivity?: boolean;
  /** Whether `isSpeaking` is asked while sound arrives; else a short recording is searched only if it must be. */
  live?: boolean;
}

/** Cuts one recording; memory is bounded by the window's length. */
export class Windower {
  /** Whether the recording, now over, was short enough to be heard at once. */
  isWhole = false;
  private readonly needsActivity: boolean;
  private readonly live: boolean;
  private readonly toModel: Resampler;
  private readonly toActivity: Resampler | null;
  private detector: Activity | null = null;
  private unsearched: Float32Array[] = []; // at 16 kHz
  private readonly finder: SpeechFinder;
  private readonly nWhole: number;
  private readonly nContext: number;
  private readonly cutter: WindowCutter;
  private readonly tail = new Tail();
  private closing: Extent | null = null; // a segment that is over: what follows it may still be its context
  private before = 0; // end of the segment before
  private planned: Planned[] = [];
  private spoken = false; // whether a segment was found
  private finished = false;

  /** @param newDetector gives what finds speech; it is called once, when speech is first looked for */
  constructor(
    private readonly rate: number,
    sampleRateHz: number,
    private readonly newDetector: () => Activity,
    { needsActivity = true, live = true, ...windowing }: WindowerOptions = {},
  ) {
    const { nWindow, nHop } = inSamples(windowing, rate);
    this.needsActivity = needsActivity;
    this.finder = new SpeechFinder(!needsActivity);
    this.live = live;
    this.toModel = new Resampler(sampleRateHz, rate);
    this.toActivity = rate === ACTIVITY_HZ ? null : new Resampler(sampleRateHz, ACTIVITY_HZ);
    this.nWhole = roundHalfEven(((windowing.windowS ?? 3) + (windowing.hopS ?? 1)) * rate);
    this.nContext = roundHalfEven(CONTEXT_S * rate);
    this.cutter = new WindowCutter(nWindow, nHop);
  }

  /** Voice activity detection: "silero" or "energy". */
  get activity(): string {
    return this.finding().name;
  }

  /** Whether somebody speaks now. */
  get isSpeaking(): boolean {
    return this.finder.start !== null;
  }

  /** Take the next samples, at the recording's own rate; yield what is to be heard by now. */
  async *accept(piece: Float32Array): AsyncGenerator<Job, void, undefined> {
    this.take(this.toModel.accept(piece), this.toActivity?.accept(piece));
    const isLong = this.tail.end > this.nWhole;
    if (isLong || this.live) await this.findSpeech();
    if (!isLong) return;
    yield* this.ready();
    this.tail.forget(this.neededFrom());
  }

  /** End the recording; yield the rest. */
  async *finish(): AsyncGenerator<Job, void, undefined> {
    this.take(this.toModel.finish(), this.toActivity?.finish());
    this.finished = true;
    this.isWhole = this.tail.end <= this.nWhole;
    const isNoisy = this.isWhole && hasNoisyEnd(this.tail.cut({ start: 0, end: this.tail.end }), this.rate);
    if (!this.isWhole || this.live || this.needsActivity || isNoisy) {
      await this.findSpeech();
      const found = this.finder.finish();
      if (found) this.endSegment(found);
      this.close(this.tail.end);
    }
    if (!this.isWhole) yield* this.ready();
    else if (this.spoken || !this.needsActivity) yield* this.atOnce(isNoisy);
  }

  /** Hand out a short recording, without the noise far from its speech; the answer stands for its loud part. */
  private *atOnce(isNoisy: boolean): Generator<Job, void, undefined> {
    let [start, end] = [0, this.tail.end];
    const segments = this.planned.filter(({ heard }) => !heard).map(({ extent }) => extent);
    if (isNoisy && segments.length) {
      start = Math.max(segments[0].start - this.nContext, start);
      end = Math.min(segments[segments.length - 1].end + this.nContext, end);
    }
    const sound = this.tail.cut({ start, end });
    const part = activePart(sound, this.rate);
    if (!part) return;
    const extent = { start: start + part.start, end: start + part.end };
    yield { extent, segmentStart: extent.start, sound };
    yield { extent, sound: null };
  }

  private take(atModelRate: Float32Array, atActivityRate = atModelRate): void {
    this.tail.append(atModelRate);
    this.unsearched.push(atActivityRate);
  }

  private finding(): Activity {
    return (this.detector ??= this.newDetector());
  }

  /** Note down windows and segments, in samples at the model's rate, that are to be answered. */
  private async findSpeech(): Promise<void> {
    const samples = concatenated(this.unsearched);
    const nRest = samples.length % FRAME_SAMPLES;
    const nSilent = this.finished && nRest ? FRAME_SAMPLES - nRest : 0;
    const frames = nSilent ? concatenated([samples, new Float32Array(nSilent)]) : samples.subarray(0, samples.length - nRest);
    this.unsearched = [samples.slice(frames.length)];
    const detector = this.finding();
    for (let start = 0; start < frames.length; start += FRAME_SAMPLES) {
      const frame = frames.subarray(start, start + FRAME_SAMPLES);
      const found = this.finder.accept(await detector.probability(frame), levelDbfs(frame));
      if (found) this.endSegment(found);
      this.advance();
    }
  }

  /** Close the segment before once its context is known; cut windows out of the one that goes on. */
  private advance(): void {
    const { start, certainEnd } = this.finder;
    if (this.closing) {
      const until = this.closing.end + this.nContext;
      if (start !== null) this.close(Math.min(frameStart(start, this.rate), until));
      else if (frameStart(this.finder.neededFrom(), this.rate) >= until) this.close(until); // no later segment starts before
    }
    if (start !== null && certainEnd) {
      const first = frameStart(start, this.rate);
      this.plan(this.cutter.grow(first, this.arrived(frameStart(certainEnd, this.rate))), first);
    }
  }

  private endSegment(frames: Extent): void {
    const start = frameStart(frames.start, this.rate);
    this.close(start); // the segment before, where this one is known only at its end
    this.closing = { start, end: this.arrived(frameStart(frames.end, this.rate)) };
  }

  /** No place lies after the end: the last frame is filled up with silence. */
  private arrived(end: number): number {
    return this.finished ? Math.min(end, this.tail.end) : end;
  }

  /** Hand out the last windows of the segment that is over; its last one is heard up to `contextEnd`. */
  private close(contextEnd: number): void {
    const segment = this.closing;
    this.closing = null;
    if (!segment) return;
    const heardTo = Math.min(contextEnd, segment.end + this.nContext);
    for (const window of this.cutter.close(segment.start, segment.end)) {
      this.plan([window], segment.start, window.end === segment.end ? heardTo : window.end);
    }
    this.planned.push({ extent: segment, heard: null, segmentStart: segment.start });
    this.spoken = true;
    this.before = segment.end;
  }

  private plan(windows: readonly Extent[], segmentStart: number, heardTo = 0): void {
    for (const extent of windows) {
      const isFirst = extent.start === segmentStart;
      const start = isFirst ? Math.max(extent.start - this.nContext, this.before) : extent.start;
      this.planned.push({ extent, heard: { start, end: Math.max(heardTo, extent.end) }, segmentStart });
    }
  }

  /** Hand out, in order, what has wholly arrived. */
  private *ready(): Generator<Job, void, undefined> {
    while (this.planned.length) {
      const { extent, heard, segmentStart } = this.planned[0];
      if ((heard ?? extent).end > this.tail.end) return;
      this.planned.shift();
      yield heard ? { extent, segmentStart, sound: this.tail.cut(heard) } : { extent, sound: null };
    }
  }

  /** The first sample that a window not handed out yet may hold. */
  private neededFrom(): number {
    const segmentStart = this.closing ? this.closing.start : frameStart(this.finder.neededFrom(), this.rate);
    const certainEnd = this.closing ? this.closing.end : frameStart(this.finder.certainEnd, this.rate);
    const needed = this.cutter.neededFrom(certainEnd) ?? Math.max(segmentStart - this.nContext, this.before);
    return this.planned.reduce((least, { heard }) => (heard ? Math.min(least, heard.start) : least), needed);
  }
}

/** Whether a recording begins or ends with room noise. */
function hasNoisyEnd(sound: Float32Array, rate: number): boolean {
  const [speech, heard] = NOISE_DB.map((rangeDb) => activePart(sound, rate, rangeDb));
  return !!speech && !!heard && Math.max(speech.start - heard.start, heard.end - speech.end) > NOISE_S * rate;
}

/** The last samples of a stream, by their position in the whole; every sample is moved about once. */
class Tail {
  private samples = new Float32Array(TAIL_SAMPLES);
  private first = 0; // of what is kept, in the array
  private last = 0;
  private start = 0; // position of what is kept, in the whole

  get end(): number {
    return this.start + this.last - this.first;
  }

  append(samples: Float32Array): void {
    if (this.last + samples.length > this.samples.length) this.makeRoom(samples.length);
    this.samples.set(samples, this.last);
    this.last += samples.length;
  }

  private makeRoom(nNew: number): void {
    const kept = this.samples.subarray(this.first, this.last);
    this.samples = new Float32Array(2 * kept.length + Math.max(nNew, TAIL_SAMPLES));
    this.samples.set(kept);
    this.first = 0;
    this.last = kept.length;
  }

  /** A copy of a part. */
  cut({ start, end }: Extent): Float32Array {
    const first = this.first - this.start;
    return this.samples.slice(first + start, first + end);
  }

  forget(before: number): void {
    const nOld = Math.min(Math.max(before - this.start, 0), this.last - this.first);
    this.first += nOld;
    this.start += nOld;
    if (4 * (this.last - this.first) + TAIL_SAMPLES < this.samples.length) this.makeRoom(0);
  }
}
