from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.confusion import confusion_counts, headline_scores
from earnest.evaluation.intervals import bootstrap
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.slices import gaps, manifest_columns, own_columns, recall_gaps, slices
from tests.prediction_rows import PredictionRow, predictions_of

CLASSES = ("happy", "sad")


def table(n: int = 400, unknown: bool = True) -> Predictions:
    """Women are answered better than men; every tenth gender is unknown."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(n):
        gender = "" if unknown and index % 10 == 0 else ("female", "male")[index % 2]
        emotion = CLASSES[index // 2 % 2]
        is_right = rng.random() < (0.9 if gender == "female" else 0.5)
        answer = emotion if is_right else ("" if index % 3 == 0 else CLASSES[1 - CLASSES.index(emotion)])
        rows.append(PredictionRow(f"u{index}", "made", f"s{index % 20:02d}", gender, "f", emotion, answer, {}))
    return predictions_of(rows, CLASSES)


def test_each_value_is_scored_as_if_it_were_alone_and_unknown_ones_are_in_none():
    predictions = table()
    made = slices(predictions, {"gender": predictions.gender, "speaker": predictions.speaker})
    assert [(one.name, one.value) for one in made[:3]] == [("gender", "female"), ("gender", "male"), ("speaker", "s00")]
    assert sum(one.n for one in made[:2]) == 360
    for one in made:
        texts = np.array(getattr(predictions, one.name))
        part = predictions.take(np.flatnonzero(texts == one.value))
        alone = headline_scores(confusion_counts(part.emotion, part.predicted, 2))
        assert (one.n, one.wa, one.ua) == (len(part), pytest.approx(alone["wa"]), pytest.approx(alone["ua"]))
        assert one.interval is None


def test_intervals_are_those_of_ua_over_the_speakers_of_the_slice():
    predictions = table()
    female = slices(predictions, {"gender": predictions.gender}, np.random.default_rng(3))[0]
    part = predictions.take(np.array([index for index, name in enumerate(predictions.gender) if name == "female"]))
    assert female.interval == bootstrap(part, np.random.default_rng(3))["ua"]
    assert female.to_dict()["interval"]["over"] == "speakers"


def test_the_gap_is_between_the_best_and_the_worst_value_with_clips_enough():
    predictions = table()
    style = ["speech" if index % 2 else "song" for index in range(398)] + ["whisper"] * 2
    made = slices(predictions, {"gender": predictions.gender, "style": style})
    found = gaps(made, fewest=30)
    female, male = made[:2]
    assert found["gender"].ua == pytest.approx(female.ua - male.ua)
    assert (found["gender"].best, found["gender"].worst) == ("female", "male")
    assert {found["style"].best, found["style"].worst} == {"speech", "song"}
    assert gaps(made, fewest=1)["style"].worst == min(made[2:], key=lambda one: one.ua).value
    assert gaps(made, fewest=1000) == {}


def test_values_that_are_answered_alike_are_still_two():
    rows = [
        PredictionRow(f"u{index}", "made", "", ("female", "male")[index % 2], "f", "sad", "sad", {})
        for index in range(8)
    ]
    predictions = predictions_of(rows, CLASSES)
    (gap,) = gaps(slices(predictions, {"gender": predictions.gender}), fewest=1).values()
    assert (gap.ua, {gap.best, gap.worst}) == (0, {"female", "male"})


def test_the_recall_gap_is_a_class_at_a_time():
    predictions = table()
    found = recall_gaps(predictions, predictions.gender)
    for index, name in enumerate(CLASSES):
        recalls = []
        for gender in ("female", "male"):
            rows = (np.array(predictions.gender) == gender) & (predictions.emotion == index)
            recalls.append((predictions.predicted[rows] == index).mean())
        assert found[name] == pytest.approx(abs(recalls[0] - recalls[1]))
    assert recall_gaps(predictions, predictions.gender, fewest=1000) == {"happy": None, "sad": None}
    assert recall_gaps(predictions, [""] * 400) == {"happy": None, "sad": None}


def test_columns_that_tell_nothing_apart_are_left_out():
    predictions = table()
    assert list(own_columns(predictions)) == ["gender", "speaker"]
    women = predictions.take(np.array([index for index, name in enumerate(predictions.gender) if name != "male"]))
    assert list(own_columns(women)) == ["speaker"]


def test_what_the_manifest_says_is_found_by_corpus_and_utterance():
    predictions = table(4)
    rows = [
        Utterance(f"u{index}", Path("x.wav"), corpus=corpus, intensity="strong" if index % 2 else "", text_id="t",
                  style=f"{corpus}-{index % 2}", emotion="sad")
        for corpus in ("other", "made") for index in (3, 2, 1, 0)
    ]  # fmt: skip
    columns = manifest_columns(predictions, rows)
    assert list(columns) == ["style"]
    assert columns["style"].tolist() == ["made-0", "made-1", "made-0", "made-1"]
    assert manifest_columns(predictions, rows, ["style", "intensity"]).keys() == {"style"}
    with pytest.raises(CorpusError, match="'made/u2' is not in the manifest"):
        manifest_columns(predictions, [row for row in rows if row.key != "made/u2"])
