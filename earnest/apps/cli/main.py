"""The command line: options and output that all commands share, and the group that imports a command when it is used.

Each command is a module. A line of the table that ``earnest --help`` shows is the first line of the command's own
docstring; a test holds both equal. A command without a line here still works, and stands under "Other" without one.
"""

import codecs
import errno
import json
import logging
import math
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field, fields
from functools import wraps
from importlib import import_module
from io import StringIO, TextIOWrapper
from keyword import iskeyword
from pathlib import Path
from shlex import quote
from subprocess import list2cmdline
from typing import Any, Literal, TypeVar, cast

import click
from click.core import ParameterSource

import earnest
from earnest.errors import EarnestError, printable, printable_json, printable_lines, suggestion
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


def option(*names: str, **settings: Any) -> Any:
    """Return a field of a dataclass of options: what is typed for it, and the settings of `click.option`."""
    return field(metadata={"names": names, "settings": settings})


def options(parameter: str, group: type[Any]) -> Callable[[F], F]:
    """Add the options of a dataclass to a command, which is handed one object in place of a parameter an option.

    Parameters
    ----------
    parameter : the command's, which gets the object
    group : a frozen dataclass whose fields are each an `option`, in the order of ``--help``; what doesn't go together
        is refused by its ``__post_init__`` with a `click.UsageError`; inherited ones come last
    """

    members = sorted(fields(group), key=lambda one: one.name not in group.__annotations__)

    def grouped(function: F) -> F:
        @wraps(function)
        def called(*words: Any, **values: Any) -> Any:
            own = {one.name: values.pop(one.name) for one in members}
            return function(*words, **{parameter: group(**own)}, **values)

        wrapped: Any = called
        for one in reversed(members):
            wrapped = click.option(*one.metadata["names"], one.name, **one.metadata["settings"])(wrapped)
        return cast(F, wrapped)

    return grouped


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


OTHER = "Other"

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Recognise": {
        "predict": "Recognise the emotion of recordings.",
        "timeline": "Recognise emotions over time in recordings of any length.",
        "listen": "Recognise emotions live, until Ctrl-C or the end of the pipe.",
        "models": "List bundles and networks.",
    },
    "Own data": {
        "learn": "Learn a model of your own from labelled recordings; test it.",
        "embed": "Write the embeddings of recordings.",
        "adapt": "Save a profile of a speaker or a channel, without labels.",
        "import": "Take over weights that others published, tensor by tensor.",
    },
    "Corpora and training": {
        "corpus": "List, describe, check, draw, convert and download corpora.",
        "split": "Write a protocol's splits, or search split files for leaks.",
        "train": "Train one model on one split, or continue a killed run.",
        "tune": "Try the settings of a recipe's [tune] table, or continue.",
        "evaluate": "Train and score every fold of a protocol, or continue.",
        "new": "Write a package that adds a corpus, network or augmentation.",
        "cache": "Show or clear the cache of recordings and models on disk.",
        "export": "Export a trained model as one graph with its metadata.",
        "parity": "Compare torch with onnxruntime, one by one and in batches.",
    },
    "Measure": {
        "score": "Score a predictions file, ours or anybody's.",
        "compare": "Compare results with the first one, recording by recording.",
        "report": "Write one self-contained HTML page about results.",
        "stress": "Answer test recordings again, changed in some thirty ways.",
        "streams": "Adapt to streams of recordings with any shares of emotions.",
        "bench": "Measure latency, start, throughput, long sound and memory.",
    },
    "Applications": {
        "desktop": "Open the window: files, folders, microphone, corrections.",
        "batch": "Answer a million recordings, by many processes or machines.",
        "serve": "Answer over HTTP and WebSocket, until SIGTERM or Ctrl-C.",
        "edge": "Recognise emotions on a small device, with OpenVINO alone.",
        "spectrogram": "Draw the log-mel spectrogram that the model's network hears.",
    },
}


def grouped(names: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """Return group → (name, help line) of the commands that there are; groups without any are left out."""
    left = set(names)
    groups = {group: [(name, line) for name, line in lines.items() if name in left] for group, lines in GROUPS.items()}
    told = {name for rows in groups.values() for name, _ in rows}
    groups[OTHER] = [(name, "") for name in sorted(left - told)]
    return {group: rows for group, rows in groups.items() if rows}


class LazyGroup(click.Group):
    """A group whose commands are the modules of this folder; each holds a click command called ``command``.

    A module whose command has the name of a Python keyword has an underscore more: ``import_`` holds "import".
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return command names without importing them."""
        if not Path(__file__).is_file():
            raise EarnestError("earnest can't run from within a zip file. Unpack it; a pex file does that itself.")
        names = {path.stem for path in Path(__file__).parent.glob("[!_]*.py")}
        return sorted(name.removesuffix("_") for name in names - {"main"})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        command = import_module(f"earnest.apps.cli.{module}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in groups; no command is imported for its help line."""
        names = self.list_commands(ctx)
        widest = max(map(len, names))
        for group, rows in grouped(names).items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(widest), line) for name, line in rows])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Name the nearest right command for a wrong one, and for a recording the one that answers it."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            instead = f" For its emotion: earnest predict {quote(args[0])}" if Path(args[0]).exists() else ""
            ctx.fail(f"No such command '{args[0]}'.{instead or suggestion(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(earnest.__version__, package_name="earnest", prog_name="earnest")
@output_options
@click.pass_context
def cli(context: click.Context, as_json: bool, quiet: bool) -> None:
    """Speech emotion recognition that people can trust.

    \b
    Example:
      earnest predict talk.wav
    """
    hand_down(context, as_json, quiet)
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False


class _Lines(logging.Formatter):
    """Messages alone, in which names of files and speakers may stand."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a log line so that a terminal can show it."""
        return printable_lines(super().format(record))


def _with_variable(error: click.ClickException) -> click.ClickException:
    """Return an error that names the environment variable of a wrong value: nobody typed the option."""
    if not isinstance(error, click.BadParameter) or error.ctx is None or error.param is None:
        return error
    if error.ctx.get_parameter_source(error.param.name or "") is not ParameterSource.ENVIRONMENT:
        return error
    told = f"{error.message.rstrip('.')} (in the environment variable {error.param.envvar})."
    return click.BadParameter(told, error.ctx, error.param)


def _with_limits(error: click.ClickException) -> click.ClickException:
    """Return an error that says which numbers an option takes; click says "not a valid float range", "1<=x<=20"."""
    if not isinstance(error, click.BadParameter) or error.param is None:
        return error
    kind = error.param.type
    value, says_so, _ = error.message.partition(" is not ")
    if not says_so or not isinstance(kind, (type(click.INT), type(click.FLOAT))):
        return error
    number = "a whole number" if isinstance(kind, type(click.INT)) else "a number"
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        above = f" above {kind.min}" if kind.min_open else f", {kind.min} or more"
        number += above if kind.max is None else f" from {kind.min} to {kind.max}"
    comma = " Write a point, not a comma." if "," in value else ""
    return click.BadParameter(f"expected {number}; got {value}.{comma}", error.ctx, error.param)


def _with_file(error: click.ClickException) -> click.ClickException:
    """Return an error that says how to name a file that looks like an option, as a ``*`` of the shell may give it."""
    files = [word for word in sys.argv[1:] if word.startswith("-") and os.path.isfile(word)]  # noqa: PTH113  # no error
    if isinstance(error, click.NoSuchOption) and files:
        told = f"{error.format_message()} For the file write {quote(f'./{files[0]}')}, or -- before the names."
        return click.UsageError(told, error.ctx)
    return error


def _run() -> None:
    """Run the command line; click's own messages repeat what was typed, or what a shell put in place of a ``*``."""
    try:
        code = cli(prog_name="earnest", standalone_mode=False)  # of `Context.exit`, else what a command returns
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        with StringIO() as text:
            _with_file(_with_variable(_with_limits(error))).show(text)
            click.echo(printable_lines(text.getvalue().replace("\n\t", "\n    ")), err=True, nl=False)
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(EXIT_STOPPED)


def _is_closed_pipe(error: OSError) -> bool:
    """Whether the reader of our output closed it, as `head` does; Windows calls that a wrong argument."""
    is_windows = sys.platform == "win32" and error.errno == errno.EINVAL and error.filename is None
    return isinstance(error, BrokenPipeError) or is_windows


def _open_closed_streams() -> None:
    """Open what our caller has closed (``2>&-``): else the next file gets its number, and what libraries write there.

    What goes to standard error is lost then; what goes to standard output is an error.
    """
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.dup2(os.open(os.devnull, os.O_RDONLY), 1), "w")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.dup2(os.open(os.devnull, os.O_WRONLY), 2), "w")


def _has_lost_output() -> bool:
    """Whether standard output takes no more; what waits for it is dropped, or Python complained of it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def main() -> None:
    """Run the command line; deliberate errors become one line on standard error and exit code 1."""
    _open_closed_streams()
    if logging.lastResort is not None:  # what writes warnings where nobody has set up logging
        logging.lastResort.setFormatter(_Lines())
    encode_output("table")  # on Windows a file or a pipe has another encoding than the terminal
    try:
        _run()
    except EarnestError as error:
        click.echo(f"earnest: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except OSError as error:  # no permission, a full disk, a file where a folder should be
        where = "standard output: " if _has_lost_output() else f"{error.filename}: " if error.filename else ""
        if not _is_closed_pipe(error):
            click.echo(f"earnest: {printable(f'{where}{error.strerror or error}')}.", err=True)
        sys.exit(EXIT_ERROR)
