"""Reasons to doubt that predictions mean what is scored; scores and comparisons tell them."""

from collections.abc import Sequence

import numpy as np

from earnest.errors import counted, named
from earnest.evaluation.answers import SUM_TOLERANCE, TO_SCORE
from earnest.evaluation.calibration import known_rows
from earnest.evaluation.predictions import Predictions

N_NAMED = 8


def doubts(predictions: Predictions, outside: Sequence[str] = ()) -> list[str]:
    """List reasons to doubt that a file means what is scored.

    Parameters
    ----------
    outside : labels answered that are no class, and count as none
    """
    answered = predictions.predicted >= 0
    told, true = (set(np.unique(column).tolist()) for column in (predictions.predicted[answered], predictions.emotion))
    found = []
    if (told or outside) and not told & true:
        answers, truth = ([predictions.classes[number] for number in sorted(some)] for some in (told, true))
        names = f"{named([*answers, *outside], N_NAMED)} against {named(truth, N_NAMED)}"
        found.append(f"No answer is a true label: {names}. Say --map ANSWER=TRUTH{TO_SCORE} for each of them if so.")
    elif predictions.probabilities is None and told - true:
        numbers = {predictions.classes[one]: int((predictions.predicted == one).sum()) for one in sorted(told - true)}
        names = named([f"'{name}' ({counted(number, 'answer')})" for name, number in numbers.items()], N_NAMED)
        meant = f"Say --map ANSWER=TRUTH{TO_SCORE} where it means a true label"
        found.append(f"Counted as a class and never true: {names}. {meant}; empty the cell where it means none.")
    if predictions.probabilities is not None:
        known = answered & known_rows(predictions.probabilities)
        rows = predictions.probabilities[known]
        # p of the class answered against the largest: equal ones are no contradiction.
        own = rows[np.arange(len(rows)), predictions.predicted[known]]
        if n_others := int((own < rows.max(axis=1) - SUM_TOLERANCE).sum()):
            found.append(
                f"In {counted(n_others, 'row')} another class is likelier than the one answered, which is what "
                "is scored."
            )
    return found
