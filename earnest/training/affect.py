"""Scores of affect: what a model answers, against the ratings that the manifest has."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from earnest.corpora.affect import affect_of
from earnest.corpora.manifest import Utterance
from earnest.evaluation.affect import affect_scores
from earnest.evaluation.predictions import Predictions


def affect_results(
    predictions: Predictions, utterances: Sequence[Utterance], limits: Sequence[float]
) -> dict[str, Any] | None:
    """Score answers of affect against the manifest's ratings, both from 0 to 1; None where there are none.

    Parameters
    ----------
    limits : lowest and highest rating, where it is not to be what the corpus reader says
    """
    if predictions.predicted_affect is None:
        return None
    known = {(row.corpus, row.utterance_id): row for row in utterances}
    places = zip(predictions.corpus, predictions.utterance_id, strict=True)
    true = np.array([affect_of(known[place], limits) for place in places], dtype=np.float64)
    return {name: one.to_dict() for name, one in affect_scores(predictions.predicted_affect, true).items()} or None
