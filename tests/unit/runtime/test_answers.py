"""One answer about a recording, from windows and spans given by hand."""

import numpy as np
import pytest

from earnest.labels import UNSURE
from earnest.runtime.answers import Tally
from earnest.runtime.prediction import Prediction, VocalBurst, percent
from earnest.runtime.smoothing import Label

CLASSES = ("happy", "sad", "angry")
NOTHING = Prediction("a.wav", "no-speech")


def tally(
    *spans: tuple[str, int, float], abstain_below: float = 0.5, shares: tuple[float, ...] = (0.5, 0.3, 0.2)
) -> Tally:
    """Return a tally that heard one window of ten samples, and spans: label, samples, confidence."""
    found = Tally(16_000, CLASSES, abstain_below)
    found.add({"probabilities": np.array(shares)}, 10)
    for name, n_samples, confidence in spans:
        kind = "unsure" if name == UNSURE else "emotion" if name in CLASSES else "vocal-burst"
        found.hold(Label(kind, name), n_samples, confidence)
        if kind == "vocal-burst":
            found.bursts.append(VocalBurst(0.0, 1.0, name, confidence))
    return found


def test_what_holds_most_of_the_answered_speech_is_the_answer() -> None:
    answer = tally(("happy", 60, 0.7), ("sad", 40, 0.9), ("happy", 20, 0.9)).answer(NOTHING, True)
    assert (answer.status, answer.emotion) == ("ok", "happy")
    assert answer.confidence == pytest.approx((60 * 0.7 + 20 * 0.9) / 80)
    assert answer.shares == pytest.approx({"happy": 80 / 120, "sad": 40 / 120})
    assert answer.probabilities == {"happy": 0.5, "sad": 0.3, "angry": 0.2}


def test_sixty_per_cent_are_enough_and_less_is_mixed() -> None:
    assert tally(("happy", 60, 0.7), ("sad", 40, 0.9)).answer(NOTHING, True).emotion == "happy"
    mixed = tally(("happy", 59, 0.7), ("sad", 41, 0.9)).answer(NOTHING, True)
    assert (mixed.status, mixed.emotion, mixed.confidence) == ("mixed", None, None)
    assert list(mixed.shares or {}) == ["happy", "sad"]


def test_unsure_speech_counts_neither_for_nor_against_until_it_is_more_than_half() -> None:
    half = tally(("happy", 35, 0.7), ("sad", 15, 0.9), (UNSURE, 50, 0.4)).answer(NOTHING, True)
    assert (half.status, half.emotion) == ("ok", "happy")
    assert half.shares == {UNSURE: 0.5, "happy": 0.35, "sad": 0.15}
    more = tally(("happy", 49, 0.7), (UNSURE, 51, 0.4)).answer(NOTHING, True)
    assert (more.status, more.emotion, more.confidence) == ("unsure", None, 0.5)
    assert tally((UNSURE, 10, 0.4)).answer(NOTHING, True).status == "unsure"


def test_a_recording_heard_as_one_is_the_mean_and_has_no_shares() -> None:
    answer = tally(("sad", 10, 0.4), shares=(0.6, 0.3, 0.1)).answer(NOTHING, False)
    assert (answer.status, answer.emotion, answer.confidence, answer.shares) == ("ok", "happy", 0.6, None)


@pytest.mark.parametrize(("below", "status"), [(0.0, "ok"), (0.5, "ok"), (0.51, "unsure"), (1.0, "unsure")])
def test_below_the_threshold_it_is_unsure(below: float, status: str) -> None:
    answer = tally(("happy", 10, 0.5), abstain_below=below).answer(NOTHING, False)
    assert (answer.status, answer.emotion) == (status, "happy" if status == "ok" else None)
    assert (answer.confidence, answer.probabilities["happy"]) == (0.5, 0.5)


def test_vocal_bursts_are_listed_and_count_as_no_speech() -> None:
    answer = tally(("laughter", 90, 0.9), ("sad", 10, 0.8)).answer(NOTHING, True)
    assert (answer.emotion, answer.shares) == ("sad", {"sad": 1.0})
    assert answer.vocal_bursts == (VocalBurst(0.0, 1.0, "laughter", 0.9),)


def test_bursts_alone_are_the_status_even_where_a_window_of_speech_was_outvoted() -> None:
    alone = Tally(16_000, CLASSES)
    alone.hold(Label("vocal-burst", "sigh"), 10, 0.9)
    alone.bursts.append(VocalBurst(0.0, 1.0, "sigh", 0.9))
    for found in (alone, tally(("sigh", 10, 0.9))):
        for is_summary in (True, False):
            answer = found.answer(NOTHING, is_summary)
            assert (answer.status, answer.emotion, answer.probabilities) == ("vocal-burst", None, {})


def test_nothing_heard_changes_nothing() -> None:
    assert Tally(16_000, CLASSES).answer(NOTHING, True) == NOTHING


def test_far_from_training_is_the_mean_over_windows_by_their_length() -> None:
    found = Tally(16_000, CLASSES)
    for distance, n_samples in ((3.0, 10), (1.0, 30)):
        found.add({"probabilities": np.ones(3) / 3, "distance": np.array(distance)}, n_samples)
    assert found.quality(1.49) == ("out-of-domain",)
    assert found.quality(1.5) == found.quality(None) == ()
    assert tally().quality(0.0) == ()  # the graph doesn't tell a distance


def test_overlapped_speech_is_the_mean_over_windows_by_their_length() -> None:
    found = Tally(16_000, CLASSES)
    for overlap, n_samples in ((0.9, 30), (0.1, 10)):
        found.add({"probabilities": np.ones(3) / 3, "overlap": np.array(overlap), "distance": np.array(2.0)}, n_samples)
    assert found.quality(1.0, ("other-tracks",)) == ("other-tracks", "overlapped-speech", "out-of-domain")
    found.add({"probabilities": np.ones(3) / 3, "overlap": np.array(0.1), "distance": np.array(2.0)}, 30)
    assert found.quality(3.0) == ()


@pytest.mark.parametrize(
    ("confidence", "text"), [(0.0, "0%"), (0.734, "73%"), (0.95, "95%"), (0.9501, "> 95%"), (1.0, "> 95%")]
)
def test_more_than_95_per_cent_is_never_shown_as_a_number(confidence: float, text: str) -> None:
    assert percent(confidence) == text
