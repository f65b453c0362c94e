/** The settings that most visits don't need: gender, which classes answer, adaptation to a speaker. */

import type { App } from "./app.js";
import { chooseGender, showsGender } from "./chosen.js";
import { checkedProfile, OLD_PROFILE, type Profile } from "../../src/index.js";
import { byId, download, h } from "./dom.js";
import { askedInWords, type Engine, NEUTRAL, type Source } from "./engine.js";
import { problemOf } from "./problems.js";
import { sourceOf } from "./source.js";

const LEAST_CLASSES = 2; // among fewer there is nothing to tell apart

export function followSettings(app: App): void {
  const gender = byId<HTMLInputElement>("ask-gender");
  gender.checked = showsGender();
  gender.addEventListener("change", () => {
    chooseGender(gender.checked);
  });
  app.addEventListener("engine", () => {
    offerClasses(app);
    offerAdaptation(app);
  });
  followProfiles(app);
}

/** All of the model's classes, until some are taken away; another model begins with all of its own. */
function offerClasses({ engine }: App): void {
  const boxes = (engine?.about.classes ?? []).map((value) => h("input", { type: "checkbox", value, checked: true, autocomplete: "off" }));
  const mostlyNeutral = byId<HTMLInputElement>("mostly-neutral");
  const choose = (): void => {
    const chosen = boxes.filter((box) => box.checked);
    for (const box of chosen) box.disabled = chosen.length <= LEAST_CLASSES;
    const isAll = chosen.length === boxes.length;
    const hasNeutral = chosen.some(({ value }) => value === NEUTRAL);
    byId("mostly-neutral-field").hidden = !hasNeutral;
    if (engine) {
      engine.classes = isAll ? null : chosen.map(({ value }) => value);
      engine.isMostlyNeutral = hasNeutral && mostlyNeutral.checked;
    }
    const asked = engine && askedInWords(engine);
    byId("settings-title").textContent = asked ? `Settings (${asked})` : "Settings";
  };
  byId("classes").replaceChildren(
    h("legend", {}, "Answer among"),
    ...boxes.map((box) => h("label", { class: "choice" }, box, box.value)),
  );
  byId("classes").onchange = mostlyNeutral.onchange = choose; // in place of another model's
  mostlyNeutral.checked = false;
  choose();
}

const choices = (): HTMLInputElement[] => [...document.querySelectorAll<HTMLInputElement>("#adaptation input[name=adapt]")];
let profile: Profile | null = null; // that was opened or made for the model in use

/** A model begins without adaptation, and forgets the profile of another. */
function offerAdaptation({ engine }: App): void {
  const canAdapt = engine?.canAdapt ?? false;
  for (const name of ["adaptation", "adaptation-words"]) byId(name).hidden = !canAdapt;
  byId("profile-make-field").hidden = !engine?.profile;
  byId("profile-status").textContent = "";
  profile = null;
  choose("off", engine);
}

function choose(value: string, engine: App["engine"]): void {
  for (const choice of choices()) {
    choice.checked = choice.value === value;
    if (choice.value === "profile") choice.disabled = !profile;
  }
  if (engine) engine.adapt = value === "auto" ? "auto" : ((value === "profile" ? profile : null) ?? "off");
}

function followProfiles(app: App): void {
  for (const choice of choices()) {
    choice.addEventListener("change", () => {
      choose(choice.value, app.engine);
    });
  }
  take("profile-open", app, async ([file], { about }) => ({ profile: checkedProfile(parsed(await file.text()), about), unread: [] }));
  take("profile-make", app, async (files, engine) => {
    if (!engine.profile) throw new Error("Only this browser can make a profile. Choose it above.");
    const { sources, unread } = await readable(files);
    const made = await engine.profile(sources);
    download(JSON.stringify(made), "speaker.json", "application/json");
    return { profile: made, unread };
  });
}

/** The recordings that this browser can read, one after the other, and the names of the rest. */
async function readable(files: readonly File[]): Promise<{ sources: Source[]; unread: string[] }> {
  const [sources, unread]: [Source[], string[]] = [[], []];
  for (const file of files) {
    const source = await sourceOf(file, file.name).catch(() => null);
    if (source?.sound) sources.push(source);
    else unread.push(file.name);
  }
  return { sources, unread };
}

/** Let a file input give the profile that is used from then on. */
function take(name: string, app: App, read: (files: File[], engine: Engine) => Promise<{ profile: Profile; unread: string[] }>): void {
  const [input, status] = [byId<HTMLInputElement>(name), byId("profile-status")];
  input.addEventListener("change", () => {
    const files = [...(input.files ?? [])];
    if (!files.length) return;
    status.textContent = "Wait …";
    const { engine } = app;
    const done = Promise.resolve().then(() => read(files, engine ?? app.ready()));
    done.then(
      (found) => {
        if (engine !== app.engine) return; // another model answers by now
        profile = found.profile;
        choose("profile", engine);
        const leftOut = found.unread.length ? ` This browser can't read and left out: ${found.unread.join(", ")}.` : "";
        status.textContent = `A profile of ${Math.round(profile.speech_s)} s of speech.${leftOut}${profile.model_digest ? "" : ` ${OLD_PROFILE}`}`;
      },
      (error: unknown) => {
        const { title, advice } = problemOf(error);
        status.textContent = `${title}. ${advice}`;
      },
    );
    input.value = "";
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
