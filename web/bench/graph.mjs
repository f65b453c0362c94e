// node bench/graph.mjs FOLDER: runs graphs alone, without the package around them.
// FOLDER/runs.json: [{ graph, inputs: [{ name, type, dims, file }], answers }]; all outputs go to the file "answers", as
// JSON: name → { dims, values }. JSON has no NaN: such values become null.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.numThreads = 1;
const folder = process.argv[2];
const arrays = { float32: Float32Array, int64: BigInt64Array };

function tensor({ type, dims, file }) {
  const bytes = readFileSync(join(folder, file));
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return new ort.Tensor(type, new arrays[type](whole), dims);
}

let opened = "";
let session = null;
for (const { graph, inputs, answers } of JSON.parse(readFileSync(join(folder, "runs.json"), "utf8"))) {
  if (graph !== opened) {
    await session?.release();
    session = await ort.InferenceSession.create(readFileSync(graph));
    opened = graph;
  }
  const outputs = await session.run(Object.fromEntries(inputs.map((input) => [input.name, tensor(input)])));
  const told = Object.entries(outputs).map(([name, { dims, data }]) => [name, { dims, values: [...data] }]);
  writeFileSync(join(folder, answers), JSON.stringify(Object.fromEntries(told)));
}
await session?.release();
