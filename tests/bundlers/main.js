// What a page of somebody else has: the package by its name, and no word about workers or WebAssembly.
import { decode, load } from "@earnest/browser";

globalThis.heard = async (bundle, clip, options) => {
  const model = await load(bundle, options);
  const { waveform, sampleRateHz } = await decode(await (await fetch(clip)).arrayBuffer(), "clip.flac");
  const answer = await model.predict(waveform, sampleRateHz);
  model.close();
  return answer;
};
