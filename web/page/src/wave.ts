/** Samples as a file that browsers play: WAV, 16 bits, one channel. Typed arrays have WAV's order of bytes wherever browsers run. */

export function wave(waveform: Float32Array, sampleRateHz: number): Blob {
  const values = Int16Array.from(waveform, (sample) => Math.round(32_767 * Math.min(Math.max(sample, -1), 1)));
  const format = [Uint32Array.of(16), Uint16Array.of(1, 1), Uint32Array.of(sampleRateHz, 2 * sampleRateHz), Uint16Array.of(2, 16)];
  const sizes = [36 + values.byteLength, values.byteLength].map((nBytes) => Uint32Array.of(nBytes));
  return new Blob(["RIFF", sizes[0], "WAVEfmt ", ...format, "data", sizes[1], values], { type: "audio/wav" });
}
