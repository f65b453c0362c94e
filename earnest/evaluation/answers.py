"""What a file of anybody's system says, in its own words, before it is known to be right or wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError
from earnest.evaluation.prediction_table import (
    TEXTS,
    Predictions,
    Probabilities,
    TextColumn,
    numbered,
    same_text,
)
from earnest.labels import EMOTIONS

SUM_TOLERANCE = 1e-3  # other people's files round their probabilities
LONGEST_SHOWN = 80
MOST_LABELS = 1000  # a confusion matrix has their square


@dataclass(frozen=True, eq=False)
class Answers:
    """The rows of a file as columns.

    Attributes
    ----------
    name : names of utterances, or paths of their recordings
    line, unit : where each row stands in the file, shape (rows,), int64: its line or entry
    predicted : the label answered, "" for none
    emotion : the true label, where the file says it
    texts : of corpus, speaker, gender, fold and start those that the file has
    labels, probabilities : shape (rows, labels), float32, NaN in rows without; None when none has any
    adapted, predicted_gender, predicted_affect : see `Predictions`
    """

    source: Path
    name: TextColumn
    line: npt.NDArray[np.int64]
    predicted: TextColumn
    emotion: TextColumn | None = None
    texts: Mapping[str, TextColumn] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    probabilities: Probabilities | None = None
    adapted: npt.NDArray[np.bool_] | None = None
    predicted_gender: TextColumn | None = None
    predicted_affect: npt.NDArray[np.float32] | None = None
    unit: str = "line"

    def __post_init__(self) -> None:
        columns = (self.labels, self.predicted, () if self.emotion is None else self.emotion)
        n_labels = max(len(set(column)) for column in columns)
        if n_labels > MOST_LABELS:
            raise CorpusError(f"{self.source}: {n_labels} different labels; at most {MOST_LABELS} can be scored.")

    def __len__(self) -> int:
        return len(self.name)

    def text(self, name: str) -> TextColumn:
        """Return a column of ``texts``, empty texts where the file has none."""
        return self.texts[name] if name in self.texts else same_text("", len(self))

    def place(self, row: int) -> str:
        """Say where a row stands, for messages."""
        return f"{self.source}{':' if self.unit == 'line' else ', entry '}{self.line[row]}"

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> "Answers":
        """Return the rows at these indices, shape (n,), in that order."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        texts = {name: column[rows] for name, column in self.texts.items()}
        return replace(
            self, texts=texts, **{name: column[rows] for name, column in columns.items() if column is not None}
        )

    def classes(self) -> tuple[str, ...]:
        """Return the labels of the probabilities; without them all that occur, in canonical order."""
        if self.labels:
            return self.labels
        return in_canonical_order({*self.predicted, *(() if self.emotion is None else self.emotion)} - {""})

    def without_truth(self) -> "Answers":
        """Return the same answers with the truth forgotten."""
        return replace(self, emotion=None)

    def predictions(self) -> Predictions:
        """Return the rows with the truth that the file itself holds."""
        if self.emotion is None:
            raise CorpusError(f"{self.source}: it doesn't say what is true. Say --manifest FILE or --data NAME=DIR.")
        classes = self.classes()
        return Predictions(
            classes=classes,
            utterance_id=self.name,
            **{name: self.text(name) for name in TEXTS},
            emotion=numbered(self.emotion, classes),
            predicted=numbered(self.predicted, classes),
            probabilities=self.probabilities,
            adapted=self.adapted,
            predicted_gender=self.predicted_gender,
            predicted_affect=self.predicted_affect,
        )


_COLUMNS = tuple(name for name in Answers.__dataclass_fields__ if name not in ("source", "texts", "labels", "unit"))


def in_canonical_order(labels: set[str]) -> tuple[str, ...]:
    """Return the canonical emotions among ``labels`` in their order, and the others behind, sorted."""
    rank = {name: position for position, name in enumerate(EMOTIONS)}
    return tuple(sorted(labels, key=lambda name: (rank.get(name, len(rank)), name)))


def check_unique(answers: Answers) -> None:
    """Refuse an utterance that is there twice in the same fold."""
    columns = [answers.texts[name] for name in ("corpus", "fold", "start") if name in answers.texts]
    seen: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(zip(answers.name, *columns, strict=True)):
        first = seen.setdefault(key, row)
        if first != row:
            where = f"{answers.unit} {answers.line[first]}"
            raise CorpusError(f"{answers.place(row)}: '{shown(key[0])}' is in {where} already, with the same fold.")


def shown(text: str) -> str:
    """Return a stranger's text fit for one line of a message."""
    return repr(text[:LONGEST_SHOWN])[1:-1] + ("…" if len(text) > LONGEST_SHOWN else "")
