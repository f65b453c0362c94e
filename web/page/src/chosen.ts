/** A person's settings; everything that is shown, saved or kept passes here. */

import type { Prediction } from "../../src/index.js";
import { remember, remembered } from "./remembered.js";
import { confidence } from "./words.js";

let isGenderChosen = remembered("gender") === "asked";

export function chooseGender(isChosen: boolean): void {
  isGenderChosen = isChosen;
  remember("gender", isChosen ? "asked" : "");
  document.dispatchEvent(new Event("chosen"));
}

export function showsGender(): boolean {
  return isGenderChosen;
}

/** Without the gender, unless it was chosen. */
export function asChosen<Told extends Prediction>(told: Told): Told {
  return isGenderChosen ? told : { ...told, gender: null };
}

/** "female, 80 %", the likelier one; null where the model doesn't tell it, or nobody asked. */
export function genderOf(told: Prediction): string | null {
  const { gender } = asChosen(told);
  if (!gender) return null;
  const { female, male } = gender;
  return female > male ? `female, ${confidence(female)}` : `male, ${confidence(male)}`;
}
