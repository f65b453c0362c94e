/** The page's end of the wire to the worker. */

import type { Progress } from "./bundle.js";
import { EarnestError, errorOf, UnreachableError } from "./errors.js";
import type { Answer, Arguments, Call, Method, Reply } from "./messages.js";

/** The part of a `Worker` that the client needs. */
export interface WorkerLike {
  postMessage(call: Call, transfer?: Transferable[]): void;
  terminate(): unknown;
  onmessage: ((event: MessageEvent<Reply>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
}

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

export class Client {
  private readonly waiting = new Map<number, Waiting>();
  private nCalls = 0;
  private closed: Error | null = null;

  constructor(
    private readonly worker: WorkerLike,
    onProgress: (progress: Progress) => void = () => undefined,
    where = "earnest.worker.js",
  ) {
    worker.onmessage = ({ data }) => {
      if ("progress" in data) onProgress(data.progress);
      else this.settle(data);
    };
    worker.onerror = (event) => {
      const advice = "Serve it there, or say where it is: load(url, { workerUrl }); worker-src of a Content-Security-Policy must allow it.";
      const error = event.message
        ? new EarnestError(`The worker stopped (${event.message}). Reload the page.`)
        : new UnreachableError(`The worker's file can't be loaded: ${where}. ${advice}`);
      this.close(error);
    };
  }

  /** Call a method of the worker's engine; buffers in `transfer` move there. */
  async call<Name extends Method>(
    method: Name,
    args: Arguments<Name>,
    transfer: Transferable[] = [],
  ): Promise<Answer<Name>> {
    if (this.closed) throw this.closed;
    const id = ++this.nCalls;
    return new Promise<Answer<Name>>((resolve, reject) => {
      const answered = (value: unknown): void => {
        resolve(value as Answer<Name>);
      };
      try {
        this.worker.postMessage({ id, method, args }, transfer);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        throw new EarnestError(`'${method}' was handed what can't go to the worker (${why}). Hand over plain values; await promises first.`);
      }
      this.waiting.set(id, { resolve: answered, reject });
    });
  }

  /** End the worker; calls that wait are refused with `reason`. */
  close(reason: Error = new EarnestError("This model was closed. Load it again.")): void {
    this.closed = reason;
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }

  private settle(reply: Exclude<Reply, { progress: Progress }>): void {
    const call = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if ("failure" in reply) call?.reject(errorOf(reply.failure));
    else call?.resolve(reply.value);
  }
}
