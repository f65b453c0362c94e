/** Raw numbers: sample clips, this browser against the server, versions. */

import type { Prediction } from "../../../src/index.js";
import type { App } from "../app.js";
import { BrowserEngine } from "../browser-engine.js";
import { byId, enable, h, onClick, table } from "../dom.js";
import { ProblemBox } from "../parts/problem-box.js";
import { sample } from "../samples.js";
import { ServerEngine, serverModels } from "../server-engine.js";
import { counted } from "../words.js";

declare const RUNTIME_VERSION: string; // by build.mjs

interface Answer {
  prediction: Prediction;
  ms: number;
}

export function debugView(app: App): void {
  new DebugView(app);
}

class DebugView {
  private readonly problem = new ProblemBox(byId("debug-problem"));
  private readonly results = new Map<string, HTMLElement>();

  constructor(private readonly app: App) {
    byId("debug-clips").append(...app.site.clips.map((name) => this.clip(name)));
    byId("debug-parity").hidden = !app.site.server;
    onClick("debug-parity", () => this.parity());
    app.addEventListener("engine", () => {
      this.versions();
    });
    this.versions();
  }

  private clip(name: string): HTMLElement {
    const result = h("div", { class: "scrolling", tabindex: 0, role: "region", "aria-label": `Numbers of ${name}` });
    this.results.set(name, result);
    const audio = h("audio", { controls: true, preload: "none", src: `clips/${name}`, "aria-label": `Play ${name}` });
    const ask = h("button", { type: "button", "aria-label": `Ask about ${name}`, click: () => void this.guarded(() => this.ask(name)) }, "Ask");
    return h("li", { class: "card small-card" }, h("h3", {}, name), h("div", { class: "row" }, audio, ask), result);
  }

  private async guarded(work: () => Promise<void>): Promise<void> {
    this.problem.clear();
    try {
      await work();
    } catch (error) {
      this.problem.show(error);
    }
  }

  private async ask(name: string): Promise<void> {
    const engine = this.app.ready();
    const source = await sample(name);
    const { prediction, ms } = await timed(() => engine.predict(source));
    const rows = Object.entries(prediction.probabilities).map(([emotion, share]) => [emotion, share.toFixed(6)]);
    const where = engine.place === "browser" ? "in this browser" : "on the server";
    this.results.get(name)?.replaceChildren(table(`${engine.about.name} ${where}, ${ms.toFixed(0)} ms`, ["class", "probability"], rows));
  }

  /** The same clips and the same model here and there: the chosen one, where both have it. */
  private async parity(): Promise<void> {
    await this.guarded(async () => {
      const button = byId("debug-parity");
      enable(button, false);
      try {
        const common = (await serverModels()).filter(({ name }) => this.app.site.models.includes(name));
        const shared = common.find(({ name }) => name === this.app.engine?.about.name) ?? common.at(0);
        if (!shared) throw new Error("The server and this page have no model of the same name.");
        const here = await BrowserEngine.open(shared.name, () => undefined);
        const there = new ServerEngine(shared);
        let largest = 0;
        try {
          for (const name of this.app.site.clips) {
            const source = await sample(name);
            const [mine, its] = [await timed(() => here.predict(source)), await timed(() => there.predict(source))];
            largest = Math.max(largest, this.compare(name, mine, its));
          }
        } finally {
          here.close();
        }
        const told = `Model “${shared.name}”, ${counted(this.app.site.clips.length, "recording")}: the largest difference is ${largest.toExponential(1)}.`;
        byId("debug-result").textContent = told;
      } finally {
        enable(button, true);
      }
    });
  }

  private compare(name: string, mine: Answer, its: Answer): number {
    const differences = Object.entries(mine.prediction.probabilities).map(([emotion, share]) => {
      const other = its.prediction.probabilities[emotion] ?? NaN;
      return { emotion, share, other, difference: Math.abs(share - other) };
    });
    const rows = differences.map(({ emotion, share, other, difference }) => [emotion, share.toFixed(6), other.toFixed(6), difference.toExponential(1)]);
    const caption = `Browser ${mine.ms.toFixed(0)} ms, server ${its.ms.toFixed(0)} ms`;
    this.results.get(name)?.replaceChildren(table(caption, ["class", "browser", "server", "difference"], rows));
    return Math.max(...differences.map(({ difference }) => difference));
  }

  private versions(): void {
    const { engine, site } = this.app;
    const rows: [string, string][] = [
      ["page", site.version],
      ["onnxruntime-web", `${RUNTIME_VERSION}, WebAssembly with SIMD, one thread`],
      ["model", engine ? `${engine.about.name} ${engine.about.version}, ${engine.place}` : "none"],
      ["classes", engine?.about.classes.join(", ") ?? "none"],
      ["voice activity detection", "Silero's network"],
      ["secure context", String(isSecureContext)],
      ["cores", String(navigator.hardwareConcurrency)],
      ["browser", navigator.userAgent],
    ];
    byId("debug-versions").replaceChildren(table("Versions", ["what", "is"], rows));
  }
}

async function timed(work: () => Promise<Prediction>): Promise<Answer> {
  const start = performance.now();
  const prediction = await work();
  return { prediction, ms: performance.now() - start };
}
