/**
 * A recording that is all there, handed over in parts: what is worked on stays small, the work can be ended between two
 * of them, and a microphone that is listened to meanwhile has its turn there.
 */

import { roundHalfEven } from "./numbers.js";
import type { Prediction, StreamEvent } from "./prediction.js";

const PIECE_S = 10;

/** How far the work on a recording is, and its early end. */
export interface Following {
  /** Called with the share of the recording that was heard, 0 to 1. */
  onProgress?: ((share: number) => void) | undefined;
  /** Ends the work early; the promise is then rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** What takes a recording: a stream, here or in the worker. */
interface Taker {
  accept(piece: Float32Array): Promise<StreamEvent[]>;
  /** Take the end, and answer; called before the last piece is answered, so that nothing else comes between. */
  end(): Promise<[StreamEvent[], Prediction]>;
}

/** Hand over all of a recording of at least a sample; return its events, and the answer to the whole. */
export async function handedOver(
  taker: Taker,
  waveform: Float32Array,
  sampleRateHz: number,
  { onProgress, signal }: Following,
): Promise<[StreamEvent[], Prediction]> {
  const events: StreamEvent[] = [];
  let nHeard = 0;
  const heard = async (piece: Float32Array): Promise<void> => {
    events.push(...(await taker.accept(piece)));
    signal?.throwIfAborted(); // who ended it is told no more
    nHeard += piece.length;
    onProgress?.(nHeard / waveform.length);
    signal?.throwIfAborted();
  };
  const parts = [...pieces(waveform, sampleRateHz)];
  for (const piece of parts.slice(0, -1)) await heard(piece);
  const [, [rest, prediction]] = await Promise.all([heard(parts[parts.length - 1]), taker.end()]);
  return [[...events, ...rest], prediction];
}

/** Sound in parts of ten seconds. */
export function* pieces(waveform: Float32Array, sampleRateHz: number): Generator<Float32Array, void, undefined> {
  const nPiece = pieceLength(sampleRateHz);
  for (let start = 0; start < waveform.length; start += nPiece) yield waveform.subarray(start, start + nPiece);
}

/** Number of samples in ten seconds. */
export function pieceLength(sampleRateHz: number): number {
  return Math.max(roundHalfEven(PIECE_S * sampleRateHz), 1);
}
