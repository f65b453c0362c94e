/** Answers from the server that sent the page, by its documented addresses. */

import { EarnestError, type Prediction, type Profile, type SoundStream, type StreamOptions, type Timeline } from "../../src/index.js";
import { type About, type Adapt, askedOf, type Engine, type Source, type Work } from "./engine.js";
import { ServerError } from "./problems.js";
import { answered } from "./server.js";
import { ServerStream } from "./server-stream.js";
import { isSpectrogram } from "./source.js";

export class ServerEngine implements Engine {
  readonly place = "server";
  classes: string[] | null = null;
  isMostlyNeutral = false;
  adapt: Adapt = "off";
  isClosed = false;

  constructor(readonly about: About) {}

  get canAdapt(): boolean {
    return this.about.adapts === true;
  }

  async stream(sampleRateHz: number, options: StreamOptions): Promise<SoundStream> {
    this.refuseClosed();
    return ServerStream.open(this.about.name, sampleRateHz, { ...options, classes: askedOf(this) }, this.adapt);
  }

  async timeline(source: Source, { signal, onProgress }: Work = {}): Promise<Timeline> {
    onProgress?.(0);
    if (isSpectrogram(source.file)) {
      return { ...(await this.predict(source)), activity: "", segments: [], spans: [], windows: [] };
    }
    return (await this.asked("kind=timeline&format=json", source, signal)) as Timeline;
  }

  async predict(source: Source): Promise<Prediction> {
    return (await this.asked("format=json", source)) as Prediction;
  }

  close(): void {
    this.isClosed = true; // no sound is sent for whoever still holds this engine
  }

  private refuseClosed(): void {
    if (this.isClosed) throw new EarnestError("Another model was chosen meanwhile. Try again.");
  }

  private async asked(query: string, { name, file, channel }: Source, signal?: AbortSignal): Promise<unknown> {
    this.refuseClosed();
    const type = file.type.startsWith("audio/") || file.type.startsWith("video/") ? file.type : "application/octet-stream";
    const classes = askedOf(this);
    const among = classes ? `&classes=${encodeURIComponent(classes.join())}` : "";
    const one = channel === null ? "" : `&channel=${channel}`;
    const adapt = this.adapt === "auto" ? "&adapt=auto" : "";
    const [sent, called] = typeof this.adapt === "object"
      ? [{ body: formOf(file, this.adapt) }, FILE]
      : [{ headers: { "Content-Type": type }, body: file }, THE_RECORDING];
    const response = await answered(`v1/predict?${query}&model=${encodeURIComponent(this.about.name)}${among}${one}${adapt}`, {
      method: "POST",
      ...sent,
      signal: signal ?? null,
    }).catch((error: unknown) => {
      throw named(error, called, name);
    });
    return { ...((await response.json()) as object), path: name };
  }
}

const FILE = "file";
const THE_RECORDING = "the recording"; // what the server calls one without a name

/** An error of the server that calls a recording by its name here; names are not sent. */
function named(error: unknown, sent: string, name: string): unknown {
  if (!(error instanceof ServerError) || !error.message.startsWith(sent)) return error;
  return new ServerError(error.status, name + error.message.slice(sent.length), error.kind);
}

function formOf(file: Blob, profile: Profile): FormData {
  const form = new FormData();
  form.append("file", file, FILE);
  form.append("profile", new Blob([JSON.stringify(profile)], { type: "application/json" }), "profile.json");
  return form;
}

/** The models that answer on the server. */
export async function serverModels(): Promise<About[]> {
  const response = await answered("v1/models");
  return ((await response.json()) as { models: About[] }).models;
}
