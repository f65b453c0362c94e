import assert from "node:assert/strict";
import { test } from "node:test";
import { PASS_BAND, resampled, Resampler, STOP_BAND_DB } from "../src/resample.js";
import { AudioError } from "../src/errors.js";

const tone = (hz: number, rate: number, seconds: number): Float32Array =>
  Float32Array.from({ length: rate * seconds }, (_, index) => Math.sin((2 * Math.PI * hz * index) / rate));

const RATES: [number, number][] = [
  [48_000, 16_000],
  [44_100, 16_000],
  [22_050, 16_000],
  [8_000, 16_000],
  [44_101, 16_000],
  [16_000, 22_050],
];

for (const [from, to] of RATES) {
  test(`a tone in the pass band keeps every sample's value, ${from} → ${to} Hz`, () => {
    const hz = 0.99 * PASS_BAND * (Math.min(from, to) / 2);
    const found = resampled(tone(hz, from, 1), from, to);
    assert.equal(found.length, to);
    for (let index = 1_000; index < to - 1_000; index++) {
      const expected = Math.sin((2 * Math.PI * hz * index) / to);
      assert.ok(Math.abs(found[index] - expected) < 2e-6, `sample ${index}: ${found[index]} for ${expected}`);
    }
  });

  test(`what lies above the lower Nyquist frequency is ${STOP_BAND_DB} dB down, ${from} → ${to} Hz`, () => {
    if (from < to) return; // nothing lies above
    const found = resampled(tone(1.001 * (to / 2), from, 1), from, to);
    const middle = found.subarray(1_000, to - 1_000);
    const peak = middle.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    assert.ok(20 * Math.log10(peak) < 3 - STOP_BAND_DB, `${20 * Math.log10(peak)} dB`);
  });
}

test("where the pieces end changes nothing", () => {
  const sound = tone(440, 44_100, 0.3);
  const whole = resampled(sound, 44_100, 16_000);
  for (const piece of [1, 7, 441, 5_000]) {
    const resampler = new Resampler(44_100, 16_000);
    const parts: number[] = [];
    for (let start = 0; start < sound.length; start += piece) {
      parts.push(...resampler.accept(sound.slice(start, start + piece)));
    }
    parts.push(...resampler.finish());
    assert.deepEqual(parts, [...whole]);
  }
});

test("equal rates give the same samples back, nothing gives nothing", () => {
  const sound = tone(440, 16_000, 0.01);
  assert.equal(resampled(sound, 16_000, 16_000), sound);
  assert.equal(resampled(new Float32Array(0), 48_000, 16_000).length, 0);
});

test("an impossible rate is refused", () => {
  for (const rate of [0, NaN, -1, 2e6]) assert.throws(() => new Resampler(rate, 16_000), AudioError);
});
