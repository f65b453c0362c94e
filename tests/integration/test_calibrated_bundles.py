"""Calibration from the recipe to the bundle: every runtime gives the run's numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import MANNERS, Trained

from earnest.bundle import load_bundle
from earnest.evaluation.calibration import reliability, undone
from earnest.runtime.predictor import Predictor
from earnest.training.record import read_record


@pytest.fixture
def run(trained: Trained) -> Path:
    """Return the folder of a run, its bundle beside it."""
    return trained.run


def test_the_bundle_gives_the_runs_probabilities(run: Path, made_up: Path) -> None:
    model = Predictor.load(run.parent / "bundle")
    for row in rows_of(run / "predictions.csv"):
        answer = model.predict(made_up.parent / f"{row['utterance_id']}.wav")
        expected = {name: float(row[f"p_{name}"]) for name in MANNERS}
        assert dict(answer.probabilities) == pytest.approx(expected, abs=1e-4)
    found = json.loads(earnest_cli("parity", run, run.parent / "bundle", made_up.parent, "--limit", 6, "--json"))
    assert found["equal"]


def test_the_calibration_matters_and_is_told_in_bundle_and_card(run: Path) -> None:
    record = read_record(run)
    fitted = record.calibration
    assert fitted is not None
    assert (fitted.method, fitted.before.n) == ("temperature", record.n_valid)
    assert record.temperature != pytest.approx(1, abs=0.01)
    info = load_bundle(run.parent / "bundle").info
    assert (info.temperature, info.calibration) == (record.temperature, fitted)
    card = (run.parent / "bundle" / "card.md").read_text(encoding="utf-8")
    assert f"temperature {record.temperature:.3f}" in card
    assert f"was {fitted.before.ece:.3f} before and is {fitted.after.ece:.3f} after" in card


def test_the_metrics_tell_the_test_clips_error_before_and_after(run: Path) -> None:
    document = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    change = document["calibration_change"]
    assert change["after"]["ece"] == pytest.approx(document["calibration"]["ece"], abs=1e-6)
    rows = rows_of(run / "predictions.csv")
    probabilities = np.array([[float(row[f"p_{name}"]) for name in MANNERS] for row in rows])
    before = undone(probabilities, read_record(run).temperature)
    true = np.array([list(MANNERS).index(row["emotion"]) for row in rows])
    assert change["before"]["ece"] == pytest.approx(reliability(before, true).ece, abs=1e-6)
