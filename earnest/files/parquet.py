"""Tables in Parquet, read with pyarrow: row by row, or as their columns alone."""

import datetime
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earnest.errors import CorpusError, MissingExtraError, first_line, printable
from earnest.files.reading import opened

MAGIC = b"PAR1"  # how every such file begins
_ROWS = 1024  # at a time


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet does, whatever it is called."""
    with opened(path, CorpusError) as file:
        return file.read(len(MAGIC)) == MAGIC


@contextmanager
def opened_parquet(path: Path) -> Iterator[Any]:
    """Open a table as a ``pyarrow.parquet.ParquetFile``.

    Raises
    ------
    CorpusError
        When it can't be read.
    MissingExtraError
        Where pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet", "parquet") from None
    try:
        with opened(path, CorpusError) as data, pyarrow.parquet.ParquetFile(data) as file:
            yield file
    except (pyarrow.ArrowException, OSError, MemoryError, ValueError) as error:
        raise CorpusError(f"{path}: not a readable Parquet table ({printable(first_line(error))[:200]}).") from error


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns."""
    with opened_parquet(path) as file:
        return list(file.schema_arrow.names)


def parquet_texts(file: Any, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yield the cells of each row in these columns as texts, of what `opened_parquet` gave."""
    for batch in file.iter_batches(_ROWS, columns=list(columns), use_threads=False):
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
