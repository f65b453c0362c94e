/** The page's start: who answers, which view is seen. */

import { App, LEARNT, type Site } from "./app.js";
import { byId, fillSelect, h, onClick, say } from "./dom.js";
import type { Place } from "./engine.js";
import { workOffline } from "./offline.js";
import { showCard } from "./parts/card.js";
import { ProblemBox } from "./parts/problem-box.js";
import { problemOf } from "./problems.js";
import { remember, remembered } from "./remembered.js";
import { hasToken, takeToken } from "./server.js";
import { followSettings } from "./settings.js";
import { followTheme } from "./theme.js";
import { compareView } from "./views/compare.js";
import { debugView } from "./views/debug.js";
import { filesView } from "./views/files.js";
import { learnView } from "./views/learn.js";
import { liveView } from "./views/live.js";
import { recordingsView } from "./views/recordings.js";
import { megabytes } from "./words.js";

const VIEWS = ["live", "files", "compare", "recordings", "learn", "debug"];
const place = byId<HTMLSelectElement>("place");
const model = byId<HTMLSelectElement>("model");
const problem = new ProblemBox(byId("engine-problem"));

async function start(): Promise<void> {
  const controlled = workOffline();
  followTheme();
  refuseDrops();
  takeToken();
  followAddress();
  const site = (await (await fetch("site.json")).json()) as Site;
  const app = new App({ ...site, server: site.server && (!site.keys || hasToken()) });
  app.addEventListener("engine", () => {
    showEngine(app);
  });
  app.addEventListener("progress", () => {
    byId("engine-loaded").textContent = megabytes(app.loadedBytes); // beside what is read out
  });
  addEventListener("online", () => {
    if (app.failure) tryAgain(app);
  });
  followSettings(app);
  for (const view of [liveView, filesView, compareView, recordingsView, learnView, debugView]) view(app);
  byId("place-field").hidden = !app.site.server;
  place.value = app.site.server && (remembered("place") ?? (isSecureContext ? "" : "server")) === "server" ? "server" : "browser";
  place.addEventListener("change", () => {
    remember("place", place.value);
    app.leave();
    void chosen(app);
  });
  model.addEventListener("change", () => {
    const { value } = model;
    void app.use({ place: place.value as Place, model: value }).then(() => {
      if (app.engine && value === model.value) remember("model", value); // the next visit begins with one that can be had
    });
  });
  app.addEventListener("models", () => {
    place.value = "browser"; // where it was learnt, or opened
    remember("place", place.value);
    app.leave();
    void chosen(app, LEARNT);
  });
  onClick("about-model", () => {
    if (app.engine) showCard(app.engine);
  });
  app.addEventListener("kept", () => {
    byId("offline").textContent = "Loaded: the page now also works without a network.";
  });
  showEngine(app);
  await controlled; // so that the model is fetched once, and kept
  await chosen(app);
}

/** Offer the place's models, and use one. */
async function chosen(app: App, wanted = remembered("model")): Promise<void> {
  const where = place.value as Place;
  try {
    const names = await app.models(where);
    if (where !== place.value) return; // another one was chosen while the server was asked
    const told = (name: string): string => (name === LEARNT && app.learnt ? `${app.learnt.name} (learnt here)` : name);
    fillSelect(model, names.map((name) => [name, told(name)]), wanted ?? names[0]);
    await app.use({ place: where, model: model.value });
  } catch (error) {
    if (where !== place.value) return;
    app.fail(error);
  }
}

/** After a failure: the model that was chosen, or, where none could be, whichever there is. */
function tryAgain(app: App): void {
  app.leave();
  void chosen(app, model.value || null);
}

function showEngine(app: App): void {
  const { engine, failure } = app;
  const status = byId("engine-status");
  if (!engine) byId("offline").textContent = "";
  byId("about-model").toggleAttribute("disabled", !engine);
  document.documentElement.dataset["place"] = engine?.place ?? place.value;
  document.documentElement.dataset["engine"] = engine ? "ready" : failure ? "failed" : "loading";
  const stored = app.site.keeps ? "stores files and their answers" : "stores nothing";
  const promise = engine?.place === "browser" ? "No sound leaves this device." : `Sound goes to this page's server, which ${stored}.`;
  byId("engine-loaded").textContent = "";
  if (failure) {
    problem.show(failure, () => {
      byId("main").focus({ preventScroll: true }); // what was pressed goes
      tryAgain(app);
    });
    say(status, problemOf(failure).title);
  } else {
    problem.clear();
    say(status, engine ? promise : "Loading the model …");
    if (engine) status.prepend(h("span", { class: "unseen" }, "Ready. ")); // for others there is the dot
  }
}

/** A file that is dropped beside the places for files would be opened in place of the page, and all in it lost. */
function refuseDrops(): void {
  for (const kind of ["dragover", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (!(event.target instanceof HTMLInputElement)) event.preventDefault();
    });
  }
}

/** The view that is seen, and whether the microphone is on, whatever is seen. */
function tellTitle(): void {
  const { live, learn } = document.documentElement.dataset;
  const isOn = live === "listening" || learn === "recording";
  const view = VIEWS.find((name) => !byId(name).hidden) ?? VIEWS[0];
  document.title = `${isOn ? "● " : ""}${byId(`${view}-title`).textContent} – earnest`;
}

/** One view at a time, by the part of the address after "#/", which is no element's id: browsers would jump there. */
function followAddress(): void {
  const go = (isFirst: boolean): void => {
    const name = location.hash.slice(2);
    const view = VIEWS.includes(name) ? name : VIEWS[0];
    for (const other of VIEWS) byId(other).hidden = other !== view;
    for (const link of document.querySelectorAll<HTMLAnchorElement>("nav a")) {
      if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const title = byId(`${view}-title`);
    tellTitle();
    if (!isFirst) {
      title.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    document.dispatchEvent(new CustomEvent("view", { detail: view }));
  };
  document.addEventListener("listening", tellTitle);
  addEventListener("hashchange", () => {
    if (takeToken()) location.reload();
    else go(false);
  });
  go(true);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
}

start().catch((error: unknown) => {
  problem.show(error);
});
