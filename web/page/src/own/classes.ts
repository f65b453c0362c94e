/** The recordings of one's own classes: gathered, heard by a model, learnt from. */

import { checkedLabel, EarnestError, type Example, type HeardRecording, type Learnt, MOST_EXAMPLES } from "../../../src/index.js";
import type { Learner } from "../engine.js";
import { problemOf } from "../problems.js";
import { sourceOf } from "../source.js";
import type { Found } from "./found.js";

type Sound = NonNullable<Awaited<ReturnType<typeof sourceOf>>["sound"]>;

/** One recording: a file, or sound that was recorded here; and what a model heard in it. */
interface OwnRecording {
  name: string;
  sound: File | Sound;
  heard: HeardRecording | null;
  /** "base 0.1.0" */
  heardBy: string;
}

/** The recordings of one class by one speaker, "" for an unknown one. */
export interface Group {
  label: string;
  speaker: string;
  readonly recordings: OwnRecording[];
}

/** A recording that can't be used, and why. */
export interface Unusable {
  name: string;
  reason: string;
}

interface LearntHere {
  learnt: Learnt;
  unusable: Unusable[];
}

export class OwnClasses {
  readonly groups: Group[] = [];

  get count(): number {
    return this.groups.reduce((sum, { recordings }) => sum + recordings.length, 0);
  }

  /** Whether some were recorded here, and are nowhere else. */
  get hasSpoken(): boolean {
    return this.groups.some(({ recordings }) => recordings.some(({ sound }) => !(sound instanceof File)));
  }

  /** Add files: each is of the class that its folder is named after, or of `label`. */
  addFiles(found: readonly Found[], label: string, speaker: string): void {
    if (!found.length) throw new EarnestError("There are no recordings among them. Choose wav, flac, mp3, ogg, m4a or webm.");
    this.refuseMore(found.length);
    if (!label.trim() && found.some(({ folder }) => !folder)) throw new EarnestError("Which class are these recordings? Type its name first, or drop a folder with that name.");
    const named = found.map(({ file, folder }) => ({ file, label: checkedLabel(folder || label) }));
    for (const { file, label: own } of named) {
      this.groupOf(own, speaker).recordings.push({ name: `${own}/${file.name}`, sound: file, heard: null, heardBy: "" });
    }
  }

  addSound(sound: Sound, label: string, speaker: string): void {
    this.refuseMore(1);
    const { recordings } = this.groupOf(checkedLabel(label), speaker);
    recordings.push({ name: `${label}/recorded here ${recordings.length + 1}`, sound, heard: null, heardBy: "" });
  }

  remove(group: Group): void {
    this.groups.splice(this.groups.indexOf(group), 1);
  }

  /** Hear what this model has not heard yet, then learn. */
  async learn(learner: Learner, name: string, onHeard: (share: number) => void): Promise<LearntHere> {
    const all = this.groups.flatMap((group) => group.recordings.map((recording) => ({ group, recording })));
    const examples: Example[] = [];
    const unusable: Unusable[] = [];
    for (const [place, { group, recording }] of all.entries()) {
      onHeard(place / all.length);
      try {
        const { embedding, problem, ...heard } = await heardOf(recording, learner);
        const { label, speaker } = group;
        if (embedding) examples.push({ name: recording.name, label, speaker, ...heard, embedding });
        else unusable.push({ name: recording.name, reason: problem });
      } catch (error) {
        unusable.push({ name: recording.name, reason: problemOf(error).advice.replace(`${recording.name}: `, "") });
      }
    }
    onHeard(1);
    const learnt = await learner.learn(examples, { name });
    return { learnt, unusable: [...unusable, ...learnt.summary.refused] };
  }

  private groupOf(label: string, speaker: string): Group {
    const found = this.groups.find((group) => group.label === label && group.speaker === speaker.trim());
    if (found) return found;
    const made: Group = { label, speaker: speaker.trim(), recordings: [] };
    this.groups.push(made);
    return made;
  }

  private refuseMore(nMore: number): void {
    if (this.count + nMore > MOST_EXAMPLES) {
      throw new EarnestError(`${this.count + nMore} recordings are too many for a page; at most ${MOST_EXAMPLES}. “earnest learn” takes any number.`);
    }
  }
}

async function heardOf(recording: OwnRecording, learner: Learner): Promise<HeardRecording> {
  if (recording.heard && recording.heardBy === learner.model) return recording.heard;
  const { sound, name } = recording;
  const source = sound instanceof File ? await sourceOf(sound, name) : { name, file: new Blob(), channel: null, sound, plays: true };
  recording.heard = await learner.hear(source);
  recording.heardBy = learner.model;
  return recording.heard;
}
