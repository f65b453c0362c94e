/** Files → samples at the file's own rate, by the browser's decoders. */

import { AudioError, ChannelError } from "./errors.js";
import type { Recording } from "./predictor.js";

const CANCELLED = 1e-3; // of the channels' power is left in their mean: less is no sound that was mixed so
const OTHERWISE_HZ = 48_000; // for containers whose header isn't read here; the browser resamples to it

/**
 * Decode a sound file of any kind that the browser plays.
 * @param channel which one is heard by itself, 1 for the left one; without it, the mean of all
 */
export async function decode(bytes: ArrayBuffer, name = "file", channel?: number): Promise<Recording> {
  const sampleRateHz = rateInHeader(new DataView(bytes)) ?? OTHERWISE_HZ;
  let decoded: AudioBuffer;
  try {
    decoded = await new OfflineAudioContext(1, 1, sampleRateHz).decodeAudioData(bytes.slice(0));
  } catch {
    throw new AudioError(`${name}: the browser can't decode it. Convert it to WAV, FLAC, MP3 or Ogg.`);
  }
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, index) => decoded.getChannelData(index));
  return { waveform: mono(channels, name, channel), sampleRateHz: decoded.sampleRate };
}

/** One channel, from 1, or the mean of all; `ChannelError` where there is no such channel, or all cancel each other. */
export function mono(channels: readonly Float32Array[], name: string, channel?: number): Float32Array {
  if (channel !== undefined) {
    const samples = channels[channel - 1] as Float32Array | undefined;
    if (samples !== undefined) return samples;
    const has = channels.length === 1 ? "one channel" : `${channels.length} channels`;
    throw new ChannelError(`${name}: the recording has ${has}, there is no channel ${channel}.`);
  }
  if (channels.length === 1) return channels[0];
  const mean = new Float32Array(channels[0].length);
  let power = 0;
  let powerLeft = 0;
  for (let index = 0; index < mean.length; index++) {
    for (const samples of channels) {
      mean[index] += samples[index] / channels.length;
      power += samples[index] ** 2 / channels.length;
    }
    powerLeft += mean[index] ** 2;
  }
  if (powerLeft < CANCELLED * power) {
    throw new ChannelError(
      `${name}: its ${channels.length} channels cancel each other, one has the opposite sign: their mean is next to ` +
        "silence. Save one of them as a file of its own, or ask for it: decode(bytes, name, 1).",
    );
  }
  return mean;
}

/** The sample rate that a WAV or FLAC header names, where browsers can decode at it. */
export function rateInHeader(view: DataView): number | null {
  const rate = isMarked(view, 0, "fLaC") && view.byteLength > 21 ? view.getUint32(18) >>> 12 : waveRate(view);
  return rate !== null && rate >= 8_000 && rate <= 96_000 ? rate : null;
}

function waveRate(view: DataView): number | null {
  if (!isMarked(view, 0, "RIFF") || !isMarked(view, 8, "WAVE")) return null;
  for (let position = 12; position + 16 <= view.byteLength; ) {
    if (isMarked(view, position, "fmt ")) return view.getUint32(position + 12, true);
    const size = view.getUint32(position + 4, true);
    position += 8 + size + (size % 2);
  }
  return null;
}

function isMarked(view: DataView, position: number, mark: string): boolean {
  if (position + mark.length > view.byteLength) return false;
  return Array.from(mark).every((letter, index) => view.getUint8(position + index) === letter.charCodeAt(0));
}
