/** Radar and rollercoaster. */

import type { Shares } from "../../../src/index.js";
import { confidence, percent, signed, tick, timeStep } from "../words.js";
import { cut, ink, type Option, Picture, widthOf } from "./charts.js";

export const FEWEST_AXES = 3; // of two, a radar is a line without area
const [LEAST, MOST] = [0.27, 0.36]; // of the smaller side is the radius
const NAME_PX = 13;
const NAME_GAP_PX = 15;

/** Mean probabilities, one axis an emotion, from 0 in the middle to 100 % on the rim. */
export class Radar extends Picture {
  private shares: Shares = {};
  private names: readonly string[] = [];

  constructor(place: HTMLElement) {
    super(place, () => this.radar());
  }

  /** In pixels, so that the names have room on both sides; long names are cut, as bars and legends have them whole. */
  private radius(): number {
    const [width, height] = [this.chart.getWidth(), this.chart.getHeight()];
    const widest = Math.max(...this.names.map((name) => widthOf(name, NAME_PX)));
    const [least, most] = [LEAST, MOST].map((share) => share * Math.min(width, height));
    return Math.max(Math.min(most, width / 2 - widest - NAME_GAP_PX), least);
  }

  /** @param names of the axes; there may be no shares yet */
  show(shares: Shares, names: readonly string[] = Object.keys(shares)): void {
    [this.shares, this.names] = [shares, names];
    const told = Object.entries(shares).map(([name, share]) => `${name} ${confidence(share)}`);
    this.draw(`Mean probabilities, the rim is 100 %: ${told.join(", ") || "nothing yet"}.`);
  }

  private radar(): Option {
    const colours = ink();
    const values = Object.values(this.shares);
    const names = this.names.length ? this.names : ["", "", ""]; // ECharts can't draw less, which nobody sees
    const formatter = (share: number): string => (share === 0.5 || share === 1 ? percent(share) : "");
    const axisLabel = { show: true, color: colours.faint, fontSize: 10, formatter };
    const radius = this.radius();
    const roomPx = this.chart.getWidth() / 2 - radius - NAME_GAP_PX;
    return {
      radar: {
        // The rim is certainty, whatever the data are: shapes of two recordings can be compared.
        indicator: names.map((name, index) => ({ name, min: 0, max: 1, axisLabel: index ? { show: false } : axisLabel })),
        radius,
        splitNumber: 4,
        axisNameGap: NAME_GAP_PX,
        axisName: { color: colours.text, fontSize: NAME_PX, formatter: (name: string) => cut(name, NAME_PX, roomPx) },
        splitLine: { lineStyle: { color: colours.line } },
        axisLine: { lineStyle: { color: colours.line } },
        splitArea: { show: false },
      },
      series: values.length
        ? [
            {
              type: "radar",
              silent: true,
              symbolSize: 5,
              itemStyle: { color: colours.accent },
              lineStyle: { width: 2, color: colours.accent },
              areaStyle: { color: colours.accent, opacity: 0.22 },
              data: [{ value: values }],
            },
          ]
        : [],
    };
  }
}

/** Pleasant or unpleasant over time, -1 to 1, smoothed. */
export class Rollercoaster extends Picture {
  private points: readonly [number, number][] = [];

  constructor(place: HTMLElement) {
    super(place, () => this.line());
  }

  show(points: readonly [number, number][]): void {
    this.points = points;
    const values = points.map(([, value]) => value);
    const told = points.length ? `from ${signed(Math.min(...values))} to ${signed(Math.max(...values))}` : "nothing yet";
    this.draw(`Polarity over time, unpleasant (−1) to pleasant (+1): ${told}.`);
  }

  private line(): Option {
    const colours = ink();
    const endS = this.points.at(-1)?.[0] ?? 1;
    return {
      grid: { left: 30, right: 12, top: 10, bottom: 24 },
      xAxis: {
        type: "value",
        min: 0,
        max: endS,
        interval: timeStep(endS, this.chart.getWidth() - 42),
        axisLabel: { color: colours.faint, formatter: tick, hideOverlap: true, showMaxLabel: false },
        splitLine: { show: false },
        axisLine: { onZero: false, lineStyle: { color: colours.line } },
      },
      yAxis: {
        min: -1,
        max: 1,
        interval: 1,
        axisLabel: { color: colours.faint, formatter: (value: number) => ["−1", "0", "+1"][value + 1] },
        splitLine: { lineStyle: { color: colours.line } },
      },
      series: [
        {
          type: "line",
          smooth: 0.35,
          symbol: this.points.length > 1 ? "none" : "circle", // of one point there is no line
          symbolSize: 8,
          itemStyle: { color: colours.accent },
          silent: true,
          lineStyle: { width: 2.5, color: colours.accent },
          areaStyle: { color: colours.accent, opacity: 0.12, origin: 0 },
          data: [...this.points],
        },
      ],
    };
  }
}
