import assert from "node:assert/strict";
import { test } from "node:test";
import { keptForOffline } from "../src/offline.js";

test("where the browser refuses service workers nothing is kept, which is no error", async () => {
  const getRegistration = (): Promise<never> => Promise.reject(new DOMException("The user denied permission to use Service Worker.", "SecurityError"));
  Object.defineProperty(globalThis, "navigator", { value: { serviceWorker: { controller: null, getRegistration } }, configurable: true });
  assert.equal(await keptForOffline(["models/small/model.onnx"]), false);
});

class Container extends EventTarget {
  controller: unknown = null;
}

/** What a service worker gets, and whether it answers. */
function worker(asked: unknown[], answers: boolean): object {
  return {
    postMessage: (message: unknown, [port]: MessagePort[]): void => {
      asked.push(message);
      if (answers) port.postMessage({ missing: 0 });
    },
  };
}

test("a version that takes over before the old one has answered is asked in its place", async () => {
  const [container, old, newer] = [new Container(), [] as unknown[], [] as unknown[]];
  Object.defineProperty(globalThis, "navigator", { value: { serviceWorker: container }, configurable: true });
  Object.assign(globalThis, { location: { href: "https://host/site/" } });
  container.controller = worker(old, false);
  const kept = keptForOffline(["models/a/model.onnx"]);
  await new Promise((resolve) => setImmediate(resolve));
  container.controller = worker(newer, true);
  container.dispatchEvent(new Event("controllerchange"));
  assert.equal(await kept, true);
  assert.deepEqual([old, newer], [newer, [{ keep: ["https://host/site/models/a/model.onnx"] }]]);
});
