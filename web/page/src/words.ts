/** Numbers as people read them. */

import { inPercent } from "../../src/numbers.js";
import { HIGHEST_SHOWN } from "../../src/prediction.js";

export { counted } from "../../src/errors.js";

const LABEL_PX = 64; // of a time on an axis, with the room beside it
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];
const NO_BREAK = "\u00a0"; // a sign alone in the next line looks lost

/** A share in words; files have the number. */
export function percent(share: number, decimals = 0): string {
  return `${inPercent(share, decimals).replace(" ", NO_BREAK)}${NO_BREAK}%`;
}

/** A mean share and its standard deviation, where there is one: "84.2 ± 2.4 %". */
export function spread(mean: number, deviation: number | null): string {
  return deviation === null ? percent(mean, 1) : `${inPercent(mean, 1)} ± ${percent(deviation, 1)}`;
}

/** A probability or confidence in words; files have the number. */
export function confidence(share: number, decimals = 0): string {
  return share > HIGHEST_SHOWN ? `>${NO_BREAK}${percent(HIGHEST_SHOWN)}` : percent(share, decimals);
}

/** 75.3 → "1:15.3"; below a minute "15.3 s". */
export function clock(seconds: number, decimals = 1): string {
  const scale = 10 ** decimals;
  const all = Math.round(seconds * scale) / scale;
  if (all < 60) return `${all.toFixed(decimals)}${NO_BREAK}s`;
  const rest = (all % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return `${Math.floor(all / 60)}:${rest}`;
}

/** Seconds between two times on an axis: few enough for its width, and minutes that people count in. */
export function timeStep(lengthS: number, widthPx: number): number {
  const most = Math.max(Math.floor(widthPx / LABEL_PX), 2);
  return STEPS_S.find((step) => lengthS / step <= most) ?? 3600 * Math.ceil(lengthS / most / 3600);
}

/** A time on an axis: seconds, or minutes and seconds; with tenths where there are some. */
export function tick(seconds: number): string {
  const tenths = Math.round(10 * seconds) / 10;
  return tenths < 60 ? `${tenths}${NO_BREAK}s` : clock(tenths, Number.isInteger(tenths) ? 0 : 1);
}

export function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
