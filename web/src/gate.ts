/** Is it speech at all? What the network's output `sound` says about one window; as in `earnest.runtime.answers`. */

import { BundleError, counted } from "./errors.js";
import type { Outputs } from "./graph.js";
import { namedShares } from "./prediction.js";

const SPEECH = "speech";
const NO_SPEECH = "no-speech";
const BURSTS = ["laughter", "crying", "scream", "sigh", "other"];
export const SOUNDS: readonly string[] = [SPEECH, ...BURSTS, NO_SPEECH];
const SPEECH_FROM = 0.5; // probability of speech
const BURST_FROM = 0.9; // of a burst among all sound that is no speech
const KIND_FROM = 0.5; // of a burst's kind among all kinds; below it the kind is "other"

/** The kind of sound: "speech", "no-speech" or a vocal burst's kind, with its probability. */
export interface Verdict {
  sound: string;
  confidence: number;
}

export const isSpeech = ({ sound }: Verdict): boolean => sound === SPEECH;
export const isBurst = ({ sound }: Verdict): boolean => BURSTS.includes(sound);

/**
 * Judge one window by the graph's output `sound`; without one it is speech.
 *
 * @param sounds names of the output's numbers, as `bundle.json` has them; empty without the output
 */
export function verdictOf({ sound }: Outputs, sounds: readonly string[]): Verdict {
  if (!sounds.length || !sound) return { sound: SPEECH, confidence: 1 };
  if (sound.length !== sounds.length) {
    throw new BundleError(`The output 'sound' has ${counted(sound.length, "number")} for ${sounds.length} sounds. Export the bundle again.`);
  }
  const shares = namedShares(sounds, sound);
  if (shares[SPEECH] >= SPEECH_FROM) return { sound: SPEECH, confidence: shares[SPEECH] };
  const total = BURSTS.reduce((sum, name) => sum + shares[name], 0);
  if (total < BURST_FROM * (total + shares[NO_SPEECH])) return { sound: NO_SPEECH, confidence: shares[NO_SPEECH] };
  const kind = BURSTS.reduce((best, name) => (shares[name] > shares[best] ? name : best));
  return shares[kind] >= KIND_FROM * total ? { sound: kind, confidence: shares[kind] } : { sound: "other", confidence: total };
}
