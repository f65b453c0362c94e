/** The bundle, `bundle.json` and `model.onnx` in one folder of a file host: fetched, and checked before it is used. */

import { BundleError, UnreachableError } from "./errors.js";
import { SOUNDS } from "./gate.js";
import { isObject, isTexts } from "./given.js";

export const SCHEMA = 1; // as in earnest/bundle.py

/** The adaptation network, see `adaptation.ts`. */
export interface AdaptationEntry {
  file: string;
  /** seconds of speech before anything is adapted */
  least_speech_s: number;
}

/** The description of a bundle, `bundle.json`; fields that only the Python package reads are passed on as they are. */
export interface BundleInfo {
  name: string;
  version: string;
  classes: string[];
  sample_rate_hz: number;
  licence: string;
  files: Partial<Record<string, string>>;
  schema: number;
  shortest_s: number;
  longest_s: number;
  adaptation: AdaptationEntry | null;
  /** names of the numbers of the graph's output `sound`; empty without it */
  sounds: string[];
  /** value of the graph's output `distance` above which sound is "out-of-domain"; null without it */
  out_of_domain_from: number | null;
  /** confidence below which an answer is "unsure" */
  abstain_below: number;
  [other: string]: unknown;
}

export type BundleFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** A checked bundle: every file's sha256 is right. */
export interface Bundle {
  info: BundleInfo;
  files: BundleFiles;
}

export interface Progress {
  file: string;
  loadedBytes: number;
  /** null where the server doesn't say */
  totalBytes: number | null;
}

export type Fetch = (url: string) => Promise<Response>;

/** Fetch a bundle's folder and check it. */
export async function fetchBundle(
  folder: string,
  onProgress: (progress: Progress) => void = () => undefined,
  fetched: Fetch = (url) => fetch(url),
): Promise<Bundle> {
  const address = addressIn(folder, "bundle.json");
  const info = checkedInfo(new TextDecoder().decode(await download(address, "bundle.json", onProgress, fetched)), address);
  const wanted = ["model.onnx", info.adaptation?.file].filter((name) => name !== undefined);
  const files = await Promise.all(wanted.map(async (name) => [name, await fetchListed(folder, info, name, onProgress, fetched)] as const));
  return { info, files: new Map(files) };
}

/** Fetch one of the files that a bundle lists, and check it. */
export async function fetchListed(
  folder: string,
  info: BundleInfo,
  name: string,
  onProgress: (progress: Progress) => void = () => undefined,
  fetched: Fetch = (url) => fetch(url),
): Promise<Uint8Array<ArrayBuffer>> {
  const sha256 = info.files[name];
  if (sha256 === undefined) throw new BundleError(`${addressIn(folder, "bundle.json")}: 'files' doesn't list '${name}'. Export the bundle again.`);
  const address = addressIn(folder, name);
  const bytes = await download(address, name, onProgress, fetched);
  if ((await sha256Of(bytes)) !== sha256) {
    throw new BundleError(`${address}: its sha256 is not the one in bundle.json. Upload or export it again.`);
  }
  return bytes;
}

/** A `fetch` for `fetchBundle`, from a bundle's files at hand. */
export function fetchFrom(files: BundleFiles): Fetch {
  return async (url) => {
    const name = url.slice(url.lastIndexOf("/") + 1);
    const bytes = files.get(name);
    if (!bytes) throw new BundleError(`${name} is missing among the model's files. Hand over all files of its folder.`);
    return new Response(bytes);
  };
}

/** The address of a folder's file, with the query of the folder's (a token); of folder "" files are at hand, see `fetchFrom`. */
function addressIn(folder: string, name: string): string {
  const [path] = folder.split("?", 1);
  return `${path === "" || path.endsWith("/") ? path : `${path}/`}${name}${folder.slice(path.length)}`;
}

async function download(
  url: string,
  file: string,
  onProgress: (progress: Progress) => void,
  fetched: Fetch,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await reached(url, fetched(url));
  if (!response.ok) throw new BundleError(`${url}: the server answers ${response.status}. A bundle is a folder's address.`);
  // Where the transfer is compressed, Content-Length counts other bytes than those that arrive here.
  const length = response.headers.get("content-encoding") ? null : response.headers.get("content-length");
  const totalBytes = length === null ? null : Number(length);
  const parts: Uint8Array[] = [];
  let loadedBytes = 0;
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const read = (): Promise<ReadableStreamReadResult<Uint8Array>> => reached(url, reader.read());
  for (let step = await read(); !step.done; step = await read()) {
    parts.push(step.value);
    loadedBytes += step.value.length;
    onProgress({ file, loadedBytes, totalBytes });
  }
  return noPage(url, joined(parts, loadedBytes));
}

/** The bytes of a file, unless they are a web page: many hosts, Vite's among them, send one where a file is missing, with status 200. */
export function noPage<Bytes extends Uint8Array>(url: string, bytes: Bytes): Bytes {
  const beginning = new TextDecoder().decode(bytes.subarray(0, 100));
  if (!beginning.trimStart().startsWith("<")) return bytes; // neither JSON nor a network begins so
  throw new BundleError(`${url}: the server answers with a web page, as there is no such file. Put the file there, or correct the address.`);
}

/** Await an answer from an address; errors that it can't be reached, or breaks off, name the address. */
export async function reached<Answer>(url: string, answer: Promise<Answer>): Promise<Answer> {
  return answer.catch((error: unknown) => {
    if (error instanceof BundleError) throw error;
    throw new UnreachableError(`${url}: not reachable (${String(error)}). Check the address and the connection.`);
  });
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let start = 0;
  for (const part of parts) {
    bytes.set(part, start);
    start += part.length;
  }
  return bytes;
}

export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const subtle = crypto.subtle as SubtleCrypto | undefined; // on http: pages there is none
  if (!subtle) throw new BundleError("The browser checks sha256 only on https: or localhost. Serve the page from there.");
  const digest = new Uint8Array(await subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Defaults for fields that older bundles lack. */
const DEFAULTS = { adaptation: null, sounds: [], out_of_domain_from: null, abstain_below: 0.5 };

/** Parse `bundle.json`; what this package can't read is refused. */
export function checkedInfo(text: string, where: string): BundleInfo {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch (error) {
    throw new BundleError(`${where}: not readable JSON (${String(error)}).`);
  }
  const schema = isObject(values) ? values["schema"] : undefined;
  if (typeof schema === "number" && schema > SCHEMA) {
    throw new BundleError(`${where}: made by a newer earnest (schema ${schema}, this package reads ${SCHEMA}). Upgrade this package.`);
  }
  if (!isObject(values) || schema !== SCHEMA) {
    throw new BundleError(`${where}: schema ${String(schema)}, this package reads ${SCHEMA}. Export the bundle again.`);
  }
  const problem = problemWith(values);
  if (problem) throw new BundleError(`${where}: ${problem}`);
  const adaptation = isRule(values["adaptation"]) ? null : (values["adaptation"] ?? null);
  return { ...DEFAULTS, ...values, adaptation } as unknown as BundleInfo;
}

function problemWith(values: Record<string, unknown>): string | null {
  const { classes, sample_rate_hz: rate, shortest_s: shortest, longest_s: longest, files } = values;
  const names = isTexts(classes) ? classes : [];
  if (names.length < 2 || new Set(names).size !== names.length) return "'classes' must hold two or more different names.";
  if (typeof values["name"] !== "string") return "'name' must be a text.";
  if (!isNumber(rate) || rate < 8_000 || rate > 192_000) return "'sample_rate_hz' must be 8000 to 192000.";
  if (!isNumber(shortest) || !isNumber(longest) || !(shortest > 0 && shortest < longest)) {
    return "'shortest_s' must be above 0 and below 'longest_s'.";
  }
  if (!isObject(files) || !("model.onnx" in files)) return "'files' must give the sha256 of model.onnx.";
  for (const [name, digest] of Object.entries(files)) {
    if (/[/\\]/.test(name) || name.startsWith(".") || !/^[0-9a-f]{64}$/.test(String(digest))) {
      return `'files' must map plain file names to sha256 digests, got '${name}'.`;
    }
  }
  return problemWithAnswers({ ...DEFAULTS, ...values }) ?? problemWithAdaptation(values["adaptation"]);
}

function problemWithAnswers({ sounds, out_of_domain_from: strangeFrom, abstain_below: below }: Record<string, unknown>): string | null {
  const isKnown = isTexts(sounds) && (!sounds.length || [...sounds].sort().join() === [...SOUNDS].sort().join());
  if (!isKnown) return `'sounds' must be empty, or hold ${SOUNDS.join(", ")}.`;
  if (strangeFrom !== null && !isNumber(strangeFrom)) return "'out_of_domain_from' must be a number or null.";
  return isNumber(below) && below >= 0 && below <= 1 ? null : "'abstain_below' must be 0 to 1.";
}

const ADAPTATION = "adaptation.onnx";
const RULE = "adaptation.npz"; // of earlier bundles, which can't adapt any more

function isRule(entry: unknown): boolean {
  return isObject(entry) && entry["file"] === RULE;
}

function problemWithAdaptation(entry: unknown): string | null {
  if (entry === null || entry === undefined || isRule(entry)) return null;
  const isRight = isObject(entry) && entry["file"] === ADAPTATION && isNumber(entry["least_speech_s"]);
  return isRight ? null : `'adaptation' must hold file, ${ADAPTATION}, and least_speech_s. Export the bundle again.`;
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
