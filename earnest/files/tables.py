"""Rows of CSV that read back as they were written, and that no spreadsheet computes; rows of Parquet.

In CSV a text that a spreadsheet would take for a formula gets one ``'`` before it; reading takes it away again. So
every text survives, and a file that is called ``=1+1.wav`` stays a name (CWE-1236).

Sizes of a Parquet file's pages are read from their headers before anything is unpacked. The footer of a file tells
sizes too, but nobody checks them against the pages. A page's header is a struct in Thrift's compact protocol; pyarrow
takes as much memory as it says, up to 2 GiB, which may be 2 MB in the file. Where the pages lie is read from the footer
here too: asked for a chunk of a column that is told wrongly there, pyarrow 26.0.1 ends the process.
"""

import csv
import datetime
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import SEEK_END, StringIO
from itertools import chain, product
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from earnest.errors import CorpusError, EarnestError, MissingExtraError, first_line, printable, shown
from earnest.files.reading import opened

MOST_PAGE_BYTES, MOST_RATIO = 256 * 2**20, 16  # a page that is larger, and has shrunk more, was made to be so
_HEADER_BYTES, _MOST_HEADER_BYTES = 2**12, 2**24  # read at first; Arrow's own bound
_MOST_DEPTH = 8
# Fields of the struct PageHeader, and of its structs for pages of values; types of pages; an encoding.
_TYPE, _UNPACKED, _PACKED, _DATA, _DATA_V2 = 1, 2, 3, 5, 8
_N_VALUES, _ENCODING, _ENCODING_V2 = 1, 2, 4
_DICTIONARY, _DELTA_BYTE_ARRAY = 2, 7
# Fields of the footer, which is a struct FileMetaData: its groups of rows, their columns, and what is told of a chunk.
_GROUPS, _COLUMNS, _CHUNK = 4, 1, 3
_CHUNK_VALUES, _DATA_FROM, _DICTIONARY_FROM = 5, 9, 11
_END_BYTES, _SIZE_BYTES = 8, 4  # behind the footer: its size, and "PAR1"
_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 12
_WHOLE = (4, 5, 6)  # i16, i32, i64


class _Page(NamedTuple):
    """What a page's header tells; ``is_shared`` where several cells may be made of the same bytes."""

    unpacked_bytes: int
    packed_bytes: int
    n_values: int
    is_shared: bool


def largest_shared_page(path: Path, metadata: Any, columns: Collection[str]) -> int:
    """Return the size of the largest page of which rows may share the bytes, 0 for none; refuse pages that swell.

    Raises `CorpusError` when a page would take much memory for what it is in the file, or is damaged.

    Parameters
    ----------
    metadata : of the ``pyarrow.parquet.ParquetFile``
    columns : those that will be read
    """
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    read = [number for number, leaf in enumerate(paths) if any(f"{leaf}.".startswith(f"{name}.") for name in columns)]
    largest = 0
    try:
        with opened(path, CorpusError) as file:
            for group, number in product(_footer(file)[_GROUPS], read):
                for page in _pages(file, group[_COLUMNS][number][_CHUNK]):
                    _refuse_swelling(path, paths[number], page)
                    largest = max(largest, page.unpacked_bytes if page.is_shared else 0)
    except damaged_table() as error:
        raise CorpusError(f"{path}: not a readable Parquet table (damaged pages). Write it again.") from error
    return largest


def _refuse_swelling(path: Path, column: str, page: _Page) -> None:
    if page.unpacked_bytes > max(MOST_PAGE_BYTES, MOST_RATIO * page.packed_bytes):
        sizes = f"{page.packed_bytes:,} bytes that unpack to {page.unpacked_bytes >> 20:,} MiB"
        raise CorpusError(
            f"{path}: its column {printable(column)} has a page of {sizes}, more than {MOST_PAGE_BYTES >> 20}. If you "
            "know who made the table, write it again with smaller pages, such as by pyarrow's data_page_size."
        )


def _footer(file: BinaryIO) -> dict[int, Any]:
    """Return what the end of a file tells of all that is before."""
    end = file.seek(-_END_BYTES, SEEK_END)
    n_bytes = int.from_bytes(file.read(_SIZE_BYTES), "little")
    file.seek(end - n_bytes)
    return _Compact(file.read(n_bytes)).struct()


def _pages(file: BinaryIO, chunk: Mapping[int, Any]) -> Iterator[_Page]:
    """Yield the pages of a chunk of a column, until they hold as many values as it says: there a reader stops too."""
    position = chunk[_DATA_FROM]
    if 0 < chunk.get(_DICTIONARY_FROM, 0) < position:
        position = chunk[_DICTIONARY_FROM]
    n_left = chunk[_CHUNK_VALUES]
    while n_left > 0:
        header, n_bytes = _header(file, position)
        data = header.get(_DATA) or header.get(_DATA_V2) or {}
        encoding = data.get(_ENCODING if _DATA in header else _ENCODING_V2)
        is_shared = header[_TYPE] == _DICTIONARY or encoding == _DELTA_BYTE_ARRAY
        page = _Page(header[_UNPACKED], header[_PACKED], data.get(_N_VALUES, 0), is_shared)
        if page.packed_bytes < 0:
            raise ValueError("a page of less than nothing")
        yield page
        n_left -= page.n_values
        position += n_bytes + page.packed_bytes


def _header(file: BinaryIO, position: int) -> tuple[dict[int, Any], int]:
    """Return the header of the page at a position, and its length."""
    n_bytes = _HEADER_BYTES
    while True:
        file.seek(position)
        data = file.read(n_bytes)
        try:
            reader = _Compact(data)
            return reader.struct(), reader.position
        except IndexError:
            if len(data) < n_bytes or n_bytes >= _MOST_HEADER_BYTES:
                raise
            n_bytes *= 16


class _Compact:
    """Reads values of Thrift's compact protocol; `IndexError` where the data ends too early."""

    def __init__(self, data: bytes) -> None:
        self._data, self.position = data, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return field → value; values of no use here are None."""
        found: dict[int, Any] = {}
        field = 0
        while (head := self._byte()) != _STOP:
            # Four bits of distance from the field before, four of the type.
            field = field + (head >> 4) if head >> 4 else self._whole()
            found[field] = self._value(head & 15, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _WHOLE:
            return self._whole()
        if kind == _STRUCT and depth < _MOST_DEPTH:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET) and depth < _MOST_DEPTH:
            head = self._byte()
            # In a list truth has a byte of its own, elsewhere it is in the type.
            kind = _BYTE if head & 15 in (_TRUE, _FALSE) else head & 15
            return [self._value(kind, depth + 1) for _ in range(self._varint() if head >> 4 == 15 else head >> 4)]
        if kind == _BINARY:
            self._skip(self._varint())
        elif kind in (_BYTE, _DOUBLE):
            self._skip(1 if kind == _BYTE else 8)
        elif kind not in (_TRUE, _FALSE):
            raise ValueError("no header")
        return None

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _skip(self, n_bytes: int) -> None:
        self.position += n_bytes
        if self.position > len(self._data):
            raise IndexError("the data ends")

    def _varint(self) -> int:
        """Return a number of seven bits a byte, the lowest first."""
        number = shift = 0
        while (byte := self._byte()) > 127:
            number |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number without end")
        return number | byte << shift

    def _whole(self) -> int:
        """Return a whole number: 0, -1, 1, -2 … are written as 0, 1, 2, 3 …"""
        number = self._varint()
        return number >> 1 ^ -(number & 1)


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


def number_in(text: str, where: str) -> float | None:
    """Read a number, or a time such as "1:02.5", "0 days 00:00:01.5" or "0 days"; "NaT" and "nan" are None."""
    if text.lower() in ("nat", "nan", "none"):
        return None
    # Days, then hours:minutes:seconds, either of which may be missing, as pandas writes times; or minutes:seconds, as
    # players and people do.
    match = re.fullmatch(r"(?:(\d+) days?(?: |$))?(?:(?:(\d+):)?(\d+):(\d+(?:\.\d+)?))?", text)
    if match and text:
        days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
        number = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if math.isfinite(number):
            return number
    return finite_number(text, f"{where}: expected a number")


def finite_number(text: str, expected: str) -> float:
    """Read a finite number. Raises `CorpusError` that says what was ``expected``, and the text."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise CorpusError(f"{expected}, got {shown(text)}.")
    return number


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


def numbered_rows(
    text: str, path: Path, kind: type[EarnestError] = CorpusError
) -> tuple[list[tuple[int, list[str]]], str]:
    """Return the rows that hold text, as `csv_rows` reads them, each with its number from 1, and what parts cells."""
    delimiter = delimiter_of(text, path.name)
    try:
        rows = enumerate(csv_rows(StringIO(text, newline=""), delimiter), 1)
        return [(number, row) for number, row in rows if has_text(row)], delimiter
    except csv.Error as error:
        raise kind(f"{path}: not a table ({error}).") from None


MAGIC = b"PAR1"  # how every such file begins
_ROWS, _BATCH_BYTES = 1024, 2**30  # at a time, of a column's shared cells


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

    Raises `CorpusError` when its pages take much more memory than they are in the file.
    """
    # Rows may all name one large cell, of which each gets a copy.
    n_rows = _BATCH_BYTES // max(largest_shared_page(path, file.metadata, columns), 1)
    for batch in file.iter_batches(min(max(n_rows, 1), _ROWS), columns=list(columns), use_threads=False):
        for row in batch.to_pylist():
            yield [text_of(row[name]) for name in columns]


_WHOLE_NUMBER = re.compile(r"-?[0-9]+(?:\.0)?")


def text_of(cell: Any) -> str:
    """Return a cell as text; what is missing is ""."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, datetime.timedelta):
        return repr(cell.total_seconds())
    if isinstance(cell, float) and cell.is_integer():  # a column of numbers with a gap, as pandas writes it
        return str(int(cell))
    return str(cell)


def without_points(cells: Sequence[str]) -> Sequence[str]:
    """Return the cells of a column, "1" for "1.0" where all are whole numbers or empty: pandas writes gaps so."""
    are_whole = all(map(_WHOLE_NUMBER.fullmatch, filter(None, cells)))
    return [cell.removesuffix(".0") for cell in cells] if are_whole else cells


def damaged_table() -> tuple[type[Exception], ...]:
    """Return what pyarrow, and code that takes values from it, raises of a damaged table."""
    wrong = (OSError, MemoryError, ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
    return (load_pyarrow().ArrowException, *wrong)
