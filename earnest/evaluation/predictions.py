"""``predictions.csv``: the seam between models, ours or anybody's, and evaluation; in memory plain columns."""

import csv
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, suggestion, told
from earnest.files.csv_cells import RowWriter, marked, unmarked
from earnest.files.reading import opened
from earnest.files.writing import replacing
from earnest.labels import EMOTIONS

Probabilities = npt.NDArray[np.float32]
TextColumn: TypeAlias = npt.NDArray[np.object_]  # shape (rows,): one str a row
AFFECT = ("valence", "arousal", "dominance")
TEXTS = ("corpus", "speaker", "gender", "fold")


def text_column(texts: Iterable[str]) -> TextColumn:
    """Put texts into a column, shape (rows,)."""
    return np.array(list(texts), dtype=np.object_)


def same_text(text: str, n_rows: int) -> TextColumn:
    """Make a column that holds the same text in every row."""
    return np.full(n_rows, text, dtype=np.object_)


def different(column: Iterable[str]) -> list[str]:
    """List the texts of a column once each, in the order in which they first occur."""
    return list(dict.fromkeys(column))


def numbered(column: Iterable[str], order: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number each row by the place of its text in ``order``, shape (rows,); −1 for what isn't there."""
    place = {text: position for position, text in enumerate(order)}
    return np.array([place.get(text, -1) for text in column], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Predictions:
    """The rows of a predictions file as columns.

    Attributes
    ----------
    classes : order of the probabilities and of every confusion matrix
    utterance_id, corpus, speaker, gender, fold : shape (rows,), texts
    emotion, predicted : shape (rows,), int64, index into ``classes``; ``predicted`` is −1 for no answer
    probabilities : shape (rows, classes), float32, NaN in rows that have none; None when no row has any
    adapted : shape (rows,), bool; None where adaptation was not a matter
    predicted_gender : "female", "male" or ""; None where the system doesn't answer it
    predicted_affect : valence, arousal and dominance, shape (rows, 3), float32, NaN where not answered; None when
        nowhere
    intensity : the corpus' own word of each clip, "" for none; None where no clip has one
    affect : rated valence, arousal and dominance in the corpus' own unit, shape (rows, 3), float32, NaN where not
        rated; None when nowhere
    """

    classes: tuple[str, ...]
    utterance_id: TextColumn
    corpus: TextColumn
    speaker: TextColumn
    gender: TextColumn
    fold: TextColumn
    emotion: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    probabilities: Probabilities | None = None
    adapted: npt.NDArray[np.bool_] | None = None
    predicted_gender: TextColumn | None = None
    predicted_affect: npt.NDArray[np.float32] | None = None
    intensity: TextColumn | None = None
    affect: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.utterance_id)

    @property
    def folds(self) -> list[str]:
        """Names of the folds, in the order in which they appear."""
        return different(self.fold)

    def of_fold(self, fold: str) -> "Predictions":
        """Return the rows of one fold."""
        return self.take(np.flatnonzero(self.fold == fold))

    def take(self, indices: npt.NDArray[np.integer[Any]]) -> "Predictions":
        """Return the rows at ``indices``, shape (n,), in that order."""
        found = {name: getattr(self, name) for name in _COLUMNS}
        return replace(self, **{name: column[indices] for name, column in found.items() if column is not None})


ALWAYS = ("utterance_id", *TEXTS, "emotion", "predicted")  # columns that are never None
_COLUMNS = tuple(name for name in Predictions.__dataclass_fields__ if name != "classes")


def rated(utterances: Sequence[Utterance]) -> dict[str, Any]:
    """Return what a corpus says of clips beside emotion and gender: ``intensity`` and ``affect`` of `Predictions`."""
    intensity = text_column(row.intensity for row in utterances)
    ratings = [(row.valence, row.arousal, row.dominance) for row in utterances]
    affect = np.array(ratings, dtype=np.float32).reshape(-1, len(AFFECT))  # None becomes NaN
    return {
        "intensity": intensity if any(intensity) else None,
        "affect": None if np.isnan(affect).all() else affect,
    }


def of_emotion(predictions: Predictions) -> Predictions:
    """Return predictions without the answers beside the emotion, for clips whose emotion alone is asked anew."""
    return replace(predictions, predicted_gender=None, predicted_affect=None)


def of_classes(predictions: Predictions, classes: Sequence[str]) -> Predictions:
    """Return the clips of some classes, answered among these alone: p_k / Σ_j p_j over the classes j asked for.

    Raises
    ------
    CorpusError
        When the predictions lack one of the classes, or have no probabilities.
    """
    if missing := [name for name in classes if name not in predictions.classes]:
        raise CorpusError(f"There are no probabilities of '{missing[0]}', only of {', '.join(predictions.classes)}.")
    if predictions.probabilities is None:
        raise CorpusError("Answers without probabilities can't be scored among fewer classes.")
    places = [predictions.classes.index(name) for name in classes]
    number = np.full(len(predictions.classes), -1, np.int64)
    number[places] = np.arange(len(classes))
    kept = predictions.take(np.flatnonzero(number[predictions.emotion] >= 0))
    assert kept.probabilities is not None
    probabilities = among(kept.probabilities, places).astype(np.float32)
    predicted = np.where(np.isnan(probabilities).any(axis=1), -1, probabilities.argmax(axis=1)).astype(np.int64)
    return replace(
        kept,
        classes=tuple(classes),
        emotion=number[kept.emotion],
        predicted=predicted,
        probabilities=probabilities,
    )


def among(probabilities: npt.NDArray[np.floating], places: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return the columns at ``places`` of probabilities (rows, classes), renormalised; equal where all are zero."""
    asked = probabilities[:, places].astype(np.float64) + np.finfo(np.float32).tiny
    return np.asarray(asked / asked.sum(axis=1, keepdims=True))


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Put the predictions of several folds below each other; all must have the same classes."""
    classes = parts[0].classes
    if any(part.classes != classes for part in parts):
        raise CorpusError("Predictions with different classes can't be joined.")
    return Predictions(
        classes=classes,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ALWAYS},
        probabilities=_stacked(parts, "probabilities", (len(classes),), np.nan),
        adapted=_stacked(parts, "adapted", (), False),
        predicted_gender=_stacked(parts, "predicted_gender", (), ""),
        predicted_affect=_stacked(parts, "predicted_affect", (len(AFFECT),), np.nan),
        intensity=_stacked(parts, "intensity", (), ""),
        affect=_stacked(parts, "affect", (len(AFFECT),), np.nan),
    )


def _stacked(parts: Sequence[Predictions], name: str, shape: tuple[int, ...], blank: float | bool | str) -> Any:
    """Put an optional array below each other, ``blank`` where a part has none; None when no part has any."""
    found = [getattr(part, name) for part in parts]
    if all(array is None for array in found):
        return None
    dtype = {bool: np.bool_, str: np.object_}.get(type(blank), np.float32)
    return np.concatenate(
        [
            np.full((len(part), *shape), blank, dtype=dtype) if array is None else array
            for part, array in zip(parts, found, strict=True)
        ]
    )


SUM_TOLERANCE = 1e-3  # other people's files round their probabilities
ROUNDING = 1e-9  # of a sum of float64
LONGEST_SHOWN = 80
MOST_LABELS = 1000  # a confusion matrix has their square


@dataclass(frozen=True, eq=False)
class SystemAnswers:
    """The rows of a file as columns.

    Attributes
    ----------
    name : names of utterances, or paths of their recordings
    line, unit : where each row stands in the file, shape (rows,), int64: its line or entry
    predicted : the label answered, "" for none
    emotion : the true label, where the file says it
    texts : of corpus, speaker, gender, fold, start and intensity those that the file has
    labels, probabilities : shape (rows, labels), float32, NaN in rows without; None when none has any
    adapted, predicted_gender, predicted_affect, affect : see `Predictions`
    affect_derived : whether the system derived its affect from emotions, shape (rows,); None when nothing says so
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
    affect: npt.NDArray[np.float32] | None = None
    affect_derived: npt.NDArray[np.bool_] | None = None
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

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> "SystemAnswers":
        """Return the rows at these indices, shape (n,), in that order."""
        columns = {name: getattr(self, name) for name in _ANSWER_COLUMNS}
        texts = {name: column[rows] for name, column in self.texts.items()}
        return replace(
            self, texts=texts, **{name: column[rows] for name, column in columns.items() if column is not None}
        )

    def classes(self) -> tuple[str, ...]:
        """Return the labels of the probabilities; without them all that occur, in canonical order."""
        if self.labels:
            return self.labels
        return in_canonical_order({*self.predicted, *(() if self.emotion is None else self.emotion)} - {""})

    def without_truth(self) -> "SystemAnswers":
        """Return the same answers with the truth forgotten."""
        return replace(self, emotion=None, affect=None)

    def _check_spelling(self, emotion: TextColumn) -> None:
        true = set(emotion) - {""}
        spelt = {_spoken(label): label for label in true}
        for label in sorted(set(self.predicted) - true - {""}):
            if (twin := spelt.get(_spoken(label))) is not None:
                raise CorpusError(
                    f"{self.source}: answers say '{label}' where the truth says '{twin}'. Say --map {label}={twin}."
                )

    def predictions(self) -> Predictions:
        """Return the rows with the truth that the file itself holds.

        Raises
        ------
        CorpusError
            When it holds none, or answers and truth spell a label differently.
        """
        if self.emotion is None:
            raise CorpusError(
                f"{self.source}: it has no true labels. Say --manifest FILE (earnest corpus manifest "
                "FOLDER -o FILE makes one of a folder for each class), or --data NAME=DIR."
            )
        self._check_spelling(self.emotion)
        strange = in_canonical_order(set(self.emotion) - {*self.classes(), ""})  # what is true, and nobody can answer
        classes, probabilities = (*self.classes(), *strange), self.probabilities
        if probabilities is not None and strange:
            beside = np.where(np.isnan(probabilities[:, :1]), np.nan, 0).repeat(len(strange), axis=1)
            probabilities = np.concatenate([probabilities, beside.astype(np.float32)], axis=1)
        return Predictions(
            classes=classes,
            utterance_id=self.name,
            **{name: self.text(name) for name in TEXTS},
            emotion=numbered(self.emotion, classes),
            predicted=numbered(self.predicted, classes),
            probabilities=probabilities,
            adapted=self.adapted,
            predicted_gender=self.predicted_gender,
            predicted_affect=self.predicted_affect,
            intensity=self.texts.get("intensity"),
            affect=self.affect,
        )


def _spoken(label: str) -> str:
    """Return what a label is, however it is written: "Sad" and "sad", "1" and "1.0" are the same."""
    try:
        return f"{float(label):g}"
    except ValueError:
        return label.strip().casefold()


_ANSWER_COLUMNS = tuple(
    name for name in SystemAnswers.__dataclass_fields__ if name not in ("source", "texts", "labels", "unit")
)


def in_canonical_order(labels: set[str]) -> tuple[str, ...]:
    """Return the canonical emotions among ``labels`` in their order, and the others behind, sorted."""
    rank = {name: position for position, name in enumerate(EMOTIONS)}
    return tuple(sorted(labels, key=lambda name: (rank.get(name, len(rank)), name)))


def check_unique(answers: SystemAnswers) -> None:
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


TEXT_CELLS = ("name", "corpus", "speaker", "gender", "fold", "start", "emotion", "predicted", "predicted_gender",
              "intensity")  # fmt: skip
FLAG_CELLS = ("adapted", "affect_derived")
AFFECT_PREFIXES = ("predicted_", "")  # before names of answers, and of ratings
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Layout:
    """Which column of a table holds what.

    Attributes
    ----------
    columns : our name ("name", "predicted", "emotion", "speaker", "adapted", "predicted_valence" …) →
        header of the table
    probabilities : label → header of the table
    is_ours : labels must then be among those of the probabilities, and probabilities must sum to 1; of other
        people's tables, probabilities that don't are left out
    """

    columns: Mapping[str, str]
    probabilities: Mapping[str, str] = field(default_factory=dict)
    is_ours: bool = False


def read_table(path: Path, layout_of: Callable[[list[str]], Layout]) -> SystemAnswers:
    """Read a CSV file with a header.

    Raises
    ------
    CorpusError
        For what is wrong, with line and column.
    """
    try:
        with opened(path, CorpusError) as data, TextIOWrapper(data, "utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            table = _Table(path, header, layout_of(header))
            for row in reader:
                table.add(row, reader.line_num)
    except UnicodeDecodeError as error:
        where = f"{path}:{undecodable_line(path)}"
        raise CorpusError(
            f"{where}: not a readable predictions file (not UTF-8: {error.reason}). Save it as UTF-8."
        ) from None
    except (OSError, csv.Error) as error:
        raise CorpusError(f"{path}: not a readable predictions file ({error}).") from error
    return table.answers()


def undecodable_line(path: Path) -> int:
    """Return the number of the first line that is not UTF-8."""
    with opened(path, CorpusError) as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 1


class _Table:
    """Takes rows and keeps what they say."""

    def __init__(self, path: Path, header: Sequence[str], layout: Layout) -> None:
        self.path, self.header, self.layout = path, header, layout
        self.texts: dict[str, list[str]] = {name: [] for name in TEXT_CELLS if name in layout.columns}
        self.lines: list[int] = []
        self.flags: dict[str, list[bool]] = {name: [] for name in FLAG_CELLS if name in layout.columns}
        # Answered and rated valence, arousal and dominance of all rows in a line, where there are such columns.
        self.affect = {
            prefix: array("d") for prefix in AFFECT_PREFIXES if any(prefix + name in layout.columns for name in AFFECT)
        }
        self.probabilities = array("d")

    def add(self, row: Sequence[str], line: int) -> None:
        """Check and keep a row that ends in ``line``."""
        if len(row) != len(self.header):
            raise CorpusError(f"{self.path}:{line}: {len(row)} cells, but the header has {len(self.header)}.")
        cells = dict(zip(self.header, row, strict=True))
        said = {ours: cells[theirs] for ours, theirs in self.layout.columns.items()}
        self.lines.append(line)
        for name, kept in self.texts.items():
            text = unmarked(said[name]) if self.layout.is_ours else said[name]
            if reason := self._wrong(name, text):
                raise self._error(line, name, reason)
            kept.append(text)
        for name, flags in self.flags.items():
            flag = _FLAGS.get(said[name].lower())
            if flag is None:
                raise self._error(line, name, f"expected true or false, got '{shown(said[name])}'")
            flags.append(flag)
        for prefix, numbers in self.affect.items():
            numbers.extend(self._affect(said, prefix, line))
        if self.layout.probabilities:
            self.probabilities.extend(self._row_of_probabilities(cells, line))

    def answers(self) -> SystemAnswers:
        """Return all rows."""
        if not self.lines:
            raise CorpusError(f"{self.path}: it holds no predictions.")
        texts = {name: text_column(kept) for name, kept in self.texts.items()}
        probabilities = None
        if self.probabilities and not all(map(math.isnan, self.probabilities)):
            probabilities = np.array(self.probabilities, dtype=np.float32).reshape(len(self.lines), -1)
        columns: dict[str, Any] = {
            f"{prefix}affect": np.array(numbers, dtype=np.float32).reshape(-1, len(AFFECT))
            for prefix, numbers in self.affect.items()
        }
        columns |= {name: np.array(flags) for name, flags in self.flags.items()}
        answers = SystemAnswers(
            source=self.path,
            name=texts.pop("name"),
            line=np.array(self.lines, dtype=np.int64),
            predicted=texts.pop("predicted"),
            emotion=texts.pop("emotion", None),
            predicted_gender=texts.pop("predicted_gender", None),
            texts=texts,
            labels=tuple(self.layout.probabilities),
            probabilities=probabilities,
            **columns,
        )
        check_unique(answers)
        return answers

    def _wrong(self, name: str, text: str) -> str:
        """Say what is wrong with a text of a column; nothing where it is right."""
        if name in ("name", "emotion") and not text:
            return "it is empty"
        if name == "predicted_gender" and text not in ("female", "male", ""):
            return f"expected female, male or nothing, got '{shown(text)}'"
        labels = self.layout.probabilities
        if name in ("emotion", "predicted") and self.layout.is_ours and labels and text and text not in labels:
            return f"'{shown(text)}' has no column p_{shown(text)}"
        return ""

    def _affect(self, said: Mapping[str, str], prefix: str, line: int) -> list[float]:
        """Return valence, arousal and dominance, NaN for what is empty."""
        values = [math.nan] * len(AFFECT)
        for index, name in enumerate(AFFECT):
            if text := said.get(prefix + name):
                values[index] = self._number(prefix + name, text, line)
                if not math.isfinite(values[index]):
                    raise self._error(line, prefix + name, f"expected a number, got '{shown(text)}'")
        return values

    def _row_of_probabilities(self, cells: Mapping[str, str], line: int) -> list[float]:
        """Return a probability a label, NaN where all cells are empty or, of other people's rows, don't sum to 1."""
        headers = self.layout.probabilities.values()
        nothing = [math.nan] * len(headers)
        if not any(cells[header] for header in headers):
            return nothing
        values = [self._number(header, cells[header], line) for header in headers]
        for header, value in zip(headers, values, strict=True):
            if self.layout.is_ours and not 0 <= value <= 1:
                raise self._error(line, header, f"a probability is from 0 to 1, got {shown(cells[header])}")
            if not math.isfinite(value):
                raise self._error(line, header, f"expected a number, got '{shown(cells[header])}'")
        total = sum(values)
        if abs(total - 1) <= SUM_TOLERANCE and min(values) >= 0:
            return values
        # Each of C cells of d decimals is off by up to ½·10⁻ᵈ, and not all of them in one direction.
        decimals = max(len(cells[header].partition(".")[2]) for header in headers)
        if abs(total - 1) <= 0.5 * 10.0**-decimals * (len(values) - 1) + ROUNDING and min(values) >= 0 and decimals > 1:
            return [value / total for value in values]
        if self.layout.is_ours:
            raise CorpusError(f"{self.path}:{line}: the probabilities sum to {total:.6g}, not to 1.")
        return nothing

    def _number(self, name: str, text: str, line: int) -> float:
        try:
            return float(text)
        except ValueError:
            raise self._error(line, name, f"expected a number, got '{shown(text)}'") from None

    def _error(self, line: int, name: str, why: str) -> CorpusError:
        return CorpusError(f"{self.path}:{line}, column '{self.layout.columns.get(name, name)}': {why}.")


__all__ = [
    "Predictions",
    "joined",
    "of_classes",
    "of_emotion",
    "rated",
    "read_answers",
    "read_predictions",
    "write_predictions",
]
TEXT_COLUMNS = ("utterance_id", *TEXTS, "emotion", "predicted")
ADAPTED, GENDER = "adapted", "predicted_gender"
AFFECT_COLUMNS, INTENSITY = tuple(f"predicted_{name}" for name in AFFECT), "intensity"
KNOWN = (*TEXT_COLUMNS, "path", ADAPTED, GENDER, *AFFECT_COLUMNS, INTENSITY, *AFFECT)
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


def read_answers(path: Path, needed: Sequence[str] = ("predicted",)) -> SystemAnswers:
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
    if predictions.intensity is not None:
        header.append(INTENSITY)
    if predictions.affect is not None:
        header += AFFECT
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
        yield from _affect_texts(predictions.predicted_affect)
    if predictions.intensity is not None:
        yield list(map(marked, predictions.intensity))
    if predictions.affect is not None:
        yield from _affect_texts(predictions.affect)


def _affect_texts(values: npt.NDArray[np.float32]) -> Iterator[list[str]]:
    return (_number_texts(column, np.isnan(column)) for column in values.T)


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
