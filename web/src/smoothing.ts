/**
 * Overlapping windows → one answer at a time; as in `earnest.runtime.answers`.
 *
 * Time inside a segment is divided into steps as long as the hop between windows. A step is speech where at least half
 * of the windows that hold its beginning are; its probabilities are the mean over those. The emotion changes only when
 * another one leads by a margin, or where the one before is too unlikely to be told.
 */

import { isBurst, isSpeech, type Verdict } from "./gate.js";
import type { Values } from "./graph.js";
import { indexOfLargest } from "./numbers.js";
import { type Extent, lengthOf } from "./speech.js";

const SWITCH_MARGIN = 0.1; // probability by which a new emotion must lead
export const UNSURE = "unsure";

/** The label of a run: an emotion, "unsure", a vocal burst by its kind, or "no-speech". */
export interface Label {
  kind: "emotion" | "unsure" | "vocal-burst" | "no-speech";
  name: string;
}

/** Whether it was answered, or would have been if it were surer. */
export const isSpoken = ({ kind }: Label): boolean => kind === "emotion" || kind === "unsure";

/** Steps of one label: an extent in samples, and the mean probability over the extent of what leads. */
export interface Run {
  extent: Extent;
  label: Label;
  confidence: number;
}

interface Answered {
  extent: Extent;
  verdict: Verdict;
  shares: Values;
}

/** Takes the windows of one segment after the other and gives back runs of one label, as soon as they are certain. */
export class Smoother {
  private windows: Answered[] = [];
  private next = 0; // start of the first step that is not decided
  private start = 0;
  private sum = 0;
  private label: Label | null = null;
  private leader: number | null = null;

  constructor(
    private readonly hop: number,
    private readonly classes: readonly string[],
    private readonly abstainBelow = 0,
  ) {}

  /**
   * Take the next window of a segment; decide the step at its start, which no later window holds.
   *
   * @param verdict whether the window is speech
   * @param shares of no meaning where it isn't
   */
  accept(extent: Extent, verdict: Verdict, shares: Values, segmentStart: number): Run[] {
    if (!this.windows.length) this.next = segmentStart;
    // Windows that don't overlap: only now it is clear that the step is not the last one's.
    const runs = extent.start - this.next >= this.hop ? this.decide(this.next + this.hop) : [];
    this.windows.push({ extent, verdict, shares });
    if (extent.start === this.next && lengthOf(extent) > this.hop) runs.push(...this.decide(this.next + this.hop));
    return runs;
  }

  /** End the segment: decide its last steps; what is left below half a step belongs to the one before. */
  close(segment: Extent): Run[] {
    const runs: Run[] = [];
    while (this.windows.length && segment.end - this.next >= 1.5 * this.hop) {
      runs.push(...this.decide(this.next + this.hop));
    }
    if (this.windows.length && this.next < segment.end) runs.push(...this.decide(segment.end));
    if (this.label) runs.push(this.run(this.label));
    this.windows = [];
    this.label = this.leader = null;
    return runs;
  }

  private decide(end: number): Run[] {
    while (this.windows.length > 1 && this.windows[0].extent.end <= this.next) this.windows.shift();
    const holding = this.windows.filter(({ extent }) => extent.start <= this.next && this.next < extent.end);
    const { label, confidence } = this.labelled(holding.length ? holding : this.windows.slice(-1));
    const runs: Run[] = [];
    if (label.kind !== this.label?.kind || label.name !== this.label.name) {
      if (this.label) runs.push(this.run(this.label));
      this.label = label;
      this.start = this.next;
      this.sum = 0;
    }
    this.sum += (end - this.next) * confidence;
    this.next = end;
    return runs;
  }

  /** The label of a step, from the windows that hold its start, and its confidence. */
  private labelled(holding: readonly Answered[]): { label: Label; confidence: number } {
    const spoken = holding.filter(({ verdict }) => isSpeech(verdict)).map(({ shares }) => shares);
    if (2 * spoken.length < holding.length) {
      const others = holding.map(({ verdict }) => verdict).filter((verdict) => !isSpeech(verdict));
      const verdict = others.reduce((best, one) => (one.confidence > best.confidence ? one : best));
      this.leader = null;
      const kind = isBurst(verdict) ? "vocal-burst" : "no-speech";
      return { label: { kind, name: verdict.sound }, confidence: verdict.confidence };
    }
    const shares = this.classes.map((_, index) => spoken.reduce((sum, own) => sum + own[index], 0) / spoken.length);
    const best = indexOfLargest(shares);
    const { leader } = this;
    const keeps = leader !== null && shares[leader] >= this.abstainBelow && shares[best] - shares[leader] < SWITCH_MARGIN;
    const first = keeps ? leader : best;
    this.leader = first;
    const confidence = shares[first];
    const isSure = confidence >= this.abstainBelow;
    return { label: isSure ? { kind: "emotion", name: this.classes[first] } : { kind: "unsure", name: UNSURE }, confidence };
  }

  private run(label: Label): Run {
    const extent = { start: this.start, end: this.next };
    return { extent, label, confidence: this.sum / lengthOf(extent) };
  }
}
