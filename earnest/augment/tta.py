"""Test-time augmentation: variants of a clip whose probabilities are averaged. No random draw, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from earnest.audio.waveform import Waveform
from earnest.augment.gain import with_gain
from earnest.augment.speed import at_speed
from earnest.errors import EarnestError, suggestion


@dataclass(frozen=True)
class Variant:
    """One way to hear a clip: how much louder, and how many times as fast (and higher)."""

    gain_db: float = 0.0
    rate: float = 1.0


PLAIN = Variant()
_GAINS = (Variant(gain_db=-6), Variant(gain_db=6))
_SPEEDS = (Variant(rate=0.95), Variant(rate=1.05))
VARIANTS: Mapping[str, tuple[Variant, ...]] = {
    "none": (PLAIN,),
    "gain": (PLAIN, *_GAINS),
    "speed": (PLAIN, *_SPEEDS),
    "gain-and-speed": (PLAIN, *_GAINS, *_SPEEDS),
}


def variants_called(name: str) -> tuple[Variant, ...]:
    """Return the variants of that name, the plain one first; another name is an error with the nearest right one."""
    if name not in VARIANTS:
        raise EarnestError(f"There are no variants called '{name}'.{suggestion(name, VARIANTS)}")
    return VARIANTS[name]


def variants_of(waveform: Waveform, name: str) -> list[Waveform]:
    """Return the variants of a clip, the clip itself first.

    Parameters
    ----------
    waveform : shape (samples,), at any rate
    name : a key of `VARIANTS`

    Returns
    -------
    each of shape (samples / rate,), float32; with another speed the length differs

    Raises
    ------
    EarnestError
        For another name, with the nearest right one.
    """
    return [heard_as(waveform, variant) for variant in variants_called(name)]


def heard_as(waveform: Waveform, variant: Variant) -> Waveform:
    """Return one variant of a clip of shape (samples,)."""
    if variant.rate != 1:
        waveform = at_speed(waveform, variant.rate)
    return with_gain(waveform, variant.gain_db) if variant.gain_db else waveform
