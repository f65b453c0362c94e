"""Test-time augmentation: variants of an utterance whose probabilities are averaged. Nothing is drawn anew, no torch.

What they bring, and what they cost, is measured in docs/results/tta.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.bandwidth import Spectrum, filtered
from earnest.augment.base import Augmentation
from earnest.augment.gain import Gain
from earnest.augment.gaussian_noise import GaussianNoise
from earnest.augment.pitch_shift import PitchShift
from earnest.augment.speed import Speed
from earnest.augment.time_stretch import TimeStretch
from earnest.errors import EarnestError, shown, suggestion

MASKED = 20 / 256  # the widest mask of the multitask network's authors, of the utterance's length and of the mel scale
FADE_S = 0.005


@dataclass(frozen=True)
class AsItIs(Augmentation):
    """Change nothing."""

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        return waveform


@dataclass(frozen=True)
class WithoutStretch(Augmentation):
    """Silence one thirteenth of an utterance, with edges of 5 ms.

    Attributes
    ----------
    start : share of the utterance's length, from 0 to 1
    """

    start: float = 0.4

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """Return the rest, as long as before."""
        position = np.arange(len(waveform)) - self.start * len(waveform)
        beyond = np.maximum(-position, position - MASKED * len(waveform))  # samples to the silence, below 0 within it
        # 0 within the silence, and from 0 to 1 over 5 ms on both sides of it.
        gains = np.clip(beyond / max(FADE_S * sample_rate_hz, 1.0), 0, 1)
        return np.asarray(waveform * gains, np.float32)


@dataclass(frozen=True)
class WithoutBand(Augmentation):
    """Filter one thirteenth of the mel scale out.

    Attributes
    ----------
    start : share of the scale up to half the sample rate, from 0 to 1
    """

    start: float = 0.4

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        """Return the rest, as long as before."""

        def gains(frequencies_hz: Spectrum) -> Spectrum:
            share = np.log1p(frequencies_hz / 700) / np.log1p(sample_rate_hz / 1400)  # mel = 2595·log10(1 + f/700)
            return np.asarray((share < self.start) | (share > self.start + MASKED), np.float64)

        return filtered(waveform, sample_rate_hz, gains)


_GAINS = (Gain(gain_db=(-6, -6)), Gain(gain_db=(6, 6)))
_SPEEDS = (Speed(rate=(0.95, 0.95)), Speed(rate=(1.05, 1.05)))
# The changes of the multitask network's authors: noise 22.5 dB below the utterance, and these.
_NOISES = (GaussianNoise(deviation=(0.075, 0.075)),)
_STRETCHES = (TimeStretch(rate=(0.75, 0.75)), TimeStretch(rate=(1.25, 1.25)))
_PITCHES = (PitchShift(semitones=(-1, -1)), PitchShift(semitones=(1, 1)))
_MASKS = (WithoutBand(), WithoutStretch())
VARIANTS: Mapping[str, tuple[Augmentation, ...]] = {
    name: (AsItIs(), *changes)
    for name, changes in {
        "none": (),
        "gain": _GAINS,
        "speed": _SPEEDS,
        "gain-and-speed": (*_GAINS, *_SPEEDS),
        "noise": _NOISES,
        "stretch": _STRETCHES,
        "pitch": _PITCHES,
        "masks": _MASKS,
        "multitask": (*_NOISES, *_STRETCHES, *_PITCHES, *_MASKS),
    }.items()
}
"""Name → variants, the clip itself first; "multitask" are those that the multitask network's authors averaged over."""


def variants_called(name: str) -> tuple[Augmentation, ...]:
    """Return the variants of that name, the plain one first; another name is an error with the nearest right one."""
    if not isinstance(name, str) or name not in VARIANTS:
        raise EarnestError(f"There are no variants called {shown(name)}.{suggestion(str(name), VARIANTS)}")
    return VARIANTS[name]


def variants_of(waveform: Waveform, name: str, sample_rate_hz: int) -> list[Waveform]:
    """Return the variants of an utterance, the utterance itself first.

    Raises `EarnestError` for another name, with the nearest right one.

    Parameters
    ----------
    waveform : shape (samples,)
    name : a key of `VARIANTS`

    Returns
    -------
    each of shape (samples / rate,), float32; at another speed the length differs
    """
    return [apply_variant(waveform, variant, sample_rate_hz) for variant in variants_called(name)]


def apply_variant(waveform: Waveform, variant: Augmentation, sample_rate_hz: int) -> Waveform:
    """Return one variant of an utterance of shape (samples,); noise is the same for every utterance."""
    return variant.apply(waveform, sample_rate_hz, np.random.default_rng(0))
