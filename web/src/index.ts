export type { BundleFiles, BundleInfo, Progress } from "./bundle.js";
export { decode } from "./decode.js";
export { AudioError, BundleError, ChannelError, EarnestError, MicrophoneError, type MicrophoneReason, UndecodableError, UnreachableError } from "./errors.js";
export { checkedLabel, type Example, FEWEST_A_CLASS, type HeardRecording, MOST_EXAMPLES, type RefusedExample } from "./learning/examples.js";
export type { LearnOptions, Learnt } from "./learning/learn.js";
export type { ClassResult, Summary } from "./learning/summary.js";
export type { Adapter, LiveStream, SoundStream, StreamOptions } from "./live.js";
export { listen, type Listener, type Listening, type ListenOptions } from "./microphone.js";
export { load, type LoadOptions, type Model, type PredictOptions, type TimelineOptions } from "./model.js";
export type { Options } from "./options.js";
export {
  percent,
  type Prediction,
  type Shares,
  type Span,
  type Status,
  polarityOf,
  type StreamEvent,
  unanswered,
  type Timeline,
  timelineOf,
  top,
  type VocalBurst,
  type Window,
} from "./prediction.js";
export type { Recording } from "./predictor.js";
export { checkedProfile, OLD_PROFILE, type Profile } from "./profile.js";
