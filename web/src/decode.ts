/** Files → samples at the file's own rate, by the browser's decoders. */

import { AudioError, ChannelError, EarnestError, UndecodableError } from "./errors.js";
import { described, isA } from "./given.js";
import type { Recording } from "./predictor.js";
import { takeTurns } from "./turns.js";
import { checkLength, checkWhole, chunkStart, isMarked, promisedSeconds } from "./whole.js";

const CANCELLED = 1e-3; // of the channels' power is left in their mean: less is no sound that was mixed so
const OTHERWISE_HZ = 48_000; // for containers whose header isn't read here; the browser resamples to it
const HEAD_BYTES = 64;
/** How files begin that are no recordings, as in `earnest.audio.sound_file`; in hex, as a page may read scripts as Latin-1. */
const OTHERS: Record<string, string> = {
  "89504e47": "a PNG picture",
  ffd8ff: "a JPEG picture",
  "47494638": "a GIF picture",
  "25504446": "a PDF document",
  "50415231": "a Parquet table",
  "504b0304": "a ZIP archive, or a document of Excel or Word",
  "4d5a": "a Windows program",
  "1f8b": "a gzip archive",
  "52617221": "a RAR archive",
  "377abcaf": "a 7-Zip archive",
  // "version https://git-lfs"
  "76657273696f6e2068747470733a2f2f6769742d6c6673": "a pointer of Git LFS, in whose place “git lfs pull” puts the recording",
  "00000000000000000000000000000000": "a file that begins with zeros, as after a copy or download that was interrupted",
};
const WEB_PAGE = /^\s*<(!doctype )?html\b/iu;

/**
 * Decode a sound file of any kind that the browser plays.
 * @param file as a `File` or another `Blob`, or its bytes; they stay the caller's
 * @param name what errors call it; default: the name of a `File`
 * @param channel which one is heard by itself, 1 for the left one; without it, or null, the mean of all
 */
export async function decode(
  file: Blob | ArrayBuffer | ArrayBufferView,
  name: string | null = null,
  channel: number | null = null,
): Promise<Required<Recording>> {
  const called = checkedName(name) ?? (isA(file, "File") ? (file as File).name : "file");
  checkChannel(channel, called);
  checkDecoder();
  const bytes = await copiedBytes(file, called);
  if (!bytes.byteLength) throw new AudioError(`${called}: empty, no bytes at all. Record or copy it again.`);
  const view = new DataView(bytes); // until the bytes are taken away to be decoded
  checkWhole(view, called);
  const [sampleRateHz, promisedS, other] = [rateInHeader(view) ?? OTHERWISE_HZ, promisedSeconds(view), otherKind(view)];
  let decoded: AudioBuffer;
  try {
    decoded = await new OfflineAudioContext(1, 1, sampleRateHz).decodeAudioData(bytes);
  } catch {
    if (other) throw notRecording(called, other);
    throw new UndecodableError(`${called}: the browser can't decode it, or there is no sound in it. Convert it to WAV, FLAC or MP3.`);
  }
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, index) => decoded.getChannelData(index));
  checkLength(channels[0].length / decoded.sampleRate, promisedS, called);
  const waveform = mono(channels, called, channel);
  const hasSeparateChannels = channel === null && takeTurns(channels, decoded.sampleRate);
  return { waveform, sampleRateHz: decoded.sampleRate, hasSeparateChannels, nChannels: channels.length };
}

function checkDecoder(): void {
  if ("OfflineAudioContext" in globalThis) return;
  throw new EarnestError("Only pages have the browser's decoders, workers and Node have none. Call decode(…) in the page and hand the samples over.");
}

async function copiedBytes(file: unknown, name: string): Promise<ArrayBuffer> {
  if (isA(file, "Blob") || isA(file, "File")) {
    return (file as Blob).arrayBuffer().catch(() => {
      throw new AudioError(`${name}: the file can't be read; it was moved, changed or removed since it was chosen. Choose it again.`);
    });
  }
  if (isA(file, "ArrayBuffer")) return (file as ArrayBuffer).slice(0);
  if (ArrayBuffer.isView(file)) return new Uint8Array(file.buffer, file.byteOffset, file.byteLength).slice().buffer;
  throw new AudioError(
    `${name}: expected the file as a File or Blob, an ArrayBuffer or a Uint8Array, got ${described(file)}. ` +
      "What was fetched is decoded by decode(await response.blob()).",
  );
}

function checkedName(name: unknown): string | null {
  if (name === null || typeof name === "string") return name;
  throw new AudioError(`The name of a recording is a text, got ${described(name)}. The channel comes after it: decode(file, file.name, 2).`);
}

function checkChannel(channel: unknown, name: string): void {
  if (channel === null || (Number.isInteger(channel) && Number(channel) >= 1)) return;
  throw new ChannelError(`${name}: a channel is a whole number from 1 on, 1 for the left one, got ${described(channel)}. Without it, all are heard.`);
}

/** One channel, from 1, or the mean of all; `ChannelError` where there is no such channel, or all cancel each other. */
export function mono(channels: readonly Float32Array[], name: string, channel: number | null = null): Float32Array {
  if (channel !== null) {
    const samples = channels[channel - 1] as Float32Array | undefined;
    if (samples !== undefined) return samples;
    const has = channels.length === 1 ? "one channel" : `${channels.length} channels`;
    throw new ChannelError(`${name}: there is no channel ${channel}, only ${has}.`);
  }
  if (channels.length === 1) return channels[0];
  const mean = new Float32Array(channels[0].length);
  let power = 0;
  let powerLeft = 0;
  for (const samples of channels) {
    for (let index = 0; index < mean.length; index++) {
      mean[index] += samples[index] / channels.length;
      power += (samples[index] * samples[index]) / channels.length;
    }
  }
  for (let index = 0; index < mean.length; index++) powerLeft += mean[index] * mean[index];
  if (powerLeft < CANCELLED * power) {
    throw new ChannelError(
      `${name}: its ${channels.length} channels cancel each other, one has the opposite sign: their mean is next to ` +
        "silence. Save one of them as a file of its own, or ask for it: decode(file, name, 1).",
    );
  }
  return mean;
}

/** The error about a file that is something else: "a JPEG picture". */
export function notRecording(name: string, other: string): AudioError {
  return new AudioError(`${name}: not a recording but ${other}. Choose a recording: wav, flac, mp3, ogg, m4a, webm …`);
}

/** What a file is that no decoder takes; null where its beginning doesn't say so. */
export function otherKind(view: DataView): string | null {
  const head = Array.from(headOf(view), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const known = Object.entries(OTHERS).find(([mark]) => head.startsWith(mark));
  if (known) return known[1];
  const text = textOf(view);
  return text === null ? null : WEB_PAGE.test(text) ? "a web page, such as a login or an error" : "text";
}

function headOf({ buffer, byteOffset, byteLength }: DataView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, Math.min(byteLength, HEAD_BYTES));
}

/** The text that a file begins with, null where it is none; its last letter may be cut off. */
function textOf(view: DataView): string | null {
  const head = headOf(view);
  const mark = head[0] * 256 + head[1];
  const encoding = mark === 0xfffe ? "utf-16le" : mark === 0xfeff ? "utf-16be" : "utf-8";
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(head, { stream: true });
    return /^[\t\n\r\u200c\u200d\P{C}]*$/u.test(text) ? text : null;
  } catch {
    return null;
  }
}

/** The sample rate that a WAV or FLAC header names, where browsers can decode at it. */
export function rateInHeader(view: DataView): number | null {
  const rate = isMarked(view, 0, "fLaC") && view.byteLength > 21 ? view.getUint32(18) >>> 12 : waveRate(view);
  return rate !== null && rate >= 8_000 && rate <= 96_000 ? rate : null;
}

function waveRate(view: DataView): number | null {
  if (!isMarked(view, 0, "RIFF") || !isMarked(view, 8, "WAVE")) return null;
  const start = chunkStart(view, "fmt ");
  return start !== null && start + 8 <= view.byteLength ? view.getUint32(start + 4, true) : null;
}
