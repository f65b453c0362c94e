/** Delay of the answers behind the voice. */

const CHUNK_S = 0.1; // the microphone hands over ten pieces a second

export class Delay {
  private readonly arrivals: number[] = []; // when each tenth of a second had arrived, in milliseconds
  private nForgotten = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** The next tenth of a second arrived. */
  hear(): void {
    this.arrivals.push(this.now());
    if (this.arrivals.length > 600) {
      this.arrivals.shift();
      this.nForgotten++;
    }
  }

  /** Milliseconds since the sound up to `endS` had arrived; null where that is not known. */
  of(endS: number): number | null {
    const index = Math.ceil(endS / CHUNK_S - 1e-6) - 1 - this.nForgotten;
    const arrival = this.arrivals[Math.min(index, this.arrivals.length - 1)] as number | undefined;
    return arrival === undefined ? null : this.now() - arrival;
  }
}
