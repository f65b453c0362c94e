import assert from "node:assert/strict";
import { test } from "node:test";
import { keptForOffline } from "../src/offline.js";

test("where the browser refuses service workers nothing is kept, which is no error", async () => {
  const getRegistration = (): Promise<never> => Promise.reject(new DOMException("The user denied permission to use Service Worker.", "SecurityError"));
  Object.defineProperty(globalThis, "navigator", { value: { serviceWorker: { controller: null, getRegistration } }, configurable: true });
  assert.equal(await keptForOffline(["models/small/model.onnx"]), false);
});
