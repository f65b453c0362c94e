"""Does the exported graph say what the trained network says?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
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
COMPARED = ("logits", "probabilities", "gender")
Answers: TypeAlias = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """Largest absolute differences to torch's answer for the lone clip, over clips and classes.

    Attributes
    ----------
    logits, probabilities : onnxruntime, each clip alone
    batched_logits, batched_probabilities : onnxruntime, clips of different lengths padded to one batch
    gender, batched_gender : probabilities of female and male, None where the model doesn't answer it
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
    gender: float | None = None
    batched_gender: float | None = None

    @property
    def largest(self) -> float:
        """The largest of all differences between onnxruntime and torch."""
        told = (self.logits, self.probabilities, self.gender or 0.0)
        return max(*told, self.batched_logits, self.batched_probabilities, self.batched_gender or 0.0)

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
    if ("gender" in classifier.learned) != ("gender" in {output.name for output in session.get_outputs()}):
        raise BundleError(f"{bundle}: not exported from {run}: one of them answers no gender.")
    waveforms = [load_waveform(path, rate_hz) for path in paths]
    batches = [waveforms[start : start + BATCH] for start in range(0, len(waveforms), BATCH)]
    reference = _stacked([torch_outputs(classifier, [waveform]) for waveform in waveforms])
    alone = _differences(_stacked([_onnx(session, [waveform]) for waveform in waveforms]), reference)
    answers = _stacked([_onnx(session, batch) for batch in batches])
    batched = _differences(answers, reference)
    torch_batched = _differences(_stacked([torch_outputs(classifier, batch) for batch in batches]), reference)
    seconds = [len(waveform) / rate_hz for waveform in waveforms]
    return Parity(
        n_clips=len(paths),
        shortest_s=min(seconds),
        longest_s=max(seconds),
        logits=alone["logits"],
        probabilities=alone["probabilities"],
        batched_logits=batched["logits"],
        batched_probabilities=batched["probabilities"],
        torch_batched_logits=torch_batched["logits"],
        same_label=int((answers["logits"].argmax(axis=1) == reference["logits"].argmax(axis=1)).sum()),
        gender=alone.get("gender"),
        batched_gender=batched.get("gender"),
    )


def torch_outputs(classifier: SpeechClassifier, waveforms: Sequence[Waveform]) -> Answers:
    """Return torch's answers, each (batch, classes), to waveforms of shape (samples,)."""
    batch, lengths = padded(waveforms)
    with torch.no_grad():
        outputs = classifier(torch.from_numpy(batch), torch.from_numpy(lengths))
    return {name: outputs[name].numpy() for name in COMPARED if name in outputs}


def _onnx(session: onnxruntime.InferenceSession, waveforms: Sequence[Waveform]) -> Answers:
    batch, lengths = padded(waveforms)
    names = [output.name for output in session.get_outputs() if output.name in COMPARED]
    return dict(zip(names, session.run(names, {"waveform": batch, "lengths": lengths}), strict=True))


def _stacked(parts: Sequence[Answers]) -> Answers:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _differences(found: Answers, reference: Answers) -> dict[str, float]:
    """Return the largest absolute difference of each answer."""
    return {name: float(np.abs(found[name] - values).max()) for name, values in reference.items()}
