import assert from "node:assert/strict";
import { test } from "node:test";
import { checkLength, checkWhole, promisedSeconds } from "../src/whole.js";

/** Bytes from texts, and numbers of four bytes, the last one first as in a WAV file. */
function file(...parts: (string | number | Uint8Array)[]): DataView {
  const bytes = parts.flatMap((part) => {
    if (typeof part === "string") return [...new TextEncoder().encode(part)];
    if (typeof part !== "number") return [...part];
    return [0, 8, 16, 24].map((shift) => (part >>> shift) & 0xff);
  });
  return new DataView(Uint8Array.from(bytes).buffer);
}

const zeros = (count: number): Uint8Array => new Uint8Array(count);
const big = (value: number): Uint8Array => Uint8Array.from([24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff));
const wave = (promised: number, there: number, whole = 36 + promised): DataView =>
  file("RIFF", whole, "WAVE", "fmt ", 16, zeros(16), "data", promised, zeros(there));
const page = (flags: number, there = 255): DataView =>
  file("OggS", Uint8Array.of(0, flags), zeros(20), Uint8Array.of(1, 255), zeros(there));
const xing = (promised: number): DataView =>
  file(Uint8Array.of(0xff, 0xfb, 0x90, 0), zeros(32), "Xing", big(3), big(7), big(promised), zeros(400));
const joined = (...files: DataView[]): DataView => file(...files.map(({ buffer }) => new Uint8Array(buffer as ArrayBuffer)));
const flac = (nSamples: number): DataView =>
  file("fLaC", big(0x22), zeros(10), big((16_000 << 12) | 0xf0), big(nSamples), zeros(16), big(0x8100_0000), zeros(200));
/** Boxes of an MP4 file; the length of mdat is written in 64 bits. */
const mp4 = (...names: string[]): DataView =>
  joined(...["ftyp", ...names].map((name) => (name === "mdat" ? file(big(1), name, big(0), big(116), zeros(100)) : file(big(28), name, zeros(20)))));
const told = (view: DataView): string => {
  try {
    checkWhole(view, "talk");
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};
const AGAIN = "Record or copy it again. To hear what is there, save it first (ffmpeg -i broken.wav mended.wav).";

test("a file that is cut off is refused in the words of `earnest predict`", () => {
  assert.equal(told(wave(2000, 500)), `talk: cut off, its header promises 1,500 bytes more. ${AGAIN}`);
  assert.equal(told(file("RF64", -1, "WAVE", "ds64", 28, 0, 0, 3000, 0, zeros(12), "data", -1, zeros(1000))), `talk: cut off, its header promises 2,000 bytes more. ${AGAIN}`);
  assert.equal(told(joined(page(2), page(0, 155))), `talk: cut off, its header promises 100 bytes more. ${AGAIN}`);
  assert.equal(told(joined(page(2), file("OggS", 0))), `talk: cut off, its last page is not whole. ${AGAIN}`);
  assert.equal(told(xing(452 + 300)), `talk: cut off, its header promises 300 bytes more. ${AGAIN}`);
  assert.equal(told(joined(file("ID3", zeros(6), Uint8Array.of(5), zeros(5)), xing(752))), `talk: cut off, its header promises 300 bytes more. ${AGAIN}`);
});

test("a file that is whole, of unknown length, or off by no more than writers are is heard", () => {
  for (const view of [
    wave(2000, 2000), wave(2000, 1936), wave(0xffff_ffff, 500), wave(0x7fff_0000, 500),
    file("RIFF", 4, "WAVE"), joined(page(2), page(0), page(4)), joined(page(2), page(2), page(0)), joined(page(2), file("end")), xing(452), xing(452 + 256),
    file(""), file("RIFF"), file("ID3"), file("fLaC"), file("no sound at all"),
  ]) assert.equal(told(view), "");
});

test("a WAV whose recorder crashed before it filled in the header says how to mend it", () => {
  const mend = "Mend it, such as with: ffmpeg -i broken.wav -c copy mended.wav";
  assert.equal(told(wave(0, 5000, 0)), `talk: its header was never finished: it promises no sound, but 5,000 bytes follow. ${mend}`);
});

test("a WAV of no length, also before another chunk, is no kind that another program may decode", () => {
  for (const view of [wave(0, 0), joined(wave(0, 0, 60), file("LIST", 16, zeros(16)))]) {
    assert.equal(told(view), "talk: has a header, but no sound. Record or copy it again.");
  }
});

test("recordings that were joined into one file are refused, not the first one heard", () => {
  const expected =
    "talk: several recordings in one file, and the first alone would be heard. Make one of them first (ffmpeg -i joined.mp3 whole.wav). " +
    "Of joined FLAC, MP4 or WAV files give the files themselves.";
  const tag = file("ID3", zeros(6), Uint8Array.of(5), zeros(5));
  const frames = file(Uint8Array.of(0xff, 0xfb, 0x90, 0), zeros(3000)); // without a header that counts them
  for (const view of [
    joined(page(2), page(4), page(2), page(4)),
    joined(xing(452), xing(452)), joined(xing(452), file("TAG", zeros(125)), xing(452)), joined(xing(452), tag, frames),
    joined(flac(80_000), flac(80_000)), joined(tag, flac(80_000), file("f"), flac(80_000)),
    joined(mp4("moov", "mdat"), mp4("mdat", "moov")), joined(wave(60, 60), wave(8, 8)),
  ]) assert.equal(told(view), expected);
  for (const view of [
    joined(wave(60, 60), file("LIST", 4, "RIFF")), flac(80_000), joined(flac(80_000), file("fLaC")), joined(flac(80_000), file("fLaC", big(1))),
    joined(xing(452), file(Uint8Array.of(0xff, 0xfb, 0x90, 0), zeros(1437))), // a count that lacks its own frame
    mp4("moov", "mdat"), joined(mp4("moov", "moof", "mdat"), mp4("moov", "moof", "mdat")), file(big(0), "ftyp", zeros(30)),
  ]) assert.equal(told(view), "");
});

test("a FLAC file of which less can be decoded than its header promises is cut off", () => {
  assert.equal(promisedSeconds(flac(80_000)), 5);
  assert.equal(promisedSeconds(wave(5, 5)), 0);
  checkLength(4.9, 5, "talk");
  assert.throws(() => { checkLength(1.5, 5, "talk"); }, { message: `talk: cut off, 1.50 of 5.00 s are there. ${AGAIN}` });
});
