import * as ort from "../dist/ort.wasm.min.mjs";
import { N_SAMPLES, predict, SAMPLE_RATE_HZ, score } from "./moody.js";

ort.env.wasm.wasmPaths = new URL("../dist/", import.meta.url).href;
ort.env.wasm.numThreads = 1;
const SILENCE_RMS = 0.002; // below it Moody hears nothing
const byId = (id) => document.getElementById(id);
const say = (text) => (byId("status").textContent = text);
let session = null;

try {
  const model = new URL(new URLSearchParams(location.search).get("model") ?? "moody.onnx", location.href);
  if (model.origin !== location.origin) throw new Error("The model must come from this site.");
  session = await ort.InferenceSession.create(model.href);
  for (const id of ["file", "microphone"]) byId(id).disabled = false;
  say("Ready.");
} catch (error) {
  say(error.message);
}

byId("file").addEventListener("change", async ({ target }) => {
  try {
    const context = new OfflineAudioContext(1, 1, SAMPLE_RATE_HZ);
    const decoded = await context.decodeAudioData(await target.files[0].arrayBuffer());
    const samples = decoded.getChannelData(0);
    for (let start = 0; start === 0 || start + N_SAMPLES <= samples.length; start += N_SAMPLES) {
      const window = new Float32Array(N_SAMPLES);
      window.set(samples.subarray(start, start + N_SAMPLES));
      await tell(window);
    }
  } catch (error) {
    say(error.message);
  }
});

byId("microphone").addEventListener("click", async () => {
  try {
    const audio = { noiseSuppression: true, echoCancellation: true };
    const media = await navigator.mediaDevices.getUserMedia({ audio });
    const context = new AudioContext({ sampleRate: SAMPLE_RATE_HZ });
    await context.audioWorklet.addModule("../dist/earnest.worklet.js");
    const worklet = new AudioWorkletNode(context, "earnest-chunks", { numberOfOutputs: 0 });
    context.createMediaStreamSource(media).connect(worklet);
    let [window, n] = [new Float32Array(N_SAMPLES), 0];
    worklet.port.onmessage = ({ data }) => {
      const part = data.subarray(0, N_SAMPLES - n);
      window.set(part, n);
      n += part.length;
      if (n < N_SAMPLES) return;
      void tell(window);
      [window, n] = [new Float32Array(N_SAMPLES), data.length - part.length];
      window.set(data.subarray(part.length));
    };
    byId("microphone").disabled = true;
    say("Listening …");
  } catch (error) {
    say(error.message);
  }
});

async function tell(window) {
  const rms = Math.sqrt(window.reduce((sum, sample) => sum + sample * sample, 0) / window.length);
  if (rms <= SILENCE_RMS) return say("Silence.");
  const shares = await predict(ort, session, window);
  byId("shares").replaceChildren(...Object.entries(shares).map(([name, share]) => {
    const row = document.createElement("tr");
    for (const text of [name, `${(100 * share).toFixed(1)} %`]) {
      row.append(Object.assign(document.createElement("td"), { textContent: text }));
    }
    return row;
  }));
  say(`Score ${score(shares).toFixed(2)}, from −1 (unpleasant) to 1 (pleasant).`);
}
