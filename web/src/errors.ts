/** Give a class of errors a name that stays when the script is minified: consoles show the class's, stacks the prototype's. */
function named(kind: typeof EarnestError | typeof MicrophoneError, name: string): void {
  for (const place of [kind, kind.prototype]) Object.defineProperty(place, "name", { value: name, configurable: true, writable: place !== kind });
}

/** All deliberate errors; messages say what is wrong, where and what to do. */
export class EarnestError extends Error {
  static { named(this, "EarnestError"); }
}

/** Why there is no microphone: the page's address, the person, no device, another program that has it, or the browser's own clock stands still. */
export type MicrophoneReason = "insecure" | "refused" | "missing" | "busy" | "stopped";

/** A microphone that can't be used. */
export class MicrophoneError extends EarnestError {
  static { named(this, "MicrophoneError"); }

  constructor(
    readonly reason: MicrophoneReason,
    message: string,
  ) {
    super(message);
  }
}

/** Sound that can't be used. */
export class AudioError extends EarnestError {
  static { named(this, "AudioError"); }
}

/** A recording without the channel that is asked for, or whose channels cancel each other. */
export class ChannelError extends AudioError {
  static { named(this, "ChannelError"); }
}

/** A recording of a kind that this browser can't decode; another program may. */
export class UndecodableError extends AudioError {
  static { named(this, "UndecodableError"); }
}

/** A bundle that is missing, damaged or no bundle, or the runtime that it needs. */
export class BundleError extends EarnestError {
  static { named(this, "BundleError"); }
}

/** A file of the model, or of the runtime, that can't be fetched now; a moment later it may. */
export class UnreachableError extends BundleError {
  static { named(this, "UnreachableError"); }
}

const KINDS: Partial<Record<string, typeof EarnestError>> = { EarnestError, AudioError, BundleError, UnreachableError };

/** An error as it crosses from the worker to the page. */
export interface Failure {
  name: string;
  message: string;
}

export function failureOf(error: unknown): Failure {
  return error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: "Error", message: String(error) };
}

export function errorOf(failure: Failure): Error {
  const Kind = KINDS[failure.name];
  return Kind ? new Kind(failure.message) : new Error(`${failure.name}: ${failure.message}`);
}

/** "1 recording", "2 recordings", "2 classes". */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : what.endsWith("s") ? "es" : "s"}`;
}
