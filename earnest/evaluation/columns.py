"""Columns of text that stay small over a million rows."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt
from numpy.dtypes import StringDType

Indices = npt.NDArray[np.integer[Any]]


class TextColumn(Sequence[str]):
    """One text a row; it equals any sequence of the same texts."""

    __hash__ = None  # type: ignore[assignment]

    @abstractmethod
    def take(self, indices: Indices) -> Self:
        """Return the rows at ``indices``, shape (n,), in that order."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> str | Self:
        return self.take(np.arange(len(self))[index]) if isinstance(index, slice) else self._at(index)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"{type(self).__name__}({shown}{', …' if len(self) > 3 else ''})"

    @abstractmethod
    def _at(self, index: int) -> str: ...


class Texts(TextColumn):
    """Texts that mostly differ, such as names of utterances: ``array`` is of shape (rows,), dtype StringDType."""

    def __init__(self, texts: Iterable[str] | npt.NDArray[Any]) -> None:
        as_it_is = isinstance(texts, np.ndarray)
        self.array: npt.NDArray[Any] = np.array(texts if as_it_is else list(texts), dtype=StringDType())

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[str]:
        return iter(self.array)

    def _at(self, index: int) -> str:
        return str(self.array[index])

    def take(self, indices: Indices) -> Self:
        """See the base class."""
        return type(self)(self.array[indices])


class Categories(TextColumn):
    """Texts of which there are few, such as names of speakers.

    Attributes
    ----------
    codes : shape (rows,), int32, index into ``values``
    values : different texts; some may occur in no row
    """

    def __init__(self, codes: npt.NDArray[np.integer[Any]], values: Sequence[str]) -> None:
        self.codes = np.asarray(codes, dtype=np.int32)
        self.values = tuple(values)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Encode one text a row."""
        encoder = Encoder()
        codes = encoder.codes(list(texts))
        return cls(codes, encoder.values)

    @classmethod
    def constant(cls, text: str, n_rows: int) -> Self:
        """Return the same text in every row."""
        return cls(np.zeros(n_rows, dtype=np.int32), (text,))

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        return map(self.values.__getitem__, self.codes.tolist())

    def _at(self, index: int) -> str:
        return self.values[int(self.codes[index])]

    def take(self, indices: Indices) -> Self:
        """See the base class."""
        return type(self)(self.codes[indices], self.values)

    def present(self) -> list[str]:
        """Return the texts that occur, in the order in which they first do."""
        found, first = np.unique(self.codes, return_index=True)
        return [self.values[code] for code in found[np.argsort(first)]]

    def rows_with(self, text: str) -> npt.NDArray[np.int64]:
        """Return the indices of the rows that hold ``text``, shape (n,)."""
        if text not in self.values:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.codes == self.values.index(text))

    def numbered(self, order: Sequence[str], other: int = -1) -> npt.NDArray[np.int64]:
        """Return each row's position in ``order``, shape (rows,); ``other`` for what isn't there."""
        place = {text: position for position, text in enumerate(order)}
        return np.array([place.get(text, other) for text in self.values] or [other], dtype=np.int64)[self.codes]


class Encoder:
    """Gives each new text the next code."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    @property
    def values(self) -> tuple[str, ...]:
        """The texts met so far, by code."""
        return tuple(self._codes)

    def codes(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return a code a text, shape (texts,)."""
        known = self._codes
        for text in texts if len(texts) < 100 else dict.fromkeys(texts):
            known.setdefault(text, len(known))
        return np.fromiter(map(known.__getitem__, texts), np.int32, len(texts))


class GrowingArray:
    """Takes rows piece by piece and grows in place, so that the memory of all rows is needed once.

    Parameters
    ----------
    like : has the shape (any, …) and dtype of the pieces to come
    """

    def __init__(self, like: npt.NDArray[Any]) -> None:
        self._array = np.empty((0, *like.shape[1:]), dtype=like.dtype)
        self._n_rows = 0

    def add(self, rows: npt.NDArray[Any]) -> None:
        """Put rows, shape (n, …), behind those that are there."""
        end = self._n_rows + len(rows)
        if end > len(self._array):
            self._resize(max(end, 3 * len(self._array) // 2))
        self._array[self._n_rows : end] = rows
        self._n_rows = end

    def array(self) -> npt.NDArray[Any]:
        """Return all rows; nothing may be added afterwards."""
        self._resize(self._n_rows)
        return self._array

    def _resize(self, n_rows: int) -> None:
        self._array.resize((n_rows, *self._array.shape[1:]), refcheck=False)


def joined_texts(parts: Sequence[Texts]) -> Texts:
    """Put columns below each other."""
    return Texts(np.concatenate([part.array for part in parts]))


def joined_categories(parts: Sequence[Categories]) -> Categories:
    """Put columns below each other; the same text gets one code."""
    encoder = Encoder()
    codes = [encoder.codes(part.values)[part.codes] for part in parts]
    return Categories(np.concatenate(codes), encoder.values)


def taken(columns: Mapping[str, Any], indices: Indices) -> dict[str, Any]:
    """Return rows of columns and arrays by name; what is neither, such as None, is left out."""
    texts = {name: column.take(indices) for name, column in columns.items() if isinstance(column, TextColumn)}
    return texts | {name: column[indices] for name, column in columns.items() if isinstance(column, np.ndarray)}
