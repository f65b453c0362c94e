/** A chosen file → its sound, where this browser can decode it. */

import { AudioError, decode, UndecodableError } from "../../src/index.js";
import { notRecording } from "../../src/decode.js";
import type { ServerLimits } from "./app.js";
import type { Source } from "./engine.js";
import { counted, megabytes } from "./words.js";

const LONGEST_S = 30 * 60; // decoded at once: half an hour of stereo at 48 kHz is 700 MB for a moment, in WebKit 1.7 GB
const TOLD_WITHIN_MS = 15_000; // a browser that saves power may never look into a file
const BEYOND_ALL_S = 1e9; // the end of any recording
const OR_HERE = "or use “earnest timeline”, which takes hours.";

/** A recording that is longer than this browser decodes. */
export class TooLongHereError extends AudioError {
  override name = "TooLongHereError";

  constructor(
    message: string,
    readonly seconds: number,
  ) {
    super(message);
  }
}

/**
 * Open a file. `AudioError` where it is too long; what can't be decoded here has no sound, and a server may know better.
 * @param server the limits of the server that will answer, null where this browser does
 */
export async function sourceOf(file: Blob, name: string, channel: number | null = null, server: ServerLimits | null = null): Promise<Source> {
  const undecoded = { name, file, channel, sound: null, plays: false };
  if (server && file.size > server.body_bytes) throw new AudioError(`${name} has ${megabytes(file.size)}, and this server takes ${megabytes(server.body_bytes)}. Save it as FLAC or MP3, cut it, ${OR_HERE}`);
  if (isSpectrogram(file)) return undecoded;
  if (!file.size) throw new AudioError(`${name}: the file is empty. Choose another.`);
  const seconds = (await secondsOf(file)) ?? 0;
  if (server && seconds > server.timeline_s) throw new AudioError(`${name} is longer than ${lengthOf(server.timeline_s)}, the most that this server takes. Cut it, ${OR_HERE}`);
  if (seconds > LONGEST_S) {
    if (server) return { ...undecoded, plays: channel === null };
    throw new TooLongHereError(`${name} is longer than ${lengthOf(LONGEST_S)}. Cut it, ${OR_HERE}`, seconds);
  }
  try {
    return { name, file, channel, sound: await decode(file, name, channel), plays: true };
  } catch (error) {
    if (!(error instanceof UndecodableError)) throw error;
    if (file.type.startsWith("image/")) throw notRecording(name, "a picture"); // which a server would not know better
    return undecoded;
  }
}

/** Whether a file is meant as a picture of `earnest spectrogram`, which servers answer. */
export function isSpectrogram({ type }: Blob): boolean {
  return type === "image/png";
}

/** What is taken of one recording: "up to 30 minutes", "up to 60 minutes, 67.1 MB". */
export function mostOf(server: ServerLimits | null): string {
  return server ? `up to ${lengthOf(server.timeline_s)}, ${megabytes(server.body_bytes)}` : `up to ${lengthOf(LONGEST_S)}`;
}

function lengthOf(seconds: number): string {
  return seconds < 120 ? counted(Math.floor(seconds), "second") : counted(Math.floor(seconds / 60), "minute");
}

/** Length of the file, null where the browser can't say. A recording by a browser names no length; its end is looked up. */
async function secondsOf(file: Blob): Promise<number | null> {
  const url = URL.createObjectURL(file);
  const audio = new Audio();
  audio.preload = "metadata";
  const told = new Promise<number | null>((resolve) => {
    audio.onloadedmetadata = () => {
      if (Number.isFinite(audio.duration)) resolve(audio.duration);
      else audio.currentTime = BEYOND_ALL_S;
    };
    audio.onseeked = () => {
      resolve(Number.isFinite(audio.duration) ? audio.duration : null);
    };
    audio.onerror = () => {
      resolve(null);
    };
    setTimeout(resolve, TOLD_WITHIN_MS, null);
  });
  audio.src = url;
  const seconds = await told;
  audio.removeAttribute("src");
  URL.revokeObjectURL(url);
  return seconds;
}
