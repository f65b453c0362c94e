/** What a person asked for in the settings; everything that is shown, saved or kept passes here. */

import type { Prediction } from "../../src/index.js";
import { remember, remembered } from "./remembered.js";
import { confidence } from "./words.js";

let isGenderAsked = remembered("gender") === "asked";

export function askForGender(isAsked: boolean): void {
  isGenderAsked = isAsked;
  remember("gender", isAsked ? "asked" : "");
  document.dispatchEvent(new Event("asked"));
}

export function asksForGender(): boolean {
  return isGenderAsked;
}

/** Without the gender, unless it was asked for. */
export function asAsked<Told extends Prediction>(told: Told): Told {
  return isGenderAsked ? told : { ...told, gender: null };
}

/** "female, 80 %", the likelier one; null where the model doesn't tell it, or nobody asked. */
export function genderOf(told: Prediction): string | null {
  const { gender } = asAsked(told);
  if (!gender) return null;
  const { female, male } = gender;
  return female > male ? `female, ${confidence(female)}` : `male, ${confidence(male)}`;
}
