"""95 % intervals hold the true value 95 times of 100, and why they are over speakers."""

from dataclasses import replace

import numpy as np
import pytest

from earnest.errors import CorpusError
from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.comparison import compare, difference_in_ua
from earnest.evaluation.intervals import MOST_DRAWN, bootstrap, limits_of, resampled_counts
from earnest.evaluation.predictions import Predictions

N_DATA_SETS = 300
N_SPEAKERS, N_CLIPS = 30, 24
CLASSES = ("happy", "sad")


def answers(rng: np.random.Generator, shares: np.ndarray) -> Predictions:
    """Return answers to clips of speakers, each with their own share right."""
    n = N_SPEAKERS * N_CLIPS
    emotion = np.tile([0, 1], n // 2)
    is_right = rng.random(n) < np.repeat(shares, N_CLIPS)
    names = [f"s{speaker:02d}" for speaker in range(N_SPEAKERS)]
    return Predictions(
        classes=CLASSES,
        utterance_id=text_column(map(str, range(n))),
        corpus=same_text("made", n),
        speaker=text_column(name for name in names for _ in range(N_CLIPS)),
        gender=same_text("", n),
        fold=same_text("f", n),
        emotion=emotion,
        predicted=np.where(is_right, emotion, 1 - emotion),
    )


def speakers(rng: np.random.Generator) -> np.ndarray:
    """Draw how often each of some speakers is understood: 0.7 on average, give or take 0.14."""
    return rng.beta(7, 3, N_SPEAKERS)


@pytest.fixture(scope="module")
def covered() -> dict[str, float]:
    """Share of intervals that hold the truth, over speakers, over clips, and of paired differences."""
    rng = np.random.default_rng(0)
    hits = {"speakers": 0, "utterances": 0, "paired": 0}
    for _ in range(N_DATA_SETS):
        shares = speakers(rng)
        predictions = answers(rng, shares)
        for one in (predictions, replace(predictions, speaker=same_text("", len(predictions)))):
            interval = bootstrap(one, rng, n_resamples=400)["wa"]
            hits[interval.over] += interval.low <= 0.7 <= interval.high
        # The other system understands every speaker a little less, and some much less.
        loss = rng.choice([0.02, 0.2], N_SPEAKERS)
        other = answers(rng, np.maximum(shares - loss, 0))
        truth = -0.11  # but for the few shares that would fall below 0
        paired = compare(predictions, other, rng, n_resamples=400).wa.interval
        hits["paired"] += paired.low <= truth <= paired.high
    return {name: count / N_DATA_SETS for name, count in hits.items()}


def test_intervals_over_speakers_hold_the_truth_as_often_as_they_say(covered):
    assert 0.90 <= covered["speakers"] <= 0.97


def test_intervals_over_clips_would_not(covered):
    assert covered["utterances"] < 0.8


def test_intervals_of_paired_differences_hold_the_truth_as_often_as_they_say(covered):
    assert 0.90 <= covered["paired"] <= 0.985


@pytest.mark.parametrize(("n_speakers", "mean"), [(6, 0.7), (8, 0.7), (10, 0.92)])
def test_intervals_over_few_speakers_hold_the_truth_nearly_as_often(n_speakers: int, mean: float) -> None:
    """Plain percentiles held it in 84 to 89 of 100 draws, `scripts/interval_coverage.py` with more draws."""
    held = 0
    for seed in range(N_DATA_SETS):
        rng = np.random.default_rng(seed)
        shares = np.clip(rng.normal(0.7, 0.1, n_speakers), 0, 1) if mean == 0.7 else rng.beta(12.88, 1.12, n_speakers)
        right = rng.binomial(61, shares)
        resampled = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), 1000) @ right / (61 * n_speakers)
        low, high = limits_of(resampled, n_speakers)
        held += low <= mean <= high
    assert 0.905 <= held / N_DATA_SETS <= 0.975


@pytest.mark.parametrize(("n_drawn", "tail"), [(4, 0.00012), (10, 0.00857), (24, 0.0173), (10_000, 0.0250)])
def test_percentiles_are_those_of_students_interval(n_drawn: int, tail: float) -> None:
    low, high = limits_of(np.linspace(0, 1, 1_000_001), n_drawn)  # Φ(−√(n/(n − 1)) · t(0.975, n − 1)), by SciPy
    assert (low, 1 - high) == pytest.approx((tail, tail), rel=0.02)


def test_nothing_has_no_interval() -> None:
    nothing = text_column(())
    empty = Predictions(("happy", "sad"), *[nothing] * 5, np.zeros(0, np.int64), np.zeros(0, np.int64))
    with pytest.raises(CorpusError, match="no recording to score"):
        bootstrap(empty, np.random.default_rng(0))


def test_a_clip_without_a_speaker_is_a_speaker_of_its_own_and_changes_no_other() -> None:
    rng = np.random.default_rng(1)
    predictions = answers(rng, speakers(rng))
    names = predictions.speaker.tolist()
    one_unnamed = replace(predictions, speaker=text_column(["", *names[1:]]))
    known, some = (bootstrap(one, np.random.default_rng(0))["wa"] for one in (predictions, one_unnamed))
    assert (some.over, known.over) == ("speakers", "speakers")
    assert some.high - some.low == pytest.approx(known.high - known.low, rel=0.1)
    nearly = replace(predictions, speaker=text_column([*names[:N_CLIPS], *[""] * (len(names) - N_CLIPS)]))
    assert bootstrap(nearly, rng, 10)["wa"].over == "utterances"
    difference = compare(one_unnamed, predictions, rng, 100).wa
    assert (difference.value, difference.interval.over) == (0, "speakers")


def test_answers_of_several_trainings_to_one_recording_make_no_interval_narrower() -> None:
    rng = np.random.default_rng(2)
    once = answers(rng, speakers(rng))
    rows = np.tile(np.arange(len(once)), 4)
    folds = text_column(f"f#{repeat}" for repeat in range(4) for _ in range(len(once)))
    for speaker in (once.speaker, same_text("", len(once)), text_column(["a", "b", *[""] * (len(once) - 2)])):
        single = replace(once, speaker=speaker)
        repeated = replace(single.take(rows), fold=folds)
        one, four = (bootstrap(some, np.random.default_rng(0))["wa"] for some in (single, repeated))
        assert four.over == one.over
        assert four.high - four.low == pytest.approx(one.high - one.low, rel=0.1)
        worse = replace(single, predicted=np.where(rng.random(len(once)) < 0.1, 1 - single.emotion, single.predicted))
        paired = [difference_in_ua(a, b, np.random.default_rng(0)).interval for a, b in (
            (single, worse), (repeated, replace(worse.take(rows), fold=folds))
        )]  # fmt: skip
        widths = [interval.high - interval.low for interval in paired]
        assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_of_many_speakers_few_numbers_are_drawn_at_a_time_and_those_that_all_at_once_would_be() -> None:
    asked = []

    class Watched(np.random.Generator):
        def multinomial(self, n, pvals, size=None, **more):  # type: ignore[no-untyped-def]
            asked.append(size * len(pvals))
            return super().multinomial(n, pvals, size, **more)

    n_speakers, n_resamples = 30_000, 50
    clusters, sizes = np.random.default_rng(0).integers(3, size=(n_speakers, 6)), np.ones(n_speakers, np.int64)
    found = resampled_counts(clusters, sizes, Watched(np.random.PCG64(1)), n_resamples)
    whole = np.random.default_rng(1).multinomial(n_speakers, sizes / n_speakers, size=n_resamples) @ clusters
    assert (found == whole).all()
    assert len(asked) > 1 and max(asked) <= MOST_DRAWN
