/** Overlapping windows → one emotion at a time; as in `earnest.runtime.smoothing`. */

import { indexOfLargest } from "./numbers.js";
import { type Extent, lengthOf } from "./speech.js";

const SWITCH_MARGIN = 0.1; // probability by which a new emotion must lead

/** Steps of one emotion: an extent in samples, the class' number, its mean probability over the extent. */
export interface Run {
  extent: Extent;
  emotion: number;
  confidence: number;
}

/** Takes the windows of one segment after the other and gives back runs of one emotion, as soon as they are certain. */
export class Smoother {
  private windows: { extent: Extent; shares: ArrayLike<number> }[] = [];
  private next = 0; // start of the first step that is not decided
  private start = 0;
  private sum = 0;
  private emotion: number | null = null;

  constructor(private readonly hop: number) {}

  /** Take the next window of a segment; decide the step at its start, which no later window holds. */
  accept(extent: Extent, shares: ArrayLike<number>, segmentStart: number): Run[] {
    if (!this.windows.length) this.next = segmentStart;
    this.windows.push({ extent, shares });
    return extent.start === this.next && lengthOf(extent) > this.hop ? this.decide(this.next + this.hop) : [];
  }

  /** End the segment: decide its last steps; what is left below half a step belongs to the one before. */
  close(segment: Extent): Run[] {
    const runs: Run[] = [];
    while (this.windows.length && segment.end - this.next >= 1.5 * this.hop) {
      runs.push(...this.decide(this.next + this.hop));
    }
    if (this.windows.length && this.next < segment.end) runs.push(...this.decide(segment.end));
    if (this.emotion !== null) runs.push(this.run(this.emotion));
    this.windows = [];
    this.emotion = null;
    return runs;
  }

  private decide(end: number): Run[] {
    while (this.windows.length > 1 && this.windows[0].extent.end <= this.next) this.windows.shift();
    const runs: Run[] = [];
    const shares = this.sharesAt(this.next);
    const leader = indexOfLargest(shares);
    if (this.emotion !== null && leader !== this.emotion && shares[leader] - shares[this.emotion] >= SWITCH_MARGIN) {
      runs.push(this.run(this.emotion));
      this.emotion = null;
    }
    if (this.emotion === null) {
      this.emotion = leader;
      this.start = this.next;
      this.sum = 0;
    }
    this.sum += (end - this.next) * shares[this.emotion];
    this.next = end;
    return runs;
  }

  /** Mean over the windows that hold a place. */
  private sharesAt(place: number): number[] {
    const all = this.windows.filter(({ extent }) => extent.start <= place && place < extent.end);
    const holding = all.length ? all : this.windows.slice(-1);
    const nClasses = holding[0].shares.length;
    return Array.from({ length: nClasses }, (_, index) =>
      holding.reduce((sum, { shares }) => sum + shares[index], 0) / holding.length,
    );
  }

  private run(emotion: number): Run {
    const extent = { start: this.start, end: this.next };
    return { extent, emotion, confidence: this.sum / lengthOf(extent) };
  }
}
