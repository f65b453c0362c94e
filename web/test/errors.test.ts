/** How errors are told where nobody catches them, also by a minified script. */

import assert from "node:assert/strict";
import { test } from "node:test";
import * as errors from "../src/errors.js";

test("stacks and consoles show each kind of error by its name", () => {
  const { EarnestError, MicrophoneError, AudioError, ChannelError, UndecodableError, BundleError, UnreachableError } = errors;
  const told = [EarnestError, AudioError, ChannelError, UndecodableError, BundleError, UnreachableError].map((Kind) => new Kind("why"));
  for (const error of [...told, new MicrophoneError("busy", "why")]) {
    assert.equal(error.constructor.name, error.name);
    assert.ok(error.stack!.startsWith(`${error.name}: why\n`), error.stack);
    assert.equal(String(error), `${error.name}: why`);
  }
  assert.equal(new Set(told.map(({ name }) => name)).size, told.length);
});
