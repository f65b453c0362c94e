/** The service worker keeps what was loaded, so that the page works, and opens again, without a network. */

const PATIENCE_MS = 4000; // until a page goes on without it
const AGAIN_MS = 1000; // until a new version that waits is asked again

/** None on http: pages. */
function serviceWorkers(): ServiceWorkerContainer | undefined {
  return navigator.serviceWorker;
}

/** Let the service worker see what the page loads from now on; where there is none, the page works while it is open. */
export async function workOffline(): Promise<void> {
  const container = serviceWorkers();
  if (!container) return;
  const controlled = new Promise<void>((resolve) => {
    if (container.controller) resolve();
    container.addEventListener("controllerchange", () => {
      resolve();
    });
  });
  const given = container.register("sw.js").then((registration) => {
    if (!container.controller) registration.active?.postMessage("claim");
    takesOver(registration.waiting ?? registration.installing);
    registration.addEventListener("updatefound", () => {
      takesOver(registration.installing);
    });
    return controlled;
  });
  const late = new Promise<void>((resolve) => setTimeout(resolve, PATIENCE_MS));
  await Promise.race([given, late]).catch(() => undefined);
}

/** A new version asks to take over as it installs; Chromium can forget that while the old one is at work. */
function takesOver(worker: ServiceWorker | null): void {
  if (!worker || worker.state === "activating" || worker.state === "activated" || worker.state === "redundant") return;
  if (worker.state === "installed") worker.postMessage("activate");
  setTimeout(() => {
    takesOver(worker);
  }, AGAIN_MS);
}

/** Keep these files and all that the page needs; whether it would now open without a network. */
export async function keptForOffline(files: readonly string[]): Promise<boolean> {
  const container = serviceWorkers();
  const worker = container?.controller ?? (await container?.getRegistration().catch(() => undefined))?.active;
  if (!container || !worker) return false;
  const keep = files.map((file) => new URL(file, location.href).href);
  const ports: MessagePort[] = [];
  return new Promise<boolean>((resolve) => {
    const ask = (asked: ServiceWorker | null): void => {
      const { port1, port2 } = new MessageChannel();
      ports.push(port1);
      port1.onmessage = ({ data }: MessageEvent<{ missing: number }>) => {
        container.removeEventListener("controllerchange", again);
        for (const port of ports) port.close();
        resolve(data.missing === 0);
      };
      asked?.postMessage({ keep }, [port2]);
    };
    const again = (): void => { ask(container.controller); };
    container.addEventListener("controllerchange", again); // a new version may end the old one before it answers
    ask(worker);
  });
}
