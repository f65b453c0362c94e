"""What adds up while a recording passes: what it is like, and the answers to its windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from earnest.audio.quality import QualityMeter
from earnest.audio.waveform import Waveform
from earnest.runtime.domain import STRANGE, Domain
from earnest.runtime.prediction import Prediction, polarity_of


@dataclass
class Tally:
    """Sums over the blocks of one recording, at its own rate, and over its windows' answers."""

    sample_rate_hz: int
    n_samples: int = 0
    n_answered: int = 0
    n_judged: int = 0
    distance: float = 0.0
    is_adapted: bool = False
    sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._meter = QualityMeter(self.sample_rate_hz)

    @property
    def duration_s(self) -> float:
        """Seconds heard."""
        return self.n_samples / self.sample_rate_hz

    def hear(self, block: Waveform) -> None:
        """Take the next samples, shape (samples,)."""
        self.n_samples += len(block)
        self._meter.accept(block)

    def add(self, outputs: Mapping[str, npt.NDArray[np.floating]], n_samples: int) -> None:
        """Add one window's answer, each output of shape (…,), weighted by the window's length."""
        self.n_answered += n_samples
        for name, values in outputs.items():
            self.sums[name] = self.sums.get(name, np.zeros(values.shape)) + n_samples * values

    def judge(self, domain: Domain, embedding: npt.NDArray[np.floating], n_samples: int, sample_rate_hz: int) -> None:
        """Add one window's distance to known sound, weighted by its length, unless it is too long for a verdict."""
        if n_samples <= domain.longest_s * sample_rate_hz:
            self.n_judged += n_samples
            self.distance += n_samples * float(domain.distances(embedding))

    def quality(self, domain: Domain | None = None) -> tuple[str, ...]:
        """Return the words that apply; the distance is the mean of the windows', weighted by length."""
        strange = domain is not None and self.distance > domain.threshold * self.n_judged
        return (*self._meter.words(), STRANGE) if strange else self._meter.words()

    def answer(self, measured: Prediction, classes: Sequence[str]) -> Prediction:
        """Return ``measured`` with the mean of the windows' answers, as it is when there was none."""
        if not self.n_answered:
            return measured
        means = {name: (total / self.n_answered).tolist() for name, total in self.sums.items()}
        probabilities = dict(zip(classes, means["probabilities"], strict=True))
        emotion = max(probabilities, key=probabilities.__getitem__)
        return replace(
            measured,
            status="ok",
            emotion=emotion,
            confidence=probabilities[emotion],
            probabilities=probabilities,
            polarity=polarity_of(probabilities),
            adapted=self.is_adapted,
            gender=_named(("female", "male"), means.get("gender")),
            affect=_named(("valence", "arousal", "dominance"), means.get("affect")),
        )


def _named(names: tuple[str, ...], values: list[float] | None) -> dict[str, float] | None:
    return None if values is None else dict(zip(names, values, strict=True))
