import { abstaining, decode, load } from "../dist/earnest.js";

// Okabe and Ito, distinct in every common colour blindness; the same as in the Python package's plots.
const COLOURS = {
  neutral: "#b4b4b4", calm: "#56b4e9", happy: "#f0e442", sad: "#0072b2", angry: "#d55e00", fearful: "#cc79a7",
  disgust: "#009e73", surprised: "#e69f00", boredom: "#8c6d4f",
};
const OTHER_COLOUR = "#5b4a8a";
const DARK_COLOURS = new Set(["sad", "boredom"]); // white letters on these, black ones on the others
const EXAMPLES = ["plain", "lively", "slow-and-low", "loud-and-fast", "whispered"];
const LONGEST_S = 600; // a page that decodes more at once would need gigabytes
const byId = (id) => document.getElementById(id);

let model = null;
let listening = null;
let loadNumber = 0;

byId("model").addEventListener("change", (event) => void start(event.target.value));
byId("files").addEventListener("change", (event) => {
  void answerAll([...event.target.files]).then(() => (event.target.value = ""));
});
byId("microphone").addEventListener("click", () => void (listening ? listening.stop() : listen()));
for (const kind of ["dragover", "dragleave", "drop"]) {
  byId("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && model) void answerAll([...event.dataTransfer.files]);
  });
}
for (const name of EXAMPLES) {
  const button = document.createElement("button");
  button.type = "button";
  button.disabled = true;
  button.textContent = name.replaceAll("-", " ");
  button.addEventListener("click", () => void example(name));
  byId("examples").append(button);
}
void start("small");

function say(text) {
  byId("status").textContent = text;
}

function enable(isReady) {
  for (const control of document.querySelectorAll(".controls button, #files")) control.disabled = !isReady;
}

async function start(name) {
  const number = ++loadNumber;
  enable(false);
  await listening?.stop();
  model?.close();
  model = null;
  byId("loading").hidden = false;
  say("Loading the model …");
  try {
    const loaded = await load(`../models/${name}/`, {
      onProgress: ({ file, loadedBytes, totalBytes }) => {
        if (file === "model.onnx" && totalBytes) byId("loading").value = loadedBytes / totalBytes;
      },
      ...(await voiceActivity()),
    });
    if (number !== loadNumber) return loaded.close();
    model = loaded;
    const { version, licence } = model.info;
    byId("about").textContent = `Model ${name} ${version}: ${licence}.`;
    say("Ready.");
    enable(true);
  } catch (error) {
    if (number === loadNumber) say(error.message);
  }
  byId("loading").hidden = true;
}

/** Silero's network, where the site was built with it. */
async function voiceActivity() {
  const site = await (await fetch("../models/site.json")).json();
  return site.voiceActivity ? { voiceActivityUrl: new URL("../models/silero_vad.onnx", import.meta.url) } : {};
}

async function example(name) {
  const response = await fetch(`../clips/${name}.flac`);
  await answerAll([new File([await response.blob()], `${name}.flac`, { type: "audio/flac" })]);
}

async function answerAll(files) {
  for (const file of files) {
    say(`Listening to ${file.name} …`);
    try {
      await answer(file);
      say("Ready.");
    } catch (error) {
      say(error.message);
    }
  }
}

async function answer(file) {
  const { waveform, sampleRateHz } = await decode(await file.arrayBuffer(), file.name);
  const seconds = waveform.length / sampleRateHz;
  if (seconds > LONGEST_S) throw new Error(`${file.name} is longer than ${LONGEST_S / 60} minutes. Cut it into parts.`);
  const prediction = await model.predict(waveform, sampleRateHz, { path: file.name });
  const { spans } = seconds > 4 ? await model.timeline(waveform, sampleRateHz) : { spans: [] };
  const card = newCard();
  show(card, prediction, spans);
  const audio = card.querySelector("audio");
  audio.hidden = false;
  audio.src = URL.createObjectURL(file);
}

async function listen() {
  const button = byId("microphone");
  button.disabled = true;
  const [card, spans] = [newCard(), []];
  let latest = null;
  try {
    const adapter = model.canAdapt ? { adapter: await model.adapter() } : {};
    listening = await model.listen({
      ...adapter,
      onLevel: (peak, isSpeaking) => {
        byId("level").value = peak;
        say(isSpeaking ? "Somebody speaks …" : "Listening …");
      },
      onEvent: (event) => {
        if (event.event === "window") latest = event;
        if (event.event === "span") spans.push(event);
        if (latest) show(card, ofWindow(latest), spans);
      },
    });
    pressed(true);
    show(card, await listening.ended, spans);
    say("Ready.");
  } catch (error) {
    card.remove();
    say(error.message);
  }
  listening = null;
  pressed(false);
  button.disabled = false;
}

function pressed(isOn) {
  byId("microphone").setAttribute("aria-pressed", String(isOn));
  byId("microphone").disabled = false;
  byId("microphone-text").textContent = isOn ? "Stop" : "Use the microphone";
  byId("level").hidden = !isOn;
}

/** A window of the live stream, shaped as a prediction. */
function ofWindow({ start_s, end_s, probabilities }) {
  const [emotion, confidence] = Object.entries(probabilities).reduce((best, item) => (item[1] > best[1] ? item : best));
  const path = `microphone, ${start_s.toFixed(1)} to ${end_s.toFixed(1)} s`;
  return { path, status: "ok", emotion, confidence, probabilities, duration_s: end_s, quality: [] };
}

function newCard() {
  const card = byId("card").content.cloneNode(true).firstElementChild;
  byId("results").prepend(card);
  return card;
}

const WITHOUT = { "no-speech": "Nobody speaks", "too-short": "Too short to tell" };

function show(card, prediction, spans) {
  const shares = Object.entries(prediction.probabilities).sort(([, first], [, second]) => second - first);
  const { status } = abstaining(prediction);
  const [emotion, confidence] = shares[0] ?? ["", 0];
  card.querySelector("h2").textContent = prediction.path;
  const title = card.querySelector(".answer");
  title.textContent = WITHOUT[status] ?? (status === "unsure" ? `Not sure, perhaps ${emotion}` : emotion);
  if (shares.length) title.append(" ", element("small", "", percent(confidence)));
  card.querySelector(".bars").replaceChildren(...shares.map(([name, share]) => bar(name, share)));
  strip(card.querySelector(".strip"), spans, prediction.duration_s);
  const notes = prediction.quality.map((word) => `The recording is ${word}.`);
  card.querySelector(".notes").textContent = notes.join(" ");
}

function bar(name, share) {
  const term = document.createElement("dt");
  term.append(element("span", "", name));
  const value = document.createElement("dd");
  const track = element("div", "track");
  const filled = element("i", "");
  filled.style.width = percent(share);
  filled.style.background = COLOURS[name] ?? OTHER_COLOUR;
  track.append(filled);
  value.append(track, element("span", "share", percent(share)));
  const pair = document.createElement("div");
  pair.style.display = "contents";
  pair.append(term, value);
  return pair;
}

function strip(place, spans, seconds) {
  place.replaceChildren(...spans.map(({ start_s, end_s, emotion }) => {
    const part = element("span", "", emotion);
    part.style.left = `${(100 * start_s) / seconds}%`;
    part.style.width = `${(100 * (end_s - start_s)) / seconds}%`;
    part.style.background = COLOURS[emotion] ?? OTHER_COLOUR;
    part.style.color = emotion in COLOURS && !DARK_COLOURS.has(emotion) ? "#000" : "#fff";
    part.title = `${emotion}, ${start_s.toFixed(1)} to ${end_s.toFixed(1)} s`;
    return part;
  }));
  const told = spans.map(({ start_s, end_s, emotion }) => `${emotion} from ${start_s.toFixed(1)} to ${end_s.toFixed(1)} seconds`);
  place.setAttribute("aria-label", `Over time: ${told.join(", ") || "nothing yet"}`);
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function percent(share) {
  return `${(100 * share).toFixed(0)}%`;
}
