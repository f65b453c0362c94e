/** Quality of a recording, measured while it passes; the same words as `earnest.audio.quality`. */

import { FRAME_S, levelDbfs, SILENCE_DBFS } from "./levels.js";
import { joined, roundHalfEven } from "./numbers.js";

const CLIPPED_LEVEL = 0.98;
const CLIPPED_SHARE = 0.001;
const TELEPHONE_HZ = 4_600;
const HIGH_BAND_SHARE = 1e-5;
const RUMBLE_HZ = 100;
const DIGITAL_SILENCE_DBFS = -100;
const NOISY_RANGE_DB = 10;
const NOISY_PEAK_DB = 20;
const PEAK_FRAMES = 5; // of those measured: half a second
const TOO_QUIET_DBFS = -55; // of the loudest frame
const HEARD_TO_HZ = 8_000; // by models
const FILTER_S = 0.0015; // the low-pass's length: 55 dB down at 10 kHz
const LEVELS_EVERY = 4;
const SPECTRUM_EVERY = 16;
const LOWEST_LEVEL = -120;
const HIGHEST_LEVEL = 60;

export class QualityMeter {
  private readonly nFrame: number;
  private readonly first: number;
  private readonly firstHigh: number;
  private readonly firstUnheard: number;
  private readonly taper: Float64Array;
  private readonly taps: Float64Array | null;
  private readonly step: number;
  private readonly histogram = new Array<number>(HIGHEST_LEVEL - LOWEST_LEVEL + 1).fill(0);
  private nSamples = 0;
  private nClipped = 0;
  private nFrames = 0;
  private rest: Float32Array = new Float32Array(0);
  private high = 0;
  private all = 0;

  constructor(sampleRateHz: number) {
    this.nFrame = Math.max(roundHalfEven(FRAME_S * sampleRateHz), 2);
    const firstAbove = (hz: number): number => Math.floor((Math.min(hz, sampleRateHz / 2) * this.nFrame) / sampleRateHz) + 1;
    [this.first, this.firstHigh, this.firstUnheard] = [RUMBLE_HZ, TELEPHONE_HZ, HEARD_TO_HZ].map(firstAbove);
    this.taps = sampleRateHz > 2 * HEARD_TO_HZ ? lowPass(sampleRateHz) : null;
    this.step = Math.floor(sampleRateHz / (2 * HEARD_TO_HZ));
    this.taper = Float64Array.from(
      { length: this.nFrame },
      (_, index) => 0.5 - 0.5 * Math.cos((2 * Math.PI * index) / (this.nFrame - 1)),
    );
  }

  /** Take the next samples at the recording's own rate. */
  accept(block: Float32Array): void {
    this.nSamples += block.length;
    for (const sample of block) if (Math.abs(sample) >= CLIPPED_LEVEL) this.nClipped++;
    const samples = joined(this.rest, block);
    let start = 0;
    for (; start + this.nFrame <= samples.length; start += this.nFrame) {
      const frame = samples.subarray(start, start + this.nFrame);
      if (this.nFrames % LEVELS_EVERY === 0) this.countLevel(frame);
      if (this.nFrames % SPECTRUM_EVERY === 0) this.addSpectrum(frame);
      this.nFrames++;
    }
    this.rest = samples.slice(start);
  }

  /** Without what lies above 8 kHz, which no model hears. */
  private countLevel(frame: Float32Array): void {
    const heard = this.taps ? filtered(frame, this.taps, this.step) : frame;
    const level = Math.min(Math.max(roundHalfEven(levelDbfs(heard)), LOWEST_LEVEL), HIGHEST_LEVEL);
    this.histogram[level - LOWEST_LEVEL]++;
  }

  /** Without what lies above 8 kHz, too. */
  private addSpectrum(frame: Float32Array): void {
    const mean = frame.reduce((sum, sample) => sum + sample, 0) / this.nFrame;
    const tapered = Float64Array.from(frame, (sample, index) => (sample - mean) * this.taper[index]);
    for (let bin = this.first; bin < this.firstUnheard; bin++) {
      const power = powerAt(tapered, bin);
      this.all += power;
      if (bin >= this.firstHigh) this.high += power;
    }
  }

  /** The words that apply, of "clipped", "low-bandwidth", "noisy" and "too-quiet". */
  words(): string[] {
    const words: string[] = [];
    if (this.nClipped > CLIPPED_SHARE * this.nSamples) words.push("clipped");
    if (this.all > 0 && this.high <= HIGH_BAND_SHARE * this.all) words.push("low-bandwidth");
    if (this.isNoisy()) words.push("noisy");
    if (this.isTooQuiet()) words.push("too-quiet");
    return words;
  }

  /** Whether no level is above -55 dBFS: digital silence, samples of another scale, a microphone too far away. */
  private isTooQuiet(): boolean {
    const loudest = this.histogram.findLastIndex((count) => count > 0);
    return loudest >= 0 && LOWEST_LEVEL + loudest <= TOO_QUIET_DBFS;
  }

  /**
   * Whether the quiet moments (10th percentile) come within 10 dB of the loud ones (90th); not for silence, and not where the
   * loudest half second is more than 20 dB above them, as speech is that fills little of the time.
   */
  private isNoisy(): boolean {
    const heard = this.histogram.map((count, place) => (LOWEST_LEVEL + place < DIGITAL_SILENCE_DBFS ? 0 : count));
    const total = heard.reduce((sum, count) => sum + count, 0);
    if (!total) return false;
    const [quiet, loud, peak] = [0.1 * total, 0.9 * total, total - PEAK_FRAMES].map((count) => levelAt(heard, count));
    return loud > SILENCE_DBFS && loud - quiet < NOISY_RANGE_DB && peak - quiet <= NOISY_PEAK_DB;
  }
}

function levelAt(histogram: readonly number[], count: number): number {
  let sum = 0;
  return LOWEST_LEVEL + histogram.findIndex((frames) => (sum += frames) >= count);
}

/** Weights of a windowed sinc that keeps what is below 8 kHz; their sum is 1. */
function lowPass(sampleRateHz: number): Float64Array {
  const reach = roundHalfEven((FILTER_S / 2) * sampleRateHz);
  const taps = Float64Array.from({ length: 2 * reach + 1 }, (_, index) => {
    const place = index - reach;
    const angle = (2 * Math.PI * HEARD_TO_HZ * place) / sampleRateHz;
    return (place ? Math.sin(angle) / angle : 1) * (1 + Math.cos((Math.PI * place) / (reach + 1)));
  });
  const sum = taps.reduce((total, weight) => total + weight, 0);
  return taps.map((weight) => weight / sum);
}

/** The sums weighted by `taps` where these lie within the frame, at every `step`-th place. */
function filtered(frame: Float32Array, taps: Float64Array, step: number): Float32Array {
  return Float32Array.from({ length: Math.floor((frame.length - taps.length) / step) + 1 }, (_, place) => {
    let sum = 0;
    for (let index = 0; index < taps.length; index++) sum += taps[index] * frame[place * step + index];
    return sum;
  });
}

/** |DFT|² at one bin, by Goertzel's recursion. */
function powerAt(samples: Float64Array, bin: number): number {
  const twice = 2 * Math.cos((2 * Math.PI * bin) / samples.length);
  let before = 0;
  let last = 0;
  for (const sample of samples) {
    const next = sample + twice * last - before;
    before = last;
    last = next;
  }
  return before * before + last * last - twice * before * last;
}
