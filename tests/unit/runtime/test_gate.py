"""The verdict about a window, from the output `sound` given by hand."""

import numpy as np
import pytest

from earnest.bundle import SOUNDS
from earnest.runtime.smoothing import Verdict, verdict_of


def verdict(**shares: float) -> Verdict:
    values = [shares.get(name.replace("-", "_"), 0.0) for name in SOUNDS]
    return verdict_of({"sound": np.array(values)}, SOUNDS)


def test_speech_is_at_least_half() -> None:
    assert verdict(speech=0.5, laughter=0.5) == Verdict("speech", 0.5)
    assert verdict(speech=0.5, laughter=0.5).is_speech
    assert not verdict(speech=0.49, laughter=0.51).is_speech


def test_vocal_bursts_are_weighed_together_against_other_sound() -> None:
    assert verdict(laughter=0.4, sigh=0.05, no_speech=0.42, speech=0.13) == Verdict("laughter", 0.4)
    assert verdict(laughter=0.2, sigh=0.1, no_speech=0.4, speech=0.3) == Verdict("no-speech", 0.4)
    assert not verdict(no_speech=1.0).is_burst


def test_a_burst_of_no_clear_kind_is_other() -> None:
    assert verdict(laughter=0.25, crying=0.2, sigh=0.15, no_speech=0.4) == Verdict("other", pytest.approx(0.6))
    assert verdict(other=0.9, no_speech=0.1) == Verdict("other", 0.9)
    assert verdict(other=0.9, no_speech=0.1).is_burst


def test_the_order_of_the_names_is_the_bundles() -> None:
    names = tuple(reversed(SOUNDS))
    assert verdict_of({"sound": np.eye(len(names))[names.index("crying")]}, names) == Verdict("crying", 1.0)


def test_without_the_output_all_is_speech() -> None:
    assert verdict_of({}, SOUNDS) == verdict_of({"sound": np.zeros(7)}, ()) == Verdict("speech", 1.0)
