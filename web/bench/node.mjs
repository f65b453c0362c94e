// node bench/node.mjs FOLDER BUNDLE [VOICE_ACTIVITY]: answers FOLDER/tasks.json into FOLDER/answers.json.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "../dist/ort.wasm.min.mjs";
import { Adaptation, Adapter, EnergyActivity, fetchBundle, learn, Predictor, Resampler, Windower } from "../dist/earnest.core.js";
import { answer } from "./answer.js";

ort.env.wasm.numThreads = 1;
const [folder, bundleFolder, voiceActivity] = process.argv.slice(2);

function read(name) {
  const bytes = readFileSync(join(folder, name));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** The adaptation network alone, on plain answers from a file; with a profile or without. */
async function heard(bundle, { plain, seconds, newS, profile = null }) {
  const values = read(plain);
  const width = bundle.info.classes.length;
  const adaptation = await Adaptation.of(ort, bundle);
  const adapter = new Adapter(adaptation, profile);
  const answers = [];
  for (let start = 0; start < values.length; start += width) {
    const added = newS[Math.floor((start * newS.length) / values.length)]; // of so many equal parts of the rows
    const answer = await adapter.hear(values.subarray(start, start + width), seconds, added);
    answers.push(answer && { probabilities: [...answer.probabilities], weight: answer.weight });
  }
  await adaptation.close();
  return answers;
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

/** The windower alone, in pieces: what it hands out, the sum of what is heard, and whether the whole was heard at once. */
async function windows({ waveform, sampleRateHz, toHz, piece, ...options }) {
  const samples = read(waveform);
  const windower = new Windower(toHz, sampleRateHz, () => new EnergyActivity(), options);
  const jobs = [];
  const take = async (handedOut) => {
    for await (const { extent, sound, segmentStart = null } of handedOut) {
      const heard = sound && { length: sound.length, sum: sound.reduce((sum, sample) => sum + Math.abs(sample), 0) };
      jobs.push([extent.start, extent.end, segmentStart, heard?.length ?? null, heard?.sum ?? null]);
    }
  };
  for (let start = 0; start < samples.length; start += piece) await take(windower.accept(samples.slice(start, start + piece)));
  await take(windower.finish());
  return { jobs, isWhole: windower.isWhole };
}

/** A bundle of one's own: its files go into a folder, the answer is what it is worth. */
async function learnt({ examples, options, output }) {
  const heard = [];
  for (const { waveform, sampleRateHz, ...example } of examples) heard.push({ ...example, ...(await predictor.hear(read(waveform), sampleRateHz)) });
  const { files, summary } = await learn(bundle, heard.filter(({ embedding }) => embedding), options);
  mkdirSync(output, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(output, name), content);
  const unheard = heard.filter(({ embedding }) => !embedding).map(({ name, problem }) => ({ name, reason: problem }));
  return { ...summary, refused: [...unheard, ...summary.refused] };
}

/** One recording as a server may hear it: as a whole, over time and piece by piece, and nothing waits for anything else. */
async function together({ waveform, sampleRateHz, piece }) {
  const samples = read(waveform);
  const stream = predictor.stream(sampleRateHz);
  const calls = [predictor.predict(samples, sampleRateHz), predictor.timeline(samples, sampleRateHz)];
  const buffer = new Float32Array(piece);
  for (let start = 0; start + piece <= samples.length; start += piece) {
    buffer.set(samples.subarray(start, start + piece)); // the same one again and again
    calls.push(stream.accept(buffer));
  }
  calls.push(stream.finish());
  const [prediction, { spans, windows, segments, activity, ...timeline }] = await Promise.all(calls);
  return [prediction, timeline, stream.prediction("array")];
}

const bundle = await fetchBundle(bundleFolder, undefined, async (url) => new Response(readFileSync(url)));
const predictor = await Predictor.open(ort, bundle, voiceActivity ? readFileSync(voiceActivity) : null);
const model = {
  adapter: (recordings) => predictor.adapter(recordings),
  predict: (waveform, rate, options) => predictor.predict(waveform, rate, options),
  timeline: (waveform, rate, options) => predictor.timeline(waveform, rate, options),
  stream: (rate, options) => predictor.stream(rate, options),
};
const answers = [];
for (const task of JSON.parse(readFileSync(join(folder, "tasks.json"), "utf8"))) {
  if (task.call === "hear") answers.push(await heard(bundle, task));
  else if (task.call === "profile") answers.push(await predictor.profile(task.adapt.map((name) => ({ waveform: read(name), sampleRateHz: 16_000 }))));
  else if (task.call === "resample") answers.push(resampled(task));
  else if (task.call === "windows") answers.push(await windows(task));
  else if (task.call === "learn") answers.push(await learnt(task));
  else if (task.call === "together") answers.push(await together(task));
  else if (task.call === "latencies") answers.push(await latencies(task));
  else answers.push(await answer(model, task, read));
}
writeFileSync(join(folder, "answers.json"), JSON.stringify(answers));
await predictor.close();
