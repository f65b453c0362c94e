"""What a trained network makes of single clips: its input, its embedding, and where it listens."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earnest.audio.io import load_waveform
from earnest.corpora.manifest import Utterance
from earnest.models.classifier import input_kind
from earnest.settings.recipe import read_recipe
from earnest.training.examples import compute_frames
from earnest.training.run import load_run

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Inside:
    """One clip, seen from inside.

    Attributes
    ----------
    frames : shape (bands, frames), what the front end gives; (1, samples) where the network hears the waveform
    shows_frames : whether ``frames`` is a spectrogram
    embedding : shape (width,)
    attention : shape (steps,), weights that sum to one over the whole clip, or None
    """

    frames: Floats
    shows_frames: bool
    embedding: Floats
    attention: Floats | None


def look_inside(run: Path, utterances: Sequence[Utterance]) -> list[Inside]:
    """Let the network of a finished run hear clips one by one."""
    classifier = load_run(run)
    shows_frames = input_kind(read_recipe(run).model) != "waveform"
    rate_hz = classifier.front_end.settings.sample_rate_hz
    seen = []
    for utterance in utterances:
        waveform = load_waveform(utterance.path, rate_hz, utterance.start_s, utterance.end_s)
        frames = compute_frames(classifier.front_end, waveform)
        with torch.no_grad():
            output = classifier.network(frames[None], torch.tensor([frames.shape[1]]))
        weights = None if output.attention is None else output.attention[0].numpy()
        seen.append(Inside(frames.numpy(), shows_frames, output.embedding[0].numpy(), weights))
    return seen
