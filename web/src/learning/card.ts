/** The card of a bundle that was learnt in the page: the parts of `earnest.export.card` that such a bundle has. */

import type { BundleInfo } from "../bundle.js";
import { inPercent } from "../numbers.js";
import { licenceOf } from "./summary.js";

const EXCLUDED =
  "Decisions about people: hiring, grading, credit, policing, diagnosis. In the European Union, inferring emotions at work and in schools is prohibited except for medical and safety reasons (AI Act, article 5).";

interface Row {
  [name: string]: unknown;
}

export function cardOf(info: BundleInfo, hasNotice: boolean): string {
  const lines = [
    `# ${info.name} ${info.version}`,
    "",
    `The label that fits speech best, from a waveform (${info.sample_rate_hz} Hz): ${info.classes.join(", ")}.`,
    `Initial weights: ${text(info["origin"])}.`,
    text(info["notes"]),
    "",
    "## Trained on",
    "",
    "| corpus | licence | utterances | speakers | hours | attribution |",
    "|---|---|---:|---:|---:|---|",
    ...rows(info["training_corpora"]).map((line) => row(["name", "licence", "n_utterances", "n_speakers", "hours", "attribution"].map((key) => text(line[key])))),
    "",
    `Licence of the weights: ${licenceOf(info)}.`,
    ...(hasNotice ? ["The licence notice of the initial weights is in NOTICE.txt."] : []),
    "",
    "## Results of this recipe",
    "",
    "| protocol | speakers | WA % | UA % | utterances | command |",
    "|---|---|---:|---:|---:|---|",
    ...rows(info["results"]).map((one) =>
      row([
        text(one["protocol"]),
        one["speaker_independent"] ? "speaker-independent" : "speaker-dependent",
        spread(one["wa"], one["wa_sd"]),
        spread(one["ua"], one["ua_sd"]),
        text(one["n"]),
        `\`${text(one["command"])}\``,
      ]),
    ),
    "",
    "WA: weighted accuracy, the share that is right. UA: unweighted accuracy, the mean recall over classes. Mean ± standard deviation over folds. These are models of the folds; they were trained on less than this one.",
    "",
    "## Use",
    "",
    "Intended: research, teaching, prototypes, and analysing recordings whose speakers agreed to it.",
    "",
    `Excluded: ${EXCLUDED}`,
    "",
  ];
  return lines.join("\n");
}

function rows(value: unknown): Row[] {
  return Array.isArray(value) ? (value as Row[]) : [];
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function spread(mean: unknown, deviation: unknown): string {
  const percent = (share: unknown): string => inPercent(Number(share), 1);
  return deviation === null ? percent(mean) : `${percent(mean)} ± ${percent(deviation)}`;
}
