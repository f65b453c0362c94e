/** The settings that most visits don't need: gender, and which classes answer. */

import type { App } from "./app.js";
import { chooseGender, showsGender } from "./chosen.js";
import { byId, h } from "./dom.js";

const LEAST_CLASSES = 2; // among fewer there is nothing to tell apart

export function followSettings(app: App): void {
  const gender = byId<HTMLInputElement>("ask-gender");
  gender.checked = showsGender();
  gender.addEventListener("change", () => {
    chooseGender(gender.checked);
  });
  app.addEventListener("engine", () => {
    offerClasses(app);
  });
}

/** All of the model's classes, until some are taken away; another model begins with all of its own. */
function offerClasses({ engine }: App): void {
  const boxes = (engine?.about.classes ?? []).map((value) => h("input", { type: "checkbox", value, checked: true, autocomplete: "off" }));
  const choose = (): void => {
    const chosen = boxes.filter((box) => box.checked);
    for (const box of chosen) box.disabled = chosen.length <= LEAST_CLASSES;
    const isAll = chosen.length === boxes.length;
    if (engine) engine.classes = isAll ? null : chosen.map(({ value }) => value);
    byId("settings-title").textContent = isAll ? "Settings" : `Settings (${chosen.length} of ${boxes.length} classes)`;
  };
  byId("classes").replaceChildren(
    h("legend", {}, "Answer among"),
    ...boxes.map((box) => h("label", { class: "choice" }, box, box.value)),
  );
  byId("classes").onchange = choose; // in place of another model's
  choose();
}
