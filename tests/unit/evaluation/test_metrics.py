"""Accuracies, and scores of gender and affect, against their definitions."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.calibration import calibration_scores, selective
from earnest.evaluation.confusion import class_scores, confusion_counts, headline_scores
from earnest.evaluation.intervals import bootstrap, slices, spread
from earnest.evaluation.metrics import affect_scores, concordance, gender_scores, macro, rmse, roc_auc, score, top_k
from earnest.evaluation.predictions import Predictions, joined, of_emotion
from tests.prediction_rows import PredictionRow, predictions_of

CLASSES = ("happy", "sad", "angry")
PROBABILITIES = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [np.nan] * 3])


def table(true: str, predicted: str, speakers: str = "", folds: str = "") -> Predictions:
    """Build predictions from letters: "hsa" are the classes, "-" is no answer."""
    names = {"h": "happy", "s": "sad", "a": "angry", "-": ""}
    rows = [
        PredictionRow(f"u{index}", "made", speakers[index : index + 1], "", folds[index : index + 1] or "f",
                      names[emotion], names[answer], {})
        for index, (emotion, answer) in enumerate(zip(true, predicted, strict=True))
    ]  # fmt: skip
    return predictions_of(rows, CLASSES)


def test_true_classes_are_rows_and_predicted_ones_columns():
    counts = confusion_counts(np.array([0, 0, 0, 1, 2]), np.array([0, 1, -1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0]]


def test_a_row_without_an_answer_counts_as_wrong_and_lowers_coverage():
    scores = score(table("hhss", "hh-s"), np.random.default_rng(0))
    assert (scores.wa, scores.ua, scores.coverage) == (0.75, 0.75, 0.75)
    assert scores.unanswered == {"happy": 0, "sad": 1, "angry": 0}


def test_a_class_that_does_not_occur_is_left_out_of_ua():
    scores = score(table("hhs", "hhh"), np.random.default_rng(0))
    assert scores.ua == pytest.approx(0.5)
    assert scores.per_class["angry"].recall is None
    assert scores.per_class["sad"].precision is None


def test_wa_and_ua_differ_on_unbalanced_classes_as_defined():
    scores = score(table("hhhs", "hhhh"), np.random.default_rng(0))
    assert (scores.wa, scores.ua) == (0.75, 0.5)


def test_per_class_scores_of_a_worked_example():
    happy, sad, angry = class_scores(confusion_counts(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), 3))
    assert (happy.precision, happy.recall, happy.n) == (1.0, 0.5, 2)
    assert (sad.precision, sad.recall, sad.f1) == (pytest.approx(1 / 3), 1.0, 0.5)
    assert (angry.precision, angry.recall, angry.f1) == (None, 0.0, 0.0)


def test_folds_are_scored_one_by_one_and_spread_with_n_minus_1():
    scores = score(table("hshs", "hshh", folds="1122"), np.random.default_rng(0))
    assert [fold["wa"] for fold in scores.folds.values()] == [1.0, 0.5]
    assert scores.over_folds["wa"].mean == 0.75
    assert scores.over_folds["wa"].sd == pytest.approx(np.sqrt(0.125))


def test_folds_that_lack_a_class_are_told_with_the_ua_of_all_recordings():
    scores = score(table("hhsshhaa", "hhsshhhh", folds="11112222"), np.random.default_rng(0))
    assert scores.over_folds["ua"].mean == 0.75  # of happy and sad, and of happy and angry
    assert scores.lacking == (
        "UA: in 2 of 2 folds a class has no recording, and their UA is the mean recall over the others; in their "
        "macro-F1 such a class counts as 0 where it is an answer. Over all recordings UA is 66.7, macro-F1 60.0."
    )
    assert score(table("hshs", "hshh", folds="1122"), np.random.default_rng(0)).lacking == ""


def test_one_fold_has_no_deviation():
    assert spread([0.5]).sd is None


def by_speaker(n_speakers: int, n_clips: int) -> Predictions:
    """Half of the speakers are always right, the others never."""
    true = "hsa" * (n_speakers * n_clips // 3)
    speakers = [chr(97 + index % n_speakers) for index in range(len(true))]
    wrong = {"h": "s", "s": "a", "a": "h"}
    answers = [emotion if ord(who) % 2 else wrong[emotion] for emotion, who in zip(true, speakers, strict=True)]
    return table(true, "".join(answers), "".join(speakers))


def test_the_interval_is_over_speakers_and_so_wider_than_over_clips():
    predictions = by_speaker(10, 60)
    over_speakers = bootstrap(predictions, np.random.default_rng(0))["wa"]
    unknown = table("hsa" * 200, "hsa" * 100 + "sah" * 100)
    over_clips = bootstrap(unknown, np.random.default_rng(0))["wa"]
    assert (over_speakers.over, over_clips.over) == ("speakers", "utterances")
    # Five of ten speakers right: binomial(10, 1/2) / 10 has its 0.86 and 99.14 % quantiles at 0.1 and 0.9.
    assert (over_speakers.low, over_speakers.high) == (pytest.approx(0.1), pytest.approx(0.9))
    # 300 of 600 clips right: 0.5 ± 1.96 · sqrt(0.25 / 600).
    assert (over_clips.low, over_clips.high) == (pytest.approx(0.46, abs=0.005), pytest.approx(0.54, abs=0.005))


def test_the_interval_depends_on_the_seed_only_and_not_on_the_order_of_rows():
    predictions = by_speaker(10, 30)
    shuffled = predictions.take(np.random.default_rng(1).permutation(len(predictions)))
    first = bootstrap(predictions, np.random.default_rng(7))
    assert first == bootstrap(shuffled, np.random.default_rng(7))


def test_ece_and_brier_of_a_worked_example():
    probabilities = np.array([[0.8, 0.2], [0.8, 0.2], [0.3, 0.7], [np.nan, np.nan]])
    scores = calibration_scores(probabilities, np.array([0, 1, 1, 0]))
    assert scores is not None
    # Bin of 0.8: share right 0.5, two rows; bin of 0.7: share right 1, one row.
    assert scores.ece == pytest.approx((2 * 0.3 + 1 * 0.3) / 3)
    assert scores.brier == pytest.approx((0.08 + 1.28 + 0.18) / 3)
    assert scores.n == 3


def test_no_probabilities_have_no_calibration():
    assert calibration_scores(np.full((2, 2), np.nan), np.array([0, 1])) is None


def test_the_scores_are_plain_json_without_nan():
    silent = with_probabilities(known=0)
    for predictions in (with_probabilities(known=300), replace(silent, probabilities=np.full((360, 3), np.nan))):
        json.dumps(score(predictions, np.random.default_rng(0)).to_dict(), allow_nan=False)
    text = json.dumps(score(table("hs", "--"), np.random.default_rng(0)).to_dict(), allow_nan=False)
    assert json.loads(text)["per_class"]["happy"] == {"precision": None, "recall": 0.0, "f1": 0.0, "n": 1}


def test_many_matrices_are_scored_at_once_as_one_by_one():
    counts = np.random.default_rng(3).integers(0, 9, (5, 3, 4))
    together = headline_scores(counts)
    for index, one in enumerate(counts):
        for name, value in headline_scores(one).items():
            assert together[name][index] == pytest.approx(float(value))


def with_probabilities(known: int = 360) -> Predictions:
    """Two folds of twelve speakers, both genders; rows from ``known`` on have no probabilities and no answer."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(360):
        values = rng.dirichlet(np.full(3, 0.5)).astype(np.float32)
        emotion = CLASSES[rng.choice(3, p=values / values.sum(dtype=np.float64))]
        probabilities = dict(zip(CLASSES, values.tolist(), strict=True)) if index < known else {}
        answer = CLASSES[values.argmax()] if index < known else ""
        gender = ("female", "male")[index % 2]
        rows.append(PredictionRow(f"u{index}", "made", f"s{index % 12:02d}", gender, f"f{index % 2}", emotion, answer,
                                  probabilities))  # fmt: skip
    return predictions_of(rows, CLASSES)


def test_what_probabilities_are_good_for_is_in_the_scores():
    predictions = with_probabilities(known=300)
    found = score(predictions, np.random.default_rng(0)).to_dict()["confidence"]
    assert predictions.probabilities is not None
    curve = selective(predictions.probabilities, predictions.emotion)
    assert found == {
        "top": {str(k): top_k(predictions.probabilities, predictions.emotion, k) for k in (2, 3)},
        "auc": macro(roc_auc, predictions.probabilities, predictions.emotion),
        "aurc": curve.aurc,
        "accuracy_at": {"0.8": curve.accuracy_at(0.8), "0.5": curve.accuracy_at(0.5)},
    }
    assert found["accuracy_at"]["0.5"] > found["accuracy_at"]["0.8"] > score(predictions, np.random.default_rng(0)).wa
    unknown = replace(predictions, probabilities=np.full((360, 3), np.nan))
    for nothing in (table("hs", "hs"), unknown):
        assert score(nothing, np.random.default_rng(0)).to_dict()["confidence"] is None


def test_each_fold_has_its_calibration_error_beside_what_chance_gives():
    predictions = with_probabilities()
    scores = score(predictions, np.random.default_rng(0))
    for name, fold in scores.folds.items():
        part = predictions.of_fold(name)
        assert part.probabilities is not None
        alone = calibration_scores(part.probabilities, part.emotion)
        assert alone is not None
        assert fold["ece"] == alone.ece
        assert 0 < fold["expected_ece"] < fold["expected_ece_q95"] < 0.2
    assert "ece" not in score(table("hs", "hs"), np.random.default_rng(0)).folds["f"]


def test_slices_by_gender_have_intervals_and_those_by_speaker_do_not():
    predictions = with_probabilities()
    style = ["song" if index % 3 else "speech" for index in range(360)]
    found = score(predictions, np.random.default_rng(0), columns={"style": style}).to_dict()
    assert list(found["slices"]) == ["gender", "speaker", "style"]
    for name, texts in {"gender": predictions.gender, "speaker": predictions.speaker, "style": style}.items():
        expected = [{**one.to_dict(), "interval": None} for one in slices(predictions, {name: texts})]
        assert [{**one, "interval": None} for one in found["slices"][name]] == expected
        assert all((one["interval"] is not None) == (name == "gender") for one in found["slices"][name])
    assert found["gaps"].keys() == {"gender", "speaker", "style"}
    assert found["recall_gaps"]["gender"].keys() == set(CLASSES)


def test_the_confusion_is_normalised_by_true_class_and_by_answer():
    found = score(table("hhhs", "hs-s"), np.random.default_rng(0)).to_dict()
    assert found["confusion_axes"] == {"rows": "true", "columns": "predicted"}
    assert found["confusion_by_true"][0] == pytest.approx([1 / 3, 1 / 3, 0])  # the row without an answer is missing
    assert found["confusion_by_predicted"] == [[1, 0.5, 0], [0, 0.5, 0], [0, 0, 0]]


def test_new_scores_do_not_move_the_intervals():
    predictions = with_probabilities()
    scores = score(predictions, np.random.default_rng(5))
    assert scores.intervals == bootstrap(predictions, np.random.default_rng(5))


NAN = np.nan


def test_a_worked_example_leaves_out_unknown_pairs():
    predicted, true = np.array([1.0, 2.0, 3.0, NAN, 9.0]), np.array([2.0, 2.0, 5.0, 1.0, NAN])
    assert rmse(predicted, true) == pytest.approx(np.sqrt((1 + 0 + 4) / 3))
    # Covariance 1, variances 2/3 and 2, means 2 and 3: 2 · 1 / (2/3 + 2 + 1).
    assert concordance(predicted, true) == pytest.approx(2 / (2 / 3 + 2 + 1))


def test_concordance_is_one_for_the_truth_and_less_for_another_scale_or_offset():
    true = np.random.default_rng(0).normal(size=100)
    assert concordance(true, true) == pytest.approx(1)
    assert concordance(-true + 2 * true.mean(), true) == pytest.approx(-1)
    for off in (true + 1, 2 * true):
        assert np.corrcoef(off, true)[0, 1] == pytest.approx(1)
        assert concordance(off, true) < 0.95


def test_nothing_known_or_nothing_that_varies_has_no_score():
    assert rmse(np.array([NAN]), np.array([1.0])) is None
    assert concordance(np.array([NAN]), np.array([1.0])) is None
    assert concordance(np.ones(3), np.ones(3)) is None
    assert concordance(np.ones(3), np.zeros(3)) == 0


def test_each_dimension_is_scored_by_itself_and_an_unknown_one_is_left_out():
    predicted = np.array([[0.1, 0.2, NAN], [0.5, NAN, NAN], [0.9, 0.4, NAN]], dtype=np.float32)
    true = np.array([[0.2, 0.3, 0.1], [0.5, 0.1, 0.1], [0.7, 0.3, 0.1]])
    scores = affect_scores(predicted, true)
    assert {name: one.n for name, one in scores.items()} == {"valence": 3, "arousal": 2}
    assert asdict(scores["valence"]) == {
        "rmse": pytest.approx(rmse(predicted[:, 0], true[:, 0])),
        "ccc": pytest.approx(concordance(predicted[:, 0], true[:, 0])),
        "n": 3,
        "scale": (0.0, 1.0),
    }
    in_unit = affect_scores(predicted, true, (1.0, 5.0))["valence"]
    assert in_unit.rmse == pytest.approx(rmse(1 + 4 * predicted[:, 0].astype(float), 1 + 4 * true[:, 0]))
    assert in_unit.ccc == scores["valence"].ccc
    assert scores["arousal"].ccc == 0
    assert affect_scores(np.full((2, 3), NAN), true[:2]) == {}


N_SPEAKERS, N_CLIPS = 6, 10


def predictions(true: list[str], answered: list[str] | None, speakers: list[str]) -> Predictions:
    n = len(true)
    return Predictions(
        classes=("happy", "sad"),
        utterance_id=text_column(str(row) for row in range(n)),
        corpus=same_text("made", n),
        speaker=text_column(speakers),
        gender=text_column(true),
        fold=same_text("f", n),
        emotion=np.arange(n, dtype=np.int64) % 2,
        predicted=np.zeros(n, np.int64),
        probabilities=np.full((n, 2), 0.5, np.float32),
        predicted_gender=None if answered is None else text_column(answered),
        predicted_affect=np.zeros((n, 3), np.float32),
    )


def voices(wrong_of: dict[int, int]) -> Predictions:
    """Three women and three men of ten clips each; speaker → how many of their clips are answered wrong."""
    true, answered, speakers = [], [], []
    for speaker in range(N_SPEAKERS):
        own, other = ("female", "male") if speaker % 2 else ("male", "female")
        n_wrong = wrong_of.get(speaker, 0)
        true += [own] * N_CLIPS
        answered += [other] * n_wrong + [own] * (N_CLIPS - n_wrong)
        speakers += [f"s{speaker}"] * N_CLIPS
    return predictions(true, answered, speakers)


def test_the_share_that_is_right_overall_and_of_each_gender() -> None:
    found = gender_scores(voices({0: 6, 1: 3}), np.random.default_rng(0))
    assert found is not None
    assert (found.n, found.wa) == (60, pytest.approx(51 / 60))
    assert {name: (one.n, one.recall) for name, one in found.recalls.items()} == {
        "female": (30, pytest.approx(0.9)),
        "male": (30, pytest.approx(0.8)),
    }
    assert found.ua == pytest.approx(0.85)


def test_intervals_draw_whole_speakers() -> None:
    found = gender_scores(voices({1: 10}), np.random.default_rng(0))
    assert found is not None
    female = found.recalls["female"].interval
    # One woman of three is always wrong: a draw of three holds her 0 to 3 times. Drawing clips would give 0.5 to 0.83.
    assert (female.low, female.high, female.over) == (pytest.approx(0), pytest.approx(1), "speakers")
    assert found.intervals["wa"].low < found.wa < found.intervals["wa"].high
    assert found.recalls["male"].interval.low == 1


def test_a_clip_of_unknown_gender_is_left_out_and_one_without_an_answer_is_wrong() -> None:
    rows = predictions(["female", "", "male", "female"], ["female", "male", "", "female"], ["a", "b", "c", "d"])
    found = gender_scores(rows, np.random.default_rng(0))
    assert found is not None
    assert (found.n, found.wa, found.recalls["male"].recall) == (3, pytest.approx(2 / 3), 0)


def test_a_fold_that_learnt_no_gender_is_not_scored() -> None:
    rows = predictions(["female", "male", "male", "male"], ["female", "", "", ""], ["a", "b", "c", "d"])
    found = gender_scores(replace(rows, fold=text_column(["f1", "f1", "f2", "f2"])), np.random.default_rng(0))
    assert found is not None
    assert (found.n, found.wa) == (2, 0.5)
    assert gender_scores(replace(rows, predicted_gender=same_text("", 4)), np.random.default_rng(0)) is None


def test_a_gender_that_does_not_occur_has_no_recall() -> None:
    found = gender_scores(
        predictions(["male"] * 3, ["male", "male", "female"], ["a", "b", "c"]), np.random.default_rng(0)
    )
    assert found is not None
    assert found.recalls.keys() == {"male"}
    assert found.ua == found.wa == pytest.approx(2 / 3)


def test_there_are_no_scores_without_answers_or_without_truth() -> None:
    rng = np.random.default_rng(0)
    assert gender_scores(predictions(["male"], None, ["a"]), rng) is None
    assert gender_scores(predictions(["", ""], ["male", "male"], ["a", "b"]), rng) is None


def test_metrics_hold_them_and_no_other_number_moves() -> None:
    rows = voices({0: 6})
    with_gender, without = (score(one, np.random.default_rng(0)).to_dict() for one in (rows, of_emotion(rows)))
    assert without.pop("gender") is None
    found = json.loads(json.dumps(with_gender.pop("gender")))
    assert with_gender == without
    assert found["wa"] == pytest.approx(0.9)
    assert found["intervals"].keys() == {"wa", "ua"}
    assert found["recalls"]["male"]["interval"]["over"] == "speakers"


def test_the_sentence_has_all_of_it_in_per_cent() -> None:
    found = gender_scores(voices({0: 6}), np.random.default_rng(0))
    assert found is not None
    low, high = found.intervals["wa"].low, found.intervals["wa"].high
    text = found.sentence()
    assert text.startswith(
        f"Gender right: 90.0 % of 60 utterances ({100 * low:.1f} to {100 * high:.1f}), female 100.0 ("
    )
    assert ", male 80.0 (40.0 to 100.0); 95 % intervals over speakers." in text


def test_the_sentence_says_how_many_errors_there_may_be_where_none_was_found() -> None:
    some, none = (gender_scores(voices(right), np.random.default_rng(0)) for right in ({0: 6}, {}))
    assert some is not None
    assert none is not None
    # A voice that is misheard is misheard in all of its clips, so voices count: 1 − 0.05^(1/n).
    assert some.sentence().endswith(" up to 63.2 % of female (3 speakers) can be wrong (rule of three, 95 %).")
    told = " up to 39.3 % of all (6 speakers), 63.2 % of female (3 speakers), 63.2 % of male (3 speakers) can be wrong"
    assert told in none.sentence()
    two = replace(voices({}), speaker=text_column("one" if name == "female" else "two" for name in voices({}).gender))
    alone = gender_scores(two, np.random.default_rng(0))
    assert alone is not None  # one voice says next to nothing of others
    assert " up to 77.6 % of all (2 speakers), 95.0 % of female (1 speaker), " in alone.sentence()
    nameless = replace(voices({}), speaker=same_text("", 60))
    unknown = gender_scores(nameless, np.random.default_rng(0))
    assert unknown is not None
    assert " up to 4.9 % of all (60 utterances), 9.5 % of female (30 utterances), " in unknown.sentence()
    assert "rule of three" not in replace(some, recalls={"male": some.recalls["male"]}).sentence()


def test_answers_beside_the_emotion_are_dropped_where_it_alone_is_asked_anew() -> None:
    rows = voices({})
    kept = of_emotion(rows)
    assert kept.predicted_gender is None
    assert kept.predicted_affect is None
    assert kept.gender.tolist() == rows.gender.tolist()
    assert kept.probabilities is rows.probabilities


@pytest.mark.parametrize(("k", "expected"), [(1, 0.25), (2, 0.5), (3, 0.75), (4, 0.75)])
def test_top_k_counts_rows_without_probabilities_as_wrong_and_prefers_earlier_classes(k, expected):
    assert top_k(PROBABILITIES, np.array([0, 2, 2, 0]), k) == expected
    assert top_k(PROBABILITIES[[2]], np.array([1]), 1) == 0


def test_top_one_is_the_share_that_argmax_gets_right():
    rng = np.random.default_rng(0)
    probabilities = np.round(rng.dirichlet(np.ones(4), 500), 1)  # rounded: with ties
    true = rng.integers(0, 4, 500)
    assert top_k(probabilities, true, 1) == (probabilities.argmax(axis=1) == true).mean()


def test_impossible_questions_are_refused():
    with pytest.raises(ValueError, match="k = 0"):
        top_k(PROBABILITIES, np.zeros(4, dtype=np.int64), 0)
    for positive in (np.zeros(3, dtype=bool), np.ones(3, dtype=bool)):
        with pytest.raises(ValueError, match="positives and negatives"):
            roc_auc(np.arange(3.0), positive)


def test_the_area_of_a_worked_example():
    scores, positive = np.array([0.9, 0.8, 0.8, 0.1, np.nan]), np.array([True, True, False, False, True])
    assert roc_auc(scores, positive) == pytest.approx(3.5 / 4)  # of four pairs three are in order and one is a tie


def test_the_macro_mean_is_over_the_classes_that_occur():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.4, 0.5, 0.1], [np.nan] * 3])
    true = np.array([0, 1, 1, 2])  # the third class only occurs without probabilities
    first, second = (roc_auc(probabilities[:3, index], true[:3] == index) for index in (0, 1))
    assert macro(roc_auc, probabilities, true) == pytest.approx((first + second) / 2)
    assert macro(roc_auc, probabilities[:1], true[:1]) is None
    assert macro(roc_auc, np.full((2, 3), np.nan), np.array([0, 1])) is None


@pytest.mark.parametrize(
    ("speakers", "told"),
    [
        ("aabb", "Only 2 speakers"),
        ("aab", "Only 2 speakers and 1 recording without one, each drawn as a speaker of its own"),
        ("aaaa", "Only one speaker: 95 % intervals and p-values are about other recordings of this speaker"),
        ("aaa", "Fewer than two speakers are named, so recordings are taken for independent"),
        ("", "Fewer than two speakers are named, so recordings are taken for independent"),
    ],
)
def test_what_so_few_speakers_do_to_intervals_is_told(speakers, told):
    once, again = (table("hshs", "hhhs", speakers, folds * 4) for folds in "fg")
    for found in (once, joined([once, again])):  # trained twice, the speakers are as many
        (note,) = score(found, np.random.default_rng(0)).speakers.notes
        assert note.startswith(told)


def of_sizes(*sizes: int, unnamed: int = 0) -> Predictions:
    """Answers of speakers who have so many recordings of two classes each."""
    names = [name for name, n in zip("abcdefghijkl", sizes, strict=False) for _ in range(n)] + [""] * unnamed
    return replace(table("hs" * (len(names) // 2), "hs" * (len(names) // 2)), speaker=text_column(names))


def test_who_has_most_recordings_is_told_where_intervals_rest_on_them():
    told = "all together tell as much as 2.1 speakers with equally many would"
    twice = [replace(of_sizes(500, 500, *[2] * 10), fold=same_text(fold, 1020)) for fold in ("f", "f#2")]
    for found in (of_sizes(500, 500, *[2] * 10), joined(twice)):
        (note,) = score(found, np.random.default_rng(0), 10).speakers.notes
        assert note.startswith(f"Of 12 speakers the 2 with most recordings have 98 %: {told}.")
    (note,) = score(of_sizes(500, 500, unnamed=8), np.random.default_rng(0), 10).speakers.notes
    assert note.startswith("Of 2 speakers and 8 recordings without one the 2 with most recordings have 99 %: ")
    for even in (of_sizes(*[10] * 12), of_sizes(60, 40, *[50] * 8), of_sizes(*[20] * 6, *[10] * 6)):
        assert score(even, np.random.default_rng(0), 10).speakers.notes == []


def test_a_class_that_many_draws_lack_is_told_of_uas_interval():
    found = of_sizes(*[10] * 12)
    alone = replace(found, emotion=np.where(np.arange(120) < 10, found.emotion, 0))
    (note,) = score(alone, np.random.default_rng(0), 10).speakers.notes
    assert note.startswith(f"Few speakers of 12 have the class '{found.classes[1]}' (1: 35 %): so many of the draws")


def test_names_that_may_be_one_speaker_are_told():
    found = of_sizes(*[10] * 12)
    names = ("Anna", "anna", "01", "1", *"cdefghij")
    spelt = replace(found, speaker=text_column(name for name in names for _ in range(10)))
    assert score(spelt, np.random.default_rng(0), 10).speakers.notes == [
        "Speakers that may be one are taken for several: 01, 1. Write them alike.",
        "Speakers that may be one are taken for several: Anna, anna. Write them alike.",
    ]


def test_intervals_over_two_speakers_are_not_said_to_be_as_good_as_over_three():
    (told,) = score(table("hs" * 2, "hs" * 2, "aabb"), np.random.default_rng(0)).speakers.notes
    assert "over two speakers in half of all cases, over three in three of four" in told


def test_speakers_whom_two_corpora_name_alike_are_said_to_be_taken_for_one_person():
    found = table("hs" * 6, "hs" * 6, "abcdefghijkl")
    elsewhere = replace(found, corpus=same_text("elsewhere", 12))
    (note,) = score(joined([found, elsewhere]), np.random.default_rng(0)).speakers.notes
    assert note.startswith("Several corpora have the speaker a, b, c and 9 more, taken for one person each.")


def test_speakers_whose_name_says_whose_they_are_are_not_doubted():
    speech = replace(table("hs" * 6, "hs" * 6), corpus=same_text("ravdess", 12))
    speech = replace(speech, speaker=text_column(f"ravdess-{actor:02d}" for actor in range(12)))
    song = replace(speech, corpus=same_text("ravdess-song", 12))
    assert score(joined([speech, song]), np.random.default_rng(0)).speakers.notes == []


def test_an_interval_without_any_error_says_how_many_there_may_be():
    scores = score(table("hs" * 30, "hs" * 30, "abcdefghij" * 6), np.random.default_rng(0))
    assert (scores.intervals["wa"].low, scores.intervals["wa"].high) == (1, 1)
    # As binomtest(n, n, alternative="greater") of SciPy says, of 60 recordings and of ten speakers.
    assert (
        "Up to 4.9 % of recordings can be wrong (rule of three, 95 %), were they independent" in scores.without_errors
    )
    assert "as only 10 speakers were heard, up to 25.9 % of speakers can be misunderstood" in scores.without_errors
    assert scores.notes == [scores.without_errors]
    assert score(table("hs", "hh"), np.random.default_rng(0)).without_errors == ""


def test_intervals_over_ten_speakers_are_taken_as_they_are():
    assert score(table("hs" * 5, "hh" * 5, "abcdefghij"), np.random.default_rng(0)).speakers.notes == []
