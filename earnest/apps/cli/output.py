"""Output of the commands: options, exit codes, tables and JSON on standard output."""

import codecs
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from subprocess import list2cmdline
from typing import Any, Literal, TypeVar

import click

from earnest.errors import EarnestError, printable, printable_json, printable_lines
from earnest.progress import Progress

PATH = click.Path(path_type=Path)
FILE, FOLDER = click.Path(path_type=Path, dir_okay=False), click.Path(path_type=Path, file_okay=False)
EXIT_OK, EXIT_ERROR, EXIT_SOME_FAILED = 0, 1, 3  # 2 is click's, for wrong usage
EXIT_STOPPED = 130  # by Ctrl-C: 128 + SIGINT, as shells tell it
F = TypeVar("F", bound=Callable[..., Any])


def output_options(function: F) -> F:
    """Add ``--json`` and ``-q/--quiet``, which every command has."""
    function = click.option("--json", "as_json", is_flag=True, help="Write JSON for machines.")(function)
    return click.option("-q", "--quiet", is_flag=True, help="No progress, no hints.")(function)


def chosen_format(form: str | None, as_json: bool, output: Path | None, suffixes: Mapping[str, str]) -> str:
    """Return the format that ``--format``, ``--json`` or the suffix of ``--output`` asks for; "table" without any."""
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} can't be used together.")
    chosen = form or ("json" if as_json else None)
    if output is None:
        return chosen or "table"
    if str(output) == "-":
        raise click.UsageError("--output -: leave it out, then standard output is written; --format says what.")
    named = suffixes.get(output.suffix.lower())
    if chosen is None and named is None:
        raise click.UsageError(f"--output {output}: the name must end in {', '.join(suffixes)}, or give --format.")
    if chosen and named and chosen not in (named, "table"):  # whoever opens it goes by the name
        raise click.UsageError(f"--output {output}: {chosen} is asked for, but the name says {named}. Change either.")
    return chosen or str(named)


def command_line(*words: object) -> str:
    """Quote a command of earnest for a shell."""
    typed = ["earnest", *map(str, words)]
    return list2cmdline(typed) if sys.platform == "win32" else shlex.join(typed)


def repeated(option: str, values: Iterable[object]) -> list[str]:
    """Return the words of a command line that give a repeatable option each value."""
    return [word for value in values for word in (option, str(value))]


def overwrite_option(function: F) -> F:
    """Add ``--overwrite``, which every command has that writes a file of a name that people choose."""
    return click.option("--overwrite", is_flag=True, help="Replace an --output that exists.")(function)


def refuse_input(output: Path | None, inputs: Iterable[str | Path]) -> None:
    """Raise a usage error where ``--output`` is one of the recordings or lists that are read."""
    if output is None or not output.exists():
        return
    for path in inputs:
        with suppress(OSError, ValueError):  # what can't be looked at is no file, such as standard input
            if output.samefile(path):
                raise click.UsageError(f"--output {output}: it is read, so it can't be written. Name another file.")


@contextmanager
def resumable(kept: str | Path, how: str, quiet: bool) -> Iterator[None]:
    """Explain, where Ctrl-C ends the block, where the work so far is kept and ``how`` the same command continues."""
    try:
        yield
    except KeyboardInterrupt:
        if not quiet:
            echo(f"What is done is in {kept}; the same command{how} continues.", err=True)
        raise


def hand_down(context: click.Context, as_json: bool, quiet: bool) -> None:
    """Let ``--json`` and ``-q`` before the name of a group's command hold for it."""
    assert isinstance(context.command, click.Group)
    names = context.command.list_commands(context)
    context.default_map = {name: {"as_json": as_json, "quiet": quiet} for name in names}


def data_option(function: F) -> F:
    """Add ``--data NAME=DIR`` (repeatable); ``EARNEST_DATA`` is a folder that holds a folder a corpus."""
    return click.option(
        "--data",
        "data",
        multiple=True,
        metavar="NAME=DIR",
        help="Folder of a corpus; repeatable. Without it: the folder NAME in $EARNEST_DATA.",
    )(function)


def corpus_folders(data: Sequence[str]) -> dict[str, Path]:
    """Read ``NAME=DIR`` words into corpus name → folder."""
    folders = {}
    for word in data:
        name, separator, folder = word.partition("=")
        if not separator or not name or not folder:
            raise click.UsageError(f"--data expects NAME=DIR, got '{word}'.")
        folders[name] = Path(folder).expanduser()
    return folders


def word_pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """Read ``NAME=VALUE`` words of an option."""
    pairs = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not (name and separator and value):
            raise click.UsageError(f"{option} expects two names joined by '=', got '{word}'.")
        pairs[name] = value
    return pairs


def echo_json(value: object) -> None:
    """Write one JSON value, indented, in UTF-8; NaN is never written."""
    encode_output("json")
    click.echo(printable_json(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)))


def echo(text: str = "", err: bool = False, nl: bool = True) -> None:
    """Write lines in which file names, labels and names of models may stand; see `earnest.errors`."""
    click.echo(printable_lines(text), err=err, nl=nl)


def echo_whole(text: str, nl: bool = True) -> None:
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


def encode_output(form: str) -> None:
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


def echo_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "", right: Sequence[str] = ()
) -> None:
    """Write a table through rich; the columns named in ``right`` are aligned right.

    Where it is too wide, cells go on in the next line, between words or behind a hyphen. In a pipe no row is wrapped.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    has_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(soft_wrap=False, highlight=False, width=None if has_width else _IN_A_PIPE)
    names, *lines = [[*map(printable, columns)], *([*map(printable_lines, row)] for row in rows)]
    widths = _widths([*zip(names, *lines, strict=True)], console.width)
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(names))
    for column, name, width in zip(columns, names, widths, strict=True):
        side: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(Text(_broken(name, width)), justify=side, overflow="fold", width=width)
    for line in lines:  # brackets in a cell are text, not markup
        table.add_row(*(Text(_broken(cell, width)) for cell, width in zip(line, widths, strict=True)))
    if title:
        console.print(printable_lines(title), style="italic", markup=False)
    console.print(table)


_PARTS = re.compile(r"\s+|(?<=\w-)(?=\w)")  # what is between parts of a text that stay whole
_LONGEST_WORD = 20  # letters; what is longer, such as a path, may be broken anywhere
_BETWEEN = 2  # spaces from column to column


def _widths(columns: Sequence[Sequence[str]], most: int) -> list[int]:
    """Return the widths of columns, ``most`` together; the widest ones give way, as far as their words let them."""
    from rich.cells import cell_len

    most = max(most - _BETWEEN * (len(columns) - 1), len(columns))
    widths = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
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


def progress_for(as_json: bool, quiet: bool) -> Progress:
    """Show progress on a terminal only, and not when a machine or nobody reads along."""
    return Progress(not as_json and not quiet and sys.stderr.isatty())
