import assert from "node:assert/strict";
import { test } from "node:test";
import type { About } from "../src/engine.js";
import { ServerEngine } from "../src/server-engine.js";

test("an error of the server calls a recording by its name here, which is not sent", async (context) => {
  const file = new Blob(["no sound"]);
  const source = { name: "talk.wav", file, channel: 2, sound: null, plays: false };
  const engine = new ServerEngine({ name: "small" } as About);
  const refused = (detail: string) => () => Promise.resolve(new Response(JSON.stringify({ detail }), { status: 422 }));
  for (const [detail, told] of [
    ["the recording, channel 2: damaged.", "talk.wav, channel 2: damaged."],
    ["There is no model 'small' here.", "There is no model 'small' here."],
  ]) {
    const asked = context.mock.method(globalThis, "fetch", refused(detail));
    await assert.rejects(engine.predict(source), { message: told });
    assert.equal(JSON.stringify(asked.mock.calls).includes("talk.wav"), false);
    asked.mock.restore();
  }
});
