/** A timeline as a file, in the nine formats of `earnest timeline --format`, with the same text. */

import type { Prediction, Span, Timeline } from "../../src/index.js";
import { fixed } from "../../src/numbers.js";

interface Format {
  title: string;
  suffix: string;
  type: string;
  written: (timeline: Timeline) => string;
}

export const FORMATS = {
  json: { title: "JSON, everything", suffix: "json", type: "application/json", written: json },
  jsonl: { title: "JSON lines, one span a line", suffix: "jsonl", type: "application/x-ndjson", written: jsonl },
  csv: { title: "CSV, for tables", suffix: "csv", type: "text/csv", written: csv },
  srt: { title: "SRT, subtitles", suffix: "srt", type: "application/x-subrip", written: srt },
  vtt: { title: "WebVTT, subtitles", suffix: "vtt", type: "text/vtt", written: vtt },
  textgrid: { title: "TextGrid, for Praat", suffix: "TextGrid", type: "text/praat-textgrid", written: textgrid },
  eaf: { title: "EAF, for ELAN", suffix: "eaf", type: "text/x-eaf+xml", written: eaf },
  rttm: { title: "RTTM, for diarisation tools", suffix: "rttm", type: "text/x-rttm", written: rttm },
  audacity: { title: "Labels, for Audacity", suffix: "txt", type: "text/x-audacity-labels", written: audacity },
} satisfies Record<string, Format>;

export type FormatName = keyof typeof FORMATS;

function json({ spans, windows, ...head }: Timeline): string {
  const lines = Object.entries(head).map(([name, value]) => ` ${compact(name)}: ${compact(value)},\n`);
  const listed = (values: readonly object[]): string => values.map((value) => `\n  ${compact(value)}`).join(",");
  return `{\n${lines.join("")} "spans": [${listed(spans)}],\n "windows": [${listed(windows)}]\n}\n`;
}

function jsonl({ path, spans }: Timeline): string {
  return spans.map((span) => `${compact({ path, ...span })}\n`).join("");
}

/** Numbers have six decimals; a space after commas and colons, as Python writes. */
function compact(value: unknown): string {
  if (typeof value === "number") return String(Number(fixed(value, 6)));
  if (Array.isArray(value)) return `[${value.map(compact).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${compact(item)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

function csv({ path, spans }: Timeline): string {
  const rows = spans.map(({ start_s, end_s, emotion, confidence }) => [marked(path), s(start_s), s(end_s), marked(emotion), fixed(confidence, 6)]);
  return [["path", "start_s", "end_s", "emotion", "confidence"], ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

/** One row a recording, with the columns of `earnest predict --format csv`. */
export function rows(all: readonly Prediction[]): string {
  const classes = [...new Set(all.flatMap(({ probabilities }) => Object.keys(probabilities)))];
  const before = ["path", "status", "duration_s", "speech_s", "emotion", "confidence", ...classes.map((name) => `p_${name}`)];
  const heard = ["polarity", "gender_female", "gender_male", "valence", "arousal", "dominance", "affect_derived", "intensity"];
  const columns = [...before, ...heard, "quality", "adapted", "adaptation_weight", "shares", "vocal_bursts", "model", "error"];
  const lines = all.map((one) => {
    const values: Record<string, unknown> = {
      ...one,
      ...one.affect,
      ...Object.fromEntries(classes.map((name) => [`p_${name}`, one.probabilities[name]])),
      gender_female: one.gender?.female,
      gender_male: one.gender?.male,
      quality: one.quality.join(" "),
      shares: one.shares && compact(one.shares),
      vocal_bursts: one.vocal_bursts.length ? compact(one.vocal_bursts) : "",
    };
    return columns.map((name) => value(values[name]));
  });
  return [columns, ...lines].map((row) => `${row.map(cell).join(",")}\n`).join("");
}

/** A text that a spreadsheet would take for a formula gets one ' before it, as `earnest.files.tables` writes it. */
export function marked(text: string): string {
  return /^'*(?:[=+@＝＋－＠\t\r\n]|-[^])/.test(text) ? `'${text}` : text;
}

function value(given: unknown): string {
  if (given === null || given === undefined) return "";
  return typeof given === "string" ? marked(given) : compact(given);
}

function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Spans and vocal bursts in order of time, a burst labelled with its kind: "(laughter)". */
function entries({ spans, vocal_bursts: bursts }: Timeline): Span[] {
  const labelled = bursts.map(({ kind, ...rest }) => ({ ...rest, emotion: `(${kind})` }));
  return [...spans, ...labelled].sort((one, other) => one.start_s - other.start_s);
}

function srt(timeline: Timeline): string {
  return entries(timeline)
    .map((span, index) => `${index + 1}\n${times(span, ",")}\n${withoutEmptyLines(span.emotion)}${index ? "" : qualityLine(timeline)}\n\n`)
    .join("");
}

function vtt(timeline: Timeline): string {
  const cue = (span: Span, index: number): string =>
    `${times(span, ".")}\n${withoutEmptyLines(escaped(span.emotion))}${index ? "" : qualityLine(timeline)}\n\n`;
  return `WEBVTT\n\n${entries(timeline).map(cue).join("")}`;
}

/** The line below the first subtitle, "[noisy, not-adapted]"; nothing without such words. */
function qualityLine({ quality }: Timeline): string {
  return quality.length ? `\n[${quality.join(", ")}]` : "";
}

function times({ start_s, end_s }: Span, point: string): string {
  return `${clockTime(start_s, point)} --> ${clockTime(end_s, point)}`;
}

function clockTime(seconds: number, point: string): string {
  const all = ms(seconds);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  const thousandths = String(all % 1000).padStart(3, "0");
  return `${two(all / 3_600_000)}:${two((all / 60_000) % 60)}:${two((all / 1000) % 60)}${point}${thousandths}`;
}

function withoutEmptyLines(text: string): string {
  return text.split(/\r\n|\r|\n/).filter((line) => words(line).length).join("\n") || "–";
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A text without the characters that XML 1.0 has no way to write (section 2.2). */
function inXml(text: string): string {
  return text.replaceAll(/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\u{FFFD}");
}

function textgrid(timeline: Timeline): string {
  const { duration_s: duration } = timeline;
  const spans = entries(timeline);
  const end = s(Math.max(duration ?? 0, ...spans.map((span) => span.end_s), 0.001));
  const intervals = filled(spans, Number(end));
  const tier = (name: "emotion" | "confidence", number: number): string => {
    const head = `    item [${number}]:\n        class = "IntervalTier"\n        name = "${name}"\n        xmin = 0\n        xmax = ${end}\n`;
    const body = intervals.map(([startS, endS, span], index) => {
      const text = !span ? "" : name === "emotion" ? span.emotion : fixed(span.confidence, 3);
      const numbers = `            xmin = ${s(startS)}\n            xmax = ${s(endS)}\n`;
      return `        intervals [${index + 1}]:\n${numbers}            text = "${text.replaceAll('"', '""')}"\n`;
    });
    return `${head}        intervals: size = ${intervals.length}\n${body.join("")}`;
  };
  const head = `File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = ${end}\ntiers? <exists>\nsize = 2\nitem []:\n`;
  return head + tier("emotion", 1) + tier("confidence", 2);
}

/** The spans and the time between them. */
function filled(spans: readonly Span[], endS: number): [number, number, Span | null][] {
  const all: [number, number, Span | null][] = [];
  let position = 0;
  for (const span of spans) {
    if (span.start_s > position) all.push([position, span.start_s, null]);
    all.push([span.start_s, span.end_s, span]);
    position = span.end_s;
  }
  if (position < endS) all.push([position, endS, null]);
  return all;
}

/** An attribute's value with quotes around it, of the kind that it doesn't hold. */
function attribute(text: string): string {
  const safe = escaped(text).replaceAll("\n", "&#10;").replaceAll("\r", "&#13;").replaceAll("\t", "&#9;");
  if (!safe.includes('"')) return `"${safe}"`;
  return safe.includes("'") ? `"${safe.replaceAll('"', "&quot;")}"` : `'${safe}'`;
}

const NOT_FILES = ["-", "array", "bytes", "stream"];
const OF_CHANNEL = new RegExp(`^([^]*\\.[^./#]+|${NOT_FILES.join("|")})#([1-9][0-9]{0,2})$`);
const MEDIA_TYPES: Partial<Record<string, string>> = {
  ...{ wav: "audio/x-wav", mp3: "audio/mpeg", m4a: "audio/mp4", flac: "audio/flac", ogg: "audio/ogg" },
  ...{ opus: "audio/ogg", wma: "audio/x-ms-wma", wmv: "video/x-ms-wmv", mp4: "video/mp4" },
  ...{ mov: "video/quicktime", mpg: "video/mpeg", avi: "video/x-msvideo", webm: "video/webm" },
  mkv: "video/x-matroska",
};

function eaf(timeline: Timeline): string {
  const [file] = fileAndChannel(timeline.path);
  const spans = entries(timeline);
  const link = attribute(`./${fileName(file).replaceAll(/(?! )[\p{C}\p{Z}]/gu, "\u{FFFD}")}`);
  const kind = MEDIA_TYPES[/\.([^.]*)$/.exec(file)?.[1].toLowerCase() ?? ""] ?? "audio/*";
  const media = `  <MEDIA_DESCRIPTOR MEDIA_URL=${link} RELATIVE_MEDIA_URL=${link} MIME_TYPE="${kind}"/>\n`;
  const slots = spans.map(
    ({ start_s, end_s }, index) =>
      `  <TIME_SLOT TIME_SLOT_ID="ts${2 * index + 1}" TIME_VALUE="${ms(start_s)}"/>\n` +
      `  <TIME_SLOT TIME_SLOT_ID="ts${2 * index + 2}" TIME_VALUE="${ms(end_s)}"/>\n`,
  );
  const tier = (name: "emotion" | "confidence", before: number): string => {
    const notes = spans.map((span, index) => {
      const text = name === "emotion" ? escaped(inXml(span.emotion)) : fixed(span.confidence, 3);
      const identity = `ANNOTATION_ID="a${before + index + 1}" TIME_SLOT_REF1="ts${2 * index + 1}" TIME_SLOT_REF2="ts${2 * index + 2}"`;
      return (
        `  <ANNOTATION><ALIGNABLE_ANNOTATION ${identity}>` +
        `<ANNOTATION_VALUE>${text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n`
      );
    });
    return ` <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="${name}">\n${notes.join("")} </TIER>\n`;
  };
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="earnest"' +
    ' DATE="1970-01-01T00:00:00+00:00" FORMAT="2.8" VERSION="2.8"' +
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"' +
    ' xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv2.8.xsd">\n' +
    ' <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n' +
    `${NOT_FILES.includes(file) ? "" : media} </HEADER>\n` +
    ` <TIME_ORDER>\n${slots.join("")} </TIME_ORDER>\n${tier("emotion", 0)}${tier("confidence", spans.length)}` +
    ' <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>\n' +
    "</ANNOTATION_DOCUMENT>\n"
  );
}

function rttm({ path, spans }: Timeline): string {
  const [file, channel] = fileAndChannel(path);
  const name = oneWord(fileName(file).replace(/(?<=[^])\.[^.]*$/, "")) || "recording";
  return spans
    .map(({ start_s, end_s, emotion, confidence }) => {
      const lasting = s(ms(end_s) / 1000 - ms(start_s) / 1000);
      return `SPEAKER ${name} ${channel} ${s(start_s)} ${lasting} <NA> <NA> ${oneWord(emotion)} ${fixed(confidence, 3)} <NA>\n`;
    })
    .join("");
}

function audacity(timeline: Timeline): string {
  return entries(timeline).map(({ start_s, end_s, emotion }) => `${s(start_s)}\t${s(end_s)}\t${words(emotion).join(" ")}\n`).join("");
}

/** The recording and the channel that a path such as "call.wav#2" names, as in Python's `file_and_channel`; 1 for all of them. */
function fileAndChannel(path: string): [string, string] {
  const found = OF_CHANNEL.exec(path);
  return found ? [found[1], found[2]] : [path, "1"];
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function oneWord(text: string): string {
  return words(text).join("_");
}

/** The words between what Python takes for space, which is not all that \s is. */
function words(text: string): string[] {
  return text.split(/(?:(?!\uFEFF)[\s\x1C-\x1F\x85])+/).filter(Boolean);
}

/** Of two numbers that are as near, the even one, as Python rounds; so does `fixed`. */
function ms(seconds: number): number {
  const exact = 1000 * seconds;
  return exact % 1 === 0.5 ? 2 * Math.round(exact / 2) : Math.round(exact);
}

function s(seconds: number): string {
  return fixed(seconds, 3);
}
