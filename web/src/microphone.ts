/** The microphone: its own rate and one channel → worklet → worker, where it is resampled and answered. */

import { EarnestError, MicrophoneError, type MicrophoneReason } from "./errors.js";
import { described, isObject } from "./given.js";
import type { SoundStream, StreamOptions } from "./live.js";
import type { Prediction, StreamEvent } from "./prediction.js";

const START_S = 5; // within which a browser's sound starts, where it does
const SLEPT_S = 2; // without sound, though the browser says that it runs
const QUEUE_S = 10; // sound that may wait for the worker; what comes beyond it is dropped, and told as a gap

/** An object that opens such streams; a `Model` does. */
export interface Listener {
  stream(sampleRateHz: number, options: StreamOptions): Promise<SoundStream>;
}

export interface ListenOptions extends StreamOptions {
  onEvent: (event: StreamEvent) => void;
  /** Called ten times a second with the loudest sample, 0 to 1, and whether somebody speaks. */
  onLevel?: (peak: number, isSpeaking: boolean) => void;
  /** Called when the browser stops its sound, as in a call, and when that goes on; not by `pause` and `resume`. */
  onInterruption?: (isInterrupted: boolean) => void;
  /** Called when so many seconds were not heard, as the device slept or the browser froze the page; the clock stood still. */
  onSleep?: (seconds: number) => void;
  /** Processing of the sound by the browser; by default none, as in the training recordings. */
  constraints?: MediaTrackConstraints;
  /** Address of `earnest.worklet.js`, if not beside this module. */
  workletUrl?: string | URL;
}

export interface Listening {
  /** Everything that was said, when listening has ended: by `stop`, or because the microphone was taken away. */
  readonly ended: Promise<Prediction>;
  /** Stop and go on hearing; the clock stands still between. After the end both do nothing. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** The answer so far; after the end, about everything. */
  soFar(): Promise<Prediction>;
  stop(): Promise<Prediction>;
}

const AS_IT_IS: MediaTrackConstraints = {
  channelCount: 1,
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};

export async function listen(model: Listener, options: ListenOptions): Promise<Listening> {
  checkListening(model, options);
  const { onEvent, onLevel, onInterruption, onSleep, constraints, workletUrl, ...asked } = options;
  const media = await microphone({ ...AS_IT_IS, ...constraints });
  let [context, stream]: [AudioContext | null, SoundStream | null] = [null, null];
  try {
    context = new AudioContext();
    await addWorklet(context, workletUrl ?? new URL("./earnest.worklet.js?no-inline", import.meta.url));
    const sound = await model.stream(context.sampleRate, asked);
    stream = sound;
    const queue = new Queue(sound, context.sampleRate, onEvent);
    const worklet = new AudioWorkletNode(context, "earnest-chunks", { numberOfOutputs: 0 });
    const clocks = new Clocks(context);
    context.addEventListener("statechange", () => { clocks.turn(); });
    worklet.port.onmessage = ({ data }: MessageEvent<Float32Array<ArrayBuffer>>) => {
      if (queue.isFinished) return; // still on its way when the end was told: a clock that closes stands still, too
      const sleptS = clocks.apartS();
      if (sleptS > SLEPT_S) reporting(() => onSleep?.(sleptS));
      reporting(() => onLevel?.(peakOf(data), sound.isSpeaking));
      queue.put(data);
    };
    context.createMediaStreamSource(media).connect(worklet);
    await started(context);
    return listening(media, context, queue, sound, onInterruption);
  } catch (error) {
    release(media, context);
    await stream?.close().catch(() => undefined); // the first error is told
    throw error;
  }
}

/** Call what the app gave; what it throws is told where the browser tells uncaught errors, and ends nothing here. */
function reporting(call: () => void): void {
  try {
    call();
  } catch (error) {
    reportError(error);
  }
}

/** The time of day, and that of the sound, which stands still while the device sleeps or the page is frozen. */
class Clocks {
  private behindS = Infinity;
  private isStill = false; // a pause or a call, which is no sleep

  constructor(private readonly context: AudioContext) {}

  /** The sound was stopped, or goes on. Chunks that were on their way come after the one, and a few before the other. */
  turn(): void {
    this.apartS();
    this.isStill = this.context.state !== "running";
  }

  /** Seconds by which the sound has fallen behind since the last call. */
  apartS(): number {
    const before = this.isStill ? Infinity : this.behindS;
    this.behindS = Date.now() / 1000 - this.context.currentTime;
    return this.behindS - before;
  }
}

function checkListening(model: unknown, options: unknown): void {
  if (!isObject(model) || typeof model["stream"] !== "function") {
    throw new EarnestError(`Expected the model that listens, got ${described(model)}. Call model.listen({ onEvent }), or listen(model, { onEvent }).`);
  }
  if (!isObject(options) || typeof options["onEvent"] !== "function") {
    throw new EarnestError("Listening needs a function that is told each event: listen({ onEvent: (event) => … }).");
  }
}

async function microphone(constraints: MediaTrackConstraints): Promise<MediaStream> {
  if ("WorkerGlobalScope" in globalThis) throw new MicrophoneError("missing", "Workers have no microphone. Listen in the page.");
  const devices = navigator.mediaDevices as MediaDevices | undefined; // on http: pages there are none
  if (!devices) {
    if (isSecureContext) throw new MicrophoneError("missing", "This browser gives pages no microphone. Use another browser.");
    throw new MicrophoneError("insecure", "There is no microphone for this page. Serve it on https: or localhost.");
  }
  return devices.getUserMedia({ audio: constraints }).catch((error: unknown) => {
    const reason = REASONS[(error as Partial<DOMException>).name ?? ""] ?? "busy";
    const advice = "Allow it in the browser, plug one in, or close what uses it.";
    throw new MicrophoneError(reason, `The microphone can't be used (${String(error)}). ${advice}`);
  });
}

/** Firefox's clock runs by the sound output: without one its sound never starts, and nothing says so. */
async function started(context: AudioContext): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tooLate = new Promise<never>((_, reject) => { timer = setTimeout(reject, 1000 * START_S, `${START_S} s`); });
  await Promise.race([context.resume(), tooLate]).catch((error: unknown) => {
    const advice = "Firefox needs a sound output even to listen: plug in headphones, or switch the output on. Listening must begin with a press.";
    throw new MicrophoneError("stopped", `The browser's sound doesn't start (${String(error)}). ${advice}`);
  }).finally(() => { clearTimeout(timer); });
}

/** Vite writes files as short as this one into the page's script, unless asked not to; a strict Content-Security-Policy refuses them there. */
async function addWorklet(context: AudioContext, url: string | URL): Promise<void> {
  await context.audioWorklet.addModule(url).catch((error: unknown) => {
    const advice = "Serve earnest.worklet.js beside earnest.js, or say where it is: listen({ workletUrl }).";
    throw new EarnestError(`The worklet can't be loaded (${String(error)}). ${advice}`);
  });
}

const REASONS: Partial<Record<string, MicrophoneReason>> = {
  NotAllowedError: "refused",
  SecurityError: "refused",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
};

function listening(media: MediaStream, context: AudioContext, queue: Queue, stream: SoundStream, onInterruption: ListenOptions["onInterruption"]): Listening {
  let ending: Promise<Prediction> | null = null;
  let [isPaused, isInterrupted] = [false, false];
  const end = async (): Promise<Prediction> => {
    release(media, context);
    try {
      await queue.finish();
      return await stream.prediction("microphone");
    } finally {
      await stream.close();
    }
  };
  let settle: (prediction: Promise<Prediction>) => void;
  const ended = new Promise<Prediction>((resolve) => (settle = resolve));
  const stop = (): Promise<Prediction> => {
    if (!ending) {
      ending = end();
      settle(ending);
    }
    return ending;
  };
  ended.catch(() => undefined); // whoever calls stop() sees it there
  queue.onFailure = () => void stop();
  void stream.ended?.then(stop);
  const changed = (): void => {
    if (ending || isPaused) return;
    const isStopped = context.state !== "running";
    if (isStopped) void context.resume().catch(() => undefined); // it goes on when the browser lets it
    const isStill = isStopped || media.getTracks().some(({ muted }) => muted); // by the browser's own switch, or a call
    if (isStill === isInterrupted) return; // also where it runs again after a pause
    isInterrupted = isStill;
    onInterruption?.(isInterrupted);
  };
  context.onstatechange = changed;
  for (const track of media.getTracks()) {
    track.onended = () => void stop();
    track.onmute = track.onunmute = changed;
  }
  const heard = (isHeard: boolean): void => {
    isPaused = !isHeard;
    for (const track of media.getTracks()) track.enabled = isHeard;
  };
  return {
    ended,
    stop,
    pause: async () => {
      if (ending) return; // the microphone may have been taken away just now
      heard(false);
      await context.suspend();
    },
    resume: async () => {
      if (ending) return;
      heard(true);
      await context.resume();
    },
    soFar: () => ending ?? stream.prediction("microphone"),
  };
}

function release(media: MediaStream, context: AudioContext | null): void {
  for (const track of media.getTracks()) track.stop();
  void context?.close();
}

function peakOf(chunk: Float32Array): number {
  return chunk.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
}

/** Sound on its way to the worker; it never grows beyond ten seconds. */
export class Queue {
  onFailure: () => void = () => undefined;
  private nWaiting = 0;
  private nLost = 0;
  isFinished = false;
  private failure: Error | null = null;
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly stream: Pick<SoundStream, "accept" | "skip" | "finish">,
    private readonly sampleRateHz: number,
    private readonly onEvent: (event: StreamEvent) => void,
  ) {}

  /** Hand over the next sound; what the audio thread still had on its way when the end was told comes too late. */
  put(chunk: Float32Array<ArrayBuffer>): void {
    if (this.isFinished) return;
    const nChunk = chunk.length;
    if (this.nWaiting + nChunk > QUEUE_S * this.sampleRateHz) {
      this.nLost += nChunk;
      return;
    }
    this.tellLoss();
    this.nWaiting += nChunk;
    this.send(this.stream.accept(chunk), () => (this.nWaiting -= nChunk));
  }

  /** Hand over the end; whatever failed before is thrown here. */
  async finish(): Promise<void> {
    this.isFinished = true;
    this.tellLoss();
    if (!this.failure) this.send(this.stream.finish());
    await this.last;
    if (this.failure) throw this.failure;
  }

  private tellLoss(): void {
    if (this.nLost) this.send(this.stream.skip(this.nLost / this.sampleRateHz));
    this.nLost = 0;
  }

  private send(answer: Promise<StreamEvent[]>, done: () => void = () => undefined): void {
    const told = answer.then((events) => {
      done();
      for (const event of events) reporting(() => { this.onEvent(event); });
    });
    this.last = Promise.all([this.last, told]).then(
      () => undefined,
      (error: unknown) => {
        this.failure ??= error as Error;
        this.onFailure();
      },
    );
  }
}
