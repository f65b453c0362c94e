"""Calibrating a trained classifier on validation clips, and saying what it changed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from earnest.evaluation.calibration import FittedCalibration, fit_temperature, quality, softmax, undone
from earnest.evaluation.predictions import Predictions
from earnest.models.classifier import SpeechClassifier
from earnest.training.record import RunRecord


def fit_calibration(logits: Tensor, true: npt.NDArray[np.integer]) -> tuple[float, FittedCalibration]:
    """Return the temperature, and what it changes.

    Parameters
    ----------
    logits : (rows, classes), of clips that the weights have not seen
    true : shape (rows,), class numbers
    """
    values = logits.numpy()
    temperature = fit_temperature(values, true)
    before, after = quality(softmax(values), true), quality(softmax(values, temperature), true)
    return temperature, FittedCalibration("temperature", before, after)


def calibrate(classifier: SpeechClassifier, record: RunRecord) -> None:
    """Let a classifier's probabilities be those of a finished run."""
    classifier.temperature.fill_(record.temperature)
    classifier.gender_temperature.fill_(record.gender_temperature)


def calibration_change(predictions: Predictions, records: Mapping[str, RunRecord]) -> dict[str, Any] | None:
    """Return ECE and NLL of test clips before calibration and after, over all folds and of each.

    Parameters
    ----------
    predictions : calibrated; rows without probabilities are left out
    records : fold → finished run
    """
    if predictions.probabilities is None:
        return None
    known = predictions.take(np.flatnonzero(~np.isnan(predictions.probabilities).any(axis=1)))
    assert known.probabilities is not None
    folds, plain = {}, np.empty(known.probabilities.shape)
    for fold in known.folds:
        rows = np.flatnonzero(known.fold == fold)
        plain[rows] = undone(known.probabilities[rows], records[fold].temperature)
        folds[fold] = {
            "temperature": records[fold].temperature,
            **_change(plain[rows], known.probabilities[rows], known.emotion[rows]),
        }
    return {**_change(plain, known.probabilities, known.emotion), "folds": folds} if folds else None


def _change(
    before: npt.NDArray[np.floating], after: npt.NDArray[np.floating], true: npt.NDArray[np.integer]
) -> dict[str, Any]:
    named = {"before": quality(before, true), "after": quality(after, true)}
    return {name: {"ece": one.ece, "nll": one.nll, "n": one.n} for name, one in named.items()}
