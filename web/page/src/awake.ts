/** A phone whose screen locks freezes the page: the screen stays on while a view works. */

export class Awake {
  private isNeeded = false;
  private asked: Promise<WakeLockSentinel | null> | null = null;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      this.asked = null; // a page that is hidden keeps no lock, and gets none
      if (document.visibilityState === "visible") this.keep(this.isNeeded);
    });
  }

  /** Let the screen go dark again with false. Browsers without wake locks, and empty batteries, refuse silently. */
  keep(isNeeded: boolean): void {
    this.isNeeded = isNeeded;
    if (isNeeded) this.asked ??= request();
    else {
      void this.asked?.then((lock) => lock?.release());
      this.asked = null;
    }
  }
}

async function request(): Promise<WakeLockSentinel | null> {
  const wakeLock = navigator.wakeLock as WakeLock | undefined; // on http: pages there is none
  return (await wakeLock?.request("screen").catch(() => null)) ?? null;
}
