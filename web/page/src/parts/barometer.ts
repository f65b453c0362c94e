/** Unpleasant to pleasant as a needle on a scale from -1 to 1. */

import { signed } from "../words.js";

export function showBarometer(place: HTMLElement, value: number | null): void {
  const needle = place.querySelector<HTMLElement>(".needle")!;
  needle.hidden = value === null;
  needle.style.left = `${50 + 50 * (value ?? 0)}%`;
  place.querySelector(".reading")!.textContent = value === null ? "–" : signed(value);
  const scale = place.querySelector(".scale")!;
  scale.setAttribute("aria-valuenow", (value ?? 0).toFixed(2));
  scale.setAttribute("aria-valuetext", value === null ? "nothing yet" : `${signed(value)}, ${leaning(value)}`);
}

function leaning(value: number): string {
  if (Math.abs(value) < 0.2) return "neither pleasant nor unpleasant";
  return value > 0 ? "pleasant" : "unpleasant";
}
