// node build.mjs            dist/: the package, with the runtime's files beside it
// node build.mjs --tests    build/test/: the unit tests, for node --test
// node build.mjs --page     ../earnest/apps/web/: the page that "earnest serve" shows
// node build.mjs --site     site/: the same with models and clips, for any file host
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const RUNTIME = "node_modules/onnxruntime-web/dist";
const RUNTIME_FILES = { ort: "ort.wasm.min.mjs", mjs: "ort-wasm-simd-threaded.mjs", wasm: "ort-wasm-simd-threaded.wasm" };

const PAGE = "../earnest/apps/web";
const MODELS = ["base", "small"]; // the first one is what the page begins with
const CLIPS = readdirSync("../earnest/demo").filter((name) => name.endsWith(".flac")).sort();
const VOICE_ACTIVITY = "../earnest/audio/silero_vad"; // .onnx, and its licence as .txt
const LEARNING = ["ml-matrix", "ml-array-rescale", "ml-array-max", "ml-array-min", "is-any-array"];
const BUNDLED = ["onnxruntime-web", ...LEARNING, "echarts", "zrender", "tslib", "idb", "fflate"];
const COMPRESSED = new Set([".css", ".html", ".js", ".json", ".mjs", ".onnx", ".svg", ".txt", ".wasm"]); // as the server has it
const LEAST_BYTES = 1000; // of a file that is worth it
const CACHE = "node_modules/.cache/brotli"; // half a minute for the runtime, which seldom changes

const common = { bundle: true, format: "esm", target: "es2022", logLevel: "warning" };
/** The runtime's script becomes part of the worker: a bundler that copies the worker as it is has all of it. */
const withinWorker = { alias: { "onnxruntime-web/wasm": `./${RUNTIME}/${RUNTIME_FILES.ort}` }, define: { RUNTIME: JSON.stringify(RUNTIME_FILES) } };
/** The page's runtime stays files of its own, beside the worker. */
const withRuntime = ({ ort, mjs, wasm }) => ({
  plugins: [
    {
      name: "runtime",
      setup(plugins) {
        plugins.onResolve({ filter: /^onnxruntime-web\/wasm$/ }, () => ({ path: `./${ort}`, external: true }));
      },
    },
  ],
  define: { RUNTIME: JSON.stringify({ mjs, wasm }) },
});

async function buildPackage() {
  rmSync("dist", { recursive: true, force: true });
  const entries = { earnest: "index", "earnest.core": "core", "earnest.worker": "worker", "earnest.worklet": "worklet" };
  await build({
    ...common,
    entryPoints: Object.entries(entries).map(([out, name]) => ({ in: `src/${name}.ts`, out })),
    outdir: "dist",
    minify: true,
    sourcemap: true,
    ...withinWorker,
  });
  for (const file of Object.values(RUNTIME_FILES)) cpSync(`${RUNTIME}/${file}`, `dist/${file}`);
  execFileSync("node", ["node_modules/typescript/bin/tsc", "-p", "tsconfig.types.json"], { stdio: "inherit" });
  writeFileSync("dist/licences.txt", licences(["onnxruntime-web", ...LEARNING], []));
}

async function buildTests() {
  rmSync("build", { recursive: true, force: true });
  const tests = ["test", "page/test"].flatMap((folder) =>
    readdirSync(folder).filter((name) => name.endsWith(".test.ts")).map((name) => `${folder}/${name}`),
  );
  const shared = { ...common, platform: "node", packages: "external" };
  await build({ ...shared, entryPoints: tests, outdir: "build/test", entryNames: "[name]" });
  await build({ ...shared, entryPoints: ["page/src/exports.ts", "page/src/emotions.ts"], outdir: "build/page" });
}

/**
 * What the page is made of: the runtime, the package's worker and worklet, the page, what keeps it for offline use.
 * Names hold a digest of what is inside, so that browsers never ask twice; only what begins a visit has a plain name.
 */
async function buildPage() {
  rmSync(PAGE, { recursive: true, force: true });
  mkdirSync(PAGE, { recursive: true });
  const { version } = JSON.parse(readFileSync("node_modules/onnxruntime-web/package.json", "utf8"));
  const runtime = Object.fromEntries(Object.entries(RUNTIME_FILES).map(([key, file]) => [key, copiedByDigest(file)]));
  const shared = { ...common, outdir: PAGE, minify: !process.env.PLAIN };
  const named = async (options, entries) => {
    const { metafile } = await build({ ...shared, entryNames: "[name]-[hash]", metafile: true, ...options, entryPoints: entries });
    const outputs = Object.entries(metafile.outputs).map(([path, { entryPoint }]) => [entryPoint, basename(path)]);
    return entries.map(({ in: source }) => outputs.find(([entry]) => entry === source)[1]);
  };
  const [worker, worklet] = await named(withRuntime(runtime), [
    { in: "src/worker.ts", out: "earnest.worker" },
    { in: "src/worklet.ts", out: "earnest.worklet" },
  ]);
  const define = { RUNTIME_VERSION: JSON.stringify(version), BUILT: JSON.stringify({ worker, worklet }) };
  const [script, style] = await named({ define }, [
    { in: "page/src/main.ts", out: "page" },
    { in: "page/page.css", out: "page" },
  ]);
  const html = readFileSync("page/index.html", "utf8").replace('"page.js"', `"${script}"`).replace('"page.css"', `"${style}"`);
  writeFileSync(`${PAGE}/index.html`, html);
  cpSync("page/icon.svg", `${PAGE}/icon.svg`);
  const network = `Silero VAD, version 5, MIT\n\n${readFileSync(`${VOICE_ACTIVITY}.txt`, "utf8")}`;
  writeFileSync(`${PAGE}/licences.txt`, licences(BUNDLED, [network]));
  await buildServiceWorker(shared, ["./", "site.json", "icon.svg", script, style]);
  for (const file of readdirSync(PAGE)) compress(`${PAGE}/${file}`, [".br"]); // gzip is made by the server, once
}

/** Copy a file of the runtime, named by its digest. */
function copiedByDigest(file) {
  const bytes = readFileSync(`${RUNTIME}/${file}`);
  const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 8).toUpperCase();
  const named = `${basename(file, extname(file))}-${digest}${extname(file)}`;
  writeFileSync(`${PAGE}/${named}`, bytes);
  return named;
}

/** @param shell what a page needs to open; the rest is kept as it arrives */
async function buildServiceWorker(shared, shell) {
  const files = readdirSync(PAGE).sort();
  const digest = createHash("sha256");
  for (const file of files) digest.update(readFileSync(`${PAGE}/${file}`));
  const rest = [...files.filter((file) => file !== "index.html" && !shell.includes(file)), ...CLIPS.map((name) => `clips/${name}`)];
  const define = {
    SHELL: JSON.stringify(shell),
    REST: JSON.stringify(rest),
    VERSION: JSON.stringify(digest.digest("hex").slice(0, 16)),
  };
  await build({ ...shared, entryPoints: [{ in: "page/sw/sw.ts", out: "sw" }], define });
}

/** Write a file beside itself in these codings, for hosts that send what lies there. */
function compress(path, codings) {
  if (!COMPRESSED.has(extname(path))) return;
  const bytes = readFileSync(path);
  if (bytes.length < LEAST_BYTES) return;
  if (codings.includes(".br")) writeFileSync(`${path}.br`, brotli(bytes));
  if (codings.includes(".gz")) writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
}

function brotli(bytes) {
  const kept = `${CACHE}/${createHash("sha256").update(bytes).digest("hex")}`;
  if (existsSync(kept)) return readFileSync(kept);
  const { BROTLI_PARAM_LGWIN: window, BROTLI_PARAM_SIZE_HINT: size } = constants;
  const made = brotliCompressSync(bytes, { params: { [window]: constants.BROTLI_MAX_WINDOW_BITS, [size]: bytes.length } });
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(kept, made);
  return made;
}

/** The licences of what is in files that are passed on, as they ask for. */
function licences(packages, more) {
  const own = `earnest\n\n${readFileSync("../LICENSE", "utf8")}`;
  const others = packages.map((name) => {
    const folder = `node_modules/${name}`;
    const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
    const texts = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && /^(licen[cs]e|notice|copyright)/i.test(entry.name))
      .map(({ name: file }) => readFileSync(`${folder}/${file}`, "utf8"));
    if (name === "onnxruntime-web") texts.push(readFileSync("page/onnxruntime-licence.txt", "utf8")); // its package has none
    return [`${name} ${version}, ${license}`, ...texts].join("\n\n");
  });
  return [own, ...more, ...others].join(`\n${"=".repeat(78)}\n\n`);
}

/** The page with models and clips, for any file host; a server of ours has them itself. */
function buildSite() {
  rmSync("site", { recursive: true, force: true });
  cpSync(PAGE, "site", { recursive: true });
  for (const name of MODELS) cpSync(`../earnest/bundles/${name}`, `site/models/${name}`, { recursive: true });
  for (const name of CLIPS) cpSync(`../earnest/demo/${name}`, `site/clips/${name}`);
  cpSync(`${VOICE_ACTIVITY}.onnx`, "site/models/silero_vad.onnx");
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  const site = { version, server: false, keys: false, keeps: false, limits: null, models: MODELS, clips: CLIPS };
  writeFileSync("site/site.json", JSON.stringify(site));
  for (const path of readdirSync("site", { recursive: true })) compress(`site/${path}`, [".br", ".gz"]);
}

if (process.argv.includes("--tests")) await buildTests();
else if (process.argv.includes("--page")) await buildPage();
else if (process.argv.includes("--site")) buildSite();
else await buildPackage();
