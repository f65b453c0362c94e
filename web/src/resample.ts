/**
 * Resampling by a windowed sinc, piece by piece; where the pieces end changes nothing.
 *
 * Kaiser window, 120 dB below from the lower of the two Nyquist frequencies on, flat up to 0.913 of it: the band of
 * soxr HQ, which the Python package uses. Sample 0 of the result is sample 0 of the input.
 */

import { checkRate } from "./waveform.js";
import { joined, roundHalfEven } from "./numbers.js";

export const STOP_BAND_DB = 120;
export const PASS_BAND = 0.913;
const BETA = 0.1102 * (STOP_BAND_DB - 8.7);
const MOST_PHASES = 1024; // beyond, coefficients lie between two rows: linear interpolation, 118 dB

interface Filter {
  nTaps: number; // an even number
  nPhases: number;
  rows: Float64Array; // (nPhases + 1) × nTaps; row p holds the taps for a position p / nPhases after a sample
}

const filters = new Map<string, Filter>();

function bessel(value: number): number {
  let sum = 1;
  let term = 1;
  for (let order = 1; term > 1e-18 * sum; order++) {
    term *= (value / 2 / order) ** 2;
    sum += term;
  }
  return sum;
}

/** Cutoff and half length in input samples; the transition band is centred between pass band and stop band. */
function filterFor(ratio: number, nPhases: number): Filter {
  const key = `${ratio} ${nPhases}`;
  const known = filters.get(key);
  if (known) return known;
  const nyquist = Math.min(1, ratio); // of the input's
  const width = (1 - PASS_BAND) * nyquist;
  const cutoff = nyquist - width / 2;
  const nTaps = 2 * Math.ceil((STOP_BAND_DB - 7.95) / (2.285 * Math.PI * width) / 2);
  const half = nTaps / 2;
  const rows = new Float64Array((nPhases + 1) * nTaps);
  const scale = cutoff / bessel(BETA);
  for (let phase = 0; phase <= nPhases; phase++) {
    for (let tap = 0; tap < nTaps; tap++) {
      const distance = tap - half + 1 - phase / nPhases; // from the result's place to this input sample
      const inside = 1 - (distance / half) ** 2;
      const angle = Math.PI * cutoff * distance;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      rows[phase * nTaps + tap] = inside > 0 ? scale * sinc * bessel(BETA * Math.sqrt(inside)) : 0;
    }
  }
  const filter = { nTaps, nPhases, rows };
  filters.set(key, filter);
  return filter;
}

function greatestCommonDivisor(first: number, second: number): number {
  return second ? greatestCommonDivisor(second, first % second) : first;
}

export class Resampler {
  private readonly up: number; // results per `down` input samples
  private readonly down: number;
  private readonly filter: Filter | undefined;
  private waiting = new Float32Array(0) as Float32Array;
  private waitingFrom = 0; // place of its first sample in the input
  private nAccepted = 0;
  private nGiven = 0;

  constructor(fromHz: number, toHz: number) {
    checkRate(fromHz);
    const divisor = greatestCommonDivisor(Math.round(fromHz), Math.round(toHz));
    this.up = Math.round(toHz) / divisor;
    this.down = Math.round(fromHz) / divisor;
    if (this.up === this.down) return;
    this.filter = filterFor(this.up / this.down, Math.min(this.up, MOST_PHASES));
    const half = this.filter.nTaps / 2;
    this.waiting = new Float32Array(half); // silence before the beginning
    this.waitingFrom = -half;
  }

  /** Return the samples that are certain by now, any number of them. */
  accept(block: Float32Array): Float32Array {
    if (!this.filter) return block;
    this.nAccepted += block.length;
    this.waiting = joined(this.waiting, block);
    const lastPlace = this.nAccepted - this.filter.nTaps / 2 - 1; // whose right half has arrived
    return this.results(Math.max(Math.floor(((lastPlace + 1) * this.up - 1) / this.down) + 1, this.nGiven));
  }

  /** Return the rest. */
  finish(): Float32Array {
    if (!this.filter || !this.nAccepted) return new Float32Array(0);
    this.waiting = joined(this.waiting, new Float32Array(this.filter.nTaps));
    return this.results(roundHalfEven((this.nAccepted * this.up) / this.down));
  }

  private results(nUntil: number): Float32Array {
    const { nTaps, nPhases, rows } = this.filter as Filter;
    const found = new Float32Array(Math.max(nUntil - this.nGiven, 0));
    for (let index = 0; index < found.length; index++) {
      const place = (this.nGiven + index) * this.down;
      const whole = Math.floor(place / this.up);
      const phase = ((place - whole * this.up) * nPhases) / this.up;
      const row = Math.floor(phase);
      const start = whole - nTaps / 2 + 1 - this.waitingFrom;
      const value = weighted(rows, row * nTaps, this.waiting, start, nTaps);
      const between = phase - row;
      found[index] = between ? value + between * (weighted(rows, (row + 1) * nTaps, this.waiting, start, nTaps) - value) : value;
    }
    this.nGiven += found.length;
    this.forget();
    return found;
  }

  private forget(): void {
    const { nTaps } = this.filter as Filter;
    const neededFrom = Math.floor((this.nGiven * this.down) / this.up) - nTaps / 2 + 1;
    const nOld = Math.min(Math.max(neededFrom - this.waitingFrom, 0), this.waiting.length);
    this.waiting = this.waiting.slice(nOld);
    this.waitingFrom += nOld;
  }
}

function weighted(rows: Float64Array, from: number, samples: Float32Array, start: number, nTaps: number): number {
  let even = 0;
  let odd = 0;
  for (let tap = 0; tap < nTaps; tap += 2) {
    even += rows[from + tap] * samples[start + tap];
    odd += rows[from + tap + 1] * samples[start + tap + 1];
  }
  return even + odd;
}

/** Resample a whole recording. */
export function resampled(waveform: Float32Array, fromHz: number, toHz: number): Float32Array {
  if (fromHz === toHz) return waveform;
  const resampler = new Resampler(fromHz, toHz);
  return joined(resampler.accept(waveform), resampler.finish());
}
