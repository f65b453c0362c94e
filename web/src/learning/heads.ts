/** The last layers of a graph replaced by others; `earnest.onnx.surgery`, which does the same, tells the formulas. */

import { sha256Of } from "../bundle.js";
import { BundleError } from "../errors.js";
import { softmax } from "./calibration.js";
import type { Head } from "./discriminant.js";
import type { Domain } from "./domain.js";
import { contentsOf, decoded, type Field, fieldsOf, joinedBytes, textOf, writtenField, writtenNumber } from "./protobuf.js";
import { dot } from "./rows.js";

const REPLACED = ["logits", "probabilities", "distance"];
const PREFIX = "learned.";
const LARGEST_LOG = 3; // of s, so that nothing overflows however strange the sound is
const HEARD = "network.heads_heard"; // the seconds that are left between the silences by `SURE_FROM_S`, (batch,)
const HEADS = "network.heads_"; // before what was added to a base's graph
export const MISMATCH = "mismatch"; // how far speech is heard well and told badly, u = softmax(e·W + b)·r, (batch, 1)
export const OVERLAP = "overlap"; // the log-odds that several people speak at once, o = max(e·W + b), are its `_score`, (batch, 1)
export const SURE_FROM_S = 1.5; // t₀ of the bundles that ship
// Fields of ModelProto and GraphProto: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
const [GRAPH, METADATA] = [7, 14];
const [NODE, INITIALIZER, OUTPUT, VALUE] = [1, 5, 12, 13];

/** W (classes, width), b (classes,), T, t₀ in seconds, and what known sound is; without that there is no `distance`. */
export interface GraphHead {
  weights: readonly ArrayLike<number>[];
  bias: ArrayLike<number>;
  temperature: number;
  sureFromS: number;
  known: { domain: Domain; threshold: number; mismatchFrom: number | null } | null;
  /** o₀; null where the base doesn't know several people at once */
  overlapFrom: number | null;
}

/** A checked model with other last layers; `facts` are what the file says about itself, in place of what it said. */
export async function withHead(model: Uint8Array, head: GraphHead, facts: Record<string, string>): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await replaced(model, head, facts);
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    throw new BundleError("Not an ONNX model whose last layer can be replaced. Export it again.");
  }
}

async function replaced(model: Uint8Array, head: GraphHead, facts: Record<string, string>): Promise<Uint8Array<ArrayBuffer>> {
  const fields = fieldsOf(model);
  const graph = fieldsOf(contentsOf(model, GRAPH)[0]);
  const outputs = graph.filter(({ number }) => number === OUTPUT);
  const names = outputs.map(nameIn(1));
  if (!names.includes("embedding")) throw new BundleError("The model has no output 'embedding' to learn from. Use another one.");
  const kept = outputs.filter((_, place) => !REPLACED.includes(names[place])).map(({ raw }) => raw);
  const more = typeof head.known?.mismatchFrom === "number" ? [HEARD, HEADS + MISMATCH] : [HEARD];
  const { nodes, constants } = needed(graph, new Set([...more, ...names.filter((name) => !REPLACED.includes(name))]));
  const makes = new Set([...nodes.flatMap((node) => namesIn(node, 2)), "embedding"]);
  const made = new Made();
  addHead(made, head, makes);
  const values = graph.filter((field) => field.number === VALUE && makes.has(nameIn(1)(field))).map(({ raw }) => raw);
  const other = graph.filter(({ number }) => ![NODE, INITIALIZER, OUTPUT, VALUE].includes(number)).map(({ raw }) => raw);
  const nodeBytes = nodes.map(({ raw }) => raw);
  const whole = joinedBytes([...nodeBytes, ...made.nodes, ...other, ...constants, ...made.constants, ...kept, ...made.outputs, ...values]);
  const weights = await sha256Of(joinedBytes([...constants, ...made.constants]));
  const told = Object.entries({ ...facts, weights_sha256: weights }).map(([name, text]) =>
    writtenField(METADATA, joinedBytes([writtenField(1, name), writtenField(2, text)])),
  );
  const rest = fields.filter(({ number }) => number !== METADATA);
  return joinedBytes([...rest.map(({ number, raw }) => (number === GRAPH ? writtenField(GRAPH, whole) : raw)), ...told]);
}

const nameIn = (number: number) => ({ content }: Field): string => textOf(content ?? new Uint8Array(), number);

function namesIn({ content }: Field, number: number): string[] {
  return contentsOf(content ?? new Uint8Array(), number).map(decoded);
}

/** The nodes that outputs follow from, in their order, and the constants that those use. */
function needed(graph: readonly Field[], wanted: Set<string>): { nodes: Field[]; constants: Uint8Array[] } {
  const nodes: Field[] = [];
  // Makers stand before users in a graph: so backwards each node is met after all that need it.
  for (const field of graph.filter(({ number }) => number === NODE).reverse()) {
    if (!namesIn(field, 2).some((name) => wanted.has(name))) continue;
    nodes.push(field);
    for (const name of namesIn(field, 1)) wanted.add(name);
  }
  const constants = graph.filter((field) => field.number === INITIALIZER && wanted.has(nameIn(8)(field))).map(({ raw }) => raw);
  return { nodes: nodes.reverse(), constants };
}

/** Nodes, constants and outputs that are added, under names that nothing else in the graph has. */
class Made {
  readonly nodes: Uint8Array[] = [];
  readonly constants: Uint8Array[] = [];
  readonly outputs: Uint8Array[] = [];

  constant(name: string, values: ArrayLike<number>, shape: readonly number[]): string {
    const bytes = new DataView(new ArrayBuffer(4 * values.length));
    for (let index = 0; index < values.length; index++) bytes.setFloat32(4 * index, values[index], true);
    return this.tensor(name, new Uint8Array(bytes.buffer), shape, 1);
  }

  integer(name: string, value: bigint): string {
    const bytes = new DataView(new ArrayBuffer(8));
    bytes.setBigInt64(0, value, true);
    return this.tensor(name, new Uint8Array(bytes.buffer), [1], 7);
  }

  private tensor(name: string, bytes: Uint8Array, shape: readonly number[], kind: number): string {
    const dims = shape.map((size) => writtenNumber(1, size));
    const parts = [...dims, writtenNumber(2, kind), writtenField(8, PREFIX + name), writtenField(9, bytes)];
    this.constants.push(writtenField(INITIALIZER, joinedBytes(parts)));
    return PREFIX + name;
  }

  /** Add a node; an output of the graph keeps its name. */
  node(operation: string, inputs: readonly string[], output: string, attributes: Record<string, number> = {}): string {
    const name = REPLACED.includes(output) ? output : PREFIX + output;
    const told = Object.entries(attributes).map(([key, value]) =>
      writtenField(5, joinedBytes([writtenField(1, key), writtenNumber(3, value), writtenNumber(20, 2)])),
    );
    const named = [writtenField(2, name), writtenField(3, `${PREFIX}make_${output}`), writtenField(4, operation)];
    this.nodes.push(writtenField(NODE, joinedBytes([...inputs.map((one) => writtenField(1, one)), ...named, ...told])));
    return name;
  }

  output(name: string, ...sizes: number[]): void {
    const dims = [writtenField(1, writtenField(2, "batch")), ...sizes.map((size) => writtenField(1, writtenNumber(1, size)))];
    const tensor = joinedBytes([writtenNumber(1, 1), writtenField(2, joinedBytes(dims))]);
    this.outputs.push(writtenField(OUTPUT, joinedBytes([writtenField(1, name), writtenField(2, writtenField(1, tensor))])));
  }
}

function addHead(made: Made, { weights, bias, temperature, sureFromS, known, overlapFrom }: GraphHead, makes: ReadonlySet<string>): void {
  const weight = made.constant("weight", flat(weights), [weights.length, weights[0].length]);
  const logits = made.node("Gemm", ["embedding", weight, made.constant("bias", bias, [bias.length])], "logits", { transB: 1 });
  let sharpness = made.constant("sharpness", [1 / temperature], []);
  if (known) sharpness = made.node("Mul", [softened(made, known), sharpness], "softened"); // (batch, 1)
  if (overlapFrom !== null && makes.has(`${HEADS}${OVERLAP}_score`)) {
    const alone = sharper(made, `${HEADS}${OVERLAP}_score`, overlapFrom, "overlap_");
    sharpness = made.node("Mul", [alone, sharpness], "softened_alone"); // (batch, 1)
  }
  if (makes.has(HEARD)) sharpness = made.node("Mul", [byLength(made, sureFromS), sharpness], "sureness"); // (batch, 1)
  made.node("Softmax", [made.node("Mul", [logits, sharpness], "scaled")], "probabilities", { axis: 1 });
  made.output("logits", bias.length);
  made.output("probabilities", bias.length);
}

/** Add the distance; return the name of 1/s, (batch, 1). */
function softened(made: Made, { domain: { mean, directions }, threshold, mismatchFrom }: NonNullable<GraphHead["known"]>): string {
  const n = directions.length;
  // A·(e − m) as one Gemm, (batch, directions), with A·m as its bias.
  const origin = made.constant("origin", directions.map((direction) => -dot(direction, mean)), [n]);
  const turned = made.constant("directions", flat(directions), [n, mean.length]);
  const projected = made.node("Gemm", ["embedding", turned, origin], "projected", { transB: 1 });
  const squares = made.node("Mul", [projected, projected], "squares");
  const average = made.node("MatMul", [squares, made.constant("shares", new Float64Array(n).fill(1 / n), [n, 1])], "mean");
  let distances = made.node("Sqrt", [made.node("Max", [average, made.constant("least", [1e-12], [])], "positive")], "distances");
  if (mismatchFrom !== null) {
    const past = made.node("Sub", [HEADS + MISMATCH, made.constant("mismatch_start", [mismatchFrom], [])], "past");
    const off = made.node("Add", [past, made.constant("known_to", [threshold], [])], "off");
    distances = made.node("Max", [distances, off], "farther"); // max(d, u − u₀ + d₀)
  }
  made.node("Reshape", [distances, made.integer("flat", -1n)], "distance");
  made.output("distance");
  return sharper(made, distances, threshold);
}

/** Add 1/s of distances d (batch, 1), with d₀ the start, by names after `of`; return its name, (batch, 1). */
function sharper(made: Made, distances: string, start: number, of = ""): string {
  const beyond = made.node("Sub", [made.constant(`${of}start`, [start], []), distances], `${of}beyond`);
  const limits = [made.constant(`${of}lowest`, [-LARGEST_LOG], []), made.constant(`${of}highest`, [0], [])];
  // 1/s = exp(clip(d₀ − d, −3, 0)): softer, the farther a sound lies behind the start.
  return made.node("Exp", [made.node("Clip", [beyond, ...limits], `${of}minus_log`)], `${of}sharper`);
}

/** Add min(t/t₀, 1); return its name, (batch, 1). */
function byLength(made: Made, sureFromS: number): string {
  const heard = made.node("Mul", [HEARD, made.constant("enough", [SURE_FROM_S / sureFromS], [])], "heard");
  const share = made.node("Min", [heard, made.constant("all_of_it", [1], [])], "length");
  return made.node("Unsqueeze", [share, made.integer("length_axis", 1n)], "by_length");
}

/** W (classes, width) and b (classes,) of a model's logits W·e + b; null where they are made otherwise. */
export function lastLayerOf(model: Uint8Array): Head | null {
  try {
    const graph = fieldsOf(contentsOf(model, GRAPH)[0]);
    const made = graph.find((field) => field.number === NODE && namesIn(field, 2).includes("logits"));
    if (!made || nameIn(4)(made) !== "Gemm") return null;
    const [source, ...names] = namesIn(made, 1);
    const tables = names.map((name) => tensorOf(graph, name));
    if (source !== "embedding" || tables.length !== 2 || !tables[0] || !tables[1]) return null;
    const [flatWeights, bias] = [floatsOf(tables[0]), floatsOf(tables[1])];
    const width = flatWeights.length / bias.length;
    return Number.isInteger(width) ? { weights: Array.from(bias, (_, row) => flatWeights.slice(row * width, (row + 1) * width)), bias } : null;
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof TypeError)) throw error;
    return null;
  }
}

/** u or o of an embedding, and u₀ or o₀ where `withHead` has written it. */
interface AddedHead {
  valueOf: (row: Float64Array) => number;
  start: number | null;
}

/** What makes a model's `MISMATCH` or `OVERLAP` of embeddings of a width; null where it has none. */
export function addedHeadOf(model: Uint8Array, name: typeof MISMATCH | typeof OVERLAP, width: number): AddedHead | null {
  const graph = fieldsOf(contentsOf(model, GRAPH)[0]);
  const [weight, bias, start] = [`${HEADS}${name}_weight`, `${HEADS}${name}_bias`, `${PREFIX}${name}_start`].map((one) => tensorOf(graph, one));
  const reach = name === MISMATCH ? tensorOf(graph, `${HEADS}reach`) : null;
  if (!weight || !bias || (name === MISMATCH && !reach)) return null;
  const [halves, first, far] = [new Uint16Array(contentsOf(weight, 9)[0].slice().buffer), floatsOf(bias), reach && floatsOf(reach)];
  if (halves.length !== width * first.length || (far && far.length !== first.length)) return null;
  const weights = Float64Array.from(halves, halfOf); // (width, kinds)
  const valueOf = (row: Float64Array): number => {
    const scores = first.map((score, kind) => row.reduce((sum, value, place) => sum + value * weights[place * first.length + kind], score));
    return far ? dot(softmax(scores), far) : Math.max(...scores);
  };
  return { valueOf, start: start ? floatsOf(start)[0] : null };
}

/** A float16 by its bits; a table has no infinite ones. */
function halfOf(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  return (bits >> 15 ? -1 : 1) * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

function tensorOf(graph: readonly Field[], name: string): Uint8Array | null {
  return graph.find((field) => field.number === INITIALIZER && nameIn(8)(field) === name)?.content ?? null;
}

/** The numbers of a TensorProto of float32 with raw data. */
function floatsOf(tensor: Uint8Array): Float64Array {
  const [raw] = contentsOf(tensor, 9);
  return Float64Array.from(new Float32Array(raw.slice().buffer));
}

function flat(rows: readonly ArrayLike<number>[]): Float64Array {
  const [height, width] = [rows.length, rows[0].length];
  const values = new Float64Array(height * width);
  rows.forEach((row, place) => {
    values.set(row, place * width);
  });
  return values;
}
