"""Rows of CSV that read back as they were written, and that no spreadsheet computes; rows of Parquet.

In CSV a text that a spreadsheet would take for a formula gets one ``'`` before it; reading takes it away again. So
every text survives, and a file that is called ``=1+1.wav`` stays a name (CWE-1236).
"""

import csv
import datetime
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from earnest.errors import CorpusError, EarnestError, MissingExtraError, first_line, printable
from earnest.files.parquet_pages import largest_shared_page
from earnest.files.reading import opened, parsed_json


class SupportsWrite(Protocol):
    """A file or stream for text."""

    def write(self, text: str, /) -> object:
        """Write it."""


# Full-width signs count as well: Japanese and Chinese spreadsheets compute them. A lone "-" is standard input's name.
_FORMULA = r"(?:[=+@＝＋－＠\t\r\n]|-.)"
_COMPUTED = re.compile(rf"'*{_FORMULA}", re.DOTALL)
_MARKED = re.compile(rf"''*{_FORMULA}", re.DOTALL)
_STARTS = frozenset("'=+-@＝＋－＠\t\r\n")
_DELIMITERS = (",", "\t", ";", "|")
_SEPARATOR_LINES = frozenset(f"sep={delimiter}" for delimiter in _DELIMITERS)
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
    """Return the delimiter of cells: a tab in a file called .tsv, else the commonest in the first line.

    Spreadsheets of countries with decimal commas write semicolons.
    """
    header = text.partition("\n")[0]
    return "\t" if name.lower().endswith(".tsv") else max(_DELIMITERS, key=header.count)


def is_separator_line(line: str) -> bool:
    """Whether a first line is one such as ``sep=;``, which tells Excel what stands between cells, and holds none."""
    return line.rstrip("\r\n") in _SEPARATOR_LINES


def with_point(number: str, delimiter: str) -> str:
    """Return a number as Python reads it: where no commas part the cells, a comma may stand for its point."""
    return number if delimiter == "," else number.replace(",", ".")


def has_text(cells: Iterable[object]) -> bool:
    """Whether a row holds any text; spreadsheets leave rows behind that hold none."""
    return any(isinstance(cell, str) and cell.strip() for cell in cells)


def csv_rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[list[str]]:
    """Yield the cells of each row, of a file that was opened with ``newline=""``; unmarked where commas part them.

    Other tables were not written by `RowWriter`. A first line for Excel, such as ``sep=;``, is no row. Raises
    `csv.Error` for what is no CSV, such as a quote that is never closed.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MOST_LETTERS))
    lines = iter(lines)
    start = next(lines, "")
    parted = lines if is_separator_line(start) else chain([start], lines)
    for row in csv.reader(parted, delimiter=delimiter, strict=True):
        yield [unmarked(cell) for cell in row] if delimiter == "," else row


def text_rows(text: str, name: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a table's text, as `csv_rows` does; see `delimiter_of`."""
    return csv_rows(StringIO(text, newline=""), delimiter_of(text, name))


def named_rows(text: str, name: str) -> "csv.DictReader[str]":
    """Read a table's text row by row, column → cell as it is written; see `delimiter_of` and `is_separator_line`."""
    lines = StringIO(text, newline="")
    has_separator_line = is_separator_line(lines.readline())
    lines.seek(0)
    reader = csv.DictReader(lines, delimiter=delimiter_of(text, name))
    if has_separator_line:
        next(reader.reader)  # not read before: numbers of lines count it
    return reader


MAGIC = b"PAR1"  # how every such file begins
_ROWS, _BATCH_BYTES = 1024, 2**30  # at a time, of a column's shared cells


def json_rows(text: str, path: Path, example: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of JSON lines, each with the number of its line; ``example`` shows what is expected."""
    for number, line in enumerate(text.split("\n"), 1):  # JSON text may hold other line separators
        if line.strip():
            row = parsed_json(line, f"{path}:{number}", CorpusError)
            if not isinstance(row, dict):
                raise CorpusError(f"{path}:{number}: expected one object a line, like {example}.")
            yield number, row


def lines_of(text: str) -> list[str]:
    r"""Return the lines of a text that end in ``\n``, ``\r\n`` or ``\r``; names may hold what Unicode counts beside."""
    return re.split(r"\r\n|\n|\r", text)


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does, whatever it is called."""
    with opened(path, CorpusError) as file:
        return file.read(len(MAGIC)) == MAGIC


def load_pyarrow() -> Any:
    """Return the package pyarrow, with what reads and writes Parquet.

    Raises `MissingExtraError` where it is not installed, `EarnestError` where it is, and can't be loaded.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise MissingExtraError("Parquet", "parquet") from None
    except ImportError as error:
        told = f"pyarrow can't be imported ({first_line(error)})."
        raise EarnestError(f"{told} Is there enough memory? Else install it again.") from error
    return pyarrow


@contextmanager
def opened_parquet(path: Path) -> Iterator[Any]:
    """Open a table as a ``pyarrow.parquet.ParquetFile``; raises `CorpusError` when it can't be read."""
    pyarrow = load_pyarrow()
    try:
        with opened(path, CorpusError) as data, pyarrow.parquet.ParquetFile(data) as file:
            yield file
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError) as error:
        raise CorpusError(f"{path}: not a readable Parquet table ({printable(first_line(error))[:200]}).") from error


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns."""
    with opened_parquet(path) as file:
        return list(file.schema_arrow.names)


def parquet_texts(path: Path, file: Any, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the cells of each row in these columns as texts, of what `opened_parquet` gave.

    Raises
    ------
    CorpusError
        When its pages take much more memory than they are in the file.
    """
    # Rows may all name one large cell, of which each gets a copy.
    n_rows = _BATCH_BYTES // max(largest_shared_page(path, file.metadata, columns), 1)
    for batch in file.iter_batches(min(max(n_rows, 1), _ROWS), columns=list(columns), use_threads=False):
        for row in batch.to_pylist():
            yield [text_of(row[name]) for name in columns]


def text_of(cell: Any) -> str:
    """Return a cell as text; what is missing is ""."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, datetime.timedelta):
        return repr(cell.total_seconds())
    if isinstance(cell, float) and cell.is_integer():  # a column of numbers with a gap, as pandas writes it
        return str(int(cell))
    return str(cell)
