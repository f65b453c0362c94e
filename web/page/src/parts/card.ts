/** The model card, as a dialog: what it is, what it was trained on, how good it is, what it is not for. */

import { byId, h, scrolling, table } from "../dom.js";
import type { About, Engine } from "../engine.js";
import { spread } from "../words.js";

export function showCard({ about, place }: Engine): void {
  const dialog = byId<HTMLDialogElement>("card");
  const where = place === "browser" ? "It runs in this browser." : "It runs on the server that sent this page.";
  byId("card-content").replaceChildren(
    h("p", {}, `${about.network}, version ${about.version}, ${about.n_parameters.toLocaleString("en")} parameters. ${where}`),
    h("p", {}, `Its classes: ${about.classes.join(", ")}.`),
    ...(about.notes ? [h("p", {}, about.notes)] : []),
    training(about),
    ...results(about),
    h("h3", {}, "What it is not for"),
    h(
      "p",
      {},
      "The training recordings were acted. It says how a voice sounds, not what a person feels: don't use it for decisions about people. " +
        "In the European Union, inferring emotions at work and in schools is prohibited except for medical and safety reasons (AI Act, article 5).",
    ),
    h("p", {}, `Licence of the weights: ${about.licence}.`),
  );
  byId("card-title").textContent = `Model “${about.name}”`;
  dialog.showModal();
}

function training({ training_corpora: corpora }: About): HTMLElement {
  const rows = corpora.map(({ name, licence, n_utterances, n_speakers, hours }) => [
    name, licence, n_utterances.toLocaleString("en"), String(n_speakers), hours.toFixed(2),
  ]);
  return scrolling(table("Trained on", ["corpus", "licence", "recordings", "speakers", "hours"], rows));
}

function results({ results: all }: About): HTMLElement[] {
  if (!all.length) return [];
  const rows = all.map((result) => [
    text(result["protocol"]),
    result["speaker_independent"] ? "speaker-independent" : "speaker-dependent",
    score(result["wa"], result["wa_sd"]),
    score(result["ua"], result["ua_sd"]),
  ]);
  return [
    scrolling(table("Results of this recipe, mean ± deviation over folds", ["protocol", "speakers", "right answers (WA)", "mean recall (UA)"], rows)),
  ];
}


function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function score(mean: unknown, deviation: unknown): string {
  if (typeof mean !== "number") return "";
  return spread(mean, typeof deviation === "number" ? deviation : null);
}
