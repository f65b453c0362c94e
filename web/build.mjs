// node build.mjs            dist/: the package, with the runtime's files beside it
// node build.mjs --tests    build/test/: the unit tests, for node --test
// node build.mjs --page     ../earnest/apps/web/: the page that "earnest serve" shows
// node build.mjs --site     site/: the same with models and clips, for any file host; SILERO_VAD=silero_vad.onnx puts voice
//                           activity detection into it (without, the level decides)
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const RUNTIME = "node_modules/onnxruntime-web/dist";
const RUNTIME_FILES = ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"];

const PAGE = "../earnest/apps/web";
const MODELS = ["base", "small"]; // the first one is what the page begins with
const CLIPS = readdirSync("../earnest/demo").filter((name) => name.endsWith(".flac")).sort();
const BUNDLED = ["onnxruntime-web", "echarts", "zrender", "tslib", "idb"];

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
  const tests = ["test", "page/test"].flatMap((folder) =>
    readdirSync(folder).filter((name) => name.endsWith(".test.ts")).map((name) => `${folder}/${name}`),
  );
  const shared = { ...common, platform: "node", packages: "external" };
  await build({ ...shared, entryPoints: tests, outdir: "build/test", entryNames: "[name]" });
  await build({ ...shared, entryPoints: ["page/src/exports.ts", "page/src/emotions.ts"], outdir: "build/page" });
}

/** What the page is made of: the package's worker and worklet, the page, what keeps it for offline use, the runtime. */
async function buildPage() {
  rmSync(PAGE, { recursive: true, force: true });
  const { version } = JSON.parse(readFileSync("node_modules/onnxruntime-web/package.json", "utf8"));
  const shared = { ...common, outdir: PAGE, minify: !process.env.PLAIN, plugins: [besideIt] };
  const entryPoints = [
    { in: "page/src/main.ts", out: "page" },
    { in: "page/page.css", out: "page" },
    { in: "src/worker.ts", out: "earnest.worker" },
    { in: "src/worklet.ts", out: "earnest.worklet" },
  ];
  await build({ ...shared, entryPoints, define: { RUNTIME_VERSION: JSON.stringify(version) } });
  for (const file of ["index.html", "icon.svg"]) cpSync(`page/${file}`, `${PAGE}/${file}`);
  for (const file of RUNTIME_FILES) cpSync(`${RUNTIME}/${file}`, `${PAGE}/${file}`);
  writeFileSync(`${PAGE}/licences.txt`, licences());
  const files = readdirSync(PAGE).sort();
  const digest = createHash("sha256");
  for (const file of files) digest.update(readFileSync(`${PAGE}/${file}`));
  const known = ["./", "site.json", ...files, ...CLIPS.map((name) => `clips/${name}`)];
  const define = { FILES: JSON.stringify(known), VERSION: JSON.stringify(digest.digest("hex").slice(0, 16)) };
  await build({ ...shared, entryPoints: [{ in: "page/sw/sw.ts", out: "sw" }], define });
}

/** The licences of what is in the page's files, as they ask for. */
function licences() {
  const own = `earnest\n\n${readFileSync("../LICENSE", "utf8")}`;
  const others = BUNDLED.map((name) => {
    const folder = `node_modules/${name}`;
    const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
    const texts = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile() && /^(licen[cs]e|notice|copyright)/i.test(entry.name))
      .map(({ name: file }) => readFileSync(`${folder}/${file}`, "utf8"));
    if (name === "onnxruntime-web") texts.push(readFileSync("page/onnxruntime-licence.txt", "utf8")); // its package has none
    return [`${name} ${version}, ${license}`, ...texts].join("\n\n");
  });
  return [own, ...others].join(`\n${"=".repeat(78)}\n\n`);
}

/** The page with models and clips, for any file host; a server of ours has them itself. */
function buildSite() {
  rmSync("site", { recursive: true, force: true });
  cpSync(PAGE, "site", { recursive: true });
  for (const name of MODELS) cpSync(`../earnest/bundles/${name}`, `site/models/${name}`, { recursive: true });
  for (const name of CLIPS) cpSync(`../earnest/demo/${name}`, `site/clips/${name}`);
  const { SILERO_VAD: network = "" } = process.env;
  if (network) cpSync(network, "site/models/silero_vad.onnx");
  const { version } = JSON.parse(readFileSync("package.json", "utf8"));
  const site = { version, server: false, voiceActivity: Boolean(network), models: MODELS, clips: CLIPS };
  writeFileSync("site/site.json", JSON.stringify(site));
}

if (process.argv.includes("--tests")) await buildTests();
else if (process.argv.includes("--page")) await buildPage();
else if (process.argv.includes("--site")) buildSite();
else await buildPackage();
