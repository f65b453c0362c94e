// Compiled under strict, with the package's declarations checked too (skipLibCheck is off).
import { decode, load, percent, type Model, type Prediction, type StreamEvent, type Timeline } from "@earnest/browser";
import { Predictor, type Ort } from "@earnest/browser/core";

export async function told(file: ArrayBuffer, model: Model): Promise<string> {
  const events: StreamEvent[] = [];
  const stream = await model.stream(16_000);
  events.push(...(await stream.accept(new Float32Array(file))));
  const timeline: Timeline = await model.timeline(new Float32Array(file), 16_000, { classes: ["happy", "sad"] });
  const answer: Prediction = await model.predict(new Float32Array(file), 16_000);
  await Promise.all([decode(new Blob([file])), decode(file), decode(new Uint8Array(file), "call.wav", null)]);
  const { waveform, sampleRateHz, hasSeparateChannels } = await decode(new Blob([file]));
  await model.predict(waveform, sampleRateHz, { hasSeparateChannels });
  // @ts-expect-error: a rate is a number
  await model.predict(new Float32Array(file), "16000");
  return `${answer.emotion ?? answer.status} ${percent(answer.confidence)} ${timeline.spans.length} ${events.length}`;
}

export const opened: Promise<Model> = load("models/small/", { workerUrl: "earnest.worker.js", runtimeUrl: "runtime/" });
export type Both = [typeof Predictor, Ort];
