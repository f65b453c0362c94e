/** Levels over time; the same rules as `earnest.audio.quality`. */

import { roundHalfEven } from "./numbers.js";
import type { Extent } from "./speech.js";

export const FRAME_S = 0.025;
export const SILENCE_DBFS = -65;
export const SPEECH_RANGE_DB = 35;

/** 20·log10 of the standard deviation of `samples` (a constant offset is silence); -200 for digital silence. */
export function levelDbfs(samples: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < samples.length; index++) sum += samples[index]; // by index, as an iterator is slow
  const mean = sum / samples.length;
  let power = 0;
  for (let index = 0; index < samples.length; index++) power += (samples[index] - mean) ** 2;
  return 10 * Math.log10(power / samples.length + 1e-20);
}

/** Level of each frame of 25 ms; an incomplete last frame is left out unless it is the only one. */
export function frameLevelsDbfs(waveform: Float32Array, sampleRateHz: number): number[] {
  const nFrame = Math.min(Math.max(roundHalfEven(FRAME_S * sampleRateHz), 1), waveform.length);
  const levels: number[] = [];
  for (let start = 0; nFrame && start + nFrame <= waveform.length; start += nFrame) {
    levels.push(levelDbfs(waveform.subarray(start, start + nFrame)));
  }
  return levels;
}

function loudest(levels: readonly number[]): number {
  return levels.reduce((most, level) => Math.max(most, level), -Infinity);
}

/** Whether no frame is louder than -65 dBFS. */
function isSilent(levels: readonly number[]): boolean {
  return loudest(levels) <= SILENCE_DBFS;
}

/**
 * Start and end of sound louder than -65 dBFS and than `rangeDb` below the loudest frame, in samples; null without.
 */
export function activePart(waveform: Float32Array, sampleRateHz: number, rangeDb = SPEECH_RANGE_DB): Extent | null {
  const levels = frameLevelsDbfs(waveform, sampleRateHz);
  if (isSilent(levels)) return null;
  const threshold = Math.max(SILENCE_DBFS, loudest(levels) - rangeDb);
  const isActive = (level: number): boolean => level > threshold;
  const nFrame = Math.max(roundHalfEven(FRAME_S * sampleRateHz), 1);
  const end = Math.min((levels.findLastIndex(isActive) + 1) * nFrame, waveform.length);
  return { start: levels.findIndex(isActive) * nFrame, end };
}
