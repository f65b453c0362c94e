"""What a command says: its answer as JSON where ``--json`` was typed, else lines and tables for people, and hints."""

import codecs
import math
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from json import dumps
from pathlib import Path
from typing import Literal

import click

from earnest.errors import EarnestError, printable, printable_json, printable_lines
from earnest.progress import Progress

JSON, QUIET = "as_json", "quiet"  # what was typed, in the context of the command


def is_json() -> bool:
    """Whether ``--json`` was typed."""
    return _is_typed(JSON)


def is_quiet() -> bool:
    """Whether ``-q`` or ``--quiet`` was typed."""
    return _is_typed(QUIET)


def _is_typed(flag: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and flag in context.meta


def progress(with_json: bool = False) -> Progress:
    """Show progress on a terminal only, and not when a machine or nobody reads along."""
    return Progress((with_json or not is_json()) and not is_quiet() and sys.stderr.isatty())


def answer(value: object) -> bool:
    """Write the answer where JSON was asked for, and return whether it was; else it is for the command to tell."""
    if is_json():
        json(value)
    return is_json()


def hint(text: str, err: bool = False) -> None:
    """Write lines, unless quiet was asked for."""
    if not is_quiet():
        line(text, err=err)


@contextmanager
def resumable(kept: str | Path, how: str = "") -> Iterator[None]:
    """Explain, where Ctrl-C ends the block, where the work so far is kept and ``how`` the same command continues."""
    try:
        yield
    except KeyboardInterrupt:
        hint(f"What is done is in {kept}; the same command{how} continues.", err=True)
        raise


def json(value: object) -> None:
    """Write one JSON value, indented, in UTF-8; NaN is never written."""
    encode("json")
    click.echo(printable_json(dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)))


def line(text: str = "", err: bool = False, nl: bool = True) -> None:
    """Write lines in which file names, labels and names of models may stand; see `earnest.errors`."""
    click.echo(printable_lines(text), err=err, nl=nl)


def whole(text: str, nl: bool = True) -> None:
    """Write a format for machines as it is, whatever a path holds; a terminal gets no control characters."""
    if sys.stdout.isatty():
        text = "".join(letter if letter in "\t\n" else printable(letter) for letter in text)
    click.echo(text, nl=nl, color=True)  # else click takes out what looks like a colour


_ESCAPED = "earnest.escaped"
_WITHOUT_BLOCKS = str.maketrans("▁▂▃▄▅▆▇█▏▎▍▌▋▊▉", "..::==##...::==")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Replace letters that an encoding lacks: bars by ASCII, others by a backslash and their number."""
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end].translate(_WITHOUT_BLOCKS)
    return letters.encode("ascii", "backslashreplace").decode("ascii"), error.end


codecs.register_error(_ESCAPED, _escaped)


def encode(form: str) -> None:
    """Let standard output be UTF-8, as files are everywhere; a table is what the terminal can show."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if form == "table" else "utf-8", errors=_ESCAPED)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    to_dict = getattr(value, "to_dict", None)
    if to_dict is None:
        raise EarnestError(f"{type(value).__name__} has no JSON form.")
    return to_dict()


_IN_A_PIPE = 10_000  # letters a line; rich would take 80


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", right: Sequence[str] = ()) -> None:
    """Write a table through rich; the columns named in ``right`` are aligned right.

    Where it is too wide, cells go on in the next line, between words or behind a hyphen. In a pipe no row is wrapped.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(soft_wrap=False, highlight=False, width=None if has_width else _IN_A_PIPE)
    names, *cells = [[*map(printable, columns)], *([*map(printable_lines, row)] for row in rows)]
    widths = _widths([*zip(names, *cells, strict=True)], console.width)
    made = Table(box=None, pad_edge=False, header_style="bold", show_header=any(names))
    for column, name, width in zip(columns, names, widths, strict=True):
        side: Literal["left", "right"] = "right" if column in right else "left"
        made.add_column(Text(_broken(name, width)), justify=side, overflow="fold", width=width)
    for row in cells:  # brackets in a cell are text, not markup
        made.add_row(*(Text(_broken(cell, width)) for cell, width in zip(row, widths, strict=True)))
    if title:
        console.print(printable_lines(title), style="italic", markup=False)
    console.print(made)


_PARTS = re.compile(r"\s+|(?<=\w-)(?=\w)")  # what is between parts of a text that stay whole
_LONGEST_WORD = 20  # letters; what is longer, such as a path, may be broken anywhere
_BETWEEN = 2  # spaces from column to column


def _widths(columns: Sequence[Sequence[str]], most: int) -> list[int]:
    """Return the widths of columns, ``most`` together; the widest ones give way, as far as their words let them."""
    from rich.cells import cell_len

    most = max(most - _BETWEEN * (len(columns) - 1), len(columns))
    widths = [max(cell_len(part) for cell in column for part in cell.split("\n")) for column in columns]
    words = [max(cell_len(part) for cell in column for part in _PARTS.split(cell)) for column in columns]
    while sum(widths) > most:
        loose = [place for place, width in enumerate(widths) if width > min(words[place], _LONGEST_WORD)]
        widths[max(loose or range(len(widths)), key=widths.__getitem__)] -= 1
    return widths


def _broken(cell: str, width: int) -> str:
    """Break words that are too wide behind hyphens, as far as there are some."""
    from rich.cells import cell_len

    def parted(word: re.Match[str]) -> str:
        lines = [""]
        for part in _PARTS.split(word[0]):
            if lines[-1] and cell_len(lines[-1] + part) > width:
                lines.append("")
            lines[-1] += part
        return "\n".join(lines)

    return re.sub(r"\S+", parted, cell)


def size_text(path: Path) -> str:
    """Format how large a file is: "38 kB", "1.2 MB"."""
    n_bytes = path.stat().st_size
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{math.ceil(n_bytes / 1e3)} kB"


def counts_text(counts: Mapping[str, int]) -> str:
    """Format counts as "happy 3, sad 2"."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())
