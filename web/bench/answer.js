// One task → what the model says about it; the same in Node and in a page.

/** @param read name of a file of float32 samples → Float32Array */
export async function answer(model, task, read) {
  const { call, sampleRateHz, piece, adapt, path, options } = task;
  const waveform = await read(task.waveform);
  const known = Array.isArray(adapt) ? await Promise.all(adapt.map(async (name) => ({ waveform: await read(name), sampleRateHz }))) : [];
  const asked = { ...options, ...(adapt ? { adapter: await model.adapter(known) } : {}) };
  try {
    if (call === "predict") return await model.predict(waveform, sampleRateHz, { ...asked, path });
    if (call === "timeline") return await model.timeline(waveform, sampleRateHz, { ...asked, path });
    const stream = await model.stream(sampleRateHz, asked);
    const events = [];
    for (let start = 0; start < waveform.length; start += piece) {
      events.push(...(await stream.accept(waveform.slice(start, start + piece))));
    }
    events.push(...(await stream.finish()));
    return { events, ...(await stream.prediction()) };
  } catch (error) {
    return { failure: `${error.name}: ${error.message}` };
  }
}
