"""Explanations of a trained network's answer: filters, feature maps, attention, saliency and embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from earnest.audio.io import load_waveform
from earnest.audio.parts import load_waveforms
from earnest.audio.source import Source
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError
from earnest.frontends.log_mel import compute_frames
from earnest.models.classifier import input_kind
from earnest.settings.recipe import read_recipe
from earnest.training.run import load_run

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Explanation:
    """One recording, and what the network makes of it; `earnest.plots` draws each field.

    Attributes
    ----------
    frames : shape (bands, frames), decibels as the network hears them; silence may be cut off
    duration_s : of these frames
    probabilities : class → probability
    saliency : shape (bands, frames), size of the gradient of the answer's logit (Simonyan et al., 2014)
    attention : shape (steps,), weights over the frames that sum to one, or None
    filters : shape (filters, height, width), weights of the first convolution, the mean over its input channels where
        it has two dimensions; None without one
    feature_maps : name of a convolution → its output, shape (channels, height, width) or (channels, frames)

    Low frequencies come first, also where the network sees an image that has them in its last row.
    """

    frames: Floats
    duration_s: float
    probabilities: Mapping[str, float]
    saliency: Floats
    attention: Floats | None
    filters: Floats | None
    feature_maps: Mapping[str, Floats]


def explain(run: Path, recording: Source) -> Explanation:
    """Let the network of a finished run answer one recording, and look at how.

    Raises `EarnestError` when the network hears the waveform itself, so that there is no spectrogram to draw on.
    """
    recipe = read_recipe(run)
    if input_kind(recipe.model) == "waveform":
        raise EarnestError(f"{run}: '{recipe.model}' hears the waveform, so there is no spectrogram to explain it on.")
    classifier = load_run(run)
    settings = classifier.front_end.settings
    frames = compute_frames(classifier.front_end, load_waveform(recording, settings.sample_rate_hz))
    frames = frames.detach().clone().requires_grad_()
    convolutions = {
        name: layer for name, layer in classifier.network.named_modules() if isinstance(layer, nn.Conv1d | nn.Conv2d)
    }
    maps: dict[str, Floats] = {}
    upside_down = input_kind(recipe.model) == "image" and recipe.image.low_at_bottom
    hooks = [layer.register_forward_hook(_Keep(name, maps, upside_down)) for name, layer in convolutions.items()]
    output = classifier.network(frames[None], torch.tensor([frames.shape[1]]))
    for hook in hooks:
        hook.remove()
    # ∂z_c/∂frames for the class c with the highest logit (Simonyan et al., 2014).
    output.logits[0].max().backward()
    assert frames.grad is not None
    probabilities = classifier.probabilities(output.logits)[0].tolist()
    first = next(iter(convolutions.values()), None)
    return Explanation(
        frames=frames.detach().numpy(),
        duration_s=frames.shape[1] * classifier.front_end.hop_length / settings.sample_rate_hz,
        probabilities=dict(zip(classifier.classes, probabilities, strict=True)),
        saliency=frames.grad.abs().numpy(),
        attention=None if output.attention is None else output.attention[0].detach().numpy(),
        filters=None if first is None else _filters(first.weight.detach(), upside_down),
        feature_maps=maps,
    )


@dataclass(frozen=True)
class _Keep:
    """Keeps a layer's output for the first item of its batch: the utterance, or its first segment."""

    name: str
    maps: dict[str, Floats]
    upside_down: bool

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        kept = output[0].detach().numpy()
        self.maps[self.name] = kept[:, ::-1] if self.upside_down else kept


def _filters(weights: Tensor, upside_down: bool) -> Floats:
    """Return (outputs, height, width) of (outputs, inputs, height, width) or (outputs, bands, frames)."""
    filters: Floats = (weights.mean(dim=1) if weights.ndim == 4 else weights).numpy()
    return filters[:, ::-1] if upside_down else filters


@dataclass(frozen=True)
class Inside:
    """One utterance, seen from inside.

    Attributes
    ----------
    frames : shape (bands, frames), what the front end gives; (1, samples) where the network hears the waveform
    shows_frames : whether ``frames`` is a spectrogram
    embedding : shape (width,)
    attention : shape (steps,), weights that sum to one over the whole utterance, or None
    """

    frames: Floats
    shows_frames: bool
    embedding: Floats
    attention: Floats | None


def look_inside(run: Path, utterances: Sequence[Utterance]) -> list[Inside]:
    """Let the network of a finished run hear utterances one by one."""
    classifier = load_run(run)
    shows_frames = input_kind(read_recipe(run).model) != "waveform"
    rate_hz = classifier.front_end.settings.sample_rate_hz
    seen = []
    for waveform in load_waveforms((utterance.source for utterance in utterances), rate_hz):
        frames = compute_frames(classifier.front_end, waveform)
        with torch.no_grad():
            output = classifier.network(frames[None], torch.tensor([frames.shape[1]]))
        weights = None if output.attention is None else output.attention[0].numpy()
        seen.append(Inside(frames.numpy(), shows_frames, output.embedding[0].numpy(), weights))
    return seen
