"""Rows of CSV that read back as they were written, and that no spreadsheet computes.

A text that a spreadsheet would take for a formula gets one ``'`` before it; reading takes it away again. So every text
survives, and a file that is called ``=1+1.wav`` stays a name (CWE-1236).
"""

import csv
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Protocol


class SupportsWrite(Protocol):
    """What text can be written to."""

    def write(self, text: str, /) -> object:
        """Write it."""


# Full-width signs count as well: Japanese and Chinese spreadsheets compute them. A lone "-" is standard input's name.
_FORMULA = r"(?:[=+@＝＋－＠\t\r\n]|-.)"
_COMPUTED = re.compile(rf"'*{_FORMULA}", re.DOTALL)
_MARKED = re.compile(rf"''*{_FORMULA}", re.DOTALL)
_STARTS = frozenset("'=+-@＝＋－＠\t\r\n")
_DELIMITERS = (",", "\t", ";", "|")
MOST_LETTERS = 2**30  # in a cell; Python's own limit is 131,072, and the vocal bursts of a long recording are longer


def marked(text: str) -> str:
    """Return a text as it goes into a cell; numbers that are meant as numbers don't come here."""
    return f"'{text}" if text[:1] in _STARTS and _COMPUTED.match(text) else text


def unmarked(cell: str) -> str:
    """Return the text that `marked` was given."""
    return cell[1:] if cell[:1] == "'" and _MARKED.match(cell) else cell


class RowWriter:
    """Writes rows of CSV that end in ``\\n`` into a file that was opened with ``newline=""``.

    Python 3.11 puts quotes around the line ends that it writes itself, and around no others; so it writes both.
    """

    def __init__(self, file: SupportsWrite) -> None:
        self._file = file
        self.write_plain = csv.writer(self, lineterminator="\r\n").writerows

    def write(self, row: str) -> None:
        """Take a row from Python's writer."""
        self._file.write(row[:-2] + "\n")

    def write_rows(self, rows: Iterable[Iterable[object]]) -> None:
        """Write rows: texts marked, numbers as they are, None empty."""
        self.write_plain([marked(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)


def csv_row(cells: Iterable[object]) -> str:
    """Return one row as `RowWriter` writes it, without the line end."""
    text = StringIO()
    RowWriter(text).write_rows([cells])
    return text.getvalue()[:-1]


def delimiter_of(text: str, name: str) -> str:
    """Return what stands between cells: a tab in a file called .tsv, else what is commonest in the first line.

    Spreadsheets of countries with decimal commas write semicolons.
    """
    header = text.partition("\n")[0]
    return "\t" if name.lower().endswith(".tsv") else max(_DELIMITERS, key=header.count)


def csv_rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[list[str]]:
    """Yield the cells of each row, of a file that was opened with ``newline=""``; unmarked where commas part them.

    Other tables were not written by `RowWriter`.

    Raises
    ------
    csv.Error
        For what is no CSV, such as a quote that is never closed.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MOST_LETTERS))
    for row in csv.reader(lines, delimiter=delimiter, strict=True):
        yield [unmarked(cell) for cell in row] if delimiter == "," else row


def text_rows(text: str, name: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a table's text, as `csv_rows` does; see `delimiter_of`."""
    return csv_rows(StringIO(text, newline=""), delimiter_of(text, name))


def named_rows(text: str, name: str) -> "csv.DictReader[str]":
    """Read a table's text row by row, column → cell as it is written; see `delimiter_of`."""
    return csv.DictReader(StringIO(text, newline=""), delimiter=delimiter_of(text, name))
