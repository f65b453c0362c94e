/** The same model without a worker: for Node, or for a worker of your own. Bring onnxruntime-web with you. */

export { type Adaptation, adaptationOf, Adapter } from "./adaptation.js";
export { type Bundle, type BundleInfo, fetchBundle, sha256Of } from "./bundle.js";
export { AudioError, BundleError, EarnestError } from "./errors.js";
export type { Ort } from "./graph.js";
export { abstaining, type Prediction, type StreamEvent, type Timeline } from "./prediction.js";
export { Predictor, type Recording } from "./predictor.js";
export { PASS_BAND, resampled, Resampler, STOP_BAND_DB } from "./resample.js";
export type { Stream, Windowing } from "./stream.js";
