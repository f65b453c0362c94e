/** The clips that come with the page: synthetic speech in different manners. */

import type { App, Clip } from "./app.js";
import { askedInWords, type Source } from "./engine.js";
import { identity } from "./store.js";
import { ServerError } from "./problems.js";
import { peaksOf } from "./peaks.js";
import { sourceOf } from "./source.js";

/** Fetch one of them. */
export async function sample(name: string): Promise<Source> {
  const response = await fetch(`clips/${name}`).catch(() => null);
  if (!response?.ok) throw new ServerError(response?.status ?? 0, `${name} can't be fetched. Reload the page.`);
  return sourceOf(new Blob([await response.arrayBuffer()], { type: "audio/flac" }), name);
}

/** Answer about those that the visit has no answer about yet. */
export async function* samples(app: App): AsyncGenerator<Clip> {
  const engine = app.ready();
  for (const name of app.site.clips) {
    if (app.clips.some((clip) => clip.name === name)) continue;
    const source = await sample(name);
    const asked = askedInWords(engine);
    const timeline = await engine.timeline(source);
    const peaks = source.sound && peaksOf(source.sound.waveform, source.sound.sampleRateHz);
    yield { id: identity(), name, place: engine.place, timeline, asked, peaks, nChannels: 0, url: URL.createObjectURL(source.file) };
  }
}
