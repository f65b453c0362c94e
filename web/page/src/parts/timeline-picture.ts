/** Emotion over time: a strip of spans and vocal bursts, the waveform where there is one, and probabilities stacked to one. */

import type { CustomSeriesRenderItem } from "echarts";
import type { Span, VocalBurst, Window } from "../../../src/index.js";
import { h } from "../dom.js";
import { colourOf, inkOn } from "../emotions.js";
import { columnsWithin, type Peaks } from "../peaks.js";
import { sharesOverTime } from "../series.js";
import { percent, tick, timeStep } from "../words.js";
import { dot } from "./bars.js";
import { FONT, type Ink, ink, type Option, Picture } from "./charts.js";

const MOST_STEPS = 1000; // about a pixel each; equal neighbours are drawn as one
const STEP_S = 0.02;
const MARGIN = { left: 46, right: 12 };
const STRIP_PX = 26;
const WAVE_PX = 84;
const MOST_COLUMNS = 2000; // of the waveform: as many as a wide screen has pixels there
const CLOSEST_S = 0.5; // seen at a time: closer than that the axis has no times to tell

export interface Shown {
  startS: number;
  endS: number;
  classes: readonly string[];
  windows: readonly Window[];
  spans: readonly Span[];
  bursts: readonly VocalBurst[];
  /** of the whole recording, from 0 to `endS` */
  peaks: Peaks | null;
}

const NOTHING: Shown = { startS: 0, endS: 10, classes: [], windows: [], spans: [], bursts: [], peaks: null };

export class TimelinePicture extends Picture {
  private shown: Shown = NOTHING;

  /** @param legend where the colours that are seen are named; null where somebody else does */
  constructor(place: HTMLElement, private readonly legend: HTMLElement | null, canZoom = false) {
    super(place, () => optionOf(this.shown, this.seen, this.stepS, canZoom));
    this.chart.on("dataZoom", () => {
      const xAxis = Array.from({ length: axisOfShares(this.shown) + 1 }, () => ({ interval: this.stepS }));
      this.chart.setOption({ xAxis, series: ofWhatIsSeen(this.shown, this.seen) }); // finer steps, where there is room for them
    });
  }

  show(shown: Shown): void {
    this.shown = shown;
    if (this.legend) showLegend(this.legend, [shown]);
    this.draw(inWords(shown));
  }

  /** Seconds at a place in the picture, null outside of the data. */
  secondsAt(x: number): number | null {
    const seconds = this.chart.convertFromPixel({ xAxisIndex: 0 }, x);
    return seconds >= this.shown.startS && seconds <= this.shown.endS ? seconds : null;
  }

  /** Position of a moment in pixels; null where it is not in view. */
  placeOf(seconds: number): number | null {
    if (this.shown === NOTHING) return null; // a chart without an axis knows no places
    const x = this.chart.convertToPixel({ xAxisIndex: 0 }, seconds);
    return x >= MARGIN.left && x <= this.chart.getWidth() - MARGIN.right ? x : null;
  }

  /** A moment, where it is in view; else the middle of what is. */
  inView(seconds: number): number {
    if (this.placeOf(seconds) !== null) return seconds;
    const { startValue, endValue } = this.window;
    return (startValue + endValue) / 2;
  }

  /** The part that is in view. */
  private get seen(): Shown {
    const option = this.chart.getOption() as { dataZoom?: { startValue: number; endValue: number }[] } | undefined;
    const { startValue: startS, endValue: endS } = option?.dataZoom?.at(0) ?? { startValue: this.shown.startS, endValue: this.shown.endS };
    return { ...this.shown, startS, endS, windows: this.shown.windows.filter(({ end_s }) => end_s > startS) };
  }

  private get stepS(): number {
    const { startS, endS } = this.seen;
    return timeStep(endS - startS, this.chart.getWidth() - MARGIN.left - MARGIN.right);
  }

  private get window(): { startValue: number; endValue: number } {
    return (this.chart.getOption() as { dataZoom: { startValue: number; endValue: number }[] }).dataZoom[0];
  }

  /** Show a part: a factor above 1 looks closer, around `seconds`; 0 shows all. */
  zoom(factor: number, seconds: number): void {
    const { startS, endS } = this.shown;
    const { startValue, endValue } = this.window;
    const length = factor === 0 ? endS - startS : Math.min(Math.max((endValue - startValue) / factor, CLOSEST_S), endS - startS);
    const from = Math.min(Math.max(seconds - length / 2, startS), endS - length);
    this.chart.dispatchAction({ type: "dataZoom", startValue: from, endValue: from + length });
  }
}

/** Description of the picture, for those who don't see it. */
export function inWords(shown: Pick<Shown, "spans" | "bursts" | "startS" | "endS">): string {
  const seen = blocks(shown).filter(({ startS, endS }) => endS > shown.startS && startS < shown.endS);
  const told = seen.map(({ startS, endS, name }) => `${name} from ${startS.toFixed(1)} to ${endS.toFixed(1)} seconds`);
  if (told.length > 12) told.splice(12, told.length, `and ${seen.length - 12} more, in the table`);
  return `Emotion over time: ${told.join(", ") || "nothing yet"}.`;
}

/** Name the colours of pictures, and the frame of bursts, for those who see them: a strip has room for few names, and shares have none. */
export function showLegend(place: HTMLElement, pictures: readonly Pick<Shown, "classes" | "windows" | "spans" | "bursts">[]): void {
  const names = pictures.flatMap(({ classes, windows, spans }) => [...(windows.length ? classes : []), ...spans.map(({ emotion }) => emotion)]);
  const marks: [HTMLElement, string][] = [...new Set(names)].map((name) => [dot(name), name]);
  if (pictures.some(({ bursts }) => bursts.length)) marks.push([h("span", { class: "dot framed" }), "vocal burst"]);
  place.replaceChildren(...marks.map((mark) => h("li", { class: "with-dot" }, ...mark)));
}

function optionOf(shown: Shown, seen: Shown, stepS: number, canZoom: boolean): Option {
  const colours = ink();
  const tops = layout(shown.peaks !== null);
  const grids = [
    { ...MARGIN, top: 0, height: STRIP_PX },
    ...(shown.peaks ? [{ ...MARGIN, top: tops.wave, height: WAVE_PX }] : []),
    { ...MARGIN, top: tops.stack, bottom: 24 },
  ];
  const last = axisOfShares(shown);
  const zoom = { type: "inside", xAxisIndex: grids.map((_, index) => index), filterMode: "none", zoomOnMouseWheel: "ctrl", minValueSpan: CLOSEST_S, preventDefaultMouseMove: false }; // a finger scrolls the page
  return {
    grid: grids,
    xAxis: grids.map((_, index) => timeAxis(shown, stepS, index, index === last, colours)),
    yAxis: grids.map((_, index) => (index === last ? shareAxis(last, colours) : { gridIndex: index, show: false, min: -1, max: 1 })),
    dataZoom: canZoom ? [zoom] : [],
    series: [strip(shown, colours), ...ofWhatIsSeen(shown, seen)],
  };
}

/** What is drawn anew when another part is seen: the waveform, and the shares. */
function ofWhatIsSeen(shown: Shown, seen: Shown): Option[] {
  return [...(shown.peaks ? [wave(shown, seen, shown.peaks, ink())] : []), stack(seen, axisOfShares(shown))];
}

function axisOfShares({ peaks }: Shown): number {
  return peaks ? 2 : 1;
}

function layout(hasWave: boolean): { wave: number; stack: number } {
  const wave = STRIP_PX + 8;
  return { wave, stack: hasWave ? wave + WAVE_PX + 10 : wave };
}

function timeAxis({ startS, endS }: Shown, interval: number, gridIndex: number, isLast: boolean, colours: Ink): Option {
  return {
    gridIndex,
    type: "value",
    min: startS,
    max: endS,
    interval,
    axisLine: { show: isLast, lineStyle: { color: colours.line } },
    axisTick: { show: false },
    splitLine: { show: false },
    axisLabel: { show: isLast, color: colours.faint, formatter: tick, hideOverlap: true, showMinLabel: false, showMaxLabel: false },
  };
}

function shareAxis(gridIndex: number, colours: Ink): Option {
  return {
    gridIndex,
    min: 0,
    max: 1,
    interval: 0.5,
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: { color: colours.faint, formatter: (share: number) => percent(share) },
    splitLine: { lineStyle: { color: colours.line } },
  };
}

/** A stretch of the strip: a span, or a vocal burst, which has no emotion's colour. */
interface Block {
  startS: number;
  endS: number;
  name: string;
  colour: string | null;
}

function blocks({ spans, bursts }: Pick<Shown, "spans" | "bursts">): Block[] {
  return [
    ...spans.map(({ start_s, end_s, emotion }) => ({ startS: start_s, endS: end_s, name: emotion, colour: colourOf(emotion) })),
    ...bursts.map(({ start_s, end_s, kind }) => ({ startS: start_s, endS: end_s, name: `vocal burst: ${kind}`, colour: null })),
  ].sort((one, other) => one.startS - other.startS);
}

function strip(shown: Shown, { line, text: ink, faint }: Ink): Option {
  const all = blocks(shown);
  const renderItem: CustomSeriesRenderItem = (params, api) => {
    const { startS, endS, name, colour } = all[params.dataIndex];
    const area = params.coordSys as unknown as { x: number; y: number; width: number; height: number };
    const left = Math.max(api.coord([startS, 0])[0], area.x);
    const right = Math.min(api.coord([endS, 0])[0], area.x + area.width);
    const width = right - left;
    if (width <= 0) return null;
    const shape = { x: left, y: area.y, width: Math.max(width - 1, 1), height: area.height, r: 4 };
    const label = nameWithin(colour ? name : name.replace("vocal burst: ", ""), width);
    const middle = { x: left + width / 2, y: area.y + area.height / 2, align: "center", verticalAlign: "middle" };
    const text = { type: "text" as const, style: { ...middle, text: label, fill: colour ? inkOn(colour) : ink, font: `600 12px ${FONT}` } as object };
    const style = colour ? { fill: colour, stroke: line, lineWidth: 0.5 } : { fill: "none", stroke: faint, lineWidth: 1.5, lineDash: [4, 3] };
    return { type: "group", children: [{ type: "rect", shape, style }, ...(label ? [text] : [])] };
  };
  const seen = all.map(({ startS, endS }) => [startS, 0, endS]);
  return { type: "custom", id: "strip", clip: true, silent: true, xAxisIndex: 0, yAxisIndex: 0, renderItem, data: seen };
}

/** The name where there is room for it: half a word is none. */
function nameWithin(name: string, widthPx: number): string {
  return widthPx > 7.5 * name.length + 8 ? name : "";
}

/** From the least to the greatest sample of each column, as loud as the recording's loudest is high. */
function wave({ spans, endS }: Shown, seen: Shown, peaks: Peaks, colours: Ink): Option {
  const columns = columnsWithin(peaks, endS, seen.startS, seen.endS, MOST_COLUMNS);
  const renderItem: CustomSeriesRenderItem = (_, api) => {
    const above = columns.map(([seconds, , greatest]) => api.coord([seconds, greatest]));
    const below = columns.map(([seconds, least]) => api.coord([seconds, least]));
    const style = { fill: colours.wave, stroke: colours.wave, lineWidth: 1 };
    return { type: "polygon", shape: { points: [...above, ...below.reverse()] }, style };
  };
  const areas = spans.map(({ start_s, end_s, emotion }) => [
    { xAxis: start_s, itemStyle: { color: colourOf(emotion), opacity: 0.28 } },
    { xAxis: end_s },
  ]);
  const markArea = { silent: true, data: areas };
  return { type: "custom", id: "wave", clip: true, silent: true, xAxisIndex: 1, yAxisIndex: 1, renderItem, data: [[0, 0]], markArea };
}

/** Probabilities stacked to one, wherever somebody speaks. */
function stack({ startS, endS, classes, windows }: Shown, axis: number): Option {
  const nSteps = Math.min(Math.max(Math.ceil((endS - startS) / STEP_S), 1), MOST_STEPS);
  const cells = sharesOverTime(windows, classes, startS, endS, nSteps);
  const renderItem: CustomSeriesRenderItem = (params, api) => {
    const cell = cells[params.dataIndex];
    let sum = 0;
    const children = classes.map((name, index) => {
      const [left, bottom] = api.coord([cell.startS, sum]);
      sum += cell.shares[index];
      const [right, top] = api.coord([cell.endS, sum]);
      const shape = { x: left, y: top, width: right - left + 0.4, height: Math.max(bottom - top, 0) }; // no seam between cells
      return { type: "rect" as const, shape, style: { fill: colourOf(name) } };
    });
    return { type: "group", children };
  };
  const data = cells.map((cell) => [cell.startS, 1, cell.endS]);
  return { type: "custom", id: "stack", clip: true, silent: true, xAxisIndex: axis, yAxisIndex: axis, renderItem, data };
}
