/** Segments of speech and the windows in them, found while the sound arrives; as in `earnest.audio.activity`. */

import { BEGINS_AT, ENDS_BELOW, FRAME_SECONDS } from "./activity.js";
import { roundHalfEven } from "./numbers.js";

const LONGEST_GAP = 12; // frames of 32 ms
const SHORTEST_SPEECH = 8;
const MARGIN = 4;

/** A part of a recording in samples: first one and the one after the last. */
export interface Extent {
  start: number;
  end: number;
}

export const lengthOf = (extent: Extent): number => extent.end - extent.start;

/** Turns probabilities of speech, frame by frame, into extents of speech. */
export class SpeechFinder {
  nFrames = 0;
  /** First frame of the speech that is going on, null in a pause. */
  start: number | null = null;
  /** Speech is certain to last until this frame, margin included; 0 while it is too short to count. */
  certainEnd = 0;
  private first = 0;
  private lastEnd = 0;

  /** Take the next frame's probability; return (first, end) in frames when a segment is over. */
  accept(share: number): Extent | null {
    this.nFrames++;
    if (this.start === null) {
      if (share >= BEGINS_AT) {
        this.first = this.nFrames - 1;
        this.lastEnd = this.nFrames;
        this.start = Math.max(this.first - MARGIN, 0);
      }
    } else if (share >= ENDS_BELOW) {
      this.lastEnd = this.nFrames;
    } else if (this.nFrames - this.lastEnd > LONGEST_GAP) {
      return this.finish();
    }
    if (this.start !== null && this.lastEnd - this.first >= SHORTEST_SPEECH) {
      this.certainEnd = Math.min(this.lastEnd + MARGIN, this.nFrames);
    }
    return null;
  }

  /** End the speech that is going on. */
  finish(): Extent | null {
    const found = this.start !== null && this.certainEnd ? { start: this.start, end: this.certainEnd } : null;
    this.start = null;
    this.certainEnd = 0;
    return found;
  }

  /** The first frame that a later segment may hold. */
  neededFrom(): number {
    return this.start ?? Math.max(this.nFrames - MARGIN, 0);
  }
}

/** Cuts segments, while they grow, into overlapping windows; a short segment is one window. */
export class WindowCutter {
  private start: number | null = null;
  private nCut = 0;

  constructor(
    private readonly window: number,
    private readonly hop: number,
  ) {}

  /** The windows that are whole by now. */
  grow(start: number, end: number): Extent[] {
    this.start = start;
    const found: Extent[] = [];
    for (;;) {
      const first = start + this.nCut * this.hop;
      if (first + this.window > end) return found;
      this.nCut++;
      found.push({ start: first, end: first + this.window });
    }
  }

  /** The remaining windows of a segment that is over; one more ends with the segment. */
  close(start: number, end: number): Extent[] {
    const found = this.grow(start, end);
    const coveredTo = this.nCut ? start + (this.nCut - 1) * this.hop + this.window : start;
    if (coveredTo < end) found.push({ start: Math.max(start, end - this.window), end });
    this.start = null;
    this.nCut = 0;
    return found;
  }

  /** The first sample that a later window of the growing segment may hold; null before the first window. */
  neededFrom(certainEnd: number): number | null {
    return this.start === null || !this.nCut ? null : Math.max(this.start, certainEnd - this.window);
  }
}

/** The sample at which a frame of the activity detector starts. */
export function frameStart(frame: number, sampleRateHz: number): number {
  return roundHalfEven(frame * FRAME_SECONDS * sampleRateHz);
}
