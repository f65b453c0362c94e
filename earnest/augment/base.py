"""The interface of waveform augmentations, their registry, a recipe's tables of them; noise at a level below speech."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.waveform import Waveform
from earnest.bundle import TrainingCorpus
from earnest.errors import EarnestError, RecipeError, suggestion
from earnest.registry import Registry
from earnest.settings.limits import Share, Validated, from_mapping

Tables = Iterable[Mapping[str, Any]]
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


@dataclass(frozen=True)
class CheckedTransform:
    """A transform that may be of another package, and gives what an augmentation promises or an error.

    Attributes
    ----------
    where : number and name of its table
    keeps_length : see `Augmentation`
    """

    transform: Transform
    where: str
    keeps_length: bool

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Return an augmented copy, shape (samples,), float32, finite."""
        changed = self.transform(waveform, rng)
        is_right = changed.shape == waveform.shape if self.keeps_length else changed.ndim == 1 and changed.size > 0
        n_finite = int(np.isfinite(changed).sum())
        if not is_right or n_finite < changed.size:
            shape = f"({len(waveform) if self.keeps_length else 'samples'},)"
            raise EarnestError(
                f"{self.where}: must give finite samples of the shape {shape}, got {changed.shape}, {n_finite} finite."
            )
        return changed


@dataclass(frozen=True)
class Chain:
    """Several transforms in their order; without any, an utterance comes back as it is."""

    transforms: tuple[Transform, ...]

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Return an augmented copy, shape (samples,), float32; ``waveform`` itself where nothing was drawn."""
        for transform in self.transforms:
            waveform = transform(waveform, rng)
        return waveform


@dataclass(frozen=True)
class Choice:
    """One of several transforms, drawn anew for each utterance.

    Attributes
    ----------
    shares : of each transform, from 0 to 1; they sum to one
    """

    transforms: tuple[Transform, ...]
    shares: tuple[float, ...]

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Return an augmented copy, shape (samples,), float32."""
        return self.transforms[rng.choice(len(self.transforms), p=self.shares)](waveform, rng)


def build_chain(tables: Tables, sample_rate_hz: int) -> Chain:
    """Make the transforms that a recipe asks for.

    Raises `RecipeError` for an unknown name or key (the nearest right one is named), a wrong value, or a folder that
    isn't there.

    Parameters
    ----------
    tables : each with ``name`` and the settings of that augmentation
    sample_rate_hz : of the utterances
    """
    return Chain(tuple(_made(where, found, sample_rate_hz) for where, found in _read(tables)))


def build_choice(tables: Tables, sample_rate_hz: int) -> Choice:
    """Build a choice: one transform is drawn for each utterance, in proportion to the tables' ``probability``.

    Parameters and errors as in `build_chain`.
    """
    read = list(_read(tables))
    total = sum(found.probability for _, found in read)
    if not total > 0:
        raise RecipeError("augment: no table has a probability above 0. Set one.")
    shares = tuple(found.probability / total for _, found in read)
    return Choice(tuple(_made(where, replace(found, probability=1.0), sample_rate_hz) for where, found in read), shares)


def check_tables(tables: Tables) -> None:
    """Raise `RecipeError` for a name, a key or a value that is wrong; folders are not looked for."""
    deque(_read(tables), maxlen=0)


def ledger_of_tables(tables: Tables) -> list[TrainingCorpus]:
    """Return whose recordings the augmentations of a recipe mix in, as lines of the licence ledger."""
    return [line for _, found in _read(tables) for line in found.ledger()]


def _read(tables: Tables) -> Iterator[tuple[str, Augmentation]]:
    for number, table in enumerate(tables, start=1):
        name = table.get("name")
        if name not in AUGMENTATIONS.names():
            wrong = "the key 'name' is missing" if name is None else f"there is no augmentation called {name!r}"
            raise RecipeError(f"augment {number}: {wrong}.{suggestion(str(name), AUGMENTATIONS.names())}")
        where = f"augment {number} ({name})"
        settings = {key: value for key, value in table.items() if key != "name"}
        yield where, from_mapping(AUGMENTATIONS.get(name), settings, where)


def _made(where: str, augmentation: Augmentation, sample_rate_hz: int) -> Transform:
    try:
        return CheckedTransform(augmentation.made_for(sample_rate_hz), where, augmentation.keeps_length)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None


def power(waveform: npt.NDArray[np.floating]) -> float:
    """Return the mean square of an utterance, shape (samples,), added up in double precision."""
    return float(np.mean(np.square(waveform, dtype=np.float64)))


def mix_at_snr(speech: Waveform, noise: Waveform, snr_db: float) -> Waveform:
    """Add noise so that 10·log10(P_speech / P_noise) equals ``snr_db``.

    Parameters
    ----------
    speech, noise : shape (samples,), same length, float32
    snr_db : power ratio in decibels, over the whole utterance

    Returns
    -------
    shape (samples,), float32, not clipped to [-1, 1]; where one of the two is silent, the speech alone
    """
    speech_power, noise_power = power(speech), power(noise)
    if not (speech_power > 0 and noise_power > 0):
        return speech.copy()
    factor = np.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))  # factor² · P_noise = P_speech / 10^(SNR/10)
    return np.asarray(speech + factor * noise, np.float32)
