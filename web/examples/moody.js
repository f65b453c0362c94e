// The calling convention of the Moody web application (COINS-SS21/moody), on onnxruntime-web alone.

export const SAMPLE_RATE_HZ = 22_050;
export const N_SAMPLES = 46_305; // 2.1 s
export const CLASSES = ["neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised"];

/** Scale a window to a root mean square of one; silence stays silence. */
export function rmsNormalised(samples) {
  const rms = Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  return rms > 0 ? samples.map((sample) => sample / rms) : samples;
}

/**
 * Answer 46,305 samples at 22,050 Hz.
 *
 * @returns class → probability; an eighth output, which Moody's training never reached, takes no part
 */
export async function predict(ort, session, samples) {
  if (samples.length !== N_SAMPLES) throw new RangeError(`Expected ${N_SAMPLES} samples, got ${samples.length}.`);
  const input = new ort.Tensor("float32", rmsNormalised(samples), dimensions(session));
  const { output } = await session.run({ input });
  return softmax(output.data.slice(0, CLASSES.length));
}

/** Happy + surprised − (sad + angry + disgust + fearful), -1 to 1. */
export function score(shares) {
  const { happy, surprised, sad, angry, disgust, fearful } = shares;
  return happy + surprised - (sad + angry + disgust + fearful);
}

/** A bare vector, or a batch of one, as the graph asks for. */
function dimensions(session) {
  return session.inputMetadata[0].shape.length === 1 ? [N_SAMPLES] : [1, N_SAMPLES];
}

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return Object.fromEntries(CLASSES.map((name, index) => [name, powers[index] / total]));
}
