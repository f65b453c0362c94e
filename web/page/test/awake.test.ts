import assert from "node:assert/strict";
import { test } from "node:test";
import { Awake } from "../src/awake.js";

/** A browser that gives locks to a page that is seen, and takes them when it is hidden. */
class Screen extends EventTarget {
  visibilityState = "visible";
  nLit = 0;
  readonly request = async (): Promise<object> => {
    if (this.visibilityState !== "visible") throw new DOMException("The page is not visible", "NotAllowedError");
    this.nLit++;
    return {
      release: async () => {
        this.nLit--;
      },
    };
  };

  async turn(visibilityState: string): Promise<void> {
    this.visibilityState = visibilityState;
    if (visibilityState === "hidden") this.nLit = 0;
    this.dispatchEvent(new Event("visibilitychange"));
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("the screen is kept on once, also when the page was hidden and its work went on there", async () => {
  const screen = new Screen();
  Object.assign(globalThis, { document: screen });
  Object.defineProperty(globalThis, "navigator", { value: { wakeLock: { request: screen.request } }, configurable: true });
  const awake = new Awake();
  awake.keep(true);
  awake.keep(true);
  await settled();
  assert.equal(screen.nLit, 1);
  await screen.turn("hidden");
  awake.keep(true); // the next file, which the browser refuses a lock for
  await screen.turn("visible");
  assert.equal(screen.nLit, 1);
  awake.keep(false);
  await settled();
  assert.equal(screen.nLit, 0);
  await screen.turn("hidden");
  await screen.turn("visible");
  assert.equal(screen.nLit, 0);
});
