import json

import numpy as np
import pytest

from earnest.evaluation.metrics import gender_scores, score
from earnest.evaluation.predictions import Predictions, of_emotion, same_text, text_column

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
    assert text.startswith(f"Gender right: 90.0 % of 60 clips ({100 * low:.1f} to {100 * high:.1f}), female 100.0 (")
    assert ", male 80.0 (40.0 to 100.0); 95 % intervals over speakers." in text


def test_answers_beside_the_emotion_are_dropped_where_it_alone_is_asked_anew() -> None:
    rows = voices({})
    kept = of_emotion(rows)
    assert kept.predicted_gender is None
    assert kept.predicted_affect is None
    assert kept.gender.tolist() == rows.gender.tolist()
    assert kept.probabilities is rows.probabilities
