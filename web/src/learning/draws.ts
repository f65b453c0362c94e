/** The draws of `numpy.random.default_rng(0)`, so that folds are those of the Python package. */

const MASK_128 = (1n << 128n) - 1n;
const MASK_64 = (1n << 64n) - 1n;
const MULTIPLIER = 47026247687942121848144207491837523525n; // of PCG64 (O'Neill, 2014)
const STATE = 35399562948360463058890781895381311971n; // numpy.random.PCG64(0).state
const INCREMENT = 87136372517582989555478159403783844777n;

/** PCG64 (XSL-RR), seeded with 0; 32 bits at a time, the lower half of each number first. */
class Draws {
  private state = STATE;
  private upper: number | null = null;

  /** A whole number from 0 to `most`, both included: as many bits as that has, drawn until they say no more. */
  upTo(most: number): number {
    const mask = 2 ** (32 - Math.clz32(most)) - 1;
    let drawn = (this.next() & mask) >>> 0;
    while (drawn > most) drawn = (this.next() & mask) >>> 0;
    return drawn;
  }

  private next(): number {
    if (this.upper !== null) {
      const kept = this.upper;
      this.upper = null;
      return kept;
    }
    this.state = (this.state * MULTIPLIER + INCREMENT) & MASK_128;
    const folded = (this.state >> 64n) ^ (this.state & MASK_64);
    const turn = this.state >> 122n;
    const number = ((folded >> turn) | (folded << ((64n - turn) & 63n))) & MASK_64;
    this.upper = Number(number >> 32n);
    return Number(number & 0xffffffffn);
  }
}

/** `numpy.random.default_rng(0).permutation(count)`. */
export function permutation(count: number): number[] {
  const order = Array.from({ length: count }, (_, place) => place);
  const draws = new Draws();
  for (let last = count - 1; last > 0; last--) {
    const other = draws.upTo(last);
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}
