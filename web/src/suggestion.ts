/** The nearest right name, for messages about wrong ones; as in `earnest.errors`. */

const NEAR_FROM = 0.55;

/** " Did you mean 'x'?" or the list of choices, ready to end an error message. */
export function suggestion(wrong: string, right: readonly string[]): string {
  const choices = [...right].sort();
  const nearest = choices.reduce(
    (best, name) => (likeness(name, wrong) >= best.share ? { name, share: likeness(name, wrong) } : best),
    { name: "", share: NEAR_FROM },
  );
  if (nearest.name) return ` Did you mean '${nearest.name}'?`;
  return choices.length ? ` Choose one of: ${choices.join(", ")}.` : "";
}

/** Share of two texts' letters that lie in common parts, 0 to 1 (Ratcliff and Obershelp, 1988). */
function likeness(first: string, second: string): number {
  const nLetters = first.length + second.length;
  return nLetters ? (2 * nCommon(first, second)) / nLetters : 1;
}

/** Letters in the longest common part, and in the longest ones before and after it, and so on. */
function nCommon(first: string, second: string): number {
  let [size, atFirst, atSecond] = [0, 0, 0];
  for (let one = 0; one < first.length; one++) {
    for (let other = 0; other < second.length; other++) {
      let n = 0;
      while (one + n < first.length && first[one + n] === second[other + n]) n++;
      if (n > size) [size, atFirst, atSecond] = [n, one, other];
    }
  }
  if (!size) return 0;
  const before = nCommon(first.slice(0, atFirst), second.slice(0, atSecond));
  return size + before + nCommon(first.slice(atFirst + size), second.slice(atSecond + size));
}
