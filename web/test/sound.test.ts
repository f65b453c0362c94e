import assert from "node:assert/strict";
import { test } from "node:test";
import { mono, otherKind, rateInHeader } from "../src/decode.js";
import { AudioError, ChannelError } from "../src/errors.js";
import { activePart } from "../src/levels.js";
import { milliseconds, roundHalfEven } from "../src/numbers.js";
import { percent, polarityOf, type Prediction, top, unanswered } from "../src/prediction.js";
import { takeTurns } from "../src/turns.js";
import { checkRecording, checkSamples } from "../src/waveform.js";

function wave(rate: number, before = ""): DataView {
  const bytes = new Uint8Array(100);
  const view = new DataView(bytes.buffer);
  const chunk = before ? 8 + before.length : 0;
  bytes.set(new TextEncoder().encode("RIFF....WAVE"));
  if (before) {
    bytes.set(new TextEncoder().encode("LIST"), 12);
    view.setUint32(16, before.length, true);
  }
  bytes.set(new TextEncoder().encode("fmt "), 12 + chunk);
  view.setUint32(24 + chunk, rate, true);
  return view;
}

test("what is no recording is known by its first bytes, and sound is not mistaken for it", () => {
  const begins = (...parts: (string | number)[]): string | null => {
    const bytes = parts.flatMap((part) => (typeof part === "number" ? [part] : [...new TextEncoder().encode(part)]));
    return otherKind(new DataView(Uint8Array.from(bytes).buffer));
  };
  assert.equal(begins(0xff, 0xd8, 0xff, 0xe0, 0), "a JPEG picture");
  assert.equal(begins(0x89, "PNG"), "a PNG picture");
  assert.equal(begins("%PDF-1.7"), "a PDF document");
  assert.equal(begins("PK", 3, 4, 20, 0), "a ZIP archive, or a document of Excel or Word");
  assert.equal(begins("MZ", 0x90, 0), "a Windows program");
  assert.equal(begins(0x1f, 0x8b, 8), "a gzip archive");
  assert.match(begins("version https://git-lfs.github.com/spec/v1\n") ?? "", /^a pointer of Git LFS/);
  assert.match(begins(...Array<number>(64).fill(0)) ?? "", /^a file that begins with zeros/);
  assert.match(begins("\n<!DOCTYPE html><html>") ?? "", /^a web page/);
  assert.equal(begins(0xff, 0xfe, "d", 0, "u", 0), "text"); // UTF-16
  assert.equal(begins("Dear Anna,\n"), "text");
  assert.equal(begins("a".repeat(63), "é"), "text"); // whose letter is cut in two
  for (const sound of [begins(0xff, 0xfb, 0x90, 0), begins("ID3", 4, 0), begins("OggS", 0, 2), otherKind(wave(16_000))]) assert.equal(sound, null);
});

test("the rate is read from WAV, also behind another chunk, and from FLAC", () => {
  assert.equal(rateInHeader(wave(22_050)), 22_050);
  assert.equal(rateInHeader(wave(44_100, "a title.")), 44_100);
  const flac = new DataView(new ArrayBuffer(42));
  Array.from("fLaC").forEach((letter, index) => { flac.setUint8(index, letter.charCodeAt(0)); });
  flac.setUint32(18, 16_000 << 12);
  assert.equal(rateInHeader(flac), 16_000);
});

test("other files, cut headers and rates that no browser decodes at have none", () => {
  assert.equal(rateInHeader(new DataView(new ArrayBuffer(0))), null);
  assert.equal(rateInHeader(new DataView(new TextEncoder().encode("OggS and so on").buffer)), null);
  assert.equal(rateInHeader(new DataView(wave(16_000).buffer, 0, 20)), null);
  assert.equal(rateInHeader(wave(4_000_000)), null);
});

test("one channel is heard by itself, and all as their mean", () => {
  const [left, right] = [Float32Array.of(0.5, -0.25, 0), Float32Array.of(0.25, 0.25, 1)];
  assert.deepEqual(mono([left, right], "call.wav"), Float32Array.of(0.375, 0, 0.5));
  assert.equal(mono([left, right], "call.wav", 2), right);
  assert.equal(mono([left], "call.wav"), left);
  assert.throws(() => mono([left], "call.wav", 2), /call\.wav: there is no channel 2, only one channel/);
});

test("channels that cancel each other are not taken for silence", () => {
  const left = Float32Array.of(0.5, -0.25, 0.1);
  const opposite = left.map((sample) => -sample);
  assert.throws(() => mono([left, opposite], "a.wav"), ChannelError);
  assert.equal(mono([left, opposite], "a.wav", 1), left);
  assert.deepEqual(mono([new Float32Array(2), new Float32Array(2)], "silence.wav"), new Float32Array(2));
});

/** Half seconds of a tone at these amplitudes, at 8 kHz. */
function halves(...amplitudes: number[]): Float32Array {
  return Float32Array.from({ length: 4_000 * amplitudes.length }, (_, index) => amplitudes[Math.floor(index / 4_000)] * Math.sin(index));
}

test("channels take turns where each is far louder than the other for half a second and a tenth of the time", () => {
  assert.ok(takeTurns([halves(0.2, 0.01), halves(0.01, 0.2)], 8_000));
  assert.ok(takeTurns([halves(0, 0.2, 0), halves(0, 0, 0.2), halves(0, 0, 0)], 8_000));
  assert.ok(!takeTurns([halves(0.2, 0.08), halves(0.08, 0.2)], 8_000)); // 8 dB
  assert.ok(!takeTurns([halves(0.2, 0.2), halves(0, 0)], 8_000));
  assert.ok(!takeTurns([halves(0.2, 0), halves(0.02, 0.02)], 8_000)); // hum
  assert.ok(!takeTurns([halves(0.2, 0).subarray(0, 7_200), halves(0, 0.2).subarray(0, 7_200)], 8_000)); // 0.4 s
  assert.ok(!takeTurns([halves(...Array<number>(10).fill(0.2), 0), halves(...Array<number>(10).fill(0), 0.2)], 8_000)); // an eleventh
  assert.ok(!takeTurns([halves(0.002, 0), halves(0, 0.002)], 8_000)); // too quiet to be heard
  assert.ok(!takeTurns([halves(0.2, 0)], 8_000));
});

test("what is no sound is refused", () => {
  for (const wrong of [[0, 1], new Int16Array(3), Float32Array.of(NaN), Float32Array.of(Infinity), Float32Array.of(1e30)]) {
    assert.throws(() => { checkSamples(wrong); }, AudioError);
  }
  assert.throws(() => { checkRecording(new Float32Array(0), 16_000); }, /no samples/);
  assert.throws(() => { checkRecording(new Float32Array(5), 1); }, /sample rate is 1 Hz/);
  const decoded = { waveform: new Float32Array(5), sampleRateHz: 16_000 };
  assert.throws(() => { checkRecording(decoded, undefined as unknown as number); }, /as a Float32Array.*got an Object/);
});

test("halves go to the even neighbour", () => {
  assert.deepEqual([0.5, 1.5, 2.5, 2.4, 2.6, -1.5].map(roundHalfEven), [0, 2, 2, 2, 3, -2]);
});

const SURE: Prediction = { ...unanswered("x", "ok", "m"), emotion: "sad", confidence: 0.6, probabilities: { happy: 0.4, sad: 0.6 } };

test("times are rounded to the millisecond as Python rounds them", () => {
  const expected = [0.004, 0.001, 0.002, 0.003, 0.062, 0.188, 4.999, 7]; // of Python's round(seconds, 3)
  assert.deepEqual([0.0045, 0.0005, 0.0015, 0.0025, 0.0625, 0.1875, 4.999375, 7.0005].map(milliseconds), expected);
});

test("a probability is shown in per cent, never above 95, and as 0 only where it is 0", () => {
  const told = ["0%", "< 1%", "< 1%", "1%", "12%", "74%", "95%", "> 95%", "> 95%"];
  assert.deepEqual([0, 1e-9, 0.005, 0.0051, 0.125, 0.735, 0.95, 0.951, 1].map(percent), told);
  assert.equal(percent(null), "–"); // not 0%: there is no answer
});

test("the active part is what is loud, in whole frames of 25 ms", () => {
  const sound = Float32Array.from({ length: 10_000 }, (_, index) => (index >= 3_000 && index < 5_000 ? (index % 2) - 0.5 : 0));
  assert.deepEqual(activePart(sound, 16_000), { start: 2_800, end: 5_200 });
  assert.deepEqual(activePart(sound.subarray(0, 4_100), 16_000), { start: 2_800, end: 4_000 });
  assert.equal(activePart(new Float32Array(10_000), 16_000), null);
  assert.equal(activePart(new Float32Array(0), 16_000), null);
});

test("polarity weighs pleasant against unpleasant; the top is sorted", () => {
  assert.ok(Math.abs(polarityOf({ happy: 0.3, surprised: 0.1, sad: 0.2, calm: 0.4 }) - 0.2) < 1e-12);
  assert.equal(polarityOf({ excited: 0.5, negative: 0.25, boredom: 0.25 }), 0.25);
  assert.deepEqual(top(SURE, 1), [["sad", 0.6]]);
});
