/** The same model without a worker: for Node, or for a worker of your own. Bring onnxruntime-web with you. */

export { type Activity, EnergyActivity } from "./activity.js";
export { Adaptation, type AdaptedAnswer, Adapter } from "./adaptation.js";
export type { AnswerOptions } from "./answers.js";
export { type Bundle, type BundleInfo, fetchBundle, type Progress, sha256Of } from "./bundle.js";
export { AudioError, BundleError, EarnestError, UnreachableError } from "./errors.js";
export type { Ort } from "./graph.js";
export type { Example, HeardRecording } from "./learning/examples.js";
export { learn, type LearnOptions, type Learnt } from "./learning/learn.js";
export type { Options } from "./options.js";
export {
  percent, polarityOf, type Prediction, type Shares, type Span, type Status, type StreamEvent, type Timeline, timelineOf, top, type VocalBurst, type Window,
} from "./prediction.js";
export { Predictor, type Recording, type RecordingOptions } from "./predictor.js";
export type { Profile } from "./profile.js";
export { PASS_BAND, resampled, Resampler, STOP_BAND_DB } from "./resample.js";
export type { Stream } from "./stream.js";
export { type Job, Windower, type WindowerOptions, type Windowing } from "./windows.js";
