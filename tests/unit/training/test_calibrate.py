import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from earnest.config import from_mapping
from earnest.errors import RecipeError
from earnest.evaluation.calibration import Calibration, softmax
from earnest.evaluation.metrics import score
from earnest.evaluation.prediction_table import same_text, text_column
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.vector_scaling import fit_vector
from earnest.front_end import FrontEnd
from earnest.models.classifier import SpeechClassifier, build_classifier
from earnest.recipe import Recipe, Training
from earnest.training.calibrate import calibrate, calibration_change, calibration_of, fit_calibration
from earnest.training.record import RECORD, RunRecord, read_record

CLASSES = ("neutral", "happy", "sad")
VECTOR = Calibration(1.7, (0.8, 1.2, 1.1), (0.3, -0.2, 0.0))


def drawn(n: int, calibration: Calibration = VECTOR) -> tuple[Tensor, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, 3)).astype(np.float32)
    cumulated = np.exp(calibration.log_probabilities(logits)).cumsum(axis=1)
    return torch.from_numpy(logits), (rng.random((n, 1)) > cumulated).sum(axis=1).clip(0, 2)


def record(**changes: Any) -> RunRecord:
    plain = RunRecord(
        classes=CLASSES, protocol="loso", fold="f1", speaker_independent=True, seed=0, best_epoch=1, epochs=1,
        origin="random", refitted=False, temperature=1.7, n_parameters=1, n_train=1, n_valid=1, n_test=1,
        training_corpora=(),
    )  # fmt: skip
    return replace(plain, **changes)


def with_vector() -> RunRecord:
    _, fitted = fit_calibration(*drawn(300), "vector")
    return record(calibration=replace(fitted, weight=VECTOR.weight, bias=VECTOR.bias))


@pytest.fixture
def classifier() -> SpeechClassifier:
    recipe = Recipe("made-up", "cabg", front_end=FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=40),
                    network={"width": 16})  # fmt: skip
    return build_classifier(recipe, CLASSES, seed=0).eval()


def test_a_temperature_is_the_default_and_validation_clips_say_what_it_changed():
    logits, true = drawn(2000, Calibration(2.5))
    temperature, fitted = fit_calibration(logits, true, Training().calibration)
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert (fitted.method, fitted.weight, fitted.bias) == ("temperature", (), ())
    assert fitted.before.n == fitted.after.n == 2000
    assert fitted.after.ece < 0.03 < fitted.before.ece
    assert fitted.after.nll < fitted.before.nll - 0.1


def test_a_vector_is_fitted_where_the_recipe_asks_for_it():
    logits, true = drawn(500)
    temperature, fitted = fit_calibration(logits, true, "vector")
    direct = fit_vector(logits.numpy(), true)
    assert (temperature, fitted.weight, fitted.bias) == (direct.temperature, direct.weight, direct.bias)
    assert fitted.after.nll < fit_calibration(logits, true, "temperature")[1].after.nll
    with pytest.raises(RecipeError, match="calibration"):
        from_mapping(Training, {"calibration": "platt"}, "[training]")


def test_torch_and_numpy_give_the_same_probabilities(classifier):
    logits, _ = drawn(50)
    for kept in (record(), with_vector()):
        calibrate(classifier, kept)
        expected = np.exp(calibration_of(kept).log_probabilities(logits.numpy()))
        np.testing.assert_allclose(classifier.probabilities(logits).numpy(), expected, atol=1e-6)


def test_the_record_of_a_run_keeps_the_calibration(tmp_path):
    kept = with_vector()
    (tmp_path / RECORD).write_text(json.dumps(asdict(kept)))
    assert read_record(tmp_path) == kept
    earlier = {name: value for name, value in asdict(kept).items() if name != "calibration"}
    (tmp_path / RECORD).write_text(json.dumps(earlier))
    assert calibration_of(read_record(tmp_path)) == Calibration(1.7)


def answers() -> tuple[Predictions, dict[str, RunRecord], np.ndarray]:
    """Two folds of different calibration, and the logits they come from."""
    records = {"f1": record(), "f2": with_vector()}
    logits, true = drawn(400)
    values = logits.numpy()
    probabilities = np.concatenate([
        np.exp(calibration_of(kept).log_probabilities(values[start : start + 200]))
        for kept, start in zip(records.values(), (0, 200), strict=True)
    ]).astype(np.float32)  # fmt: skip
    nothing = same_text("", 400)
    fold = text_column(["f1"] * 200 + ["f2"] * 200)
    predictions = Predictions(
        CLASSES, text_column(map(str, range(400))), nothing, nothing, nothing, fold, true, probabilities.argmax(axis=1),
        probabilities,
    )  # fmt: skip
    return predictions, records, values


def test_test_clips_are_told_before_and_after():
    predictions, records, logits = answers()
    found = calibration_change(predictions, records)
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    plain = replace(predictions, probabilities=softmax(logits))
    for name, one in {"before": plain, "after": predictions}.items():
        reference = score(one, np.random.default_rng(0))
        assert reference.calibration is not None
        assert found[name]["ece"] == pytest.approx(reference.calibration.ece, abs=1e-4)
        for fold in ("f1", "f2"):
            assert found["folds"][fold][name]["ece"] == pytest.approx(reference.folds[fold]["ece"], abs=1e-4)
    rows = np.arange(400)
    assert found["before"]["nll"] == pytest.approx(-np.log(softmax(logits)[rows, predictions.emotion]).mean(), abs=1e-4)
    assert found["folds"]["f1"]["temperature"] == 1.7


def test_rows_without_probabilities_are_left_out():
    predictions, records, _ = answers()
    assert predictions.probabilities is not None
    part = predictions.probabilities.copy()
    part[:50] = np.nan
    found = calibration_change(replace(predictions, probabilities=part), records)
    assert found is not None
    assert (found["after"]["n"], found["folds"]["f1"]["after"]["n"]) == (350, 150)
    for nothing in (None, np.full_like(part, np.nan)):
        assert calibration_change(replace(predictions, probabilities=nothing), records) is None
