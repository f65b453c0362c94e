from dataclasses import asdict

import numpy as np
import pytest

from earnest.evaluation.answers import same_text, text_column
from earnest.evaluation.intervals import Spread
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.report import Amount, Matrix
from earnest.plots.results import plot_learning_curve, plot_matrix


def predictions(right: dict[tuple[str, str], int], n: int = 10) -> Predictions:
    """Of each (fold, corpus), ``right`` of n clips of two classes are right."""
    rows = [(fold, corpus, number, number < count) for (fold, corpus), count in right.items() for number in range(n)]
    emotion = np.array([number % 2 for *_, number, _ in rows])
    return Predictions(
        classes=("happy", "sad"),
        utterance_id=text_column(f"{corpus}{number}" for _, corpus, number, _ in rows),
        corpus=text_column(corpus for _, corpus, _, _ in rows),
        speaker=text_column(f"{corpus}-{number % 3}" for _, corpus, number, _ in rows),
        gender=same_text("", len(rows)),
        fold=text_column(fold for fold, *_ in rows),
        emotion=emotion,
        predicted=np.array([one if good else 1 - one for one, (*_, good) in zip(emotion, rows, strict=True)]),
    )


RIGHT = {("from-a", "a"): 10, ("from-a", "b"): 4, ("from-b", "a"): 6, ("from-b", "b"): 8}


def test_each_cell_is_the_score_of_its_own_clips():
    matrix = Matrix.of(predictions(RIGHT))
    wa = {pair: scores.wa for pair, scores in matrix.cells.items()}
    assert wa == pytest.approx({("a", "a"): 1.0, ("a", "b"): 0.4, ("b", "a"): 0.6, ("b", "b"): 0.8})
    assert {scores.n for scores in matrix.cells.values()} == {10}


def test_repeats_are_scored_with_their_fold():
    again = {(f"{fold}#2", corpus): n - 2 for (fold, corpus), n in RIGHT.items()}
    matrix = Matrix.of(predictions(RIGHT | again))
    assert matrix.table() == [["a", "90.0 (within)", "30.0"], ["b", "50.0", "70.0 (within)"]]


def test_the_diagonal_is_marked_in_table_and_json():
    matrix = Matrix.of(predictions(RIGHT))
    assert matrix.table() == [["a", "100.0 (within)", "40.0"], ["b", "60.0", "80.0 (within)"]]
    within = [cell["within_corpus"] for cell in matrix.to_dict()["cells"]]
    assert within == [True, False, False, True]


def test_a_matrix_of_some_rows_is_drawn_with_all_columns():
    matrix = Matrix.of(predictions({pair: n for pair, n in RIGHT.items() if pair[0] == "from-b"}))
    assert matrix.rows == ["b"]
    assert plot_matrix(matrix, "made-up").startswith(b"\x89PNG")


def test_the_curve_over_training_data_is_drawn():
    much = Amount(1.0, 100, 10, Spread(0.7, 0.1), Spread(0.6, 0.1))
    amounts = [much, Amount(0.1, 10, 1, Spread(0.5, None), Spread(0.4, None))]
    assert plot_learning_curve(amounts, "made-up").startswith(b"\x89PNG")
    assert asdict(amounts[1])["ua"] == {"mean": 0.4, "sd": None}
