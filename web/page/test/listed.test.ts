import assert from "node:assert/strict";
import { test } from "node:test";
import { type Status, type Timeline, unanswered } from "../../src/index.js";
import { App, type Clip } from "../src/app.js";
import { Job } from "../src/job.js";
import { counts, inOrder, isSought, type Order } from "../src/listed.js";

const app = new App({ version: "", server: false, keys: false, keeps: false, limits: null, models: [], clips: [] });

function job(name: string, state: Job["state"] = { is: "waiting" }): Job {
  return Object.assign(new Job(app, new File([], name)), { state });
}

function failed(name: string, isOfTheEngine: boolean): Job {
  return job(name, { is: "failed", problem: { title: "", advice: "" }, offer: null, isOfTheEngine });
}

function answered(name: string, status: Status, emotion: string | null, confidence: number | null): Job {
  const timeline = { ...unanswered(name, status, "small"), emotion, confidence } as Timeline;
  return job(name, { is: "done", clip: { timeline } as Clip });
}

const JOBS = [
  job("b", { is: "working", share: 0.5 }),
  answered("call 10", "ok", "sad", 0.6),
  answered("call 2", "unsure", null, 0.3),
  failed("broken", false),
  answered("Call 1", "ok", "angry", 0.9),
  answered("quiet", "no-speech", null, null),
  job("stopped", { is: "cancelled", told: "cancelled" }),
  failed("unheard", true),
  job("a"),
  answered("call 3", "ok", "angry", 0.5),
];
const names = (order: Order): string[] => inOrder(JOBS, order).map(({ name }) => name);

test("recordings are sorted by name, answer or confidence; without one they come later, and what waits comes last as it was added", () => {
  assert.deepEqual(names("added"), JOBS.map(({ name }) => name));
  assert.deepEqual(names("name"), ["broken", "Call 1", "call 2", "call 3", "call 10", "quiet", "stopped", "unheard", "b", "a"]);
  assert.deepEqual(names("emotion"), ["Call 1", "call 3", "call 10", "quiet", "call 2", "broken", "stopped", "unheard", "b", "a"]);
  assert.deepEqual(names("most-sure"), ["Call 1", "call 10", "call 3", "call 2", "broken", "quiet", "stopped", "unheard", "b", "a"]);
  assert.deepEqual(names("least-sure"), ["call 2", "call 3", "call 10", "Call 1", "broken", "quiet", "stopped", "unheard", "b", "a"]);
});

test("each answer is counted, emotions first, and what has none", () => {
  const expected = [["Angry", 2], ["Sad", 1], ["No speech", 1], ["Unsure", 1], ["Can't be used", 1], ["Not answered", 2]];
  assert.deepEqual([...counts(JOBS)], expected);
});

test("one answer is shown alone, with what may still get it", () => {
  const shown = (label: string, text = ""): string[] => JOBS.filter((one) => isSought(one, text, label)).map(({ name }) => name);
  assert.deepEqual(shown("Angry"), ["b", "Call 1", "a", "call 3"]);
  assert.deepEqual(shown("Can't be used"), ["b", "broken", "a"]);
  assert.deepEqual(shown("Angry", "CALL"), ["Call 1", "call 3"]);
  assert.deepEqual(shown(""), names("added"));
});

test("a part of a name is found in any case, also where a letter is written as two characters", () => {
  assert.ok(isSought(job("Mu\u0308ller.wav"), "MÜLL", ""));
  assert.ok(!isSought(job("Muller.wav"), "mül", ""));
});
