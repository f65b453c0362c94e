"""Is it speech at all? What a network's output ``sound`` says about one window.

A linear head on the network's own embedding (`earnest.export.heads`) tells speech, vocal bursts by their kind, and all
other sound apart; it is part of the graph, so that every runtime has it. Bundles without it leave the question to voice
activity detection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.bundle import BURSTS, NO_SPEECH, SPEECH

SPEECH_FROM = 0.5  # probability of speech
KIND_FROM = 0.5  # of a burst's kind among all kinds; below it the kind is "other"


@dataclass(frozen=True)
class Verdict:
    """What was heard: "speech", "no-speech" or a burst's kind, with its probability."""

    sound: str
    confidence: float

    @property
    def is_speech(self) -> bool:
        """Whether an emotion may be told."""
        return self.sound == SPEECH

    @property
    def is_burst(self) -> bool:
        """Whether it is a laugh, a cry, a scream, a sigh or the like."""
        return self.sound in BURSTS


def verdict_of(outputs: Mapping[str, npt.NDArray[np.floating]], sounds: Sequence[str]) -> Verdict:
    """Judge one window by the graph's output ``sound``, shape (sounds,); without one it is speech.

    Parameters
    ----------
    sounds : names of the output's numbers, as ``bundle.json`` has them; empty without the output
    """
    if not sounds or "sound" not in outputs:
        return Verdict(SPEECH, 1.0)
    shares = dict(zip(sounds, outputs["sound"].tolist(), strict=True))
    if shares[SPEECH] >= SPEECH_FROM:
        return Verdict(SPEECH, shares[SPEECH])
    bursts = {name: shares[name] for name in BURSTS}
    total = sum(bursts.values())
    if total < shares[NO_SPEECH]:
        return Verdict(NO_SPEECH, shares[NO_SPEECH])
    kind = max(bursts, key=bursts.__getitem__)
    return Verdict(kind, bursts[kind]) if bursts[kind] >= KIND_FROM * total else Verdict("other", total)
