"""What probabilities are good for beside the answer: runners-up, ranking, and knowing when not to answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from earnest.evaluation.predictions import Predictions
from earnest.evaluation.ranking import macro, roc_auc, top_k
from earnest.evaluation.reliability import selective

COVERAGES = (0.8, 0.5)
RANKS = (2, 3)


@dataclass(frozen=True)
class ConfidenceScores:
    """Scores of the probabilities; a row without any counts as wrong in all but ``auc``.

    Attributes
    ----------
    top : k → share of rows whose true class is among the k most probable
    auc : area under the ROC curve of a class against the rest, mean over the classes that occur; None for one class
    aurc : area under the risk–coverage curve
    accuracy_at : coverage → WA over that share of the rows, the most confident
    """

    top: Mapping[int, float]
    auc: float | None
    aurc: float
    accuracy_at: Mapping[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "top": {str(k): share for k, share in self.top.items()},
            "auc": self.auc,
            "aurc": self.aurc,
            "accuracy_at": {f"{coverage:g}": accuracy for coverage, accuracy in self.accuracy_at.items()},
        }


def confidence_scores(predictions: Predictions) -> ConfidenceScores | None:
    """Score the probabilities; None when there are none."""
    probabilities, true = predictions.probabilities, predictions.emotion
    if probabilities is None or np.isnan(probabilities).any(axis=1).all():
        return None
    curve = selective(probabilities, true)
    return ConfidenceScores(
        top={k: top_k(probabilities, true, k) for k in RANKS},
        auc=macro(roc_auc, probabilities, true),
        aurc=curve.aurc,
        accuracy_at={coverage: curve.accuracy_at(coverage) for coverage in COVERAGES},
    )
