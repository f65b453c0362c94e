/** Whether channels take turns, like two sides of a call; the same rule as `earnest.audio.quality`. */

import { levelDbfs } from "./levels.js";
import { roundHalfEven } from "./numbers.js";

const TURN_S = 0.1;
const HEARD_DBFS = -50;
const AHEAD_DB = 12;
const ROSE_DB = 6;
const LEAST_SHARE = 0.1;
const LEAST_S = 0.5;

/** The levels of all channels in one frame, in dB. */
type Levels = readonly number[];

/** Whether at least two channels each have a tenth of the frames that are heard, and half a second. */
export function takeTurns(channels: readonly Float32Array[], sampleRateHz: number): boolean {
  if (channels.length < 2) return false;
  const heard = framesOf(channels, sampleRateHz).filter((levels) => Math.max(...levels) > HEARD_DBFS);
  const turns = channels.map((_, channel) => heard.filter((levels) => isTurnOf(channel, levels)));
  const least = Math.max(LEAST_SHARE * heard.length, LEAST_S / TURN_S);
  const speaks = turns.filter((own, channel) => {
    const others = turns.filter((_, other) => other !== channel).flat();
    return own.length >= least && meanOf(channel, own) - meanOf(channel, others) >= ROSE_DB; // hum is as loud in both
  });
  return speaks.length >= 2;
}

function framesOf(channels: readonly Float32Array[], sampleRateHz: number): Levels[] {
  const nFrame = Math.max(roundHalfEven(TURN_S * sampleRateHz), 1);
  return Array.from({ length: Math.floor(channels[0].length / nFrame) }, (_, frame) =>
    channels.map((samples) => levelDbfs(samples.subarray(frame * nFrame, (frame + 1) * nFrame))),
  );
}

function isTurnOf(channel: number, levels: Levels): boolean {
  return levels.every((level, other) => other === channel || levels[channel] - level > AHEAD_DB);
}

/** The mean level of a channel over frames, 0 without any. */
function meanOf(channel: number, frames: readonly Levels[]): number {
  return frames.reduce((sum, levels) => sum + levels[channel], 0) / Math.max(frames.length, 1);
}
