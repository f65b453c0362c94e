import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from earnest.errors import EarnestError
from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.calibration import softmax
from earnest.evaluation.metrics import score
from earnest.evaluation.predictions import Predictions
from earnest.experiments.evaluate import calibration_change
from earnest.models.classifier import SpeechClassifier, build_classifier
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Recipe
from earnest.training.record import RECORD, RunRecord, calibrate, fit_calibration, read_record

CLASSES = ("neutral", "happy", "sad")


def drawn(n: int, temperature: float = 1.7) -> tuple[Tensor, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (n, 3)).astype(np.float32)
    cumulated = softmax(logits, temperature).cumsum(axis=1)
    return torch.from_numpy(logits), (rng.random((n, 1)) > cumulated).sum(axis=1).clip(0, 2)


def record(**changes: Any) -> RunRecord:
    plain = RunRecord(
        classes=CLASSES, protocol="loso", fold="f1", speaker_independent=True, seed=0, best_epoch=1, epochs=1,
        origin="random", refitted=False, temperature=1.7, n_parameters=1, n_train=1, n_valid=1, n_test=1,
        training_corpora=(),
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.fixture
def classifier() -> SpeechClassifier:
    recipe = Recipe("made-up", "cabg", front_end=FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=40),
                    network={"width": 16})  # fmt: skip
    return build_classifier(recipe, CLASSES, seed=0).eval()


def test_validation_clips_say_what_the_temperature_changed():
    logits, true = drawn(2000, 2.5)
    temperature, fitted = fit_calibration(logits, true)
    assert temperature == pytest.approx(2.5, rel=0.1)
    assert (fitted.method, fitted.weight, fitted.bias) == ("temperature", (), ())
    assert fitted.before.n == fitted.after.n == 2000
    assert fitted.after.ece < 0.03 < fitted.before.ece
    assert fitted.after.nll < fitted.before.nll - 0.1


def test_torch_and_numpy_give_the_same_probabilities(classifier):
    logits, _ = drawn(50)
    for kept in (record(), record(temperature=0.6)):
        calibrate(classifier, kept)
        expected = softmax(logits.numpy(), kept.temperature)
        np.testing.assert_allclose(classifier.probabilities(logits).numpy(), expected, atol=1e-6)


def test_the_record_of_a_run_keeps_the_calibration(tmp_path):
    kept = record(calibration=fit_calibration(*drawn(300))[1])
    (tmp_path / RECORD).write_text(json.dumps(asdict(kept)))
    assert read_record(tmp_path) == kept
    earlier = {name: value for name, value in asdict(kept).items() if name != "calibration"}
    (tmp_path / RECORD).write_text(json.dumps(earlier))
    assert read_record(tmp_path) == record()


def answers() -> tuple[Predictions, dict[str, RunRecord], np.ndarray]:
    """Two folds of different calibration, and the logits they come from."""
    records = {"f1": record(), "f2": record(temperature=0.6)}
    logits, true = drawn(400)
    values = logits.numpy()
    probabilities = np.concatenate([
        softmax(values[start : start + 200], kept.temperature)
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


def test_a_folder_that_is_no_run_says_what_to_give_instead(tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match=r"no finished run .*\. Give the folder of `earnest train`\.$"):
        read_record(tmp_path)
    (tmp_path / "runs/f2").mkdir(parents=True)
    (tmp_path / "runs/f2/run.json").touch()
    with pytest.raises(EarnestError, match=r"Give a run in it, such as .*f2, or train on all"):
        read_record(tmp_path / "runs")
    (tmp_path / "bundle.json").touch()
    with pytest.raises(EarnestError, match=r"It is a bundle already, which `earnest predict --model` takes"):
        read_record(tmp_path)
