/** Requests to the server that sent the page, with the key of this visit where the server wants one. */

import { ServerError } from "./problems.js";

const KEPT = "earnest.token";
let token = kept();

/** Take the key from the address that the server printed ("#token=…") into this tab alone; whether there was one. */
export function takeToken(): boolean {
  const given = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (given === undefined) return false;
  token = decoded(given);
  history.replaceState(null, "", location.pathname + location.search); // out of sight, and of the history
  try {
    sessionStorage.setItem(KEPT, token);
  } catch {
    // forgotten with the page
  }
  return true;
}

export function hasToken(): boolean {
  return token !== null;
}

/** Ask, and throw a `ServerError` unless the answer is a good one. */
export async function answered(url: string, request: RequestInit = {}): Promise<Response> {
  const headers = new Headers(request.headers);
  if (token !== null) headers.set("Authorization", `Bearer ${token}`);
  const response = await fetch(url, { ...request, headers }).catch((error: unknown) => {
    if (error instanceof TypeError) throw new ServerError(0, "It may have stopped, or the network is gone.");
    throw error;
  });
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as { detail?: unknown; type?: unknown };
  const kind = typeof problem.type === "string" ? problem.type.replace(/^.*:/, "") : "";
  throw new ServerError(response.status, typeof problem.detail === "string" ? problem.detail : `It answers ${response.status}.`, kind);
}

/** Ticket that opens one stream in place of the key, which a browser can't send with it; null where none is needed. */
export async function ticket(): Promise<string | null> {
  if (token === null) return null;
  const response = await answered("v1/tickets", { method: "POST" });
  return ((await response.json()) as { ticket: string }).ticket;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a key with a "%" of its own
  }
}

function kept(): string | null {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}
