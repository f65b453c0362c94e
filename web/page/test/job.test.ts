import assert from "node:assert/strict";
import { test } from "node:test";
import { EarnestError, type Timeline, unanswered } from "../../src/index.js";
import { App } from "../src/app.js";
import type { About, Engine } from "../src/engine.js";
import { Job } from "../src/job.js";
import { ServerEngine } from "../src/server-engine.js";

const picture = (): File => new File(["pixels"], "talk.png", { type: "image/png" }); // Node decodes no sound

function timelineOf(path: string, model: string): Timeline {
  return { ...unanswered(path, "no-speech", model), activity: "", segments: [], spans: [], windows: [] };
}

/** An engine; `work` is what its answer waits for, `heard` gets what it was asked about. */
function engineOf(name: string, work: Promise<unknown> = Promise.resolve(), heard: unknown[] = [], place = "browser"): Engine {
  const engine = {
    place,
    about: { name, classes: [] as string[] } as About,
    isClosed: false,
    timeline: async (source: { name: string }) => {
      heard.push(source);
      await work;
      if (engine.isClosed) throw new EarnestError("This model was closed. Load it again.");
      return timelineOf(source.name, name);
    },
    close: () => (engine.isClosed = true),
  };
  return engine as unknown as Engine;
}

function become(app: App, engine: Engine | null): void {
  app.leave();
  app.engine = engine;
  app.dispatchEvent(new Event("engine"));
}

function answerer(job: Job): string {
  return job.state.is === "done" ? job.state.clip.timeline.model : job.state.is;
}

const newApp = (): App => new App({ version: "", server: true, keys: false, keeps: false, limits: null, models: [], clips: [] });

test("a recording that is chosen before the model is loaded waits for it", async () => {
  const app = newApp();
  const job = new Job(app, picture());
  const done = job.run();
  await new Promise(setImmediate);
  assert.equal(job.state.is, "waiting");
  become(app, engineOf("small"));
  await done;
  assert.equal(answerer(job), "small");
});

test("when another model is chosen before a recording is answered, that one answers it and those behind it", async () => {
  const app = newApp();
  let end: (value: unknown) => void = () => undefined;
  become(app, engineOf("small", new Promise((resolve) => (end = resolve))));
  const [job, next] = [new Job(app, picture()), new Job(app, picture())];
  const done = job.run().then(() => next.run());
  await new Promise(setImmediate);
  app.leave();
  end(null);
  await new Promise(setImmediate);
  assert.equal(job.state.is, "waiting");
  become(app, engineOf("base"));
  await done;
  assert.deepEqual([answerer(job), answerer(next)], ["base", "base"]);
});

test("another model hears what was decoded for the one before, and a server opens the file anew", async () => {
  const app = newApp();
  const heard: unknown[] = [];
  const ends: (() => void)[] = [];
  const held = (): Promise<void> => new Promise((resolve) => ends.push(resolve));
  const job = new Job(app, picture());
  become(app, engineOf("small", held(), heard));
  const done = job.run();
  for (const engine of [engineOf("base", held(), heard), engineOf("base", undefined, heard, "server")]) {
    await new Promise(setImmediate);
    become(app, engine);
    ends.shift()?.();
  }
  await done;
  assert.equal(heard.length, 3);
  assert.equal(heard[0], heard[1]);
  assert.notEqual(heard[1], heard[2]);
});

test("what is sent to the server is asked as the settings say: classes, and adaptation to the speaker", async (context) => {
  const app = newApp();
  become(app, Object.assign(engineOf("small"), { classes: ["happy", "sad"], adapt: "auto" as const }));
  const asked = context.mock.method(globalThis, "fetch", (url: string) =>
    Promise.resolve(Response.json(url.startsWith("v1/models") ? { models: [{ name: "small", classes: [], adapts: true }] } : unanswered("bytes", "no-speech", "small"))),
  );
  const job = new Job(app, picture());
  await job.runOnServer();
  assert.equal(job.state.is, "done");
  const { searchParams } = new URL(asked.mock.calls[1].arguments[0] as string, "http://localhost");
  assert.deepEqual([searchParams.get("classes"), searchParams.get("adapt")], ["happy,sad", "auto"]);
});

test("a recording that waits for a model can be cancelled, and one without a model says why", async () => {
  const app = newApp();
  const [cancelled, failed] = [new Job(app, picture()), new Job(app, picture())];
  const done = Promise.all([cancelled.run(), failed.run()]);
  cancelled.cancel();
  app.fail(new EarnestError("There is no such model."));
  await done;
  assert.deepEqual(cancelled.state, { is: "cancelled", told: "cancelled" });
  assert.equal(failed.state.is === "failed" && failed.state.problem.advice, "There is no such model.");
});

test("what was cancelled, or lost its server, waits again; what is wrong with the file stays", async (context) => {
  const app = newApp();
  let answer = (): Promise<Response> => Promise.reject(new TypeError("Failed to fetch"));
  context.mock.method(globalThis, "fetch", () => answer());
  const refused = new Response(JSON.stringify({ detail: "No sound." }), { status: 415 });
  become(app, new ServerEngine({ name: "small", classes: [] as string[] } as About));
  const [cancelled, lost, wrong] = [new Job(app, picture()), new Job(app, picture()), new Job(app, picture())];
  cancelled.cancel();
  await lost.run();
  answer = () => Promise.resolve(refused);
  await wrong.run();
  assert.deepEqual([cancelled, lost, wrong].map(({ canTryAgain }) => canTryAgain), [true, true, false]);
  answer = () => Promise.resolve(Response.json(unanswered("bytes", "no-speech", "small")));
  for (const job of [cancelled, lost]) {
    job.waitAgain();
    await job.run();
    assert.equal(answerer(job), "small");
  }
});
