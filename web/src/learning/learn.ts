/** Labelled recordings that were heard → a tested, calibrated bundle of one's own; as in `earnest.own.learn`. */

import { type Bundle, type BundleInfo, sha256Of } from "../bundle.js";
import { EarnestError } from "../errors.js";
import { isTexts } from "../given.js";
import { indexOfLargest } from "../numbers.js";
import { quality, softmax } from "./calibration.js";
import { cardOf } from "./card.js";
import { abstainBelow, crossValidate, type OutOfFold, thresholdOf } from "./crossval.js";
import { fitHead, type FittedHead, type Head, scoresOf } from "./discriminant.js";
import { fitDomain } from "./domain.js";
import { type Example, isPrintable, type OwnExamples, usable } from "./examples.js";
import { foldsOf } from "./folds.js";
import { addedHeadOf, type GraphHead, lastLayerOf, MISMATCH, OVERLAP, SURE_FROM_S, withHead } from "./heads.js";
import { different, placesOf, quantile } from "./rows.js";
import { corporaOf, licenceOf, type Summary, summaryOf } from "./summary.js";

const OWN = "own recordings"; // what a bundle calls them among the corpora that it learnt from
const LONGEST_NAME = 64;
const BY_HEART = 0.95; // of recordings that a base's answers tell apart: of emotions of new voices it never did so many
const NOT_STATED = "not stated: ask whoever made it before you pass it on";
export const NOTICE = "NOTICE.txt";

/** A person's description of the model. */
export interface LearnOptions {
  /** Of the model. */
  name: string;
  /** Of the weights; default: not stated. */
  licence?: string;
}

/** A model of one's own: the files of its bundle's folder, and what it is worth. */
export interface Learnt {
  files: Map<string, Uint8Array<ArrayBuffer>>;
  summary: Summary;
}

/** @param base whose hearing the embeddings are of, with its `NOTICE.txt` where it lists one */
export async function learn(base: Bundle, examples: readonly Example[], options: LearnOptions): Promise<Learnt> {
  checkAnswers(options);
  const answers = { name: options.name.trim(), licence: options.licence?.trim() || NOT_STATED };
  for (const [what, text] of Object.entries(answers)) {
    if (!isPrintable(text)) throw new EarnestError(`The ${what} can't be printed. Say it in one line of plain text.`);
  }
  if (!answers.name || answers.name.length > LONGEST_NAME) throw new EarnestError(`A model's name has 1 to ${LONGEST_NAME} letters.`);
  const heard = usable(examples);
  const labelled = { ...heard.labelled, base: lastLayer(base, heard) };
  const own = { ...heard, labelled };
  const out = crossValidate(labelled, foldsOf(labelled.groups, labelled.targets, own.knowsSpeakers));
  const head = fitHead(labelled);
  const domain = out.distances && fitDomain(labelled.rows);
  const mismatchFrom = startOf(base, MISMATCH, labelled.rows, base.info.out_of_domain_from);
  const overlapFrom = startOf(base, OVERLAP, labelled.rows, 0);
  const known = domain && out.distances ? { domain, threshold: thresholdOf(out.distances), mismatchFrom } : null;
  const summary = summaryOf(own, out, base.info, head.shrinkage);
  const info = infoOf(base.info, own, out, head, summary, answers);
  info.out_of_domain_from = known?.threshold ?? null;
  // Speech from which it is as sure as of its recordings: half of them have less, if that is not much.
  const sureFromS = Math.min(SURE_FROM_S, quantile(Float64Array.from(own.kept, ({ speechSeconds }) => speechSeconds), 0.5));
  return { files: await filesOf(base, info, { ...head, temperature: out.temperature, sureFromS, known, overlapFrom }), summary };
}

/**
 * From where on a head that was added to the base makes less sure: where it does in the base, or past all but a hundredth of own
 * recordings; null where the base has none.
 */
function startOf({ files }: Bundle, name: typeof MISMATCH | typeof OVERLAP, rows: readonly Float64Array[], baseFrom: unknown): number | null {
  const model = files.get("model.onnx");
  const head = model && addedHeadOf(model, name, rows[0].length);
  if (!head || typeof baseFrom !== "number") return null;
  return Math.max(head.start ?? baseFrom, thresholdOf(Float64Array.from(rows, head.valueOf)));
}

/** The base's last layer, to learn from its scores; null where it may have learnt from these recordings, which it answers by heart. */
function lastLayer({ info, files }: Bundle, { classes, labelled: { rows, targets } }: OwnExamples): Head | null {
  const model = files.get("model.onnx");
  const layer = model && !corporaOf(info).some(({ name }) => name === OWN) ? lastLayerOf(model) : null;
  if (layer?.weights[0].length !== rows[0].length) return null;
  const answers = rows.map((row) => indexOfLargest(scoresOf(layer, row)));
  // Purity: (1/n)·Σ_k max_c n_kc, with n_kc the recordings of class c that the base answers with its class k.
  const most = different(answers).map((answer) => {
    const own = placesOf(answers, answer).map((place) => targets[place]);
    return Math.max(...different(own).map((target) => placesOf(own, target).length));
  });
  const nTold = most.reduce((sum, count) => sum + count, 0);
  return classes.length > 2 && nTold > BY_HEART * rows.length ? null : layer; // two classes are often as different in new voices
}

function checkAnswers({ name, licence = "" }: Partial<Record<keyof LearnOptions, unknown>>): void {
  if (isTexts([name, licence])) return;
  throw new EarnestError('Expected the name of the model as a text, and its licence where it has one: learn(examples, { name: "mine" }).');
}

/** The base's description with what the head changes. */
function infoOf(old: BundleInfo, own: OwnExamples, out: OutOfFold, head: FittedHead, summary: Summary, answers: Required<LearnOptions>): BundleInfo {
  const { targets, base } = own.labelled;
  const also = base ? " and from what the base says of its own classes" : "";
  const nChanged = (own.classes.length - old.classes.length) * (head.weights[0].length + 1);
  const own_recordings = {
    name: OWN,
    licence: "not stated",
    n_utterances: summary.n,
    n_speakers: summary.nSpeakers,
    hours: Number(summary.hours.toFixed(3)),
    attribution: "",
  };
  const notes = [
    `The last layer was learnt from own recordings${also} in earnest's page; the rest is that of '${old.name}' ${old.version}. Gender and what is no speech are answered as by that.`,
    "It does not adapt to a speaker: that network was made for other classes.",
    `Licence of the base: ${licenceOf(old)}.`,
    ...summary.warnings,
    ...(summary.lacking ? [summary.lacking] : []),
  ];
  return {
    ...old,
    ...answers,
    version: "1",
    files: {},
    classes: own.classes,
    scheme: "native",
    n_parameters: Number(old["n_parameters"] ?? 0) + nChanged,
    recipe: {},
    temperature: out.temperature,
    calibration: {
      method: "temperature",
      before: quality(out.logits.map((row) => softmax(row)), targets),
      after: quality(out.probabilities, targets),
      weight: [],
      bias: [],
    },
    adaptation: null,
    abstain_below: abstainBelow(out.probabilities, targets),
    left_out: null,
    training_corpora: [...(Array.isArray(old["training_corpora"]) ? (old["training_corpora"] as unknown[]) : []), own_recordings],
    results: [resultOf(summary)],
    origin: `${old.name} ${old.version}`,
    notes: notes.join(" "),
  };
}

function resultOf({ speakerIndependent, wa, waSd, uaOverFolds, uaSd, n, ece, classes, base }: Summary): Record<string, unknown> {
  return {
    protocol: "own-recordings",
    speaker_independent: speakerIndependent,
    wa,
    wa_sd: waSd,
    ua: uaOverFolds,
    ua_sd: uaSd,
    n,
    command: `the page of earnest: Learn, with ${base}`,
    ece,
    recall: Object.fromEntries(classes.map(({ name, recall }) => [name, recall])),
  };
}

async function filesOf(base: Bundle, info: BundleInfo, head: GraphHead): Promise<Learnt["files"]> {
  const facts = {
    name: info.name,
    version: info.version,
    licence: licenceOf(info),
    classes: info.classes.map((label) => label.replaceAll(",", " ")).join(","), // as others read them; ours are in bundle.json
    scheme: "native",
    sample_rate_hz: String(info.sample_rate_hz),
    shortest_s: String(info.shortest_s),
    longest_s: String(info.longest_s),
    format: typeof info["format"] === "string" ? info["format"] : "onnx",
  };
  const model = base.files.get("model.onnx");
  if (!model) throw new EarnestError("The model's graph isn't there. Load it again.");
  const files: Learnt["files"] = new Map([["model.onnx", await withHead(model, head, facts)]]);
  const notice = base.files.get(NOTICE);
  if (notice) files.set(NOTICE, notice);
  info.files = Object.fromEntries(await Promise.all([...files].map(async ([name, bytes]) => [name, await sha256Of(bytes)] as const)));
  const encoder = new TextEncoder();
  files.set("bundle.json", encoder.encode(`${JSON.stringify(info, null, 1)}\n`));
  files.set("card.md", encoder.encode(cardOf(info, notice !== undefined)));
  return files;
}
