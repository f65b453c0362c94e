/** The answer about a recording as people say it. */

import { abstaining, type Timeline } from "../../src/index.js";
import { shareOfTime } from "./series.js";
import { capital, percent } from "./words.js";

export interface Answer {
  /** a word or two: "Angry", "Mixed", "Not sure", "No speech" */
  text: string;
  /** how sure, or what else it may be; "" where there is nothing to say */
  detail: string;
  /** both, in a few words */
  line: string;
  /** whose colour it has */
  emotion: string | null;
}

const WITHOUT: Partial<Record<string, string>> = { "no-speech": "No speech", "too-short": "Too short to tell", error: "No answer" };

/** Below one half it is "Not sure", or "Mixed" where the emotion changes over time. */
export function answerOf(timeline: Timeline): Answer {
  const { status, emotion } = abstaining(timeline);
  const share = timeline.confidence ?? 0;
  if (status === "ok" && emotion) {
    return { text: capital(emotion), detail: `${percent(share)} sure`, line: capital(emotion), emotion };
  }
  const heard = Object.entries(shareOfTime(timeline.spans));
  if (status === "unsure" && heard.length > 1) {
    const [most, time] = heard[0];
    const detail = `most often ${most}, ${percent(time)} of the speech`;
    return { text: "Mixed", detail, line: `Mixed, most often ${most}`, emotion: most };
  }
  if (status === "unsure" && timeline.emotion) {
    const perhaps = `perhaps ${timeline.emotion}`;
    return { text: "Not sure", detail: `${perhaps}, ${percent(share)}`, line: `Not sure, ${perhaps}`, emotion: timeline.emotion };
  }
  const text = WITHOUT[status] ?? "Not sure";
  return { text, detail: "", line: text, emotion: null };
}
