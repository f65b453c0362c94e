from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from earnest.errors import CorpusError
from earnest.evaluation.answers import same_text
from earnest.evaluation.comparison import compare, exchange_p, holm, mcnemar
from earnest.evaluation.intervals import bootstrap
from earnest.evaluation.predictions import Predictions, joined
from tests.prediction_rows import PredictionRow, predictions_of

CLASSES = ("happy", "sad", "angry")


def answers(shares: dict[str, float] | float, n_speakers: int = 20, n_clips: int = 12, seed: int = 0) -> Predictions:
    """Return answers that are right with a probability, of all or by speaker."""
    rng = np.random.default_rng(seed)
    rows = []
    for speaker in range(n_speakers):
        name = f"s{speaker:02d}"
        share = shares if isinstance(shares, float) else shares[name]
        for clip in range(n_clips):
            true = CLASSES[clip % 3]
            answer = true if rng.random() < share else CLASSES[(clip + 1) % 3]
            rows.append(PredictionRow(f"{name}-{clip}", "made", name, "", "f", true, answer, {}))
    return predictions_of(rows, CLASSES)


def test_a_system_does_not_differ_from_itself():
    same = compare(answers(0.6), answers(0.6), np.random.default_rng(0))
    assert (same.wa.value, same.wa.interval.low, same.wa.interval.high, same.wa.p) == (0, 0, 0, 1)
    assert (same.only_a_right, same.only_b_right, same.p_mcnemar) == (0, 0, 1)


def test_the_difference_is_b_minus_a_and_turns_with_the_order():
    a, b = answers(0.5), answers(0.8, seed=1)
    there, back = compare(a, b, np.random.default_rng(0)), compare(b, a, np.random.default_rng(0))
    wa = [(one.emotion == one.predicted).mean() for one in (a, b)]
    assert there.wa.value == pytest.approx(wa[1] - wa[0])
    assert there.wa.interval.low > 0.1
    assert there.wa.p == pytest.approx(1 / 10_001)  # the smallest that 10,000 exchanges can tell
    assert back.wa.value == pytest.approx(-there.wa.value)
    assert (back.wa.interval.low, back.wa.interval.high) == pytest.approx(
        (-there.wa.interval.high, -there.wa.interval.low)
    )
    assert (there.only_b_right, there.only_a_right) == (back.only_a_right, back.only_b_right)
    assert there.only_b_right - there.only_a_right == round(240 * there.wa.value)


def test_repeated_trainings_are_compared_each_with_its_own_and_make_nothing_surer():
    once, other = answers(0.6), answers(0.7, seed=1)

    def repeated(*seeds: Predictions) -> Predictions:
        parts = [
            replace(part, fold=same_text("f" if n == 1 else f"f#{n}", len(part))) for n, part in enumerate(seeds, 1)
        ]
        return joined(parts)

    single = compare(once, other, np.random.default_rng(0))
    same = compare(repeated(once, once), repeated(other, other), np.random.default_rng(0))
    assert (same.n, same.n_pairs, same.only_in_a, same.only_in_b) == (240, 480, 0, 0)
    assert same.wa == single.wa
    third = answers(0.9, seed=2)
    mixed = compare(repeated(once, other, third), repeated(other, third), np.random.default_rng(0))
    wa = [(one.emotion == one.predicted).mean() for one in (once, other, third)]
    assert mixed.wa.value == pytest.approx(np.mean(wa[1:]) - np.mean(wa))
    assert compare(once, repeated(once, other), np.random.default_rng(0)).wa.value == pytest.approx((wa[1] - wa[0]) / 2)


@pytest.mark.parametrize(("n_speakers", "least"), [(2, 0.5), (3, 0.25), (5, 0.0625), (20, 1 / 10_001)])
def test_few_speakers_cannot_show_more_than_their_number_allows(n_speakers, least):
    a, b = answers(0.1, n_speakers), answers(0.9, n_speakers, seed=1)
    found = compare(a, b, np.random.default_rng(0))
    assert found.wa.interval.low > 0  # every speaker favours b
    assert (found.wa.p, found.ua.p) == pytest.approx((least, least))
    assert (found.wa.least_p, found.ua.least_p) == pytest.approx((least, least))


def test_p_is_the_share_of_all_exchanges_of_speakers_with_a_difference_as_large():
    a, b = answers(0.6, 6), answers(0.75, 6, seed=1)
    found = compare(a, b, np.random.default_rng(0))
    change = (b.predicted == b.emotion).astype(int) - (a.predicted == a.emotion)
    of_speakers = change.reshape(6, 12).sum(axis=1)  # classes are equally frequent, so UA is WA
    sums = [abs(np.dot(signs, of_speakers)) for signs in product((1, -1), repeat=6)]
    assert found.wa.p == found.ua.p == np.mean(np.array(sums) >= abs(of_speakers.sum()))
    assert 0.03125 < found.wa.p < 0.5


@pytest.mark.parametrize("n_speakers", [8, 24, 91])
def test_ties_count_whatever_the_unit_of_the_shares_is(n_speakers):
    """Shares were rounded: sums of some were then a little below a difference that they equal, and p too small."""
    gains, sizes = np.random.default_rng(0).integers(-6, 8, n_speakers), np.ones(n_speakers, int)
    of_recordings, *of_shares = (exchange_p(gains / n, sizes, np.random.default_rng(0)).p for n in (1, 1440, 7435))
    assert of_shares == [of_recordings, of_recordings]


def test_five_of_six_speakers_are_not_as_much_as_six():
    """The bootstrap gave 2/2⁶ = 0.031 here, as if all six favoured b."""
    gains = dict(zip((f"s{number:02d}" for number in range(6)), (8, 3, 9, 3, -2, 5), strict=True))
    rows = []
    for speaker, gain in gains.items():
        for clip in range(60):
            right_a, right_b = clip < 36, clip < 36 + gain
            rows.append((speaker, f"{speaker}-{clip}", right_a, right_b))
    a, b = (
        predictions_of(
            [
                PredictionRow(name, "made", speaker, "", "f", "happy", "happy" if is_right[number] else "sad", {})
                for speaker, name, *is_right in rows
            ],
            CLASSES,
        )
        for number in range(2)
    )
    assert compare(a, b, np.random.default_rng(0)).wa.p == 0.0625


def test_systems_equally_good_have_a_small_p_as_often_as_it_says():
    """Each is better for other speakers, by 5 points; the bootstrap's p was below 0.05 in 13 of 100 such pairs."""
    n_small = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        shares = rng.normal(0.65, 0.1, 8)
        a, b = (
            answers(
                {
                    f"s{number:02d}": share
                    for number, share in enumerate(np.clip(shares + rng.normal(0, 0.05, 8), 0, 1))
                },
                8,
                60,
                seed=int(rng.integers(2**32)),
            )
            for _ in range(2)
        )
        n_small += compare(a, b, rng, 10).wa.p < 0.05
    assert n_small / 200 < 0.09


def test_without_speakers_recordings_are_exchanged_as_mcnemar_does():
    a, b = (replace(answers(share, seed=seed), speaker=same_text("", 240)) for share, seed in ((0.6, 0), (0.7, 1)))
    found = compare(a, b, np.random.default_rng(0))
    assert found.wa.interval.over == "utterances"
    assert found.wa.p == pytest.approx(found.p_mcnemar, abs=0.01)


def test_the_same_speakers_are_drawn_for_both():
    # Half of the speakers are always understood, the others never, by b in one clip: what differs is the same however
    # many of the first are drawn, if they are drawn for both.
    a = answers({f"s{index:02d}": float(index % 2) for index in range(20)})
    predicted = a.predicted.copy()
    predicted[::12] = a.emotion[::12]
    b = replace(a, predicted=predicted)
    found = compare(a, b, np.random.default_rng(0))
    alone = bootstrap(a, np.random.default_rng(0))["wa"]
    assert alone.high - alone.low > 0.3
    assert found.wa.value == pytest.approx(10 / 240)
    assert 0 < found.wa.interval.low < 10 / 240 < found.wa.interval.high < 0.08


def test_the_interval_is_wider_over_speakers_than_over_clips():
    better = {f"s{index:02d}": 1.0 if index < 5 else 0.5 for index in range(20)}
    a, b = answers(0.5, n_clips=60), answers(better, n_clips=60, seed=1)
    over_speakers = compare(a, b, np.random.default_rng(0)).wa.interval
    nameless = [replace(one, speaker=same_text("", len(one))) for one in (a, b)]
    over_clips = compare(*nameless, np.random.default_rng(0)).wa
    assert (over_speakers.over, over_clips.interval.over) == ("speakers", "utterances")
    # The standard error of a mean of differences over independent clips.
    differences = (b.emotion == b.predicted).astype(float) - (a.emotion == a.predicted)
    error = differences.std() / np.sqrt(len(differences))
    half = (over_clips.interval.high - over_clips.interval.low) / 2
    assert half == pytest.approx(1.96 * error, rel=0.06)
    assert over_speakers.high - over_speakers.low > 2.5 * half


def test_clips_are_matched_by_name_and_those_of_one_file_only_are_counted():
    a, b = answers(0.5), answers(0.8, seed=1)
    shuffled = b.take(np.random.default_rng(0).permutation(len(b)))
    assert compare(a, shuffled, np.random.default_rng(0)) == compare(a, b, np.random.default_rng(0))
    parts = compare(a.take(np.arange(0, 200)), b.take(np.arange(150, 240)), np.random.default_rng(0))
    assert (parts.n, parts.only_in_a, parts.only_in_b) == (50, 150, 40)


def test_files_with_their_classes_in_another_order_or_number_are_compared_by_name():
    a, b = answers(0.5), answers(0.8, seed=1)
    order = np.array([2, 0, 1])
    turned = replace(b, classes=("sad", "angry", "happy"), emotion=order[b.emotion], predicted=order[b.predicted])
    assert compare(a, turned, np.random.default_rng(0)) == compare(a, b, np.random.default_rng(0))
    silent = replace(turned, classes=("sad", "angry", "happy", "calm"), predicted=np.full(len(b), -1))
    assert compare(a, silent, np.random.default_rng(0)).only_b_right == 0
    calm = replace(silent, predicted=np.full(len(b), 3))
    assert compare(a, calm, np.random.default_rng(0)).wa.value == pytest.approx(-(a.emotion == a.predicted).mean())


def test_a_speaker_whom_one_file_does_not_name_is_taken_from_the_other():
    a, b = answers(0.5), answers(0.8, seed=1)
    nameless = same_text("", len(a))
    both = compare(a, b, np.random.default_rng(0))
    assert compare(replace(a, speaker=nameless), b, np.random.default_rng(0)) == both
    assert compare(a, replace(b, speaker=nameless), np.random.default_rng(0)) == both


def test_other_labels_other_clips_and_repeated_clips_are_refused():
    a = answers(0.5)
    emotion = a.emotion.copy()
    emotion[7] = 0
    with pytest.raises(CorpusError, match=r"made/s00-7: the first file says it is sad, the second happy"):
        compare(a, replace(a, emotion=emotion), np.random.default_rng(0))
    renamed = replace(a, classes=tuple(map(str.title, a.classes)))
    with pytest.raises(
        CorpusError, match=r"s00-0: the first file says it is happy, the second Happy\..*, say --map Happy=h"
    ):
        compare(a, renamed, np.random.default_rng(0))
    with pytest.raises(CorpusError, match="no recording in common"):
        compare(a, replace(a, corpus=same_text("other", len(a))), np.random.default_rng(0))
    twice = a.take(np.array([0, 1, 1]))
    with pytest.raises(CorpusError, match="made/s00-1 is in one file twice"):
        compare(a, twice, np.random.default_rng(0))


def test_p_values_are_small_as_often_as_they_say_where_there_is_no_difference():
    p_values = [
        compare(answers(0.6, 30, 6, seed=2 * seed), answers(0.6, 30, 6, seed=2 * seed + 1), np.random.default_rng(seed),
                n_resamples=400).wa.p
        for seed in range(150)
    ]  # fmt: skip
    assert 2 <= sum(p <= 0.05 for p in p_values) <= 17  # binomial(150, 0.05) has 99.8 % there
    assert 50 <= sum(p <= 0.5 for p in p_values) <= 100


def test_a_comparison_is_plain_json():
    found = compare(answers(0.5), answers(0.8), np.random.default_rng(0)).to_dict()
    assert found["n"] == 240
    assert found["wa"]["interval"].keys() == {"low", "high", "over", "confidence"}


@pytest.mark.parametrize(("counts", "expected"), [((0, 0), 1), ((4, 4), 1), ((0, 5), 2 / 32), ((9, 1), 22 / 1024)])
def test_mcnemar_of_worked_examples(counts, expected):
    assert mcnemar(*counts) == pytest.approx(expected)
    assert mcnemar(*counts[::-1]) == pytest.approx(expected)


def test_mcnemar_is_finite_for_a_million_clips():
    values = [mcnemar(500_000 - lead, 500_000 + lead) for lead in (0, 100, 1000, 2000, 400_000)]
    assert all(higher > lower for higher, lower in pairwise(values))
    assert values[-1] == 0


def test_holm_corrects_for_the_number_of_tests_in_any_order():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []
    with pytest.raises(ValueError, match="p-value"):
        holm([0.1, float("nan")])
