import assert from "node:assert/strict";
import { test } from "node:test";
import { checkedInfo, fetchBundle, fetchFrom, sha256Of } from "../src/bundle.js";
import { Engine } from "../src/engine.js";
import { BundleError, UnreachableError } from "../src/errors.js";
import type { Ort } from "../src/graph.js";

const MODEL = new TextEncoder().encode("a network");
const SHA256 = await sha256Of(MODEL);
const INFO = {
  name: "made-up",
  version: "1",
  classes: ["happy", "sad"],
  sample_rate_hz: 16_000,
  licence: "CC0-1.0",
  files: { "model.onnx": SHA256 },
  schema: 1,
  shortest_s: 0.1,
  longest_s: 30,
  adaptation: null,
};
const FILES = new Map([["bundle.json", new TextEncoder().encode(JSON.stringify(INFO))], ["model.onnx", MODEL]]);
const RUNTIME = { env: { wasm: {} }, InferenceSession: { create: async () => ({ release: async () => undefined }) } } as unknown as Ort;
const ENTRY = { file: "adaptation.onnx", least_speech_s: 6 };

function host(files: Record<string, string | Uint8Array<ArrayBuffer>>): (url: string) => Promise<Response> {
  return (url) => {
    const content = files[url];
    return Promise.resolve(url in files ? new Response(content) : new Response("", { status: 404 }));
  };
}

test("a bundle arrives whole and tells its progress", async () => {
  const loaded: Record<string, number> = {};
  const files = { "/m/bundle.json": JSON.stringify(INFO), "/m/model.onnx": MODEL };
  const bundle = await fetchBundle("/m", ({ file, loadedBytes }) => (loaded[file] = loadedBytes), host(files));
  assert.equal(bundle.info.name, "made-up");
  assert.deepEqual(bundle.files.get("model.onnx"), MODEL);
  assert.equal(loaded["model.onnx"], MODEL.length);
});

test("the query of a folder's address, such as a token, is asked with each file", async () => {
  const asked: string[] = [];
  const refused = async (url: string): Promise<Response> => {
    asked.push(url);
    return new Response(null, { status: 403 });
  };
  for (const folder of ["/m/?token=a/b", "/m?token=a/b"]) await assert.rejects(fetchBundle(folder, undefined, refused), BundleError);
  assert.deepEqual(asked, ["/m/bundle.json?token=a/b", "/m/bundle.json?token=a/b"]);
});

test("an altered file is refused", async () => {
  const files = { "/m/bundle.json": JSON.stringify(INFO), "/m/model.onnx": new TextEncoder().encode("another") };
  await assert.rejects(fetchBundle("/m/", undefined, host(files)), (error) => {
    assert.ok(error instanceof BundleError);
    assert.match(error.message, /model\.onnx: its sha256 is not/);
    return true;
  });
});

test("a web page in a file's place is told, wherever it comes", async () => {
  const page = "\n<!doctype html><html></html>";
  const told = { name: "BundleError", message: /^\S+: the server answers with a web page, as there is no such file\. Put the file there/ };
  await assert.rejects(fetchBundle("/m/", undefined, host({ "/m/bundle.json": page })), told);
  await assert.rejects(fetchBundle("/m/", undefined, host({ "/m/bundle.json": JSON.stringify(INFO), "/m/model.onnx": page })), told);
  await assert.rejects(new Engine(RUNTIME).open(FILES, "data:text/html,%20<html>", 1), told);
});

test("a file that 'files' doesn't list is not fetched", async () => {
  const files = { "/m/bundle.json": JSON.stringify({ ...INFO, adaptation: ENTRY }), "/m/model.onnx": MODEL, "/m/adaptation.onnx": MODEL };
  await assert.rejects(fetchBundle("/m/", undefined, host(files)), /doesn't list 'adaptation\.onnx'/);
});

test("an address without a bundle says what the server answered", async () => {
  await assert.rejects(fetchBundle("/m/", undefined, host({})), /bundle\.json: the server answers 404/);
});

test("a server that is not there is a BundleError, of a kind that may pass", async () => {
  const failed = fetchBundle("/m/", undefined, () => Promise.reject(new TypeError("no route")));
  await assert.rejects(failed, (error) => error instanceof UnreachableError && error instanceof BundleError);
});

test("a download that breaks off, and a voice activity network that can't be reached, are told with their address", async () => {
  const broken = new ReadableStream({ pull: (controller) => { controller.error(new TypeError("network error")); } });
  const hosted = host({ "/m/bundle.json": JSON.stringify(INFO) });
  const cut = (url: string): Promise<Response> => (url.endsWith(".onnx") ? Promise.resolve(new Response(broken)) : hosted(url));
  await assert.rejects(fetchBundle("/m/", undefined, cut), { name: "UnreachableError", message: /^\/m\/model\.onnx: not reachable \(TypeError: network error\)/ });

  const nowhere = "http://127.0.0.1:1/silero.onnx";
  await assert.rejects(new Engine(RUNTIME).open(FILES, nowhere, 1), { name: "UnreachableError", message: /^http:\/\/127\.0\.0\.1:1\/silero\.onnx: not reachable/ });
});

test("of files at hand, one that was altered is named as it is", async () => {
  const files = new Map([["bundle.json", new TextEncoder().encode(JSON.stringify(INFO))], ["model.onnx", new TextEncoder().encode("another")]]);
  await assert.rejects(fetchBundle("", undefined, fetchFrom(files)), /^BundleError: model\.onnx: its sha256 is not/);
});

test("of files at hand, one that is missing is called missing, and no server is blamed", async () => {
  const files = new Map([["bundle.json", new TextEncoder().encode(JSON.stringify(INFO))]]);
  await assert.rejects(fetchBundle("", undefined, fetchFrom(files)), {
    name: "BundleError",
    message: "model.onnx is missing among the model's files. Hand over all files of its folder.",
  });
});

const WRONG: [string, object, RegExp][] = [
  ["a newer schema", { schema: 2 }, /made by a newer earnest \(schema 2, this package reads 1\)\. Upgrade this package/],
  ["another schema", { schema: "1" }, /schema 1, this package reads 1. Export/],
  ["one class", { classes: ["happy"] }, /'classes'/],
  ["a class twice", { classes: ["happy", "happy"] }, /'classes'/],
  ["a rate that is no number", { sample_rate_hz: "16000" }, /'sample_rate_hz'/],
  ["a rate of a clock", { sample_rate_hz: 1 }, /'sample_rate_hz'/],
  ["longest below shortest", { longest_s: 0.05 }, /'shortest_s'/],
  ["no network", { files: {} }, /model\.onnx/],
  ["a path out of the folder", { files: { "model.onnx": SHA256, "../x": SHA256 } }, /plain file names/],
  ["no digest", { files: { "model.onnx": "1234" } }, /sha256/],
  ["half an adaptation", { adaptation: { file: "adaptation.onnx" } }, /'adaptation' must hold/],
  ["an adaptation of another name", { adaptation: { file: "a.onnx", least_speech_s: 1 } }, /'adaptation' must hold/],
  ["sounds that nobody knows", { sounds: ["speech", "music"] }, /'sounds' must be empty, or hold speech, laughter/],
  ["a distance that is a text", { out_of_domain_from: "2" }, /'out_of_domain_from'/],
  ["a threshold beyond 1", { abstain_below: 50 }, /'abstain_below' must be 0 to 1/],
];
for (const [what, change, message] of WRONG) {
  test(`bundle.json with ${what} is refused`, () => {
    assert.throws(() => checkedInfo(JSON.stringify({ ...INFO, ...change }), "x"), (error) => {
      assert.ok(error instanceof BundleError);
      assert.match(error.message, message);
      return true;
    });
  });
}

test("what older bundles don't say has Python's defaults", () => {
  const { adaptation, sounds, out_of_domain_from, abstain_below } = checkedInfo(JSON.stringify({ ...INFO, adaptation: undefined }), "x");
  assert.deepEqual([adaptation, sounds, out_of_domain_from, abstain_below], [null, [], null, 0.5]);
});

test("the adaptation rule of earlier bundles is left alone", () => {
  const rule = { file: "adaptation.npz", scale: 1, least_speech_s: 6 };
  assert.equal(checkedInfo(JSON.stringify({ ...INFO, adaptation: rule }), "x").adaptation, null);
  assert.deepEqual(checkedInfo(JSON.stringify({ ...INFO, adaptation: ENTRY }), "x").adaptation, ENTRY);
});

test("what is no JSON object is refused", () => {
  for (const text of ["", "{", "[]", "null", "<html>"]) assert.throws(() => checkedInfo(text, "x"), BundleError);
});
