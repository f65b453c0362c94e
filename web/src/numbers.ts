/** Round as Python and NumPy do: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Seconds to the millisecond, as all times in events. */
export function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

/** Join two pieces of sound; an empty one costs nothing. */
export function joined(first: Float32Array, second: Float32Array): Float32Array {
  if (!first.length) return second;
  if (!second.length) return first;
  const whole = new Float32Array(first.length + second.length);
  whole.set(first);
  whole.set(second, first.length);
  return whole;
}

/** Index of the largest value, the first one of equals. */
export function indexOfLargest(values: ArrayLike<number>): number {
  let best = 0;
  for (let index = 1; index < values.length; index++) if (values[index] > values[best]) best = index;
  return best;
}
