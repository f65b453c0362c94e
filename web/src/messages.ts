/** Messages between page and worker: calls of the engine's methods, their answers, and progress. */

import type { Progress } from "./bundle.js";
import type { Engine } from "./engine.js";
import type { Failure } from "./errors.js";

type Methods = { [Name in keyof Engine]: Engine[Name] };
export type Method = keyof Methods;
export type Arguments<Name extends Method> = Parameters<Methods[Name]>;
export type Answer<Name extends Method> = Awaited<ReturnType<Methods[Name]>>;

export interface Call<Name extends Method = Method> {
  id: number;
  method: Name;
  args: Arguments<Name>;
}

/** Address of the runtime's files, if not beside the worker; told before the first call. */
export interface RuntimeFiles {
  runtime: { mjs: string; wasm: string };
}

export type Reply = { id: number; value: unknown } | { id: number; failure: Failure } | { progress: Progress };
