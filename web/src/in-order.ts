/** Work that is done one after the other, in the order in which it was asked for; for networks, and calls of a stream. */
export class InOrder {
  private last: Promise<unknown> = Promise.resolve();

  /** The result of `work`, which begins when all that was asked for before has ended, also where that failed. */
  async next<Result>(work: () => Promise<Result>): Promise<Result> {
    const answer = this.last.then(work);
    this.last = answer.catch(() => undefined);
    return answer;
  }
}
