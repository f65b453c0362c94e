/** A bundle's folder as one zip file, and back. */

import { unzipSync, zipSync } from "fflate";
import { type BundleFiles, EarnestError } from "../../../src/index.js";

const LARGEST_FILE = 1 << 26; // bytes
const NAMES = ["bundle.json", "model.onnx", "adaptation.onnx", "card.md", "NOTICE.txt"];

/** A zip file with one folder, not compressed: weights hardly shrink. */
export function zipped(folder: string, files: BundleFiles): Uint8Array<ArrayBuffer> {
  return zipSync({ [folder]: Object.fromEntries(files) }, { level: 0 });
}

/** The files of the bundle in a zip file; what else is there is not even unpacked. */
export function unzipped(bytes: Uint8Array): Map<string, Uint8Array<ArrayBuffer>> {
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  const filter = ({ name, originalSize }: { name: string; originalSize: number }): boolean => {
    const isNeeded = NAMES.includes(plain(name)) && originalSize <= LARGEST_FILE && !found.has(plain(name));
    if (isNeeded) found.set(plain(name), new Uint8Array());
    return isNeeded;
  };
  try {
    for (const [name, content] of Object.entries(unzipSync(bytes, { filter }))) found.set(plain(name), content);
  } catch {
    throw new EarnestError("This is not a zip file, or it is damaged. Choose one that was downloaded here.");
  }
  for (const name of ["bundle.json", "model.onnx"]) {
    if (!found.get(name)?.length) throw new EarnestError(`The zip file holds no ${name}. Choose one that was downloaded here, or zip the folder of “earnest learn”.`);
  }
  return found;
}

function plain(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A name that every file system takes. */
export function fileName(name: string): string {
  return name.replace(/[^\p{L}\p{N} ._-]+/gu, "_").replace(/^\.+/, "_") || "model";
}
