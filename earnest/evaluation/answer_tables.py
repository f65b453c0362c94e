"""CSV files of answers, read in chunks of rows: checked as whole columns, searched for the culprit only on failure."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from earnest.csv_cells import unmarked
from earnest.errors import CorpusError
from earnest.evaluation.answers import SUM_TOLERANCE, Answers, check_unique, hashes_of, shown
from earnest.evaluation.columns import Categories, Encoder, GrowingArray, Texts, joined_texts
from earnest.evaluation.prediction_table import AFFECT
from earnest.reading import opened

if TYPE_CHECKING:
    from _csv import Reader

CHUNK_ROWS = 1 << 12
ENCODED = ("corpus", "speaker", "gender", "fold", "start", "emotion", "predicted", "predicted_gender")
_TEXTS = frozenset({"name", *ENCODED}) - {"start"}
_FLAGS = {"true": True, "false": False, "1": True, "0": False}
Column = Sequence[str]
Floats = npt.NDArray[np.float64]


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


def read_table(path: Path, layout_of: Callable[[list[str]], Layout]) -> Answers:
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
            for rows, lines in _chunks(reader):
                table.add(rows, lines)
    except UnicodeDecodeError as error:
        where = f"{path}:{undecodable_line(path)}"
        raise CorpusError(f"{where}: not a readable predictions file (not UTF-8: {error.reason}).") from None
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


def _chunks(reader: "Reader") -> Iterator[tuple[list[list[str]], list[int]]]:
    rows: list[list[str]] = []
    lines: list[int] = []
    for row in reader:
        rows.append(row)
        lines.append(reader.line_num)
        if len(rows) == CHUNK_ROWS:
            yield rows, lines
            rows, lines = [], []
    if rows:
        yield rows, lines


class _Table:
    """Takes chunks of rows and keeps what they say."""

    def __init__(self, path: Path, header: Sequence[str], layout: Layout) -> None:
        self.path, self.header, self.layout = path, header, layout
        self.encoders = {name: Encoder() for name in ENCODED if name in layout.columns}
        self.names: list[Texts] = []
        self.arrays: dict[str, GrowingArray] = {}

    def add(self, rows: Sequence[Sequence[str]], lines: Sequence[int]) -> None:
        """Check and keep some rows; each ends in one of ``lines``."""
        for row, line in zip(rows, lines, strict=True):
            if len(row) != len(self.header):
                raise CorpusError(f"{self.path}:{line}: {len(row)} cells, but the header has {len(self.header)}.")
        cells = dict(zip(self.header, zip(*rows, strict=True), strict=True))
        columns: dict[str, Column] = {ours: cells[theirs] for ours, theirs in self.layout.columns.items()}
        if self.layout.is_ours:
            columns |= {name: tuple(map(unmarked, columns[name])) for name in _TEXTS & columns.keys()}
        for name in ("name", "emotion"):
            if name in columns and not all(columns[name]):
                self._refuse(name, columns[name], lines, lambda text: not text, "it is empty")
        self.names.append(Texts(columns["name"]))
        self._keep("hashes", hashes_of(columns["name"]))
        self._keep("lines", np.array(lines, dtype=np.int64))
        for name in self.encoders:
            self._keep(name, self._encoded(name, columns[name], lines))
        if "adapted" in columns:
            self._keep("adapted", self._flags(columns["adapted"], lines))
        if any(f"predicted_{name}" in columns for name in AFFECT):
            self._keep("affect", self._affect(columns, lines))
        if self.layout.probabilities:
            texts = [cells[theirs] for theirs in self.layout.probabilities.values()]
            self._keep("probabilities", self._probabilities(texts, lines))

    def answers(self) -> Answers:
        """Return all rows."""
        if not self.names:
            raise CorpusError(f"{self.path}: it holds no predictions.")
        arrays = {name: kept.array() for name, kept in self.arrays.items()}
        texts = {name: Categories(arrays[name], encoder.values) for name, encoder in self.encoders.items()}
        probabilities = arrays.get("probabilities")
        if probabilities is not None and np.isnan(probabilities).all():
            probabilities = None
        answers = Answers(
            source=self.path,
            name=joined_texts(self.names),
            line=arrays["lines"],
            predicted=texts.pop("predicted"),
            emotion=texts.pop("emotion", None),
            predicted_gender=texts.pop("predicted_gender", None),
            texts=texts,
            labels=tuple(self.layout.probabilities),
            probabilities=probabilities,
            adapted=arrays.get("adapted"),
            predicted_affect=arrays.get("affect"),
        )
        check_unique(answers, arrays["hashes"])
        return answers

    def _keep(self, name: str, rows: npt.NDArray[Any]) -> None:
        self.arrays.setdefault(name, GrowingArray(rows)).add(rows)

    def _encoded(self, name: str, texts: Column, lines: Sequence[int]) -> npt.NDArray[np.int32]:
        encoder = self.encoders[name]
        before = len(encoder.values)
        codes = encoder.codes(texts)
        new = set(encoder.values[before:]) - {""}
        if name == "predicted_gender" and new - {"female", "male"}:
            wrong = new - {"female", "male"}
            self._refuse(name, texts, lines, lambda text: text in wrong, "expected female, male or nothing, got '{}'")
        labels = self.layout.probabilities
        if name in ("emotion", "predicted") and self.layout.is_ours and labels and new - labels.keys():
            self._refuse(name, texts, lines, lambda text: text in new - labels.keys(), "'{0}' has no column p_{0}")
        return codes

    def _flags(self, texts: Column, lines: Sequence[int]) -> npt.NDArray[np.bool_]:
        try:
            return np.array([_FLAGS[text.lower()] for text in texts])
        except KeyError:
            wrong = "expected true or false, got '{}'"
            self._refuse("adapted", texts, lines, lambda text: text.lower() not in _FLAGS, wrong)

    def _affect(self, columns: Mapping[str, Column], lines: Sequence[int]) -> npt.NDArray[np.float32]:
        values = np.full((len(lines), len(AFFECT)), np.nan, dtype=np.float32)
        for index, name in enumerate(AFFECT):
            texts = columns.get(f"predicted_{name}")
            if texts is None:
                continue
            numbers = self._numbers(f"predicted_{name}", [text or "nan" for text in texts], lines)
            known = np.array(list(map(bool, texts)))
            if not np.isfinite(numbers[known]).all():
                self._refuse(f"predicted_{name}", texts, lines, _is_not_finite, "expected a number, got '{}'")
            values[:, index] = numbers
        return values

    def _probabilities(self, texts: Sequence[Column], lines: Sequence[int]) -> npt.NDArray[np.float32]:
        """Return probabilities, shape (rows, labels), NaN where all cells of a row are empty."""
        values = np.full((len(lines), len(texts)), np.nan, dtype=np.float32)
        rows = np.arange(len(lines))
        if not all(map(all, texts)):
            rows = np.flatnonzero([any(cells) for cells in zip(*texts, strict=True)])
            texts = [[column[row] for row in rows.tolist()] for column in texts]
        told = [lines[row] for row in rows.tolist()]
        headers = tuple(self.layout.probabilities.values())
        parsed = [self._numbers(header, column, told) for header, column in zip(headers, texts, strict=True)]
        numbers = np.stack(parsed, axis=1)
        for header, column, found in zip(headers, texts, parsed, strict=True):
            in_range = (found >= 0) & (found <= 1) if self.layout.is_ours else np.isfinite(found)
            if not in_range.all():
                wrong = column[int(np.argmin(in_range))]
                why = "a probability is from 0 to 1, got {}" if self.layout.is_ours else "expected a number, got '{}'"
                self._refuse(header, column, told, lambda text, wrong=wrong: text == wrong, why)  # type: ignore[misc]
        total = numbers.sum(axis=1)
        sound = (np.abs(total - 1) <= SUM_TOLERANCE) & (numbers >= 0).all(axis=1)
        if self.layout.is_ours and not sound.all():
            row = int(np.argmin(sound))
            raise CorpusError(f"{self.path}:{told[row]}: the probabilities sum to {total[row]:.6g}, not to 1.")
        values[rows[sound]] = numbers[sound]
        return values

    def _numbers(self, name: str, texts: Column, lines: Sequence[int]) -> Floats:
        try:
            return np.array(texts, dtype=np.float64)
        except ValueError:
            self._refuse(name, texts, lines, _is_no_number, "expected a number, got '{}'")

    def _refuse(
        self, name: str, texts: Column, lines: Sequence[int], is_wrong: Callable[[str], object], why: str
    ) -> NoReturn:
        """Name the first of ``texts`` that is wrong; ``why`` is a format of its text."""
        row = next(row for row, text in enumerate(texts) if is_wrong(text))
        header = self.layout.columns.get(name, name)
        raise CorpusError(f"{self.path}:{lines[row]}, column '{header}': {why.format(shown(texts[row]))}.")


def _is_not_finite(text: str) -> bool:
    return bool(text) and not np.isfinite(float(text))


def _is_no_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return True
    return False
