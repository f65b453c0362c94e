/** The microphone, kept as one recording. */

import { listen, type SoundStream, unanswered } from "../../../src/index.js";

declare const BUILT: { worklet: string }; // file names, by build.mjs

const LONGEST_S = 30;

interface Recorded {
  waveform: Float32Array;
  sampleRateHz: number;
}

/** Hears and keeps, at most half a minute; `stop` gives what was heard. */
export class Recorder {
  private readonly pieces: Float32Array[] = [];
  private seconds = 0;
  private sampleRateHz = 0;
  /** by `stop`, or because the microphone was taken away */
  ended: Promise<unknown> = Promise.resolve();
  private stopListening: () => Promise<unknown> = () => Promise.resolve();

  /** @param onLevel called ten times a second with the loudest sample, 0 to 1, how long it has been, and whether that is all it keeps */
  static async start(onLevel: (peak: number, seconds: number, isFull: boolean) => void): Promise<Recorder> {
    const recorder = new Recorder();
    const listening = await listen(
      { stream: (sampleRateHz) => Promise.resolve(recorder.stream(sampleRateHz)) },
      {
        workletUrl: BUILT.worklet,
        onEvent: () => undefined,
        onInterruption: (isInterrupted) => {
          if (isInterrupted) void recorder.stopListening(); // what comes later is another recording
        },
        onLevel: (peak) => {
          onLevel(peak, recorder.seconds, recorder.isFull);
        },
      },
    );
    recorder.stopListening = () => listening.stop();
    recorder.ended = listening.ended;
    return recorder;
  }

  private get isFull(): boolean {
    return this.seconds >= LONGEST_S;
  }

  async stop(): Promise<Recorded> {
    await this.stopListening();
    const waveform = new Float32Array(this.pieces.reduce((sum, { length }) => sum + length, 0));
    let start = 0;
    for (const piece of this.pieces) {
      waveform.set(piece, start);
      start += piece.length;
    }
    return { waveform, sampleRateHz: this.sampleRateHz };
  }

  /** A stream that takes sound as a model's would, and gives no answers. */
  private stream(sampleRateHz: number): SoundStream {
    this.sampleRateHz = sampleRateHz;
    return {
      isSpeaking: false,
      accept: (waveform) => {
        if (!this.isFull) this.pieces.push(waveform);
        this.seconds += waveform.length / sampleRateHz;
        return Promise.resolve([]);
      },
      skip: () => Promise.resolve([]),
      finish: () => Promise.resolve([]),
      prediction: (path) => Promise.resolve(unanswered(path, "ok", "")),
      close: () => Promise.resolve(),
    };
  }
}
