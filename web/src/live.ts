/** Sound that arrives piece by piece, answered in the worker, and what is known of a speaker there. */

import { ANOTHER_MODELS, noAdapter } from "./adaptation.js";
import type { Client } from "./client.js";
import type { Opened, Told } from "./engine.js";
import { described } from "./given.js";
import type { Options } from "./options.js";
import type { Prediction, StreamEvent } from "./prediction.js";
import { copied } from "./waveform.js";
import type { Windowing } from "./windows.js";

export interface StreamOptions extends Options, Windowing {
  /** Of this speaker; without it the model as it is. */
  adapter?: Adapter;
}

/** A stream that answers sound piece by piece, here or elsewhere. */
export interface SoundStream {
  readonly isSpeaking: boolean;
  /** Settled when it ends by itself, with all it was told answered. */
  readonly ended?: Promise<void>;
  accept(waveform: Float32Array): Promise<StreamEvent[]>;
  skip(seconds: number): Promise<StreamEvent[]>;
  finish(): Promise<StreamEvent[]>;
  prediction(path: string): Promise<Prediction>;
  close(): Promise<void>;
}

/** Follows one speaker through recordings and streams. */
export class Adapter {
  constructor(
    private readonly client: Client,
    /** @internal */ readonly number: number,
  ) {}

  /**
   * The number that the worker of `client` knows an adapter by, null without one; anything else is an `EarnestError`.
   * @internal
   */
  static numberOf(given: unknown, client: Client): number | null {
    if (given === undefined || given === null) return null;
    const isAdapter = given instanceof Adapter;
    if (isAdapter && given.client === client) return given.number;
    throw noAdapter(isAdapter ? ANOTHER_MODELS : `The option 'adapter' is no adapter, but ${described(given)}`);
  }

  async close(): Promise<void> {
    await this.client.call("forgetAdapter", [this.number]);
  }
}

/** A stream; hand it sound with `accept`, end it with `finish`. Calls are done in order, waiting is optional. */
export class LiveStream implements SoundStream {
  isSpeaking = false;
  receivedS = 0;
  /** Voice activity detection: "silero" or "energy". */
  readonly activity: string;
  private readonly number: number;

  constructor(
    private readonly client: Client,
    { number, activity }: Opened,
  ) {
    this.number = number;
    this.activity = activity;
  }

  /** Take the next samples, any number of them; the worker gets a copy. Returns what became certain. */
  async accept(waveform: Float32Array): Promise<StreamEvent[]> {
    const piece = copied(waveform);
    return this.told(await this.client.call("accept", [this.number, piece], [piece.buffer]));
  }

  /** Skip lost sound: it is heard as silence, so speech ends there where the gap is as long as a pause. */
  async skip(seconds: number): Promise<StreamEvent[]> {
    return this.told(await this.client.call("skip", [this.number, seconds]));
  }

  /** End the recording and return the rest. */
  async finish(): Promise<StreamEvent[]> {
    return this.told(await this.client.call("finish", [this.number]));
  }

  /**
   * The answer of all windows so far together.
   *
   * @param hasSeparateChannels what `decode` says of the recording, where all of one is handed over
   */
  async prediction(path = "-", hasSeparateChannels = false): Promise<Prediction> {
    return this.client.call("streamPrediction", [this.number, path, hasSeparateChannels]);
  }

  async close(): Promise<void> {
    await this.client.call("forgetStream", [this.number]);
  }

  private told({ events, isSpeaking, receivedS }: Told): StreamEvent[] {
    this.isSpeaking = isSpeaking;
    this.receivedS = receivedS;
    return events;
  }
}
