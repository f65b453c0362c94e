"""Classifiers: a front end, a network behind it, and class probabilities; segments of long utterances.

What a network costs (parameters, multiply-adds) is counted from it.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from earnest.errors import EarnestError, MissingExtraError, RecipeError, suggestion
from earnest.frontends.image import ImageSize, SpectrogramImage
from earnest.frontends.log_mel import FrontEndModule, InputKind, front_end_for
from earnest.frontends.trim import blocks, crop, floor_of
from earnest.registry import Registry
from earnest.settings.front_end import FrontEnd, Image, Segments
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import Recipe, Task


class NetworkOutput(NamedTuple):
    """A network's output for a batch.

    Attributes
    ----------
    logits : (batch, classes)
    embedding : (batch, width), what the last linear layer sees
    attention : (batch, steps) weights over time that sum to one, or None
    gender : (batch, 2) logits of female and male, or None
    affect : (batch, 3) valence, arousal and dominance, 0 to 1 over the scale of the training labels, or None
    """

    logits: Tensor
    embedding: Tensor
    attention: Tensor | None = None
    gender: Tensor | None = None
    affect: Tensor | None = None


class Usage(NamedTuple):
    """The front end, classes and segments that a network was published with."""

    front_end: FrontEnd
    n_classes: int
    segments: Segments = Segments()
    image: Image = Image()


Layer: TypeAlias = Literal["output", "gender"]
"""Last layers, by the names that a network gives them: that of the emotion's logits, and that of the gender's."""


class Network(nn.Module):
    """Base of the classes in `MODELS`: a module of torch, with defaults for all that only some networks can do.

    Attributes
    ----------
    settings_type : dataclass of the recipe's ``[network]`` table
    paper : where the architecture was published
    usage : what it was published with
    zero_gradient : parameter names, or patterns of them, whose gradient is zero by construction → reason
    reduced : settings of a small one, for quick tests
    input : what it sees
    presets : settings by name, for a ``preset`` in ``[network]``

    Its ``__init__`` takes ``n_inputs`` (the number of bands of frames, an `ImageSize` of images, 1 for waveforms),
    ``n_classes`` and settings of ``settings_type``.
    """

    settings_type: type[Any]
    paper: str
    usage: Usage
    zero_gradient: ClassVar[Mapping[str, str]] = MappingProxyType({})
    reduced: ClassVar[Mapping[str, Any]]
    input: ClassVar[InputKind] = "frames"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({})

    def forward(self, inputs: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map a batch to outputs.

        Parameters
        ----------
        inputs : (batch, bands, frames), (batch, channels, height, width) or (batch, 1, samples)
        n_frames : (batch,), the valid frames or samples; images are valid as a whole
        """
        raise NotImplementedError

    @property
    def inner(self) -> "Network":
        """The network whose names a recipe uses: itself, unless it stands behind segments or images."""
        return self

    @property
    def origin(self) -> str:
        """Where the initial weights come from."""
        return "random"

    @property
    def known_speakers(self) -> frozenset[str]:
        """The speakers, as corpus/speaker, whose labels the initial weights were fitted on."""
        return frozenset()

    @property
    def value_weights(self) -> npt.NDArray[np.float64] | None:
        """Weights of the embedding's values in a discriminant (width,); None where all count the same."""
        return None

    @property
    def notice(self) -> str:
        """The licence that must accompany the initial weights, "" where there is none."""
        return ""

    def load_pretrained(self) -> None:
        """Take over published weights, where the network's settings name them; by default there are none."""

    def prepare(self, frames: Iterable[Tensor]) -> None:
        """Take from training frames, each (rows, frames), what must be known before training; by default nothing."""

    def last_layer(self, name: Layer) -> nn.Module | None:
        """Return the layer that gives an answer's logits; by default the module of that name, None without one."""
        return dict(self.named_children()).get(name)


class Segmented(Network):
    """Cuts utterances into segments, makes images of them where the network sees images, and joins the answers.

    A crop lies in the middle of its utterance; while training, anywhere (torch's global generator). Blocks are joined
    by their mean log-probability, mean embedding and mean affect, also while training.

    Parameters
    ----------
    length : frames of a segment, 0 for whole utterances
    pads_with_zero : for waveforms, whose silence is zero; spectrograms are continued at their utterance's lowest value
    """

    def __init__(
        self,
        network: Network,
        settings: Segments,
        length: int,
        image: SpectrogramImage | None = None,
        pads_with_zero: bool = False,
    ) -> None:
        super().__init__()
        self.mode, self.length, self.pads_with_zero = settings.mode, length, pads_with_zero
        self.image = image
        self.network = network

    @property
    def inner(self) -> Network:
        """The network that segments and images are put before."""
        return self.network

    @property
    def origin(self) -> str:
        """See `Network`; it is the inner network's."""
        return self.network.origin

    @property
    def known_speakers(self) -> frozenset[str]:
        """See `Network`; they are the inner network's."""
        return self.network.known_speakers

    @property
    def value_weights(self) -> npt.NDArray[np.float64] | None:
        """See `Network`; they are the inner network's: mean embeddings have the same values."""
        return self.network.value_weights

    @property
    def notice(self) -> str:
        """See `Network`; it is the inner network's."""
        return self.network.notice

    def load_pretrained(self) -> None:
        """Take over published weights, where the inner network's settings name them."""
        self.network.load_pretrained()

    def prepare(self, frames: Iterable[Tensor]) -> None:
        """Take the image's ranges and statistics from training frames, each (rows, frames)."""
        if self.image is not None:
            self.image.fit(frames)

    def last_layer(self, name: Layer) -> nn.Module | None:
        """Return a last layer of the inner network."""
        return self.network.last_layer(name)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        """Map (batch, rows, frames) with ``n_frames`` (batch,) to the utterances' outputs."""
        if self.mode == "whole":
            return self._answer(frames, n_frames)
        padding = torch.zeros_like(frames[:, :1, :1]) if self.pads_with_zero else floor_of(frames, n_frames)
        if self.mode == "crop":
            place = torch.rand(len(frames), device=frames.device) if self.training else None
            answer = self._segment(crop(frames, n_frames, self.length, padding, place))
            return answer._replace(attention=None)  # its steps would be the crop's, not the utterance's
        pieces, live = blocks(frames, n_frames, self.length, padding)  # (batch, blocks, rows, length), (batch, blocks)
        flat = pieces.flatten(0, 1)  # (batch · blocks, rows, length)
        # A graph takes all blocks of the longest utterance; otherwise the empty ones would only cost time and, while
        # training, move the statistics of batch normalisation.
        if torch.onnx.is_in_onnx_export() or frames.is_meta:
            return _joined(self._segment(flat), live)
        kept = live.flatten()
        answers = self._segment(flat[kept])
        spread = NetworkOutput(
            logits=_spread(answers.logits, kept),
            embedding=_spread(answers.embedding, kept),
            gender=None if answers.gender is None else _spread(answers.gender, kept),
            affect=None if answers.affect is None else _spread(answers.affect, kept),
        )
        return _joined(spread, live)

    def _segment(self, frames: Tensor) -> NetworkOutput:
        return self._answer(frames, torch.full_like(frames[:, 0, 0], self.length, dtype=torch.int64))

    def _answer(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        output: NetworkOutput = self.network(frames if self.image is None else self.image(frames, n_frames), n_frames)
        return output


def _spread(answer: Tensor, kept: Tensor) -> Tensor:
    """Put rows (kept, width) to where ``kept`` (all,) is True, zeros elsewhere."""
    spread = answer.new_zeros((len(kept), answer.shape[1]))
    spread[kept] = answer
    return spread


def _joined(answers: NetworkOutput, live: Tensor) -> NetworkOutput:
    """Average (batch·blocks, width) over the blocks where ``live`` (batch, blocks) is True."""
    share = (live / live.sum(dim=1, keepdim=True))[..., None]  # (batch, blocks, 1)

    def mean(rows: Tensor) -> Tensor:
        return (rows.reshape(*live.shape, rows.shape[1]) * share).sum(dim=1)  # (batch, width)

    return NetworkOutput(
        # Mean logarithm: the geometric mean of the blocks' probabilities, which softmax scales to a sum of one.
        logits=mean(answers.logits.log_softmax(dim=1)),
        embedding=mean(answers.embedding),
        gender=None if answers.gender is None else mean(answers.gender.log_softmax(dim=1)),
        affect=None if answers.affect is None else mean(answers.affect),
    )


MODELS: Registry[type[Network]] = Registry("MODELS", "model", "earnest.models", contract=Network)


class SpeechClassifier(nn.Module):
    """Waveform to class probabilities: the graph that is trained, exported and run everywhere.

    Attributes
    ----------
    learned : tasks beside the emotion that it answers, of those that the network has heads for
    temperature, gender_temperature : what logits are divided by before they become probabilities
    """

    temperature: Tensor
    gender_temperature: Tensor

    def __init__(self, front_end: FrontEndModule, network: Network, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.front_end = front_end
        self.network = network
        self.classes = classes
        self.learned: tuple[Task, ...] = ("gender", "affect")
        self.register_buffer("temperature", torch.ones(()))  # 1 changes nothing; calibration fits it
        self.register_buffer("gender_temperature", torch.ones(()))

    def exportable(self) -> Self:
        """Return a copy in evaluation mode whose operators every runtime has."""
        other = copy.deepcopy(self).eval()
        other.front_end = self.front_end.exportable()
        return other

    def n_parameters(self) -> int:
        """Count the network's parameters, frozen ones too."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the calibrated probabilities (batch, classes) of the network's logits."""
        return (logits / self.temperature).softmax(dim=1)

    def forward(self, waveform: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return the outputs by the names they have in the graph.

        Parameters
        ----------
        waveform : (batch, samples) float32 at the front end's rate
        lengths : (batch,) int64
        """
        return self.answer(*self.front_end(waveform, lengths))

    def answer(self, frames: Tensor, n_frames: Tensor) -> dict[str, Tensor]:
        """Return the outputs for what the front end gave."""
        output = self.network(frames, n_frames)
        named = {
            "logits": output.logits,
            "probabilities": self.probabilities(output.logits),
            "embedding": output.embedding,
        }
        if output.gender is not None and "gender" in self.learned:
            named["gender"] = (output.gender / self.gender_temperature).softmax(dim=1)
        if output.affect is not None and "affect" in self.learned:
            named["affect"] = output.affect
        return named if output.attention is None else {**named, "attention": output.attention}


def build_network(name: str, n_inputs: int | ImageSize, n_classes: int, settings: Mapping[str, Any]) -> Network:
    """Build the network called ``name`` with random weights (torch's global generator)."""
    return MODELS.get(name)(n_inputs, n_classes, network_settings(name, settings))


def network_settings(name: str, settings: Mapping[str, Any]) -> Any:
    """Return the settings of the network called ``name``, defaults included, from a recipe's ``[network]``."""
    network_type = MODELS.get(name)
    if not is_dataclass(network_type.settings_type):
        raise EarnestError(f"The model '{name}': settings_type must be a dataclass, got {network_type.settings_type}.")
    return from_mapping(network_type.settings_type, _with_preset(settings, network_type.presets), "[network]")


def input_kind(name: str) -> InputKind:
    """Return the input of the network called ``name``."""
    return MODELS.get(name).input


def build_front_end(recipe: Recipe) -> FrontEndModule:
    """Build the front end of a recipe's model."""
    return front_end_for(input_kind(recipe.model), recipe.front_end, recipe.image)


def build_classifier(recipe: Recipe, classes: tuple[str, ...], seed: int) -> SpeechClassifier:
    """Build a recipe's model; the random start depends on ``seed`` alone."""
    front_end = build_front_end(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = assembled(recipe, front_end, len(classes))
    return SpeechClassifier(front_end, network, classes)


def assembled(recipe: Recipe, front_end: FrontEndModule, n_classes: int) -> Network:
    """Put segments and image before the network; a network on whole utterances' frames stays as it is."""
    kind, segments = input_kind(recipe.model), recipe.segments
    length = 0
    if segments.mode != "whole":
        length = segments.frames(recipe.front_end.sample_rate_hz, front_end.hop_length)
    if kind != "image" and recipe.image != Image():
        raise RecipeError(f"[image]: the model '{recipe.model}' doesn't see images. Leave the table out.")
    masks = [name for name in ("time_mask_frames", "mel_mask_bands") if getattr(recipe.training, name)]
    if kind == "waveform" and masks:
        told = f"training: {masks[0]} hides parts of a spectrogram; the model '{recipe.model}' hears samples."
        raise RecipeError(f"{told} Leave it out.")
    image = SpectrogramImage(recipe.image, front_end.n_rows, length) if kind == "image" else None
    n_inputs = front_end.n_rows if image is None else image.size
    network = build_network(recipe.model, n_inputs, n_classes, recipe.network)
    if segments.mode == "whole" and image is None:
        return network
    return Segmented(network, segments, length, image, pads_with_zero=kind == "waveform")


def wrong_in(output: object, n_clips: int, n_classes: int) -> str:
    """Explain a network's wrong output for a batch, "" where it is as `NetworkOutput` promises."""
    if not isinstance(output, NetworkOutput):
        return f"must return a NetworkOutput, got {type(output).__name__}"
    for part, width in {"logits": n_classes, "embedding": None, "gender": 2, "affect": 3}.items():
        values = getattr(output, part)
        if values is None and part in {"gender", "affect"}:
            continue
        shape = tuple(getattr(values, "shape", ()))
        if len(shape) != 2 or shape[0] != n_clips or (width or shape[1]) != shape[1]:
            return f"{part} of {n_clips} utterances must be ({n_clips}, {width or 'width'}), got {shape}"
        if not values.isfinite().all():
            return f"{part} must be finite, got {int((~values.isfinite()).sum())} values that aren't"
    return ""


def refuse_wrong_answers(classifier: SpeechClassifier, name: str) -> None:
    """Let a network of another package answer two utterances of noise, and refuse it where the answers are wrong.

    Tests hold ours to what they promise. The network learns from the noise what it takes from utterances, see
    `prepare`.
    """
    inner, sample_rate_hz = classifier.network.inner, classifier.front_end.settings.sample_rate_hz
    if type(inner).__module__.startswith("earnest."):
        return

    def check(_module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        if wrong := wrong_in(output, len(inputs[0]), len(classifier.classes)):
            raise EarnestError(f"The model '{name}': {wrong}.")

    noise = 0.1 * torch.randn(2, sample_rate_hz, generator=torch.Generator().manual_seed(0))
    inner.register_forward_hook(check)  # before segments see it
    with torch.no_grad():
        frames, n_frames = classifier.front_end(noise, torch.tensor([sample_rate_hz, sample_rate_hz // 2]))
        classifier.network.prepare(clip[:, :n] for clip, n in zip(frames, n_frames.tolist(), strict=True))
        classifier.network.eval()(frames, n_frames)


def _with_preset(settings: Mapping[str, Any], presets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Resolve the key ``preset`` of ``[network]``; keys beside it take precedence."""
    if not presets or "preset" not in settings:
        return dict(settings)
    name = settings["preset"]
    if name not in presets:
        raise RecipeError(f"[network]: there is no preset {name!r}.{suggestion(str(name), presets)}")
    return {**presets[name], **{key: value for key, value in settings.items() if key != "preset"}}


CLIP_S = 3.0
BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class NetworkSummary:
    """One architecture as published.

    Attributes
    ----------
    parameters : of the network, without the front end; None where the network can't be built here
    megabytes : of the parameters as float32
    multiply_adds : for an utterance of three seconds: matrix products and convolutions of the network and what it sees,
        as torch's `FlopCounterMode` counts them (two operations are one multiply-add), without the front end
    note : why there are no numbers
    """

    name: str
    paper: str
    n_classes: int
    parameters: int | None = None
    megabytes: float | None = None
    multiply_adds: int | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def summaries() -> list[NetworkSummary]:
    """Count every registered network, by name."""
    return [summary_of(name) for name in MODELS.names()]


def summary_of(name: str) -> NetworkSummary:
    """Count one network with the settings, classes and front end that it was published with."""
    try:
        network_type = MODELS.get(name)
    except EarnestError as error:  # of a package that can't be imported
        return NetworkSummary(name, paper="", n_classes=0, note=str(error))
    published = NetworkSummary(name, network_type.paper, getattr(network_type.usage, "n_classes", 0))
    try:
        parameters, multiply_adds = _counts(name, network_type.usage)
    except MissingExtraError as error:
        return replace(published, note=str(error))
    except Exception as error:  # code of strangers: it may raise anything
        return replace(published, note=f"It can't be counted ({type(error).__name__}: {error}).")
    megabytes = round(parameters * BYTES_PER_PARAMETER / 1e6, 1)
    return replace(published, parameters=parameters, megabytes=megabytes, multiply_adds=multiply_adds)


def _counts(name: str, usage: Usage) -> tuple[int, int]:
    from torch.utils.flop_counter import FlopCounterMode

    recipe = Recipe("none", name, front_end=usage.front_end, segments=usage.segments, image=usage.image)
    front_end = build_front_end(recipe)
    with torch.device("meta"):
        network = assembled(recipe, front_end, usage.n_classes).eval()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    device = "meta"
    is_ours = type(network.inner).__module__.startswith("earnest.")
    if not is_ours or any(isinstance(module, nn.RNNBase) for module in network.modules()):
        # Recurrent layers are counted while they run, and code of strangers may ask how long an utterance is.
        network, device = network.to_empty(device="cpu"), "cpu"
    n_frames = front_end.n_frames(round(CLIP_S * recipe.front_end.sample_rate_hz))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, front_end.n_rows, n_frames, device=device), torch.tensor([n_frames], device=device))
    return parameters, counter.get_total_flops() // 2
