/** Error messages in plain words, with a remedy. */

import { AudioError, BundleError, ChannelError, EarnestError, MicrophoneError, type MicrophoneReason } from "../../src/index.js";

export interface Problem {
  title: string;
  advice: string;
}

/** The server refused, with its own sentence, or is not there (status 0). */
export class ServerError extends Error {
  override name = "ServerError";

  constructor(
    readonly status: number,
    message: string,
    /** the word of `urn:earnest:problem:` */
    readonly kind = "",
  ) {
    super(message);
  }
}

const MICROPHONE: Record<MicrophoneReason, Problem> = {
  refused: {
    title: "This page may not use the microphone",
    advice: "Allow it: press the symbol beside the address, choose “Microphone: allow”, then try again. In Safari: Settings for this website, on a Mac in the menu Safari, on an iPhone beside the address; then reload.",
  },
  missing: {
    title: "There is no microphone",
    advice: "Plug one in or switch one on, then try again. Under Files, recordings work without a microphone.",
  },
  busy: {
    title: "The microphone can't be opened",
    advice: "Another program may be using it. Close that program, or choose another microphone, then try again.",
  },
  stopped: {
    title: "This browser's sound doesn't start",
    advice: "Firefox needs a sound output even to listen, as other browsers may: plug in headphones, or switch the output on, then try again. Under Files, recordings work without.",
  },
  insecure: {
    title: "No microphone on this address",
    advice: "Browsers allow it only on https: and on localhost. Open this page there; the person who runs the server can set up https.",
  },
};
const INSECURE: Problem = {
  title: "This browser can't check the model on this address",
  advice: "Open the page on https: or on localhost. Where a server runs, choose “On the server” above; recordings then go there. If that choice is missing, open the address that the server printed, with “#token=…”.",
};

const CHANNELS: Problem = {
  title: "Its channels cancel each other",
  advice: "One has the opposite sign: their mean is next to silence. Under Files, a button hears one of them alone; elsewhere, save one as a file of its own.",
};

const KEY: Problem = {
  title: "The server needs a key",
  advice: "Open the address that the server printed when it started, which ends with “#token=…”. Or ask the person who runs it for a key, and put the key there.",
};

export function problemOf(error: unknown): Problem {
  const told = error instanceof Error ? error.message : String(error);
  if (error instanceof MicrophoneError) return MICROPHONE[error.reason];
  if (error instanceof BundleError) {
    if (!isSecureContext) return INSECURE;
    return { title: "The model can't be loaded", advice: `${told} Then try again, or choose another model above.` };
  }
  if (error instanceof ChannelError) return CHANNELS;
  if (error instanceof AudioError) return { title: "This file can't be used", advice: told };
  if (error instanceof ServerError && error.status === 0) {
    return {
      title: "The server doesn't answer",
      advice: `${told} Start it again, or choose “In this browser” above, which needs no server.`,
    };
  }
  if (error instanceof ServerError && error.status === 401) return KEY;
  if (error instanceof ServerError) return { title: "The server refused", advice: told };
  if (error instanceof EarnestError) return { title: "That can't be done", advice: told };
  return { title: "That didn't work", advice: `${told} Reload this page; nothing that was kept under Recordings is lost.` };
}

/** The browser stores nothing. To load the page again would change that in no way, and lose what it shows. */
export function notStored(error: unknown): Problem {
  const told = String(error).replace(/\.$/, "");
  return { title: "This browser keeps nothing", advice: `Private windows and full disks may refuse to store (${told}). Under Live and Files, “Save” writes a result to a file.` };
}

/** What can't be had because the page that is open is older than the one that its server has by now. */
export const OUTDATED: Problem = {
  title: "This page was updated meanwhile",
  advice: "What it needs now is only in the newer version. Save what you want to keep, then reload this page.",
};

/** Whether the page's own script, whose name holds a digest, is no longer where it came from. */
export async function isOutdated(): Promise<boolean> {
  const asked = fetch(import.meta.url, { method: "HEAD", cache: "no-store" });
  return asked.then(({ status }) => status === 404, () => false);
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}
