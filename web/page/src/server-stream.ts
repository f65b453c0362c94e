/** `WS /v1/stream`, shaped as a stream of the package, so that the same code listens for both. */

import { type Prediction, type SoundStream, type StreamEvent, type StreamOptions, unanswered } from "../../src/index.js";
import type { Adapt } from "./engine.js";
import { ServerError } from "./problems.js";
import { ticket } from "./server.js";

const PIECE_SAMPLES = 32_768; // 128 KiB, half of what the server takes in one message
const SERVICE_RESTART = 1012; // the server has told about all it heard
const NOT_OPENED = "It may have stopped, or hear as many as it can already, or the network is gone.";
const LOST = "The connection was lost: the server has stopped, or the network is gone. What was heard until then stays below.";
const RESTARTS = "It was stopped, or restarts. What was heard until then stays below.";
const SILENT_MS = 30_000; // at the end: a server that tells nothing for so long is gone, though the connection seems open
const MOST_WAITING = 8; // bytes on their way, in messages of that size; then the microphone's queue waits

type Message =
  | { event: "ready"; classes: string[] }
  | { event: "heartbeat" }
  | { event: "end"; prediction: Prediction }
  | { event: "error"; detail: string }
  | StreamEvent;

export class ServerStream implements SoundStream {
  isSpeaking = false;
  /** Also when the server is lost, which a paused stream, that sends nothing, would not see. */
  readonly ended: Promise<void>;
  private events: StreamEvent[] = [];
  private answer: Prediction | null = null;
  private failure: ServerError | null = null;
  private isFinishing = false;
  private receivedS = 0;
  private heardAt = 0;
  private settle: () => void = () => undefined;

  private constructor(
    private readonly socket: WebSocket,
    private readonly model: string,
    private readonly sampleRateHz: number,
  ) {
    this.ended = new Promise((resolve) => (this.settle = resolve));
    socket.onmessage = ({ data }) => {
      this.hear(JSON.parse(String(data)) as Message);
    };
    socket.onclose = ({ code }) => {
      if (code === SERVICE_RESTART && !this.isFinishing) this.failure ??= new ServerError(0, RESTARTS);
      this.giveUp();
    };
  }

  static async open(model: string, sampleRateHz: number, options: StreamOptions, adapt: Adapt): Promise<ServerStream> {
    const { windowS, hopS, classes } = options;
    const query = new URLSearchParams({ sample_rate_hz: String(sampleRateHz), encoding: "f32le", model });
    if (windowS !== undefined) query.set("window_s", String(windowS));
    if (hopS !== undefined) query.set("hop_s", String(hopS));
    if (classes?.length) query.set("classes", String(classes));
    if (adapt === "auto") query.set("adapt", adapt);
    const pass = await ticket();
    if (pass !== null) query.set("ticket", pass);
    const url = new URL(`v1/stream?${query.toString()}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    const stream = new ServerStream(socket, model, sampleRateHz);
    await Promise.race([new Promise((resolve) => (socket.onopen = resolve)), stream.ended]);
    if (stream.failure) throw new ServerError(0, NOT_OPENED);
    if (typeof adapt === "object") socket.send(JSON.stringify({ type: "profile", profile: adapt }));
    return stream;
  }

  async accept(waveform: Float32Array): Promise<StreamEvent[]> {
    this.receivedS += waveform.length / this.sampleRateHz;
    for (let start = 0; start < waveform.length; start += PIECE_SAMPLES) {
      if (this.isOpen()) this.socket.send(waveform.slice(start, start + PIECE_SAMPLES));
    }
    while (this.isOpen() && this.socket.bufferedAmount > MOST_WAITING * 4 * PIECE_SAMPLES) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this.told();
  }

  /** The server's clock goes on with silence. */
  async skip(seconds: number): Promise<StreamEvent[]> {
    const startS = this.receivedS;
    const events = await this.accept(new Float32Array(Math.round(seconds * this.sampleRateHz)));
    return [...events, { event: "gap", start_s: startS, end_s: this.receivedS }];
  }

  async finish(): Promise<StreamEvent[]> {
    this.isFinishing = this.isOpen();
    if (this.isFinishing) this.socket.send(JSON.stringify({ type: "finish" }));
    this.heardAt = Date.now();
    const watching = setInterval(() => {
      if (Date.now() - this.heardAt > SILENT_MS) this.giveUp();
    }, 1000);
    await this.ended;
    clearInterval(watching);
    return this.events.splice(0);
  }

  /** The answer about the whole comes with the end; before it there is none. A stream that broke off says why. */
  async prediction(path: string): Promise<Prediction> {
    if (this.failure) throw this.failure;
    return this.answer ? { ...this.answer, path } : unanswered(path, "no-speech", this.model);
  }

  async close(): Promise<void> {
    this.socket.close();
  }

  private giveUp(): void {
    if (!this.answer) this.failure ??= new ServerError(0, LOST); // there is one after Stop, and after a long pause
    this.settle();
  }

  private isOpen(): boolean {
    return !this.failure && this.socket.readyState === WebSocket.OPEN;
  }

  private hear(message: Message): void {
    this.heardAt = Date.now();
    if (message.event === "error") this.failure = new ServerError(400, message.detail);
    else if (message.event === "end") this.answer = message.prediction;
    else if (message.event !== "ready" && message.event !== "heartbeat") {
      if (message.event === "window" || message.event === "segment") this.isSpeaking = message.event === "window";
      this.events.push(message);
    }
  }

  /** New events; a stream that broke off gives the reason once there is nothing else. */
  private told(): StreamEvent[] {
    if (this.failure && this.events.length === 0) throw this.failure;
    return this.events.splice(0);
  }
}
