/** The page's files from the network, and where there is none, as they were last seen. Answers of a server pass by. */

export {}; // a module for the compiler; nothing is left of it in the built script
declare const self: ServiceWorkerGlobalScope;
declare const FILES: string[]; // by build.mjs
declare const VERSION: string;

const CACHE = `earnest-${VERSION}`;
const here = (path: string): string => new URL(path, self.registration.scope).href;
const KNOWN = new Set(FILES.map(here));

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(newest([...KNOWN])))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith("earnest-") && name !== CACHE).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("message", (event) => {
  const { keep } = event.data as { keep: string[] };
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(newest(keep.filter(isOurs)))));
});

self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && isOurs(event.request.url)) event.respondWith(answer(event.request));
});

/** As the host has them now, whatever a cache on the way says; what is the same is not sent again. */
function newest(urls: readonly string[]): Request[] {
  return urls.map((url) => new Request(url, { cache: "no-cache" }));
}

function isOurs(url: string): boolean {
  return KNOWN.has(url) || url.startsWith(here("models/")) || url.startsWith(here("clips/"));
}

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
}
