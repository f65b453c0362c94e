/** The page's files, kept as they arrive, for where there is no network. Answers of a server pass by. */

export {}; // a module for the compiler; nothing is left of it in the built script
declare const self: ServiceWorkerGlobalScope;
declare const SHELL: string[]; // by build.mjs: what a page needs to open
declare const REST: string[]; // what it needs later
declare const VERSION: string;

type Message = "claim" | "activate" | { keep: string[] };

const CACHE = `earnest-${VERSION}`;
const here = (path: string): string => new URL(path, self.registration.scope).href;
const KNOWN = new Set([...SHELL, ...REST].map(here));
const underWay = new Map<string, Promise<unknown>>(); // what is being kept at this moment

self.addEventListener("install", (event) => {
  event.waitUntil(shell().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(withoutOlder().then(() => self.clients.claim()));
});

/** A page asks to be seen, or for files to be kept, all of its own among them; it is told how many can't be had. */
self.addEventListener("message", (event) => {
  const message = event.data as Message;
  if (message === "claim") {
    event.waitUntil(self.clients.claim()); // a page that was reloaded past every cache
    return;
  }
  if (message === "activate") {
    event.waitUntil(self.skipWaiting());
    return;
  }
  const [port] = event.ports;
  const wanted = [...KNOWN, ...message.keep.filter(isOurs)];
  event.waitUntil(
    Promise.all(wanted.map(async (url) => isKept(url))).then((all) => {
      port.postMessage({ missing: all.filter((kept) => !kept).length });
    }),
  );
});

self.addEventListener("fetch", (event) => {
  const url = nameOf(event.request);
  if (event.request.method === "GET" && isOurs(url)) event.respondWith(answer(event, url));
});

/** One name for the page itself, whichever of its views is asked for, and however it is called. */
function nameOf({ url, mode }: Request): string {
  const [address] = url.split(/[?#]/);
  return mode === "navigate" && [here("./"), here("index.html")].includes(address) ? here("./") : url;
}

function isOurs(url: string): boolean {
  return KNOWN.has(url) || url.startsWith(here("models/")) || url.startsWith(here("clips/"));
}

/** Whether a name holds a digest of what is inside: such a file never changes. */
function isFixed(url: string): boolean {
  return /-[0-9A-Z]{8}\.\w+$/.test(url);
}

async function shell(): Promise<void> {
  const cache = await caches.open(CACHE);
  await Promise.all(SHELL.map(async (path) => cache.put(here(path), await fetched(here(path)))));
}

/** From the network: what may have changed is asked for again, and not sent again where it is the same. */
async function fetched(url: string): Promise<Response> {
  const response = (isFixed(url) && (await caches.match(url))) || (await fetch(url, { cache: isFixed(url) ? "default" : "no-cache" }));
  if (!response.ok) throw new TypeError(`${url}: ${response.status}`);
  return response;
}

/** Take over what older versions kept and this one has too, and forget the rest. */
async function withoutOlder(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const name of (await caches.keys()).filter((other) => other.startsWith("earnest-") && other !== CACHE)) {
    const older = await caches.open(name);
    for (const request of await older.keys()) {
      const isWanted = isOurs(request.url) && !(await cache.match(request));
      const kept = isWanted && (await older.match(request));
      if (kept) await cache.put(request, kept);
    }
    await caches.delete(name);
  }
}

async function isKept(url: string): Promise<boolean> {
  await underWay.get(url);
  const cache = await caches.open(CACHE);
  if (await cache.match(url)) return true;
  return fetched(url).then(
    async (response) => cache.put(url, response).then(() => true),
    () => false,
  );
}

async function answer(event: FetchEvent, url: string): Promise<Response> {
  const cache = await caches.open(CACHE).catch(() => null); // a browser whose storage is damaged, or full, refuses
  const known = await cache?.match(url).catch(() => undefined);
  if (known && isFixed(url)) return known;
  try {
    // A host that says nothing of how long a file is good lets the browser guess, and an old page would stay.
    const response = await fetch(isFixed(url) ? event.request : new Request(event.request, { cache: "no-cache" }));
    if (cache && response.status === 200) keep(event, cache, url, response.clone());
    return response;
  } catch (error) {
    if (known) return known;
    throw error;
  }
}

/** While the page reads it. */
function keep(event: FetchEvent, cache: Cache, url: string, response: Response): void {
  const kept = cache.put(url, response).catch(() => undefined); // a browser that has no room
  underWay.set(url, kept);
  event.waitUntil(kept.finally(() => underWay.delete(url)));
}
