/** Segments of speech and the windows in them, found while the sound arrives; as in `earnest.audio.activity`. */

import { BEGINS_AT, DOUBT_BEGINS_AT, DOUBT_ENDS_BELOW, ENDS_BELOW, FRAME_SECONDS, Loudness } from "./activity.js";
import { roundHalfEven } from "./numbers.js";

const LONGEST_GAP = 12; // frames of 32 ms
const SHORTEST_SPEECH = 8;
const MARGIN = 4;
const SHORTEST_DOUBT = 16; // half a second
const LONGEST_DOUBT = 125;

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
  private doubt: Extent | null = null; // frames of loud sound that is perhaps speech
  private readonly loudness = new Loudness();
  private endBefore = 0; // of the last segment

  /** @param judged whether somebody else judges what is found, so that loud sound in doubt is found too */
  constructor(private readonly judged = false) {}

  /** Take the next frame's probability and level; return (first, end) in frames when a segment is over. */
  accept(share: number, levelDbfs: number): Extent | null {
    this.nFrames++;
    const isLoud = this.loudness.isLoud(levelDbfs);
    if (this.start === null) {
      if (share < BEGINS_AT) return this.doubted(isLoud ? share : 0);
      this.first = this.nFrames - 1;
      this.lastEnd = this.nFrames;
      this.start = Math.max(this.first - MARGIN, this.endBefore);
      this.doubt = null;
    } else if (share >= ENDS_BELOW) {
      this.lastEnd = this.nFrames;
    } else if (this.nFrames - this.lastEnd > LONGEST_GAP) {
      return this.finish();
    }
    if (this.lastEnd - this.first >= SHORTEST_SPEECH) {
      this.certainEnd = Math.min(this.lastEnd + MARGIN, this.nFrames);
    }
    return null;
  }

  private doubted(share: number): Extent | null {
    if (!this.doubt) {
      if (this.judged && share >= DOUBT_BEGINS_AT) this.doubt = { start: this.nFrames - 1, end: this.nFrames };
      return null;
    }
    if (share >= DOUBT_ENDS_BELOW) this.doubt.end = this.nFrames;
    const isOver = this.nFrames - this.doubt.end > LONGEST_GAP || this.nFrames - this.doubt.start >= LONGEST_DOUBT;
    return isOver ? this.finish() : null;
  }

  /** End the speech that is going on, or what was perhaps speech. */
  finish(): Extent | null {
    let found = this.start !== null && this.certainEnd ? { start: this.start, end: this.certainEnd } : null;
    if (this.doubt && lengthOf(this.doubt) >= SHORTEST_DOUBT) {
      const end = Math.min(this.doubt.end + MARGIN, this.nFrames);
      found = { start: Math.max(this.doubt.start - MARGIN, this.endBefore), end };
    }
    this.start = null;
    this.certainEnd = 0;
    this.doubt = null;
    if (found) this.endBefore = found.end;
    return found;
  }

  /** The first frame that a later segment may hold. */
  neededFrom(): number {
    return this.start ?? Math.max((this.doubt?.start ?? this.nFrames) - MARGIN, 0);
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
