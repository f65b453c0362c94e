"""``predictions.csv``: the seam between models, ours or anybody's, and evaluation."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.csv_cells import RowWriter, marked
from earnest.errors import CorpusError, told
from earnest.evaluation.answer_tables import Layout, read_table
from earnest.evaluation.answers import Answers
from earnest.evaluation.prediction_table import AFFECT, TEXTS, Predictions, TextColumn, joined, of_emotion
from earnest.run_files import replacing
from earnest.suggest import suggestion

__all__ = [
    "Predictions",
    "joined",
    "of_emotion",
    "read_answers",
    "read_predictions",
    "write_predictions",
]
TEXT_COLUMNS = ("utterance_id", *TEXTS, "emotion", "predicted")
ADAPTED, GENDER = "adapted", "predicted_gender"
AFFECT_COLUMNS = tuple(f"predicted_{name}" for name in AFFECT)
KNOWN = (*TEXT_COLUMNS, "path", ADAPTED, GENDER, *AFFECT_COLUMNS)
PREFIX = "p_"


def read_predictions(path: Path) -> Predictions:
    """Read a predictions file, strictly.

    ``utterance_id``, ``emotion`` and ``predicted`` must be there. The ``p_`` columns say which classes there are;
    without them the classes are the labels that occur, in canonical order.

    Raises
    ------
    CorpusError
        For what is wrong, with line and column.
    """
    return read_answers(path, ("utterance_id", "emotion", "predicted")).predictions()


def read_answers(path: Path, needed: Sequence[str] = ("predicted",)) -> Answers:
    """Read a predictions file that may lack the truth and have ``path`` in place of ``utterance_id``."""
    return read_table(path, partial(_layout_of, path=path, needed=needed))


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write ``predictions.csv``, whole or not; probabilities get the fewest digits that give the same float32 again."""
    names = (*predictions.classes, "")
    with told(path), replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = RowWriter(file)
        writer.write_rows([_header(predictions)])
        labels = ([names[code] for code in codes] for codes in (predictions.emotion, predictions.predicted))
        texts = (predictions.utterance_id, *(getattr(predictions, name) for name in TEXTS), *labels)
        columns = (*(map(marked, column) for column in texts), *_optional_columns(predictions))
        writer.write_plain(zip(*columns, strict=True))


def _header(predictions: Predictions) -> list[str]:
    header = list(TEXT_COLUMNS)
    if predictions.probabilities is not None:
        header += [PREFIX + name for name in predictions.classes]
    if predictions.adapted is not None:
        header.append(ADAPTED)
    if predictions.predicted_gender is not None:
        header.append(GENDER)
    if predictions.predicted_affect is not None:
        header += AFFECT_COLUMNS
    return header


def _optional_columns(predictions: Predictions) -> Iterator[Sequence[str] | TextColumn]:
    if predictions.probabilities is not None:
        blank = np.asarray(np.isnan(predictions.probabilities).any(axis=1))
        for column in predictions.probabilities.T:
            yield _number_texts(column, blank)
    if predictions.adapted is not None:
        yield [str(flag).lower() for flag in predictions.adapted.tolist()]
    if predictions.predicted_gender is not None:
        yield predictions.predicted_gender
    if predictions.predicted_affect is not None:
        for column in predictions.predicted_affect.T:
            yield _number_texts(column, np.isnan(column))


def _number_texts(values: npt.NDArray[np.float32], blank: npt.NDArray[np.bool_]) -> list[str]:
    texts = list(map(str, values))
    for row in np.flatnonzero(blank):
        texts[row] = ""
    return texts


def _layout_of(header: Sequence[str], path: Path, needed: Sequence[str]) -> Layout:
    """Check a header and say which column holds what."""
    for name, count in Counter(header).items():
        if count > 1:
            raise CorpusError(f"{path}:1: the column '{name}' is there twice.")
        if name not in KNOWN and not (name.startswith(PREFIX) and name != PREFIX):
            raise CorpusError(f"{path}:1: unknown column '{name}'.{suggestion(name, KNOWN)}")
    for name in needed:
        if name not in header:
            raise CorpusError(f"{path}:1: the column '{name}' is missing.")
    identity = "utterance_id" if "utterance_id" in header else "path"
    if identity not in header:
        raise CorpusError(f"{path}:1: the column 'utterance_id' is missing, and so is 'path'.")
    columns = {name: name for name in header if name in KNOWN and name not in ("utterance_id", "path")}
    probabilities = {name.removeprefix(PREFIX): name for name in header if name.startswith(PREFIX)}
    return Layout({"name": identity, **columns}, probabilities, is_ours=True)
