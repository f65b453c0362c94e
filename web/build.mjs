// node build.mjs            dist/: the package, with the runtime's files beside it
// node build.mjs --tests    build/test/: the unit tests, for node --test
// node build.mjs --site     site/: the demo with everything it loads, for any file host; SILERO_VAD=silero_vad.onnx puts
//                           voice activity detection into it (without, the level decides)
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";

const RUNTIME = "node_modules/onnxruntime-web/dist";
const RUNTIME_FILES = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];

const common = { bundle: true, format: "esm", target: "es2022", logLevel: "warning" };
/** The runtime stays a file of its own, beside the worker. */
const besideIt = {
  name: "runtime",
  setup(plugins) {
    plugins.onResolve({ filter: /^onnxruntime-web\/wasm$/ }, () => ({ path: "./ort.wasm.min.mjs", external: true }));
  },
};

async function buildPackage() {
  rmSync("dist", { recursive: true, force: true });
  const entries = { earnest: "index", "earnest.core": "core", "earnest.worker": "worker", "earnest.worklet": "worklet" };
  await build({
    ...common,
    entryPoints: Object.entries(entries).map(([out, name]) => ({ in: `src/${name}.ts`, out })),
    outdir: "dist",
    minify: true,
    sourcemap: true,
    plugins: [besideIt],
  });
  for (const file of RUNTIME_FILES) cpSync(`${RUNTIME}/${file}`, `dist/${file}`);
  execFileSync("node", ["node_modules/typescript/bin/tsc", "-p", "tsconfig.types.json"], { stdio: "inherit" });
}

async function buildTests() {
  rmSync("build", { recursive: true, force: true });
  const tests = readdirSync("test").filter((name) => name.endsWith(".test.ts"));
  await build({
    ...common,
    entryPoints: tests.map((name) => `test/${name}`),
    outdir: "build/test",
    platform: "node",
    packages: "external",
  });
}

function buildSite() {
  rmSync("site", { recursive: true, force: true });
  mkdirSync("site");
  for (const folder of ["demo", "examples", "dist"]) cpSync(folder, `site/${folder}`, { recursive: true });
  for (const name of ["small", "base"]) cpSync(`../earnest/bundles/${name}`, `site/models/${name}`, { recursive: true });
  cpSync("../earnest/demo", "site/clips", { recursive: true });
  writeFileSync("site/index.html", '<!doctype html><meta http-equiv="refresh" content="0; url=demo/"><title>earnest</title>');
  const { SILERO_VAD: network = "" } = process.env;
  if (network) cpSync(network, "site/models/silero_vad.onnx");
  writeFileSync("site/models/site.json", JSON.stringify({ voiceActivity: Boolean(network) }));
}

if (process.argv.includes("--tests")) await buildTests();
else if (process.argv.includes("--site")) buildSite();
else await buildPackage();
