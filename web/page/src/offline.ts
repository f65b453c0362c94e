/** The service worker keeps what was loaded, so that the page works, and opens again, without a network. */

let registered: Promise<ServiceWorkerRegistration> | null = null;

/** Keep the page's files; `onReady` when the page would open without a network. */
export function workOffline(onReady: () => void): void {
  const container = navigator.serviceWorker as ServiceWorkerContainer | undefined; // on http: pages there is none
  if (!container) return;
  registered = container.register("sw.js").then(() => container.ready);
  registered.then(onReady, () => undefined); // without it the page works as long as it is open
}

/** Keep the files of a model too. */
export function keptForOffline(files: readonly string[]): void {
  const urls = files.map((file) => new URL(file, location.href).href);
  void registered?.then(({ active }) => active?.postMessage({ keep: urls })).catch(() => undefined);
}
