"""Answers of affect against ratings, in the unit of the corpus."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.evaluation.metrics import IntensityScores, affect_results, intensity_scores
from earnest.evaluation.predictions import Predictions, rated
from tests.prediction_rows import PredictionRow, predictions_of

ROWS = [
    Utterance(f"u{index}", Path("x.wav"), corpus="made", emotion="sad", valence=valence, arousal=3.0)
    for index, valence in enumerate((5.0, 3.0, None, 1.0))
]
ANSWERED = np.array([[1.0, 0.5, 0.2], [0.5, 0.5, 0.2], [0.1, 0.5, 0.2], [0.0, 0.5, 0.2]], dtype=np.float32)


def answers(corpus: str = "made", affect: bool = True) -> Predictions:
    rows = [PredictionRow(row.utterance_id, corpus, "", "", "f", "sad", "sad", {}) for row in ROWS]
    return replace(predictions_of(rows, ["sad"]), predicted_affect=ANSWERED if affect else None, **rated(ROWS))


@pytest.mark.parametrize(("corpus", "limits"), [("made", (1, 5)), ("iemocap", ())])
def test_ratings_are_put_on_the_models_scale(corpus: str, limits: tuple[float, ...]) -> None:
    found = affect_results(answers(corpus), limits)
    assert found is not None
    assert found["valence"] == {"rmse": pytest.approx(0, abs=1e-6), "ccc": pytest.approx(1), "n": 3, "scale": (1, 5)}
    assert (found["arousal"]["rmse"], found["arousal"]["ccc"]) == (0, None)
    assert "dominance" not in found


def test_without_answers_ratings_or_a_scale_there_is_nothing() -> None:
    assert affect_results(answers(affect=False), (1, 5)) is None
    assert affect_results(replace(answers(), affect=None), (1, 5)) is None
    assert affect_results(answers(), ()) is None


def test_an_arousal_of_three_and_a_half_of_one_to_five_is_strong() -> None:
    # 4 of 6: 2.5 normal, 3.5 strong, 4 strong, 3 normal; 3 strong and no answer aren't.
    arousal = np.float32([0.375, 0.625, 0.75, 0.5, 0.5, np.nan, 0.9])
    words = np.array(["normal", "strong", "strong", "normal", "strong", "normal", "medium"], object)
    rows = [PredictionRow(f"{n}", "c", "", "", "f", "sad", "sad", {}) for n in range(len(words))]
    asked = replace(predictions_of(rows, ["sad"]), intensity=words, predicted_affect=np.tile(arousal[:, None], 3))
    found = intensity_scores(asked)
    assert found == IntensityScores(pytest.approx(4 / 6), 6)  # type: ignore[arg-type]
    assert found.sentence() == "Intensity right: 66.7 % of 6 utterances, strong from an arousal of 3.5 on (1 to 5)."
    assert intensity_scores(replace(asked, intensity=None)) is None
    assert intensity_scores(replace(asked, predicted_affect=None)) is None
    assert intensity_scores(asked.take(np.array([5, 6]))) is None


def test_what_no_clip_says_is_no_column() -> None:
    assert rated([Utterance("a", Path("a.wav"), emotion="sad")]) == {"intensity": None, "affect": None}
    found = rated([*ROWS, Utterance("e", Path("e.wav"), emotion="sad", intensity="strong")])
    assert found["intensity"].tolist() == ["", "", "", "", "strong"]
    np.testing.assert_array_equal(found["affect"][0], [5, 3, np.nan])
