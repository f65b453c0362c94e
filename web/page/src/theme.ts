/** Dark, light, or as the system has it. */

import { byId } from "./dom.js";
import { remembered, remember } from "./remembered.js";

const NEXT = { system: "dark", dark: "light", light: "system" } as const;
const TEXT = { system: "Colours: system", dark: "Colours: dark", light: "Colours: light" };
type Theme = keyof typeof NEXT;

export function followTheme(): void {
  const button = byId("theme");
  const stored = remembered("theme");
  let theme: Theme = stored === "dark" || stored === "light" ? stored : "system";
  const apply = (): void => {
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    button.textContent = TEXT[theme];
    document.dispatchEvent(new Event("colours"));
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    remember("theme", theme);
    apply();
  });
  for (const query of ["(prefers-color-scheme: dark)", "print"]) matchMedia(query).addEventListener("change", apply);
  apply();
}
