import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { ProfileListener } from "../src/adaptation.js";
import type { BundleInfo } from "../src/bundle.js";
import { EarnestError } from "../src/errors.js";
import { checkedProfile, networkDigest, type Profile } from "../src/profile.js";

const INFO = {
  ...{ name: "base", version: "3", classes: ["happy", "sad"] },
  files: { "model.onnx": "a".repeat(64), "adaptation.onnx": "b".repeat(64) },
} as unknown as BundleInfo;

async function profile(): Promise<Profile> {
  const listener = new ProfileListener();
  await listener.hear(Float32Array.of(0.25, 0.75), 2, 2);
  return listener.profile(INFO);
}

test("a profile names its network, as Python's does, and not the adaptation", async () => {
  assert.equal((await profile()).model_digest, "a".repeat(12));
  assert.equal(networkDigest({ "model.xml": "d".repeat(64), "model.bin": "c".repeat(64) }), `${"c".repeat(12)}+${"d".repeat(12)}`);
  const relearnt = { ...INFO, files: { ...INFO.files, "adaptation.onnx": "c".repeat(64) } };
  assert.deepEqual(checkedProfile(await profile(), relearnt), await profile());
});

test("a profile of another network of the same name and version is refused", async () => {
  const other = { ...INFO, files: { "model.onnx": "c".repeat(64) } };
  const isRight = (error: unknown): boolean => error instanceof EarnestError && /another network than the base 3.*Make it again/.test(error.message);
  const own = await profile();
  assert.throws(() => checkedProfile(own, other), isRight);
  const { name, version, classes } = INFO;
  assert.deepEqual(checkedProfile(own, { name, version, classes }), own); // a server compares by itself
});

test("a profile of an earlier version is used with a warning", async (context) => {
  const warn = context.mock.method(console, "warn", mock.fn());
  const old = await profile();
  delete old.model_digest;
  assert.deepEqual(checkedProfile(old, INFO), old);
  assert.match(String(warn.mock.calls[0]?.arguments[0]), /earlier earnest wrote this profile.*Make it again/);
});

test("a profile of a newer version says that", async () => {
  const newer = { ...(await profile()), format: 2 };
  const isRight = (error: unknown): boolean => error instanceof EarnestError && /was made by a newer earnest \(format 2; this one reads 1/.test(error.message);
  assert.throws(() => checkedProfile(newer, INFO), isRight);
});
