"""The gender that corpora name, beside the emotion: its closed-form head, and probabilities to be relied on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from earnest.evaluation.calibration import FittedCalibration
from earnest.training.calibrate import fit_calibration
from earnest.training.data import GENDERS, UNKNOWN, Example
from earnest.training.discriminant import Embeddings, discriminant_logits, fit_discriminant, rotated_logits
from earnest.training.fit import predict_outputs
from earnest.training_settings import Training


def by_gender(examples: Sequence[Example]) -> list[Example]:
    """Return the clips whose gender is known, with its index in `GENDERS` as their target."""
    return [replace(example, target=example.gender) for example in examples if example.gender != UNKNOWN]


def fit_gender(network: nn.Module, train: Sequence[Example], shrinkage: float, known: Embeddings) -> None:
    """Set the network's layer ``gender`` as `fit_discriminant` sets its last one for the emotion."""
    fit_discriminant(network, by_gender(train), shrinkage, len(GENDERS), known, "gender")


def fit_gender_calibration(
    network: nn.Module,
    settings: Training,
    rotated: Sequence[Example],
    valid: Sequence[Example],
    known: Embeddings,
) -> tuple[float, FittedCalibration | None]:
    """Return the temperature of the gender's logits, and what it changed; 1 without validation clips of known gender.

    Parameters
    ----------
    rotated : clips of training speakers that take turns as validation speakers, see `rotated_logits`; may be empty
    """
    train, unseen = by_gender(rotated), by_gender(valid)
    if not unseen:
        return 1.0, None
    true = np.array([example.target for example in unseen], np.int64)
    if train:
        logits, true = rotated_logits(network, train, unseen, settings.shrinkage, len(GENDERS), known)
    elif settings.method == "discriminant":
        logits = discriminant_logits(network, unseen, known, "gender")
    else:
        found = predict_outputs(network, unseen).gender
        assert found is not None
        logits = found
    return fit_calibration(logits, true)
