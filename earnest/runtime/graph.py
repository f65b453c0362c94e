"""A model's network, from waveforms or from spectrograms to its outputs: of one bundle, or the mean of several.

Answers are averaged over variants of a recording (test-time augmentation), or over several models (an ensemble).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.augment.tta import apply_variant, variants_called
from earnest.bundle import Bundle, BundleInfo, classes_text
from earnest.errors import BundleError, EarnestError, NoPicturesError, counted, first_line, printable, shown
from earnest.onnx.surgery import CUT, CutError, Part
from earnest.runtime.engine import Backend, Engine, Hint, OnnxRuntimeEngine, Provider, Session

Outputs: TypeAlias = Mapping[str, npt.NDArray[np.float32]]
LogMel: TypeAlias = npt.NDArray[np.float32]
"""Decibels, shape (rows, frames)."""

_INPUTS = {"waveform": "float32", "lengths": "int64"}
_REQUIRED = ("logits", "probabilities", "embedding")
_SHARES = ("probabilities", "sound", "gender")  # outputs of a softmax
_SHAPES: Mapping[str, tuple[int, ...]] = {  # of a recording's
    "distance": (),
    "overlap": (),
    "intensity": (),
    "affect_derived": (2,),
}
_CLIPPED = ("overlap", "intensity", "affect_derived")  # to 0 to 1
_TOLERANCE = 1e-2  # of float16
MOST_THREADS = 512
_PREDICTED = ("probabilities", "sound", "distance", "overlap", "gender", "affect", "affect_derived", "intensity")


def engine_for(
    bundle: Bundle, threads: int = 1, provider: Provider = "cpu", backend: Backend = "auto", hint: Hint = "latency"
) -> Engine:
    """Return the engine of a bundle; "auto" is onnxruntime unless the bundle was exported for OpenVINO.

    Raises `MissingExtraError` where OpenVINO is wanted and not installed, `EarnestError` for a backend or provider that
    there is not, or that don't go together, or a number of threads that no machine has.
    """
    for name, value, known in (("backend", backend, get_args(Backend)), ("provider", provider, get_args(Provider))):
        if value not in known:
            raise EarnestError(f"{name}: expected one of {', '.join(known)}, got {shown(value)}.")
    if not isinstance(threads, int) or not 0 <= threads <= MOST_THREADS:
        raise EarnestError(f"threads: expected 1 to {MOST_THREADS}, or 0 for all cores, got {shown(threads)}.")
    if backend == "openvino" or (backend == "auto" and "model.xml" in bundle.info.files):
        from earnest.runtime.openvino_engine import OpenVinoEngine

        if provider == "cuda":
            raise EarnestError("OpenVINO has no provider cuda. Use cpu, gpu or auto.")
        return OpenVinoEngine(bundle, threads, provider, hint)
    if provider in ("gpu", "auto"):
        raise EarnestError(f"onnxruntime has no provider {provider}. Use cpu or cuda, or backend openvino.")
    return OnnxRuntimeEngine(bundle, threads, provider)


class WindowNetwork(Protocol):
    """A network that answers windows: a bundle's graph, or several averaged (`Ensemble`).

    Attributes
    ----------
    predicted : names of the outputs that a prediction is made of
    """

    predicted: tuple[str, ...]

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Answer a batch, each of shape (samples,); see `Graph.run`."""


@runtime_checkable
class PictureNetwork(Protocol):
    """A network that answers spectrograms too."""

    def run_log_mel(self, log_mel: LogMel, names: Sequence[str] | None = None) -> Outputs:
        """Answer about one spectrogram; see `Graph.run_log_mel`."""


class Graph:
    """Runs batches of waveforms or spectrograms.

    Attributes
    ----------
    outputs : names of all outputs
    predicted : names of those that a prediction is made of
    embedding_width : values of an embedding, None where the graph leaves that open
    """

    def __init__(self, bundle: Bundle, engine: Engine | None = None) -> None:
        self._engine = engine or engine_for(bundle)
        self._where = f"{bundle.folder / self._engine.file}"
        self._classes = bundle.info.classes
        self._whole = self._session("whole")
        self._check_signature(bundle.info)

    def _session(self, part: Part) -> Session:
        try:
            return self._engine.session(part)
        except CutError as error:
            raise NoPicturesError(f"{self._where}: {error}") from None
        except self._engine.errors() as error:
            raise self._broken(f"{self._engine.name} refuses it ({first_line(error)[:200]})") from error

    def _check_signature(self, info: BundleInfo) -> None:
        inputs, sizes = dict(self._whole.inputs), self._whole.outputs
        if inputs != _INPUTS:
            raise self._broken(f"the inputs must be {_INPUTS}, they are {inputs}")
        if missing := [name for name in _REQUIRED if name not in sizes]:
            raise self._broken(f"has no output '{missing[0]}'")
        width = sizes["probabilities"]
        # None where the graph leaves the size open: then answers are checked (`_answer`).
        if width is not None and width != len(self._classes):
            raise self._broken(f"{counted(width, 'output')} for {len(self._classes)} classes")
        n_sounds = len(info.sounds)
        if n_sounds and sizes.get("sound", n_sounds) not in (n_sounds, None):
            raise self._broken(f"{sizes['sound']} sounds for {n_sounds} names")
        if unfound := [name for name in _promised(info) if name not in sizes]:
            raise self._broken(f"has no output '{unfound[0]}', which bundle.json names")
        # Bundles of before have commas of labels as they are.
        expected = (classes_text(self._classes), ",".join(self._classes))
        classes, rate_hz = self._whole.facts.get("classes"), self._whole.facts.get("sample_rate_hz")
        if classes not in (None, *expected):
            told = printable(f"{classes}, and those of bundle.json are {expected[0]}")
            raise BundleError(f"{self._where}: its classes are {told}. Export or download the bundle again.")
        if rate_hz not in (None, str(info.sample_rate_hz)):
            told = printable(f"{rate_hz} Hz, and that of bundle.json {info.sample_rate_hz} Hz")
            raise BundleError(f"{self._where}: its sample rate is {told}. Export or download the bundle again.")
        self.outputs, self.embedding_width = tuple(sizes), sizes["embedding"]
        self.predicted = tuple(name for name in _PREDICTED if name in sizes)

    @cached_property
    def _front_end(self) -> Session:
        return self._session("front_end")

    @cached_property
    def _network(self) -> Session:
        return self._session("network")

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Run one batch.

        Parameters
        ----------
        waveforms : each of shape (samples,), at the bundle's rate; shorter ones are padded with zeros, which the
            graph masks
        names : outputs wanted; default: what a prediction is made of

        Returns
        -------
        output name → shape (batch, …)
        """
        batch, lengths = padded(waveforms)
        return self._answer(self._whole, {"waveform": batch, "lengths": lengths}, names)

    def log_mel(self, waveform: Waveform) -> LogMel:
        """Return the log-mel spectrogram of one waveform, shape (samples,): decibels, silence at the ends cut off.

        Raises `BundleError` when the model works on raw samples, or was exported without a place to cut it.
        """
        batch, lengths = padded([waveform])
        values = self._run(self._front_end, {"waveform": batch, "lengths": lengths}, CUT)
        self._check_finite(values)
        frames: LogMel = values["log_mel"][0, :, : int(values["n_frames"][0])]
        return frames

    def run_log_mel(self, log_mel: LogMel, names: Sequence[str] | None = None) -> Outputs:
        """Answer as `run` does, about one spectrogram that `log_mel` gave."""
        n_frames = np.array([log_mel.shape[1]], np.int64)
        feeds = {"log_mel": np.ascontiguousarray(log_mel, np.float32)[None], "n_frames": n_frames}
        return self._answer(self._network, {name: feeds[name] for name in self._network.inputs}, names)

    def _answer(self, session: Session, feeds: Mapping[str, Any], names: Sequence[str] | None) -> Outputs:
        outputs = self._run(session, feeds, names or self.predicted)
        self._check_finite(outputs)
        expected = (len(next(iter(feeds.values()))), len(self._classes))  # (batch, classes)
        if "probabilities" in outputs and outputs["probabilities"].shape != expected:
            found = outputs["probabilities"].shape
            raise BundleError(f"{self._where}: expected probabilities of shape {expected}, got {found}.")
        self._check_ranges(outputs, expected[0])
        return outputs

    def _check_ranges(self, outputs: Outputs, n_rows: int) -> None:
        """Refuse what softmax never gives, and answers about more or fewer recordings than were asked about."""
        for name, values in outputs.items():
            if not values.shape or len(values) != n_rows:
                raise BundleError(f"{self._where}: expected {counted(n_rows, 'row')} of '{name}', got {values.shape}.")
            if name in _SHAPES and values.shape[1:] != _SHAPES[name]:
                raise self._broken(f"expected '{name}' of {(n_rows, *_SHAPES[name])}, got {values.shape}")
            if name in _CLIPPED and values.size and (values.min() < 0 or values.max() > 1):
                raise self._broken(f"'{name}' is not 0 to 1 (from {values.min():.4g} to {values.max():.4g})")
            if name not in _SHARES or not values.size:
                continue
            sums = values.sum(axis=-1)
            if values.min() < -_TOLERANCE or abs(sums - 1).max() > _TOLERANCE:
                told = f"from {values.min():.4g} to {values.max():.4g}, sums up to {sums.max():.4g}"
                raise self._broken(f"'{name}' holds no probabilities ({told})")

    def _run(self, session: Session, feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        try:
            return dict(zip(names, session.run(feeds, names), strict=True))
        except self._engine.errors() as error:
            raise self._broken(f"failed to run ({first_line(error)[:200]})") from error

    def _check_finite(self, outputs: Mapping[str, Any]) -> None:
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise self._broken(f"output '{name}' is not finite")

    def _broken(self, why: str) -> BundleError:
        return BundleError(f"{self._where}: {why}. Export it again.")


def _promised(info: BundleInfo) -> tuple[str, ...]:
    """Return the outputs that this needs beside those of every bundle."""
    heads = ("sound",) * bool(info.sounds) + ("distance",) * (info.out_of_domain_from is not None)
    return *heads, *(name for name in _PREDICTED if name in info.learned)


def padded(waveforms: Sequence[Waveform]) -> tuple[Waveform, npt.NDArray[np.int64]]:
    """Return waveforms, each of shape (samples,), as a batch padded with zeros, and their lengths."""
    lengths = np.array([len(waveform) for waveform in waveforms], np.int64)
    if len(waveforms) == 1:
        # Nothing is copied where it is contiguous float32 already.
        return np.ascontiguousarray(waveforms[0], np.float32)[None], lengths
    batch = np.zeros((len(waveforms), int(lengths.max())), np.float32)
    for row, waveform in zip(batch, waveforms, strict=True):
        row[: len(waveform)] = waveform
    return batch, lengths


class Variants:
    """Hears a recording and its variants and gives the mean of the answers; the embedding is the recording's own.

    A variant longer than the network takes loses its end; one that is too short is left out.
    """

    def __init__(self, network: WindowNetwork, name: str, info: BundleInfo) -> None:
        self._network, self._others = network, variants_called(name)[1:]
        self._rate_hz = info.sample_rate_hz
        self._n_least = info.shortest_s * info.sample_rate_hz
        self._n_most = round(info.longest_s * info.sample_rate_hz)
        self.predicted = network.predicted

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Answer a batch; see `Graph.run`."""
        outputs = dict(self._network.run(waveforms, names))
        averaged = [name for name in outputs if name in self.predicted]
        sums = {name: outputs[name].astype(np.float64) for name in averaged}
        counts = np.ones(len(waveforms))
        for variant in self._others:
            heard = [apply_variant(waveform, variant, self._rate_hz)[: self._n_most] for waveform in waveforms]
            rows = [row for row, waveform in enumerate(heard) if len(waveform) >= self._n_least]
            if rows:
                counts[rows] += 1
                for name, values in self._network.run([heard[row] for row in rows], averaged).items():
                    # No row occurs twice, so += by index adds each answer once.
                    sums[name][rows] += values
        # p = Σ_v p_v / V over the V variants that are long enough, the recording itself among them.
        return {**outputs, **{name: _divided(total, counts) for name, total in sums.items()}}


class Ensemble:
    """Several networks that hear the same; gives the mean of their answers."""

    def __init__(self, networks: Sequence[WindowNetwork]) -> None:
        self._networks = networks
        self.predicted = tuple(
            name for name in networks[0].predicted if all(name in other.predicted for other in networks)
        )

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Answer a batch; see `Graph.run`. An embedding there is none: each network has its own."""
        answers = [network.run(waveforms, names or self.predicted) for network in self._networks]
        sums = {name: np.sum([answer[name] for answer in answers], axis=0, dtype=np.float64) for name in answers[0]}
        return {name: np.asarray(total / len(answers), np.float32) for name, total in sums.items()}


def _divided(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Divide sums, shape (batch, …), by counts, shape (batch,)."""
    # (batch,) → (batch, 1, …), for sums of any number of axes.
    return np.asarray(sums / counts.reshape(-1, *[1] * (sums.ndim - 1)), np.float32)


def network_of(
    bundles: Sequence[Bundle], threads: int, provider: Provider, tta: str, backend: Backend, hint: Hint
) -> tuple[WindowNetwork, BundleInfo]:
    """Build the network of one or several bundles, and its description.

    Raises `BundleError` when the bundles don't answer with the same classes about sound of the same rate.

    Parameters
    ----------
    tta : variants by name, see `earnest.augment.tta`; "none" for the recording alone
    """
    info = bundles[0].info if len(bundles) == 1 else ensemble_info([bundle.info for bundle in bundles])
    graphs = [Graph(bundle, engine_for(bundle, threads, provider, backend, hint)) for bundle in bundles]
    network: WindowNetwork = graphs[0] if len(graphs) == 1 else Ensemble(graphs)
    if len(variants_called(tta)) == 1:
        return network, info
    return Variants(network, tta, info), replace(info, name=f"{info.name} (tta {tta})")


def ensemble_info(infos: Sequence[BundleInfo]) -> BundleInfo:
    """Return the description of an ensemble: the first bundle's classes and rate, which all must share."""
    first = infos[0]
    for info in infos[1:]:
        if info.classes != first.classes:
            raise BundleError(
                f"'{first.name}' and '{info.name}' can't be averaged: their classes are {', '.join(first.classes)} "
                f"and {', '.join(info.classes)}. Take models of one label scheme."
            )
        if info.sample_rate_hz != first.sample_rate_hz:
            raise BundleError(
                f"'{first.name}' and '{info.name}' can't be averaged: they hear {first.sample_rate_hz} Hz and "
                f"{info.sample_rate_hz} Hz. Take models of one sample rate."
            )
    return BundleInfo(
        name="+".join(info.name for info in infos),
        version="+".join(info.version for info in infos),
        classes=first.classes,
        sample_rate_hz=first.sample_rate_hz,
        licence=" and ".join(dict.fromkeys(info.licence for info in infos)),
        # By content: which networks these are, in any order.
        files={f"{told}/{name}": told for info in infos for name, told in info.files.items()},
        scheme=first.scheme,
        adaptation=next((info.adaptation for info in infos if info.adaptation), None),
        n_parameters=sum(info.n_parameters for info in infos),
        sounds=first.sounds if all(info.sounds == first.sounds for info in infos) else (),
        # The strictest of them all: the threshold as well as the lengths.
        abstain_below=max(info.abstain_below for info in infos),
        shortest_s=max(info.shortest_s for info in infos),
        longest_s=min(info.longest_s for info in infos),
        training_corpora=tuple(dict.fromkeys(line for info in infos for line in info.training_corpora)),
    )
