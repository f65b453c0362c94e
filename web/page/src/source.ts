/** A chosen file → its sound, where this browser can decode it. */

import { AudioError, decode, UndecodableError } from "../../src/index.js";
import type { Source } from "./engine.js";

const LONGEST_S = 30 * 60; // decoded at once: half an hour of stereo at 48 kHz is 700 MB for a moment, in WebKit 1.7 GB
const TOLD_WITHIN_MS = 15_000; // a browser that saves power may never look into a file
const BEYOND_ALL_S = 1e9; // the end of any recording
const N_PEAKS = 3000;
export { N_PEAKS };

/** Open a file. `AudioError` where it is too long; what can't be decoded here has no sound, and a server may know better. */
export async function sourceOf(file: Blob, name: string, channel: number | null = null): Promise<Source> {
  if (file.type.startsWith("image/")) return { name, file, channel, sound: null };
  if (!file.size) throw new AudioError(`${name}: the file is empty. Choose another.`);
  const seconds = await secondsOf(file);
  if (seconds !== null && seconds > LONGEST_S) {
    throw new AudioError(`${name} is longer than ${LONGEST_S / 60} minutes. Cut it, or use “earnest timeline”, which takes hours.`);
  }
  try {
    return { name, file, channel, sound: await decode(file, name, channel) };
  } catch (error) {
    if (error instanceof UndecodableError) return { name, file, channel, sound: null };
    throw error;
  }
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
