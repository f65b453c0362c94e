"""CSV files of answers, read row by row; what is wrong is named with its line and column."""

import csv
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path

import numpy as np

from earnest.csv_cells import unmarked
from earnest.errors import CorpusError
from earnest.evaluation.answers import SUM_TOLERANCE, Answers, check_unique, shown
from earnest.evaluation.prediction_table import AFFECT, text_column
from earnest.reading import opened

TEXTS = ("name", "corpus", "speaker", "gender", "fold", "start", "emotion", "predicted", "predicted_gender")
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
            for row in reader:
                table.add(row, reader.line_num)
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


class _Table:
    """Takes rows and keeps what they say."""

    def __init__(self, path: Path, header: Sequence[str], layout: Layout) -> None:
        self.path, self.header, self.layout = path, header, layout
        self.texts: dict[str, list[str]] = {name: [] for name in TEXTS if name in layout.columns}
        self.lines: list[int] = []
        self.adapted: list[bool] = []
        self.affect = array("d")  # numbers of all rows in a line: 8 bytes each
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
        if "adapted" in said:
            flag = _FLAGS.get(said["adapted"].lower())
            if flag is None:
                raise self._error(line, "adapted", f"expected true or false, got '{shown(said['adapted'])}'")
            self.adapted.append(flag)
        if any(f"predicted_{name}" in said for name in AFFECT):
            self.affect.extend(self._affect(said, line))
        if self.layout.probabilities:
            self.probabilities.extend(self._row_of_probabilities(cells, line))

    def answers(self) -> Answers:
        """Return all rows."""
        if not self.lines:
            raise CorpusError(f"{self.path}: it holds no predictions.")
        texts = {name: text_column(kept) for name, kept in self.texts.items()}
        probabilities = affect = None
        if self.probabilities and not all(map(math.isnan, self.probabilities)):
            probabilities = np.array(self.probabilities, dtype=np.float32).reshape(len(self.lines), -1)
        if self.affect:
            affect = np.array(self.affect, dtype=np.float32).reshape(-1, len(AFFECT))
        answers = Answers(
            source=self.path,
            name=texts.pop("name"),
            line=np.array(self.lines, dtype=np.int64),
            predicted=texts.pop("predicted"),
            emotion=texts.pop("emotion", None),
            predicted_gender=texts.pop("predicted_gender", None),
            texts=texts,
            labels=tuple(self.layout.probabilities),
            probabilities=probabilities,
            adapted=np.array(self.adapted) if self.adapted else None,
            predicted_affect=affect,
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

    def _affect(self, said: Mapping[str, str], line: int) -> list[float]:
        """Return valence, arousal and dominance, NaN for what is empty."""
        values = [math.nan] * len(AFFECT)
        for index, name in enumerate(AFFECT):
            if text := said.get(f"predicted_{name}"):
                values[index] = self._number(f"predicted_{name}", text, line)
                if not math.isfinite(values[index]):
                    raise self._error(line, f"predicted_{name}", f"expected a number, got '{shown(text)}'")
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
