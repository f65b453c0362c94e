/** Files → samples at the file's own rate, by the browser's decoders. */

import { AudioError } from "./errors.js";
import type { Recording } from "./predictor.js";

const OTHERWISE_HZ = 48_000; // for containers whose header isn't read here; the browser resamples to it

/** Decode a sound file of any kind that the browser plays; channels are averaged. */
export async function decode(bytes: ArrayBuffer, name = "file"): Promise<Recording> {
  const sampleRateHz = rateInHeader(new DataView(bytes)) ?? OTHERWISE_HZ;
  let decoded: AudioBuffer;
  try {
    decoded = await new OfflineAudioContext(1, 1, sampleRateHz).decodeAudioData(bytes.slice(0));
  } catch {
    throw new AudioError(`${name}: the browser can't decode it. Convert it to WAV, FLAC, MP3 or Ogg.`);
  }
  const waveform = new Float32Array(decoded.length);
  for (let channel = 0; channel < decoded.numberOfChannels; channel++) {
    const samples = decoded.getChannelData(channel);
    for (let index = 0; index < waveform.length; index++) waveform[index] += samples[index] / decoded.numberOfChannels;
  }
  return { waveform, sampleRateHz: decoded.sampleRate };
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
