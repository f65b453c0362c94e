"""What is typed for many commands: paths, folders of corpora, ``--overwrite``, ``--json``, ``-q``; and exit codes."""

import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import list2cmdline
from typing import Any, TypeVar

import click

from earnest.apps.cli.say import JSON, QUIET, is_json

PATH = click.Path(path_type=Path)
FILE, FOLDER = click.Path(path_type=Path, dir_okay=False), click.Path(path_type=Path, file_okay=False)
EXIT_OK, EXIT_ERROR, EXIT_SOME_FAILED = 0, 1, 3  # 2 is click's, for wrong usage
EXIT_STOPPED = 130  # by Ctrl-C: 128 + SIGINT, as shells tell it
F = TypeVar("F", bound=Callable[..., Any])


def output_options(function: F) -> F:
    """Add ``--json`` and ``-q/--quiet``, which every command has; `say` knows whether they were typed.

    Before the name of a group's command they hold for it.
    """
    kept: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": _keep}
    function = click.option("--json", JSON, help="Write JSON for machines.", **kept)(function)
    return click.option("-q", "--quiet", QUIET, help="No progress, no hints.", **kept)(function)


def _keep(context: click.Context, parameter: click.Parameter, given: bool) -> None:
    if given:
        context.meta[parameter.name or ""] = True


def chosen_format(form: str | None, output: Path | None, suffixes: Mapping[str, str]) -> str:
    """Return the format that ``--format``, ``--json`` or the suffix of ``--output`` asks for; "table" without any."""
    if is_json() and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} can't be used together.")
    chosen = form or ("json" if is_json() else None)
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
