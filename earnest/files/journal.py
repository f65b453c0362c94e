"""A file of lines that survives a kill: each line is there or it isn't, and a half-written last one is cut off."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from earnest.errors import EarnestError, unwritable


class Journal:
    """Lines that are added to a file one by one.

    Attributes
    ----------
    path : of the file
    hint : ends the message when a line can't be written
    """

    def __init__(self, path: Path, hint: str = "") -> None:
        """Open the file to go on behind its last line; it is made where there is none."""
        self.path, self.hint = path, hint
        self._file = path.open("ab", buffering=0)  # a line is one write
        self._size = path.stat().st_size

    def append(self, text: str) -> None:
        """Add a line; it is safe when this returns, and not there at all when this raises."""
        line = memoryview(text.encode() + b"\n")
        written = 0
        try:
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self._size)
            raise EarnestError(f"{unwritable(self.path, error)} {self.hint}".rstrip()) from error
        self._size += len(line)

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        self._file.close()

    def remove(self) -> None:
        """Close the file and delete it."""
        self.close()
        self.path.unlink()


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each line, from one, and the line; a last one without an end was just being written."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, line


def cut_half_line(path: Path) -> None:
    """Cut off a last line without an end."""
    end = sum(len(line) for _, line in whole_lines(path))
    with path.open("r+b") as file:
        file.truncate(end)
