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
  onclose: (event: { code: number }) => void = () => undefined;
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
  await ended;
  await assert.rejects(stream.prediction(""), /The connection was lost/);
});

test("a stream that sends nothing, as one that is paused, ends when the server is gone, and tells what it had heard", async () => {
  const stream = await opened();
  Socket.last.onmessage({ data: JSON.stringify({ event: "segment", start_s: 0, end_s: 1 }) });
  Socket.last.onclose({ code: 1006 });
  await stream.ended;
  assert.equal((await stream.finish()).length, 1);
  await assert.rejects(stream.prediction(""), /The connection was lost/);
});
