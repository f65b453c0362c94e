from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earnest.corpora.manifest import Utterance
from earnest.evaluation.predictions import Predictions
from earnest.experiments.evaluate import affect_results
from tests.prediction_rows import PredictionRow, predictions_of

ROWS = [
    Utterance(f"u{index}", Path("x.wav"), corpus="made", emotion="sad", valence=valence, arousal=3.0)
    for index, valence in enumerate((1.0, 3.0, 5.0, None))
]


def answers(ids: list[int]) -> Predictions:
    rows = [PredictionRow(f"u{index}", "made", "", "", "f", "sad", "sad", {}) for index in ids]
    return predictions_of(rows, ["sad"])


def test_ratings_are_put_on_the_models_scale_and_matched_by_clip():
    affect = np.array([[1.0, 0.5, 0.2], [0.5, 0.5, 0.2], [0.1, 0.5, 0.2], [0.0, 0.5, 0.2]], dtype=np.float32)
    found = affect_results(replace(answers([2, 1, 3, 0]), predicted_affect=affect), ROWS, (1, 5))
    assert found is not None
    assert found["valence"] == {"rmse": pytest.approx(0, abs=1e-6), "ccc": pytest.approx(1), "n": 3, "scale": [1, 5]}
    assert (found["arousal"]["rmse"], found["arousal"]["ccc"]) == (0, None)
    assert "dominance" not in found


def test_without_answers_or_a_scale_there_is_nothing():
    assert affect_results(answers([0]), ROWS, (1, 5)) is None
    assert affect_results(replace(answers([0]), predicted_affect=np.ones((1, 3), np.float32)), ROWS, ()) is None
