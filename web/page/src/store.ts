/** Recordings kept in this browser: results only, never sound. */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { type Timeline, unanswered } from "../../src/index.js";

export interface Kept {
  id: string;
  name: string;
  /** ISO 8601 */
  created: string;
  timeline: Timeline;
}

interface Schema extends DBSchema {
  recordings: { key: string; value: Kept };
}

let opened: Promise<IDBPDatabase<Schema>> | null = null;

async function database(): Promise<IDBPDatabase<Schema>> {
  opened ??= openDB<Schema>("earnest", 1, {
    upgrade: (db) => {
      db.createObjectStore("recordings", { keyPath: "id" });
    },
  }).catch((error: unknown) => {
    opened = null; // asked again the next time
    throw error;
  });
  return opened;
}

/** All recordings, the newest first. */
export async function allKept(): Promise<Kept[]> {
  const all = await (await database()).getAll("recordings");
  return all.sort((one, other) => other.created.localeCompare(one.created)).map(whole);
}

/** With the fields that an older version of the page didn't keep. */
function whole({ timeline, ...kept }: Kept): Kept {
  return { ...kept, timeline: { ...unanswered(timeline.path, timeline.status, timeline.model), ...timeline } };
}

/** Keep a recording once, whatever name it has been given meanwhile. */
export async function keep(name: string, timeline: Timeline, id = identity()): Promise<Kept> {
  const known = await (await database()).get("recordings", id);
  if (known) return whole(known);
  const kept = { id, name, created: new Date().toISOString(), timeline };
  await put(kept);
  return kept;
}

export async function put(kept: Kept): Promise<void> {
  await (await database()).put("recordings", kept);
}

export async function forget(id: string): Promise<void> {
  await (await database()).delete("recordings", id);
}

/** A number that nobody else has; `crypto.randomUUID` is missing on pages without https. */
export function identity(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
