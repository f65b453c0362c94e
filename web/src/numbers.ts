/** Round as Python and NumPy do: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** A share in per cent, without the sign: "73". What is above zero is never "0", but "< 1" or "< 0.1". */
export function inPercent(share: number, decimals = 0): string {
  const text = fixed(100 * share, decimals);
  return share > 0 && Number(text) === 0 ? `< ${(10 ** -decimals).toFixed(decimals)}` : text;
}

/** A number with so many decimals, as Python writes it: of two that are as near, the even one. */
export function fixed(value: number, digits: number): string {
  const [text, nearerZero] = [value, value - (Math.sign(value) * 10 ** -digits) / 4].map((one) => one.toFixed(digits));
  // As near to both are the odd multiples of 2^-(digits + 1), of which `toFixed` gives the one that is farther from 0.
  const isBetween = Math.abs(value * 2 ** (digits + 1)) % 2 === 1;
  return isBetween && /[02468]$/.test(nearerZero) ? nearerZero : text;
}

/** Seconds to the millisecond, as all times in events; as Python's `round` does it. */
export function milliseconds(seconds: number): number {
  // Only sixteenths lie exactly between two milliseconds; `toFixed` rounds all else as it is, and these up.
  return Number.isInteger(16 * seconds) ? roundHalfEven(1000 * seconds) / 1000 : Number(seconds.toFixed(3));
}

/** Join two pieces of sound; an empty one costs nothing. */
export function joined(first: Float32Array, second: Float32Array): Float32Array {
  return concatenated([first, second]);
}

/** Join pieces of sound; where one alone isn't empty, it is the result. */
export function concatenated(pieces: readonly Float32Array[]): Float32Array {
  const full = pieces.filter((piece) => piece.length);
  if (full.length === 1) return full[0];
  const whole = new Float32Array(full.reduce((sum, piece) => sum + piece.length, 0));
  let start = 0;
  for (const piece of full) {
    whole.set(piece, start);
    start += piece.length;
  }
  return whole;
}

/** Index of the largest value, the first one of equals. */
export function indexOfLargest(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index;
  return best;
}
