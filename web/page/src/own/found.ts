/** Chosen or dropped files → recordings with the folder that each lies in. */

import { EarnestError } from "../../../src/index.js";

const MOST_FILES = 5000; // of a folder that is read, recordings or not
const DEEPEST = 8; // folders in folders
const SOUND = /\.(wav|flac|ogg|oga|opus|mp3|aiff|aif|au|caf|w64|m4a|mp4|mov|3gp|webm|mkv|mka|avi|aac|amr|wma|flv|mpg|mpeg|vob|mts|m2ts)$/i; // AUDIO_SUFFIXES of earnest/corpora/manifest.py

/** A recording; `folder` is the name of the folder that it lies in, "" for a file alone. */
export interface Found {
  file: File;
  folder: string;
}

/** Whether this browser lets somebody choose a folder: not every phone has folders. */
export function hasFolders(): boolean {
  return "webkitdirectory" in HTMLInputElement.prototype;
}

/** The recordings among some files, and how many others there were, hidden ones not counted: who gave a folder sees none. */
export interface Among {
  recordings: Found[];
  nOthers: number;
}

/** The recordings among chosen files; those of a chosen folder know where they lay. */
export function amongChosen(files: Iterable<File>): Among {
  const all = [...files].map((file) => ({ file, folder: folderOf(file.webkitRelativePath) }));
  return sorted(all);
}

/** Files, and how many others were left out. */
export interface Taken {
  files: File[];
  nOthers: number;
}

/** Dropped files; where a folder is among them, as `ofFolders`. Call it while the event is handled. */
export async function filesDropped(data: DataTransfer): Promise<Taken> {
  const files = [...data.files];
  const isFolder = [...data.items].map((item) => item.webkitGetAsEntry()?.isDirectory);
  return isFolder.includes(true) ? ofFolders(await amongDropped(data)) : { files, nOthers: 0 };
}

/** The recordings alone, with the name of their folder; `EarnestError` where there are none. */
export function ofFolders({ recordings, nOthers }: Among): Taken {
  if (!recordings.length) throw new EarnestError("There are no recordings in it. Take a folder with wav, flac, mp3, ogg, m4a or webm.");
  const files = recordings.map(({ file, folder }) => (folder ? new File([file], `${folder}/${file.name}`, { type: file.type }) : file));
  return { files, nOthers };
}

/** "3 files that are no recordings were left out."; "" where there was none. */
export function leftOut(nOthers: number): string {
  if (nOthers === 1) return "1 file that is no recording was left out.";
  return nOthers ? `${nOthers} files that are no recordings were left out.` : "";
}

/** The recordings among what was dropped, in folders too. Call it while the event is handled. */
export async function amongDropped(data: DataTransfer): Promise<Among> {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry());
  if (!entries.some((entry) => entry?.isDirectory)) return amongChosen(data.files);
  const found: Found[] = [];
  for (const entry of entries) if (entry) await walk(entry, "", 0, found);
  return sorted(found);
}

async function walk(entry: FileSystemEntry, folder: string, depth: number, found: Found[]): Promise<void> {
  if (found.length > MOST_FILES || depth > DEEPEST) throw new EarnestError(`There are more than ${MOST_FILES} files, or too many folders inside folders. Take a smaller folder.`);
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => {
      (entry as FileSystemFileEntry).file(resolve, reject);
    });
    found.push({ file, folder });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const some = (): Promise<FileSystemEntry[]> =>
    new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject); // a hundred at a time
    });
  for (let entries = await some(); entries.length; entries = await some()) {
    for (const inside of entries) await walk(inside, entry.name, depth + 1, found);
  }
}

function sorted(all: readonly Found[]): Among {
  if (all.length > MOST_FILES) throw new EarnestError(`There are more than ${MOST_FILES} files. Take a smaller folder.`);
  const seen = all.filter(({ file }) => !file.name.startsWith("."));
  const recordings = seen.filter(({ file }) => SOUND.test(file.name) || /^(audio|video)\//.test(file.type));
  recordings.sort((one, other) => (`${one.folder}/${one.file.name}` < `${other.folder}/${other.file.name}` ? -1 : 1));
  return { recordings, nOthers: seen.length - recordings.length };
}

function folderOf(path: string): string {
  return path.split("/").at(-2) ?? "";
}
