"""Does the exported graph say what the trained network says?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.bundle import load_bundle
from earnest.corpora.base import audio_files
from earnest.errors import AudioError, BundleError
from earnest.models.classifier import SpeechClassifier
from earnest.runtime.graph import padded
from earnest.training.run import load_run

BATCH = 8


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences to torch's answer for the lone clip, over clips and classes.

    Attributes
    ----------
    logits, probabilities : onnxruntime, each clip alone
    batched_logits, batched_probabilities : onnxruntime, clips of different lengths padded to one batch
    torch_batched_logits : torch, the same batches
    """

    n_clips: int
    shortest_s: float
    longest_s: float
    logits: float
    probabilities: float
    batched_logits: float
    batched_probabilities: float
    torch_batched_logits: float
    same_label: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return dict(self.__dict__)


def spread(paths: Sequence[Path], limit: int | None) -> list[Path]:
    """Return the recordings among files and in folders, at most ``limit``, spread evenly over all."""
    clips = [clip for path in paths for clip in (audio_files(path) if path.is_dir() else [path])]
    if not clips:
        raise AudioError(f"{paths[0]}: no recordings found.")
    n = min(limit or len(clips), len(clips))
    return [clips[index * len(clips) // n] for index in range(n)]


def compare(run: Path, bundle: Path, paths: Sequence[Path]) -> Parity:
    """Run clips through torch and onnxruntime, alone and in batches of mixed lengths."""
    classifier, checked = load_run(run), load_bundle(bundle)
    rate_hz = classifier.front_end.settings.sample_rate_hz
    if (checked.info.classes, checked.info.sample_rate_hz) != (classifier.classes, rate_hz):
        raise BundleError(f"{bundle}: not exported from {run}: other classes, or another sample rate.")
    session = onnxruntime.InferenceSession(checked.model_bytes(), providers=["CPUExecutionProvider"])
    waveforms = [load_waveform(path, rate_hz) for path in paths]
    reference = [torch_outputs(classifier, [waveform]) for waveform in waveforms]
    logits, probabilities = (np.concatenate([pair[index] for pair in reference]) for index in (0, 1))
    alone = [_onnx(session, [waveform]) for waveform in waveforms]
    batches = [waveforms[start : start + BATCH] for start in range(0, len(waveforms), BATCH)]
    together = [_onnx(session, batch) for batch in batches]
    torch_together = np.concatenate([torch_outputs(classifier, batch)[0] for batch in batches])
    alone_logits, alone_probabilities = (np.concatenate([pair[index] for pair in alone]) for index in (0, 1))
    batched_logits, batched_probabilities = (np.concatenate([pair[index] for pair in together]) for index in (0, 1))
    seconds = [len(waveform) / rate_hz for waveform in waveforms]
    return Parity(
        n_clips=len(paths),
        shortest_s=min(seconds),
        longest_s=max(seconds),
        logits=_largest(alone_logits - logits),
        probabilities=_largest(alone_probabilities - probabilities),
        batched_logits=_largest(batched_logits - logits),
        batched_probabilities=_largest(batched_probabilities - probabilities),
        torch_batched_logits=_largest(torch_together - logits),
        same_label=int((batched_logits.argmax(axis=1) == logits.argmax(axis=1)).sum()),
    )


def torch_outputs(classifier: SpeechClassifier, waveforms: Sequence[Waveform]) -> tuple[Any, Any]:
    """Return torch's logits and probabilities, each (batch, classes), of waveforms of shape (samples,)."""
    batch, lengths = padded(waveforms)
    with torch.no_grad():
        outputs = classifier(torch.from_numpy(batch), torch.from_numpy(lengths))
    return outputs["logits"].numpy(), outputs["probabilities"].numpy()


def _onnx(session: onnxruntime.InferenceSession, waveforms: Sequence[Waveform]) -> tuple[Any, Any]:
    batch, lengths = padded(waveforms)
    logits, probabilities = session.run(["logits", "probabilities"], {"waveform": batch, "lengths": lengths})
    return logits, probabilities


def _largest(difference: Any) -> float:
    return float(np.abs(difference).max())
