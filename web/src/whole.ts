/**
 * Whether a file of sound is whole; the same arithmetic and words as `earnest.audio.sound_file`. Browsers play what is
 * there of a file that is cut off, and the first of recordings that were joined, without a word.
 */

import { AudioError } from "./errors.js";

// Writers that can't go back to fill in the size (a pipe) leave 0, 0xFFFFFFFF or about 2 GiB there.
const UNKNOWN = 0x7fff_0000;
// Some writers count a header or a padding byte too much; that is below 2 ms and no cut.
const TOLERATED = 64;
const MP3_TOLERATED = 256; // half a frame, or a tag at the end that was taken off
const MP3_FRAMES = 2 * 1441; // bytes of the two largest frames: a count may lack the header's own
const FLAC_LAST = 0x80; // the flag of the last block before the sound
const FLAC_HEAD_BYTES = 8; // how a file begins: its mark, and the head of the first block
const ID3V1_BYTES = 128; // of a tag at the end
const OGG_BEGINS = 2; // the flag of a stream's first page
const AGAIN = "Record or copy it again. To hear what is there, save it first (ffmpeg -i broken.wav mended.wav).";

/**
 * Refuse a WAV, Ogg or MP3 file that is cut off, a WAV file that was never finished or has no sound, and several
 * recordings of FLAC, MP3, MP4, Ogg or WAV one after the other.
 */
export function checkWhole(view: DataView, name: string): void {
  const missing = missingBytes(view);
  if (missing > 0) {
    const promise = missing > 1 ? `its header promises ${bytes(missing)} more` : "its last page is not whole";
    throw new AudioError(`${name}: cut off, ${promise}. ${AGAIN}`);
  }
  if (isJoined(view)) {
    const mend =
      "Make one of them first (ffmpeg -i joined.mp3 whole.wav). Of joined FLAC, MP4 or WAV files give the files themselves.";
    throw new AudioError(`${name}: several recordings in one file, and the first alone would be heard. ${mend}`);
  }
  const unfinished = unfinishedBytes(view);
  if (unfinished > 0) {
    const what = `its header was never finished: it promises no sound, but ${bytes(unfinished)} follow`;
    throw new AudioError(`${name}: ${what}. Mend it, such as with: ffmpeg -i broken.wav -c copy mended.wav`);
  }
  if (silentStart(view) !== null) throw new AudioError(`${name}: has a header, but no sound. Record or copy it again.`);
}

/** Length of a FLAC file by its header; 0 where it doesn't say, and for other files. */
export function promisedSeconds(view: DataView): number {
  if (!isMarked(view, 0, "fLaC") || view.byteLength < 26) return 0;
  const rate = view.getUint32(18) >>> 12; // 20 bits of the rate, 8 of form, 36 of the number of samples, 0 if unknown
  return rate && ((view.getUint8(21) & 0xf) * 2 ** 32 + view.getUint32(22)) / rate;
}

/** Refuse less than was promised. */
export function checkLength(thereS: number, promisedS: number, name: string): void {
  if (thereS < 0.99 * promisedS - 0.1) {
    throw new AudioError(`${name}: cut off, ${thereS.toFixed(2)} of ${promisedS.toFixed(2)} s are there. ${AGAIN}`);
  }
}

/** The place of a chunk's content in a RIFF file, null where there is none. */
export function chunkStart(view: DataView, wanted: string): number | null {
  for (let position = 12; position + 8 <= view.byteLength; ) {
    if (isMarked(view, position, wanted)) return position + 8;
    const size = view.getUint32(position + 4, true);
    position += 8 + size + (size % 2); // chunks begin at even places
  }
  return null;
}

export function isMarked(view: DataView, position: number, mark: string): boolean {
  if (position < 0 || position + mark.length > view.byteLength) return false;
  return Array.from(mark).every((letter, index) => view.getUint8(position + index) === letter.charCodeAt(0));
}

function bytes(count: number): string {
  return `${count.toLocaleString("en")} byte${count === 1 ? "" : "s"}`;
}

/** Number of bytes of sound that the header promises beyond the end of the file, 0 for none or unknown. */
function missingBytes(view: DataView): number {
  let [end, tolerated]: [number | null, number] = [null, TOLERATED];
  if (isMarked(view, 8, "WAVE")) end = waveEnd(view);
  else if (isMarked(view, 0, "OggS")) [end, tolerated] = [oggPages(view).at(-1)?.end ?? null, 0];
  else [end, tolerated] = [mp3End(view, 0), MP3_TOLERATED];
  const missing = (end ?? 0) - view.byteLength;
  return missing > tolerated ? missing : 0;
}

/** End of the sound by the header. */
function waveEnd(view: DataView): number | null {
  const start = chunkStart(view, "data");
  if (start === null) return null;
  if (isMarked(view, 0, "RF64") && isMarked(view, 12, "ds64") && view.byteLength >= 36) {
    // The chunk ds64 begins with eight bytes for the file's size, then eight for that of the sound.
    return start + view.getUint32(28, true) + 2 ** 32 * view.getUint32(32, true);
  }
  const promised = view.getUint32(start - 4, true);
  return isMarked(view, 0, "RIFF") && promised < UNKNOWN ? start + promised : null;
}

/** Number of bytes behind a WAV header whose sizes were not filled in when its recorder ended. */
function unfinishedBytes(view: DataView): number {
  const start = silentStart(view);
  // Behind sound of no length other chunks may lie; then the first size counts them.
  return start === null || 8 + view.getUint32(4, true) > start ? 0 : view.byteLength - start;
}

/** Start of the sound of a WAV file that has none by its header; null for all other files. */
function silentStart(view: DataView): number | null {
  if (!isMarked(view, 0, "RIFF") || !isMarked(view, 8, "WAVE")) return null;
  const start = chunkStart(view, "data");
  return start === null || view.getUint32(start - 4, true) > 0 ? null : start;
}

/** The flags of each page and where it ends; one whose header is not whole ends behind the file. */
function oggPages(view: DataView): { flags: number; end: number }[] {
  const pages: { flags: number; end: number }[] = [];
  let position = 0;
  while (position < view.byteLength && isMarked(view, position, "OggS".slice(0, view.byteLength - position))) {
    const body = position + 27 + (position + 27 <= view.byteLength ? view.getUint8(position + 26) : 0);
    const isWhole = position + 27 <= view.byteLength && body <= view.byteLength;
    const flags = isWhole ? view.getUint8(position + 5) : 0;
    let end = isWhole ? body : view.byteLength + 1;
    // Each byte of the table is a segment's length.
    for (let index = position + 27; isWhole && index < body; index++) end += view.getUint8(index);
    pages.push({ flags, end });
    position = end;
  }
  return pages;
}

/** End of the sound that begins at `start`, as a Xing or Info header counts it; null without one. */
function mp3End(view: DataView, start: number): number | null {
  const frame = behindId3(view, start);
  if (!isMp3Frame(view, frame)) return null;
  for (let place = frame; place + 16 <= Math.min(frame + 64, view.byteLength); place++) {
    if (!isMarked(view, place, "Xing") && !isMarked(view, place, "Info")) continue;
    // Bit 0: a number of frames follows; bit 1: a number of bytes, behind that.
    const flags = view.getUint32(place + 4);
    return flags & 2 ? frame + view.getUint32(place + (flags & 1 ? 12 : 8)) : null;
  }
  return null;
}

function isMp3Frame(view: DataView, place: number): boolean {
  return place + 4 <= view.byteLength && (view.getUint16(place) & 0xffe6) === 0xffe2; // frame sync, layer III
}

/** End of the tag that begins at `start`, `start` itself without one. */
function behindId3(view: DataView, start: number): number {
  if (!isMarked(view, start, "ID3") || start + 10 > view.byteLength) return start;
  // Four bytes of seven bits each ("synchsafe"): none looks like a frame's beginning.
  const bits = [6, 7, 8, 9].map((index) => view.getUint8(start + index) & 0x7f);
  return start + 10 + bits.reduce((size, seven) => size * 128 + seven, 0);
}

/** Whether a second recording follows the first one, as after `cat a.mp3 b.mp3`; decoders end with the first. */
function isJoined(view: DataView): boolean {
  if (isMarked(view, 0, "RIFF") && isMarked(view, 8, "WAVE")) return chunkStart(view, "RIFF") !== null;
  const start = behindId3(view, 0);
  if (isMarked(view, start, "fLaC")) return isJoinedFlac(view, start + 4);
  if (isMarked(view, 4, "ftyp")) return isJoinedMp4(view);
  // Streams beside each other begin together.
  const begins = oggPages(view).map(({ flags }) => (flags & OGG_BEGINS) > 0);
  if (begins.some((now, index) => index > 0 && now && !begins[index - 1])) return true;
  const end = mp3End(view, 0);
  if (end === null) return false;
  const next = isMarked(view, end, "TAG") ? end + ID3V1_BYTES : end;
  const sound = behindId3(view, next);
  return (view.byteLength - sound > MP3_FRAMES && isMp3Frame(view, sound)) || mp3End(view, next) !== null;
}

/** Whether another file begins in the sound, whose frames don't say how long they are; `position` is of the blocks before. */
function isJoinedFlac(view: DataView, position: number): boolean {
  for (let isLast = false; !isLast; ) {
    if (position + 4 > view.byteLength) return false;
    const head = view.getUint32(position); // 8 bits of flag and kind, 24 of the length
    isLast = head >>> 24 >= FLAC_LAST;
    position += 4 + (head & 0xff_ffff);
  }
  const data = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  for (let place = data.indexOf(0x66, position); place >= 0; place = data.indexOf(0x66, place + 1)) {
    if (place + FLAC_HEAD_BYTES > data.length) return false;
    const block = view.getUint32(place + 4); // the first one is 34 bytes long
    if (isMarked(view, place, "fLaC") && (block === 0x22 || block === 0x8000_0022)) return true;
  }
  return false;
}

/** Whether a second index is there; fragments, which may each have one, are one recording. */
function isJoinedMp4(view: DataView): boolean {
  let [position, nIndices]: [number, number] = [0, 0];
  while (position + 8 <= view.byteLength) {
    if (isMarked(view, position + 4, "moof")) return false;
    if (isMarked(view, position + 4, "moov")) nIndices += 1;
    const size = view.getUint32(position); // 1: 64 bits behind the name say it; 0: up to the end of the file
    const isLong = size === 1 && position + 16 <= view.byteLength;
    const length = isLong ? Number(view.getBigUint64(position + 8)) : size;
    position = length >= 8 ? position + length : view.byteLength;
  }
  return nIndices > 1;
}
