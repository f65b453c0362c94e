from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.confusion import confusion_counts, headline_scores
from earnest.evaluation.intervals import (
    bootstrap,
    gaps,
    gaps_by_chance,
    manifest_columns,
    own_columns,
    recall_gaps,
    slices,
)
from earnest.evaluation.predictions import Predictions
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


def test_of_many_speakers_each_row_is_not_compared_with_each_speaker() -> None:
    compared = []

    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            compared.append(self)
            return str.__eq__(self, other)

    predictions = table(2000)
    names = text_column(Name(f"s{index % 500}") for index in range(2000))
    assert len(slices(predictions, {"speaker": names})) == 500
    assert len(compared) < 20_000  # not 500 · 2,000


def test_intervals_are_those_of_ua_over_the_speakers_of_the_slice():
    predictions = table()
    female = slices(predictions, {"gender": predictions.gender}, np.random.default_rng(3))[0]
    part = predictions.take(np.array([index for index, name in enumerate(predictions.gender) if name == "female"]))
    assert female.interval == bootstrap(part, np.random.default_rng(3))["ua"]
    assert female.to_dict()["interval"]["over"] == "speakers"


def test_gaps_that_chance_gives_are_those_of_groups_who_are_alike() -> None:
    rng = np.random.default_rng(0)
    rows = [
        PredictionRow(f"u{row}", "made", f"s{row % 24:02d}", "", "f", true, true if rng.random() < 0.7 else "other", {})
        for row, true in enumerate(CLASSES[place % 2] for place in range(24 * 60))
    ]
    alike = predictions_of(rows, (*CLASSES, "other"))
    chance = gaps_by_chance(alike, alike.speaker, np.random.default_rng(0)).ua
    own = [one.ua for one in slices(alike, {"speaker": alike.speaker})]
    # 60 recordings each, 70 % right: a deviation of 5.9 points, and the range of 24 draws is 3.9 deviations.
    assert 0.2 < chance.mean() < 0.27
    assert max(own) - min(own) < np.quantile(chance, 0.99)


def test_a_gap_of_genders_is_measured_by_dealing_genders_to_speakers() -> None:
    found = table(unknown=False)
    chance = gaps_by_chance(found, found.gender, np.random.default_rng(0))
    gap = gaps(slices(found, {"gender": found.gender}))["gender"].ua
    assert gap > np.quantile(chance.ua, 0.95)  # women are answered better than men
    assert set(chance.recalls) == set(CLASSES)
    nameless = replace(found, speaker=same_text("", len(found)))
    # Speakers who are answered alike vary less than those who aren't.
    assert gaps_by_chance(nameless, found.gender, np.random.default_rng(0)).ua.mean() < chance.ua.mean()
    half = replace(found, speaker=text_column(name if row % 3 else "" for row, name in enumerate(found.speaker)))
    assert gaps_by_chance(half, found.gender, np.random.default_rng(0)).ua.mean() < gap / 2
    style = text_column(("song", "speech")[row // 20 % 2] for row in range(len(found)))  # each speaker has both
    assert gaps_by_chance(found, style, np.random.default_rng(0)).ua.mean() < 0.1


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
    with pytest.raises(CorpusError, match="'made/u2' is not in the manifest"):
        manifest_columns(predictions, [row for row in rows if row.key != "made/u2"])
