/** Waveforms that are accepted; the same limits as `earnest.audio.io`. */

import { AudioError } from "./errors.js";
import { described, isA } from "./given.js";

export const LOWEST_HZ = 1_000;
export const HIGHEST_HZ = 1_000_000;
export const MAX_SECONDS = 4 * 3600;
const LARGEST_SAMPLE = 2 ** 31;

export function checkRate(sampleRateHz: number): void {
  if (!(sampleRateHz >= LOWEST_HZ && sampleRateHz <= HIGHEST_HZ)) {
    throw new AudioError(`The sample rate is ${sampleRateHz} Hz, expected ${LOWEST_HZ} to ${HIGHEST_HZ}.`);
  }
}

/** Refuse other types than samples have. */
export function checkFloats(waveform: unknown): asserts waveform is Float32Array {
  if (isA(waveform, "Float32Array")) return;
  throw new AudioError(`Expected the samples as a Float32Array, one channel in [-1, 1], got ${described(waveform)}. Of what decode(…) returns, hand over waveform and sampleRateHz.`);
}

/** The samples as they are handed to the worker: alone, as a part of a recording shares its buffer with all the rest. */
export function copied(waveform: unknown): Float32Array<ArrayBuffer> {
  checkFloats(waveform);
  return waveform.slice();
}

/** Refuse what is no mono sound: other types, NaN, infinity, unscaled numbers. */
export function checkSamples(waveform: unknown): asserts waveform is Float32Array {
  checkFloats(waveform);
  // By index: an iterator takes ten times as long, on the page's own thread.
  for (let index = 0; index < waveform.length; index++) {
    const sample = waveform[index];
    if (!(Math.abs(sample) <= LARGEST_SAMPLE)) {
      const problem = Number.isFinite(sample) ? `samples reach ${sample}` : "holds NaN or infinite samples";
      throw new AudioError(`The waveform ${problem}; sound lies in [-1, 1].`);
    }
  }
}

/** Refuse what is no recording: nothing at all, or more than four hours. */
export function checkRecording(waveform: unknown, sampleRateHz: number): asserts waveform is Float32Array {
  checkFloats(waveform); // first: what decode(…) returns, handed over whole, has no rate behind it
  checkRate(sampleRateHz);
  checkSamples(waveform);
  if (!waveform.length) throw new AudioError("The waveform has no samples. Record or decode it again.");
  if (waveform.length > MAX_SECONDS * sampleRateHz) {
    throw new AudioError(`The waveform is longer than ${MAX_SECONDS} s, the most that is read. Cut it into parts.`);
  }
}
