"""The interface of waveform augmentations, and the registry that finds them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.bundle import TrainingCorpus
from earnest.registry import Registry
from earnest.settings.limits import Share, Validated

Transform: TypeAlias = Callable[[Waveform, np.random.Generator], Waveform]
Range: TypeAlias = tuple[float, float]  # lowest and highest, drawn from evenly


@dataclass(frozen=True, kw_only=True)
class Augmentation(Validated, ABC):
    """Settings of one augmentation, and what draws from them.

    Attributes
    ----------
    probability : with which an utterance is changed, from 0 to 1
    keeps_length : whether an utterance has as many samples afterwards, whatever is drawn
    is_random : whether two generators give two results; otherwise only ``probability`` is drawn
    """

    probability: Share = 1.0
    keeps_length: ClassVar[bool] = True
    is_random: ClassVar[bool] = True

    @classmethod
    def example_settings(cls, recordings: Path) -> Mapping[str, Any]:  # noqa: ARG003 - most need none
        """Return settings to try it with: those that have no default, of which most have none.

        Parameters
        ----------
        recordings : a folder with some, for an augmentation that needs them
        """
        return {}

    def check_ready(self) -> None:
        """Raise an `EarnestError` where something that it needs is missing (a folder of noises)."""

    def ledger(self) -> tuple[TrainingCorpus, ...]:
        """Return whose recordings it mixes in, as lines of the licence ledger; most mix in none."""
        return ()

    @abstractmethod
    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """Return a changed copy.

        Parameters
        ----------
        waveform : shape (samples,), at least one, finite; it is not modified

        Returns
        -------
        shape (samples,), not clipped to [-1, 1]
        """

    def made_for(self, sample_rate_hz: int) -> Transform:
        """Return ``(waveform, rng) -> waveform`` for utterances of one rate; it can be sent to another process."""
        self.check_ready()
        return partial(self._maybe, sample_rate_hz=sample_rate_hz)

    def _maybe(self, waveform: Waveform, rng: np.random.Generator, sample_rate_hz: int) -> Waveform:
        if rng.random() >= self.probability:
            return waveform
        return np.asarray(self.apply(waveform, sample_rate_hz, rng), np.float32)


AUGMENTATIONS: Registry[type[Augmentation]] = Registry(
    "AUGMENTATIONS", "augmentation", "earnest.augment", group="earnest.augmentations", contract=Augmentation
)


def generator_for(words: str) -> np.random.Generator:
    """Return a generator that depends on ``words`` alone, such as the key of an utterance and what is done to it."""
    return np.random.default_rng(int.from_bytes(sha256(words.encode()).digest()[:8], "big"))
