"""``predictions.csv``: the seam between models, ours or anybody's, and evaluation."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError
from earnest.labels import EMOTIONS
from earnest.suggest import suggestion

Probabilities = npt.NDArray[np.float32]
TEXT_COLUMNS = ("utterance_id", "corpus", "speaker", "gender", "fold", "emotion", "predicted")
REQUIRED = ("utterance_id", "emotion", "predicted")
ADAPTED = "adapted"
PREFIX = "p_"
SUM_TOLERANCE = 1e-3  # other people's files round their probabilities
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One answer.

    Attributes
    ----------
    emotion : the true class under the label scheme of the run
    predicted : the class answered, "" for no answer, which every score counts as wrong
    probabilities : class → probability; empty when there are none
    """

    utterance_id: str
    corpus: str
    speaker: str
    gender: str
    fold: str
    emotion: str
    predicted: str
    probabilities: Mapping[str, float]
    adapted: bool | None = None


@dataclass(frozen=True)
class Predictions:
    """The rows as columns.

    Attributes
    ----------
    classes : order of the probabilities and of every confusion matrix
    utterance_id, corpus, speaker, gender, fold : one text a row
    emotion, predicted : shape (rows,), int64, index into ``classes``; ``predicted`` is −1 for no answer
    probabilities : shape (rows, classes), float32, NaN in rows that have none; None when no row has any
    adapted : one flag a row, None where adaptation was not a matter
    """

    classes: tuple[str, ...]
    utterance_id: tuple[str, ...]
    corpus: tuple[str, ...]
    speaker: tuple[str, ...]
    gender: tuple[str, ...]
    fold: tuple[str, ...]
    emotion: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: Probabilities | None = None
    adapted: tuple[bool, ...] | None = None

    def __len__(self) -> int:
        return len(self.utterance_id)

    @property
    def folds(self) -> list[str]:
        """Names of the folds, in the order in which they appear."""
        return list(dict.fromkeys(self.fold))

    def of_fold(self, fold: str) -> "Predictions":
        """Return the rows of one fold."""
        return self.take(np.array([index for index, name in enumerate(self.fold) if name == fold], dtype=np.int64))

    def take(self, indices: npt.NDArray[np.integer]) -> "Predictions":
        """Return the rows at ``indices``, shape (n,), in that order."""
        texts = {
            name: tuple(getattr(self, name)[index] for index in indices)
            for name in ("utterance_id", "corpus", "speaker", "gender", "fold")
        }
        return replace(
            self,
            **texts,
            emotion=self.emotion[indices],
            predicted=self.predicted[indices],
            probabilities=None if self.probabilities is None else self.probabilities[indices],
            adapted=None if self.adapted is None else tuple(self.adapted[index] for index in indices),
        )

    @classmethod
    def from_rows(cls, rows: Iterable[PredictionRow], classes: Sequence[str]) -> "Predictions":
        """Turn rows into columns; all labels must be among ``classes``."""
        listed = list(rows)
        code = {name: position for position, name in enumerate(classes)}
        codes = {**code, "": -1}
        for row in listed:
            _check_labels(row, code)
        blank = (np.nan,) * len(classes)
        values = [[row.probabilities[name] for name in classes] if row.probabilities else blank for row in listed]
        has_any = any(row.probabilities for row in listed)
        has_flag = any(row.adapted is not None for row in listed)
        return cls(
            classes=tuple(classes),
            utterance_id=tuple(row.utterance_id for row in listed),
            corpus=tuple(row.corpus for row in listed),
            speaker=tuple(row.speaker for row in listed),
            gender=tuple(row.gender for row in listed),
            fold=tuple(row.fold for row in listed),
            emotion=np.array([codes[row.emotion] for row in listed], dtype=np.int64),
            predicted=np.array([codes[row.predicted] for row in listed], dtype=np.int64),
            probabilities=np.array(values, dtype=np.float32) if has_any else None,
            adapted=tuple(bool(row.adapted) for row in listed) if has_flag else None,
        )


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Put the predictions of several folds below each other; all must have the same classes."""
    first = parts[0]
    if any(part.classes != first.classes for part in parts):
        raise CorpusError("Predictions with different classes can't be joined.")
    rows = [row for part in parts for row in to_rows(part)]
    return Predictions.from_rows(rows, first.classes)


def to_rows(predictions: Predictions) -> list[PredictionRow]:
    """Return one `PredictionRow` a row."""
    names = (*predictions.classes, "")
    rows = []
    for index in range(len(predictions)):
        values = () if predictions.probabilities is None else predictions.probabilities[index].tolist()
        known = bool(values) and not np.isnan(values).any()
        rows.append(
            PredictionRow(
                utterance_id=predictions.utterance_id[index],
                corpus=predictions.corpus[index],
                speaker=predictions.speaker[index],
                gender=predictions.gender[index],
                fold=predictions.fold[index],
                emotion=names[predictions.emotion[index]],
                predicted=names[predictions.predicted[index]],
                probabilities=dict(zip(predictions.classes, values, strict=True)) if known else {},
                adapted=None if predictions.adapted is None else predictions.adapted[index],
            )
        )
    return rows


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write ``predictions.csv``; probabilities get the fewest digits that give the same float32 again."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        with_p = predictions.classes if predictions.probabilities is not None else ()
        flag = (ADAPTED,) if predictions.adapted is not None else ()
        writer.writerow((*TEXT_COLUMNS, *(PREFIX + name for name in with_p), *flag))
        for row in to_rows(predictions):
            texts = [getattr(row, name) for name in TEXT_COLUMNS]
            numbers = [str(np.float32(row.probabilities[name])) if row.probabilities else "" for name in with_p]
            writer.writerow([*texts, *numbers, *(str(row.adapted).lower() for _ in flag)])


def read_predictions(path: Path) -> Predictions:
    """Read a predictions file, strictly.

    ``utterance_id``, ``emotion`` and ``predicted`` must be there. The ``p_`` columns say which classes there are;
    without them the classes are the labels that occur, in canonical order.

    Raises
    ------
    CorpusError
        For what is wrong, with line and column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            _check_header(header, path)
            rows = []
            seen: dict[tuple[str, str, str], int] = {}
            for cells in reader:
                where = f"{path}:{reader.line_num}"
                if len(cells) != len(header):
                    raise CorpusError(f"{where}: {len(cells)} cells, but the header has {len(header)}.")
                row = _row_of(dict(zip(header, cells, strict=True)), where)
                key = (row.corpus, row.utterance_id, row.fold)
                if key in seen:
                    raise CorpusError(
                        f"{where}: '{row.utterance_id}' is in line {seen[key]} already, with the same fold."
                    )
                seen[key] = reader.line_num
                rows.append(row)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path}: not a readable predictions file ({error}).") from error
    if not rows:
        raise CorpusError(f"{path}: it holds no predictions.")
    named = [name.removeprefix(PREFIX) for name in header if name.startswith(PREFIX)]
    return Predictions.from_rows(rows, named or _labels_in(rows))


def _check_header(header: Sequence[str], path: Path) -> None:
    for name in header:
        if header.count(name) > 1:
            raise CorpusError(f"{path}:1: the column '{name}' is there twice.")
        if name not in (*TEXT_COLUMNS, ADAPTED) and not (name.startswith(PREFIX) and name != PREFIX):
            hint = suggestion(name, (*TEXT_COLUMNS, ADAPTED))
            raise CorpusError(f"{path}:1: unknown column '{name}'.{hint}")
    for name in REQUIRED:
        if name not in header:
            raise CorpusError(f"{path}:1: the column '{name}' is missing.")


def _row_of(cells: Mapping[str, str], where: str) -> PredictionRow:
    probabilities = _probabilities(cells, where)
    labels = [name.removeprefix(PREFIX) for name in cells if name.startswith(PREFIX)]
    for column in ("utterance_id", "emotion"):
        if not cells[column]:
            raise CorpusError(f"{where}, column '{column}': it is empty.")
    for column in ("emotion", "predicted"):
        if labels and cells[column] and cells[column] not in labels:
            raise CorpusError(f"{where}, column '{column}': '{cells[column]}' has no column {PREFIX}{cells[column]}.")
    flag = cells.get(ADAPTED)
    if flag is not None and flag.lower() not in _FLAGS:
        raise CorpusError(f"{where}, column '{ADAPTED}': expected true or false, got '{flag}'.")
    texts = {name: cells.get(name, "") for name in TEXT_COLUMNS}
    return PredictionRow(**texts, probabilities=probabilities, adapted=None if flag is None else _FLAGS[flag.lower()])


def _probabilities(cells: Mapping[str, str], where: str) -> dict[str, float]:
    texts = {name: text for name, text in cells.items() if name.startswith(PREFIX)}
    if not any(texts.values()):
        return {}
    numbers = {}
    for name, text in texts.items():
        try:
            number = float(text)
        except ValueError:
            raise CorpusError(f"{where}, column '{name}': expected a number, got '{text}'.") from None
        if not 0 <= number <= 1:
            raise CorpusError(f"{where}, column '{name}': a probability is from 0 to 1, got {text}.")
        numbers[name.removeprefix(PREFIX)] = number
    total = sum(numbers.values())
    if abs(total - 1) > SUM_TOLERANCE:
        raise CorpusError(f"{where}: the probabilities sum to {total:.6g}, not to 1.")
    return numbers


def _labels_in(rows: Sequence[PredictionRow]) -> list[str]:
    rank = {name: position for position, name in enumerate(EMOTIONS)}
    present = {row.emotion for row in rows} | {row.predicted for row in rows} - {""}
    return sorted(present, key=lambda name: (rank.get(name, len(rank)), name))


def _check_labels(row: PredictionRow, classes: Mapping[str, int]) -> None:
    for label in (row.emotion, *([row.predicted] if row.predicted else [])):
        if label not in classes:
            raise CorpusError(f"{row.utterance_id}: '{label}' is not one of the classes {', '.join(classes)}.")
    if row.probabilities and set(row.probabilities) != set(classes):
        raise CorpusError(f"{row.utterance_id}: the probabilities must be of {', '.join(classes)}.")
