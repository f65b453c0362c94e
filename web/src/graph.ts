/** A bundle's network on onnxruntime-web. */

import type * as OrtModule from "onnxruntime-common"; // what onnxruntime-web is seen as, too
import type { BundleInfo } from "./bundle.js";
import { BundleError, counted, EarnestError, UnreachableError } from "./errors.js";
import { InOrder } from "./in-order.js";
import { contentsOf, textOf } from "./learning/protobuf.js";

export type Ort = typeof OrtModule;
export type InferenceSession = OrtModule.InferenceSession;
export type Values = ArrayLike<number>;

/** The network's outputs for one window. */
export interface Outputs {
  probabilities: Values;
  /** probabilities of the bundle's `sounds` */
  sound?: Values;
  /** one number: how far the sound is from what the model was trained on */
  distance?: Values;
  /** one number, 0 to 1: probability that several people speak at once */
  overlap?: Values;
  gender?: Values;
  affect?: Values;
  /** valence and arousal, 0 to 1, learnt from emotions and not from ratings */
  affect_derived?: Values;
  /** one number, 0 to 1: how strongly the emotion is expressed */
  intensity?: Values;
  /** the vector before the last layer, where it was asked for */
  embedding?: Values;
}

const INPUTS = ["waveform", "lengths"];
const REQUIRED = ["logits", "probabilities", "embedding"];
const PREDICTED = ["probabilities", "sound", "distance", "overlap", "gender", "affect", "affect_derived", "intensity"];

/** WebAssembly to onnxruntime-web, and to onnxruntime-node its own code. */
const ON_CPU = { executionProviders: ["cpu"] };

/** A graph that returns its input: the least that the runtime can be started with. */
const IDENTITY = "CAg6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEA0=";

const ALLOW = "Allow 'wasm-unsafe-eval' in script-src of the Content-Security-Policy with which the worker's file is served.";
const SERVE = "Serve ort-wasm-simd-threaded.mjs and ort-wasm-simd-threaded.wasm beside the worker, or say in which folder they are: load(…, { runtimeUrl }).";
const BRING_ANOTHER = 'In Node import "onnxruntime-node" or "onnxruntime-web" ("onnxruntime-web/wasm" is for pages alone); in a page say where its files are: ort.env.wasm.wasmPaths.';

/** What browsers say of a script or a file that didn't come. */
const UNFETCHED = /fetch|network|load(ing)? (failed|dynamically)|importing a module/i;

/** Fetch and compile the runtime, 14 MB of WebAssembly, so that this is done while the model still travels. */
export async function startRuntime(ort: Ort): Promise<void> {
  const graph = Uint8Array.from(atob(IDENTITY), (letter) => letter.charCodeAt(0));
  const session = await ort.InferenceSession.create(graph, ON_CPU).catch((error: unknown) => {
    const { wasmPaths = "" } = ort.env.wasm;
    const where = typeof wasmPaths === "string" ? wasmPaths : Object.values(wasmPaths).join(" and ");
    if (/SIMD is not supported/.test(String(error))) { // also where there is no WebAssembly
      throw new BundleError("This browser can't run the model: it lacks WebAssembly SIMD (Safari before 16.4, or in Lockdown Mode). Update it, use another browser, or let a server answer.");
    }
    const isForbidden = /Content Security|CSP/.test(String(error));
    const advice = isForbidden ? ALLOW : where ? SERVE : BRING_ANOTHER;
    const Kind = isForbidden || !UNFETCHED.test(String(error)) ? BundleError : UnreachableError;
    throw new Kind(`${where || "onnxruntime"}: the runtime doesn't start (${firstLine(error)}). ${advice}`);
  });
  await session.release();
}

/** All networks of a program have one memory in onnxruntime-web; two calls at once spoil it. */
const runtime = new InOrder();

/** Start the runtime's network; its own message becomes a `BundleError`, about the runtime where that starts with no network. */
export async function openSession(ort: Ort, model: Uint8Array, where: string): Promise<InferenceSession> {
  try {
    return await runtime.next(() => ort.InferenceSession.create(model, ON_CPU));
  } catch (error) {
    await runtime.next(() => startRuntime(ort));
    throw new BundleError(`${where}: onnxruntime refuses it (${firstLine(error)}). Export it again.`);
  }
}

const released = new WeakSet<InferenceSession>();

/** Ask a network for these outputs, when all others have answered. */
export async function run(session: InferenceSession, feeds: OrtModule.InferenceSession.FeedsType, wanted: readonly string[]): Promise<OrtModule.InferenceSession.ReturnType> {
  if (released.has(session)) throw new EarnestError("This model was closed. Open it again.");
  return runtime.next(() => session.run(feeds, [...wanted]));
}

/** Free a network's memory, when all that was asked before is answered. */
export async function release(session: InferenceSession): Promise<void> {
  if (released.has(session)) return;
  released.add(session);
  await runtime.next(() => session.release());
}

type Facts = Pick<BundleInfo, "classes" | "sample_rate_hz" | "sounds" | "out_of_domain_from">;

export class Graph {
  /** Names of the outputs that a prediction is made of. */
  readonly predicted: readonly string[];

  private constructor(
    private readonly ort: Ort,
    private readonly session: InferenceSession,
    private readonly info: Facts,
    private readonly where: string,
  ) {
    if (session.inputNames.join() !== INPUTS.join()) {
      throw new BundleError(`${where}: the inputs must be ${INPUTS.join(", ")}, they are ${session.inputNames.join(", ")}.`);
    }
    const missing = REQUIRED.find((name) => !session.outputNames.includes(name));
    if (missing) throw new BundleError(`${where}: has no output '${missing}'. Export it again.`);
    const heads = [info.sounds.length ? "sound" : "", info.out_of_domain_from === null ? "" : "distance"].filter(Boolean);
    const unfound = heads.find((name) => !session.outputNames.includes(name));
    if (unfound) throw new BundleError(`${where}: has no output '${unfound}', which bundle.json names. Export it again.`);
    this.predicted = PREDICTED.filter((name) => session.outputNames.includes(name));
  }

  /** @param info what `bundle.json` says; refused where the graph's own metadata name other classes or another rate */
  static async open(ort: Ort, model: Uint8Array, info: Facts, where: string): Promise<Graph> {
    const session = await openSession(ort, model, where);
    refuseOtherFacts(model, info, where);
    return new Graph(ort, session, info, where);
  }

  /** Answer one window at the bundle's rate, with these outputs. */
  async run(waveform: Float32Array, wanted: readonly string[] = this.predicted): Promise<Outputs> {
    const { Tensor } = this.ort;
    const feeds = {
      waveform: new Tensor("float32", waveform, [1, waveform.length]),
      lengths: new Tensor("int64", BigInt64Array.of(BigInt(waveform.length)), [1]),
    };
    const values = await run(this.session, feeds, wanted).catch((error: unknown) => {
      if (error instanceof EarnestError) throw error;
      throw new BundleError(`${this.where}: failed to run (${firstLine(error)}). Export it again.`);
    });
    const outputs: Record<string, Values> = {};
    for (const name of wanted) outputs[name] = this.checked(name, values[name].data as Float32Array);
    return outputs as unknown as Outputs;
  }

  async close(): Promise<void> {
    await release(this.session);
  }

  private checked(name: string, values: Float32Array): Float32Array {
    if (!values.every(Number.isFinite)) throw new BundleError(`${this.where}: output '${name}' is not finite.`);
    const { classes } = this.info;
    if (name === "probabilities" && values.length !== classes.length) {
      throw new BundleError(`${this.where}: ${counted(values.length, "output")} for ${classes.length} classes. Export it again.`);
    }
    return values;
  }
}

const METADATA = 14; // of ONNX's ModelProto; in each entry 1 is the key and 2 the value

function refuseOtherFacts(model: Uint8Array, { classes, sample_rate_hz: rate }: Facts, where: string): void {
  const facts = new Map(contentsOf(model, METADATA).map((one) => [textOf(one, 1), textOf(one, 2)]));
  const [told, expected] = [facts.get("classes"), classes.map((label) => label.replaceAll(",", " ")).join(",")];
  // Bundles of before have commas of labels as they are.
  if (told !== undefined && told !== expected && told !== classes.join(",")) {
    throw new BundleError(`${where}: its classes are ${told}, and those of bundle.json are ${expected}. Export or download the bundle again.`);
  }
  const own = facts.get("sample_rate_hz") ?? `${rate}`;
  if (own !== `${rate}`) {
    throw new BundleError(`${where}: its sample rate is ${own} Hz, and that of bundle.json ${rate} Hz. Export or download the bundle again.`);
  }
}

export function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).trim().split("\n")[0].slice(0, 200);
}
