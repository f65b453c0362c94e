import assert from "node:assert/strict";
import { test } from "node:test";
import { amongChosen, leftOut, ofFolders } from "../src/own/found.js";

const named = (...names: string[]): File[] => names.map((name) => Object.assign(new File(["x"], name.split("/").at(-1)!), { webkitRelativePath: `calls/${name}` }));

test("files of a folder that are no recordings are counted, hidden ones not", () => {
  const { recordings, nOthers } = amongChosen(named("b.wav", "notes.txt", "a.FLAC", "face.jpg", ".DS_Store", ".b.wav"));
  assert.deepEqual(recordings.map(({ file, folder }) => `${folder}/${file.name}`), ["calls/a.FLAC", "calls/b.wav"]);
  assert.equal(nOthers, 2);
});

test("how many were left out is said in one sentence, and nothing where none was", () => {
  assert.deepEqual([0, 1, 3].map(leftOut), ["", "1 file that is no recording was left out.", "3 files that are no recordings were left out."]);
});

test("recordings of folders are named with their folder, and a folder without any is refused", () => {
  const { files, nOthers } = ofFolders(amongChosen(named("b.wav", "anna/a.wav", "notes.txt")));
  assert.deepEqual([files.map(({ name }) => name), nOthers], [["anna/a.wav", "calls/b.wav"], 1]);
  assert.throws(() => ofFolders(amongChosen(named("notes.txt"))), /There are no recordings in it/);
});
