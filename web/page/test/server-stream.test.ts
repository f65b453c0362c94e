import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerStream } from "../src/server-stream.js";

/** Opens, takes what it is sent, and tells nothing by itself. */
class Socket {
  static readonly OPEN = 1;
  static last: Socket;
  readonly readyState = Socket.OPEN;
  readonly bufferedAmount = 0;
  onmessage: (message: { data: string }) => void = () => undefined;
  send = (): void => undefined;
  close = (): void => undefined;

  constructor() {
    Socket.last = this;
  }

  set onopen(opened: () => void) {
    queueMicrotask(opened);
  }
}

async function opened(): Promise<ServerStream> {
  Object.assign(globalThis, { WebSocket: Socket, location: { href: "http://127.0.0.1/" } });
  return ServerStream.open("base", 16_000, {}, "off");
}

test("a server that says nothing more is not waited for at the end, one that is slow is", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval", "Date"] });
  const stream = await opened();
  const ended = stream.finish();
  context.mock.timers.tick(29_000);
  Socket.last.onmessage({ data: JSON.stringify({ event: "heartbeat" }) });
  context.mock.timers.tick(29_000);
  assert.equal(await Promise.race([ended, Promise.resolve("waits")]), "waits");
  context.mock.timers.tick(3_000);
  await assert.rejects(ended, /The connection was lost/);
});
