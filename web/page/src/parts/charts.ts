/** ECharts on a canvas, in the page's colours. Every picture has its words: a label, and a table or a list beside it. */

import { CustomChart, LineChart, RadarChart } from "echarts/charts";
import { DataZoomComponent, GridComponent, MarkAreaComponent, RadarComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";

echarts.use([
  CanvasRenderer,
  CustomChart,
  DataZoomComponent,
  GridComponent,
  LineChart,
  MarkAreaComponent,
  RadarChart,
  RadarComponent,
]);

export type Option = echarts.EChartsCoreOption;
type Instance = echarts.ECharts;
const LEAST_PIXELS = 2; // a side, of each of the page's: sharp also where somebody zooms in later, and on paper
export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** Width of a text in pixels. */
export function widthOf(text: string, fontPx: number): number {
  return echarts.format.getTextRect(text, `${fontPx}px ${FONT}`).width;
}

/** A text that is at most so wide, with "…" where it was cut. */
export function cut(text: string, fontPx: number, widthPx: number): string {
  return echarts.format.truncateText(text, widthPx, `${fontPx}px ${FONT}`, "…");
}

/** The colours that style sheets know, for canvases. */
export interface Ink {
  text: string;
  faint: string;
  line: string;
  accent: string;
  wave: string;
  surface: string;
}

export function ink(): Ink {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return { text: of("text"), faint: of("faint"), line: of("line"), accent: of("accent"), wave: of("wave"), surface: of("surface") };
}

/** A picture that fits its place, and is drawn anew when that or the colours change. */
export class Picture {
  readonly chart: Instance;
  private readonly observer: ResizeObserver;
  private readonly redraw = (): void => {
    this.draw();
  };

  constructor(
    readonly place: HTMLElement,
    private readonly option: () => Option,
  ) {
    place.setAttribute("role", "img");
    const { clientWidth: width, clientHeight: height } = place;
    const devicePixelRatio = Math.max(globalThis.devicePixelRatio, LEAST_PIXELS);
    this.chart = echarts.init(place, null, { renderer: "canvas", width: width || 300, height: height || 150, devicePixelRatio });
    this.observer = new ResizeObserver(() => {
      if (!place.clientWidth || !place.clientHeight) return; // nobody sees it
      this.chart.resize({ width: "auto", height: "auto" });
      this.draw();
    });
    this.observer.observe(place);
    document.addEventListener("colours", this.redraw);
  }

  /** Show the data as they are now; `label` says them in words. */
  draw(label?: string): void {
    if (label !== undefined) this.place.setAttribute("aria-label", label);
    this.chart.setOption({ animation: false, textStyle: { fontFamily: FONT }, ...this.option() }, { replaceMerge: ["series"] });
  }

  close(): void {
    document.removeEventListener("colours", this.redraw);
    this.observer.disconnect();
    this.chart.dispose();
  }
}
