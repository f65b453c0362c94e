/** The waveform as pictures draw it, near and from afar: least and greatest sample of short, equal stretches. */

const FINEST_S = 5e-4;
const MOST_STRETCHES = 1 << 19; // a megabyte a recording: of half an hour, 3.4 ms each
const FULL = 127;

/** Of each stretch, as shares of the recording's largest absolute sample: -127 to 127. */
export interface Peaks {
  least: Int8Array;
  greatest: Int8Array;
}

/** A column of a picture: seconds at its middle, least and greatest sample as shares of the largest, -1 to 1. */
export type Column = [number, number, number];

export function peaksOf(waveform: Float32Array, sampleRateHz: number): Peaks {
  const nStretches = Math.min(Math.ceil(waveform.length / sampleRateHz / FINEST_S), MOST_STRETCHES, waveform.length);
  const [least, greatest] = [new Float32Array(nStretches), new Float32Array(nStretches)];
  let loudest = 1e-3; // silence stays a line
  for (let stretch = 0; stretch < nStretches; stretch++) {
    const end = Math.floor(((stretch + 1) * waveform.length) / nStretches);
    let [low, high] = [Infinity, -Infinity];
    for (let index = Math.floor((stretch * waveform.length) / nStretches); index < end; index++) {
      if (waveform[index] < low) low = waveform[index];
      if (waveform[index] > high) high = waveform[index];
    }
    least[stretch] = low;
    greatest[stretch] = high;
    loudest = Math.max(loudest, -low, high);
  }
  const scaled = (values: Float32Array): Int8Array => Int8Array.from(values, (value) => Math.round((FULL * value) / loudest));
  return { least: scaled(least), greatest: scaled(greatest) };
}

/** What is seen between two moments, in `most` columns or fewer; their edges stay where they are when the view moves. */
export function columnsWithin({ least, greatest }: Peaks, durationS: number, startS: number, endS: number, most: number): Column[] {
  const perSecond = least.length / durationS;
  const [first, last] = [Math.max(Math.floor(startS * perSecond), 0), Math.min(Math.ceil(endS * perSecond), least.length)];
  const width = Math.max(Math.ceil((last - first) / most), 1);
  const columns: Column[] = [];
  for (let from = Math.floor(first / width) * width; from < last; from += width) {
    const to = Math.min(from + width, least.length);
    let [low, high] = [FULL, -FULL];
    for (let stretch = from; stretch < to; stretch++) {
      low = Math.min(low, least[stretch]);
      high = Math.max(high, greatest[stretch]);
    }
    columns.push([(from + to) / 2 / perSecond, low / FULL, high / FULL]);
  }
  return columns;
}
