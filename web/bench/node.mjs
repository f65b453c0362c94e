// node bench/node.mjs FOLDER BUNDLE [VOICE_ACTIVITY]: answers FOLDER/tasks.json into FOLDER/answers.json.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "../dist/ort.wasm.min.mjs";
import { Adapter, adaptationOf, fetchBundle, Predictor, Resampler } from "../dist/earnest.core.js";
import { answer } from "./answer.js";

ort.env.wasm.numThreads = 1;
const [folder, bundleFolder, voiceActivity] = process.argv.slice(2);

function read(name) {
  const bytes = readFileSync(join(folder, name));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** The adaptation rule alone, on embeddings from a file. */
function heard(bundle, { embeddings, width, plain, seconds, newS, first }) {
  const values = read(embeddings);
  const rows = Array.from({ length: values.length / width }, (_, row) => values.subarray(row * width, (row + 1) * width));
  const adapter = new Adapter(adaptationOf(bundle));
  if (first) adapter.learnFrom(rows.slice(0, first), first * seconds);
  const answers = rows.map((row) => adapter.hear(row, plain, seconds, newS));
  const { offset, places, trust } = adapter.estimate;
  return { answers: answers.map((shares) => shares && [...shares]), offset: [...offset], places: [...places], trust };
}

/** Milliseconds of so many answers. */
async function latencies({ waveform, sampleRateHz, count }) {
  const samples = read(waveform);
  const found = [];
  for (let number = 0; number < count; number++) {
    const start = performance.now();
    await predictor.predict(samples, sampleRateHz);
    found.push(performance.now() - start);
  }
  return found;
}

/** The resampler alone, in pieces. */
function resampled({ waveform, sampleRateHz, toHz, piece }) {
  const samples = read(waveform);
  const resampler = new Resampler(sampleRateHz, toHz);
  const parts = [];
  for (let start = 0; start < samples.length; start += piece) {
    parts.push(resampler.accept(samples.slice(start, start + piece)));
  }
  return [...parts, resampler.finish()].flatMap((part) => [...part]);
}

const bundle = await fetchBundle(bundleFolder, undefined, async (url) => new Response(readFileSync(url)));
const predictor = await Predictor.open(ort, bundle, voiceActivity ? readFileSync(voiceActivity) : null);
const model = {
  adapter: () => predictor.adapter(),
  predict: (waveform, rate, { adapter, path }) => predictor.predict(waveform, rate, adapter, path),
  timeline: (waveform, rate, { adapter, path }) => predictor.timeline(waveform, rate, {}, adapter, path),
  stream: (rate, { adapter }) => predictor.stream(rate, {}, adapter),
};
const answers = [];
for (const task of JSON.parse(readFileSync(join(folder, "tasks.json"), "utf8"))) {
  if (task.call === "hear") answers.push(heard(bundle, task));
  else if (task.call === "resample") answers.push(resampled(task));
  else if (task.call === "latencies") answers.push(await latencies(task));
  else answers.push(await answer(model, task, read));
}
writeFileSync(join(folder, "answers.json"), JSON.stringify(answers));
await predictor.close();
