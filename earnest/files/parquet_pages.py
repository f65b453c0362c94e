"""Sizes of a Parquet file's pages, read from their headers before anything is unpacked.

The footer of a file tells sizes too, but nobody checks them against the pages. A page's header is a struct in Thrift's
compact protocol; pyarrow takes as much memory as it says, up to 2 GiB, which may be 2 MB in the file.
"""

from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from earnest.errors import CorpusError, printable
from earnest.files.reading import opened

MOST_PAGE_BYTES, MOST_RATIO = 256 * 2**20, 16  # a page that is larger, and has shrunk more, was made to be so
_HEADER_BYTES, _MOST_HEADER_BYTES = 2**12, 2**24  # read at first; Arrow's own bound
_MOST_DEPTH = 8
# Fields of the struct PageHeader, and of its structs for pages of values; types of pages; an encoding.
_TYPE, _UNPACKED, _PACKED, _DATA, _DATA_V2 = 1, 2, 3, 5, 8
_N_VALUES, _ENCODING, _ENCODING_V2 = 1, 2, 4
_DICTIONARY, _DELTA_BYTE_ARRAY = 2, 7
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

    Parameters
    ----------
    metadata : of the ``pyarrow.parquet.ParquetFile``
    columns : those that will be read

    Raises
    ------
    CorpusError
        When a page would take much memory for what it is in the file, or is damaged.
    """
    paths = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    read = [number for number, leaf in enumerate(paths) if any(f"{leaf}.".startswith(f"{name}.") for name in columns)]
    largest = 0
    try:
        with opened(path, CorpusError) as file:
            for group, number in product(range(metadata.num_row_groups), read):
                for page in _pages(file, metadata.row_group(group).column(number)):
                    _refuse_swelling(path, paths[number], page)
                    largest = max(largest, page.unpacked_bytes if page.is_shared else 0)
    except (IndexError, ValueError, KeyError, TypeError, OverflowError, OSError) as error:
        raise CorpusError(f"{path}: not a readable Parquet table (damaged pages). Write it again.") from error
    return largest


def _refuse_swelling(path: Path, column: str, page: _Page) -> None:
    if page.unpacked_bytes > max(MOST_PAGE_BYTES, MOST_RATIO * page.packed_bytes):
        sizes = f"{page.packed_bytes:,} bytes that unpack to {page.unpacked_bytes >> 20:,} MiB"
        raise CorpusError(
            f"{path}: its column {printable(column)} has a page of {sizes}, more than {MOST_PAGE_BYTES >> 20}. If you "
            "know who made the table, write it again with smaller pages, such as by pyarrow's data_page_size."
        )


def _pages(file: BinaryIO, chunk: Any) -> Iterator[_Page]:
    """Yield the pages of a chunk of a column, until they hold as many values as it says: there a reader stops too."""
    position = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < position:
        position = chunk.dictionary_page_offset
    n_left = chunk.num_values
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
            for _ in range(self._varint() if head >> 4 == 15 else head >> 4):
                # In a list truth has a byte of its own, elsewhere it is in the type.
                self._value(_BYTE if head & 15 in (_TRUE, _FALSE) else head & 15, depth + 1)
        elif kind == _BINARY:
            self._skip(self._varint())
        elif kind in (_BYTE, _DOUBLE):
            self._skip(1 if kind == _BYTE else 8)
        elif kind not in (_TRUE, _FALSE):
            raise ValueError("no header of a page")
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
