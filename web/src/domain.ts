/** Is this the kind of sound that the model was trained on? The same distance as `earnest.runtime.domain`. */

import type { Bundle } from "./bundle.js";
import { BundleError } from "./errors.js";
import { readNpy } from "./npy.js";

export const STRANGE = "out-of-domain";

export class Domain {
  private constructor(
    private readonly mean: Float32Array,
    private readonly directions: Float32Array, // rows of the mean's length
    readonly threshold: number,
    readonly longestS: number,
  ) {}

  /** The bundle's, null where it has none. */
  static of({ info, files }: Bundle): Domain | null {
    if (!info.domain) return null;
    const { file, threshold, longest_s: longestS } = info.domain;
    const { shape, values } = readNpy(files.get(file)!, `${info.name}: ${file}`);
    const [nRows = 0, width = 0] = shape;
    if (shape.length !== 2 || nRows < 2 || width < 1 || !(threshold > 0 && longestS > 0)) {
      throw new BundleError(`${info.name}: 'domain' holds impossible numbers or shapes. Export the bundle again.`);
    }
    return new Domain(values.subarray(0, width), values.subarray(width), threshold, longestS);
  }

  /** Root mean square over the principal directions; speech like that in training has about 1. */
  distance(embedding: ArrayLike<number>): number {
    const width = this.mean.length;
    if (embedding.length !== width) {
      throw new BundleError(`'domain' is for embeddings of ${width} numbers, the graph gives ${embedding.length}.`);
    }
    const nDirections = this.directions.length / width;
    let sum = 0;
    for (let row = 0; row < nDirections; row++) {
      let projected = 0;
      for (let column = 0; column < width; column++) {
        projected += (embedding[column] - this.mean[column]) * this.directions[row * width + column];
      }
      sum += projected * projected;
    }
    return Math.sqrt(sum / nDirections);
  }
}
