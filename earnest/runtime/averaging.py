"""Averaged answers to one recording: over its variants (test-time augmentation), over several models (an ensemble)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.augment.tta import apply_variant, variants_called
from earnest.bundle import Bundle, BundleInfo
from earnest.errors import BundleError
from earnest.runtime.engine import Backend, Hint, Provider
from earnest.runtime.graph import Graph, Outputs, WindowNetwork, engine_for


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
    bundles: Sequence[Bundle],
    threads: int,
    provider: Provider,
    tta: str,
    backend: Backend,
    hint: Hint,
) -> tuple[WindowNetwork, BundleInfo]:
    """Build the network of one or several bundles, and its description.

    Parameters
    ----------
    tta : variants by name, see `earnest.augment.tta`; "none" for the recording alone

    Raises
    ------
    BundleError
        When the bundles don't answer with the same classes about sound of the same rate.
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
