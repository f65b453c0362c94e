/** Small choices that outlive a visit; a browser that refuses to store them forgets them. */

export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(`earnest.${name}`);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`earnest.${name}`, value);
  } catch {
    // forgotten
  }
}
