"""The command line: one module a command, imported when it is used; and the table that ``earnest --help`` shows.

A line of the table is the first line of the command's own docstring; a test holds both equal. A command without a line
here still works, and stands under "Other" without one.
"""

import errno
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from io import StringIO
from itertools import pairwise
from keyword import iskeyword
from pathlib import Path
from shlex import quote
from typing import Any

import click
from click.core import ParameterSource

import earnest
from earnest.apps.cli import say
from earnest.apps.cli._typed import EXIT_ERROR, EXIT_STOPPED, output_options
from earnest.errors import EarnestError, is_interrupt, printable, printable_lines, suggestion

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
        "streams": "Measure adaptation to streams with any shares of emotions.",
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
_HELPERS = {"main", "say"}


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
        return sorted(name.removesuffix("_") for name in names - _HELPERS)

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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse empty words, which commands would take for the working folder, or for nothing asked."""
        for before, word in pairwise(["", *args]):
            if not word or (word.startswith("--") and word.find("=") == len(word) - 1):
                place = word or (f"An empty word after {before}" if before else "An empty word")
                ctx.fail(f"{place} names nothing. Is a variable of the shell empty?")
        return super().parse_args(ctx, args)

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
def cli(context: click.Context) -> None:
    """Tell which emotion a speaker expresses, and how sure that is.

    \b
    Example:
      earnest predict talk.wav
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False


class _Lines(logging.Formatter):
    """Messages alone, in which names of files and speakers may stand."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a log line so that a terminal can show it."""
        return printable_lines(super().format(record))


class _Once(logging.Filter):
    """Lets each message through once: what one fold of an evaluation lacks, all lack."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether nothing has said this before."""
        text = record.getMessage()
        is_new = text not in self._told
        self._told.add(text)
        return is_new


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
    is_whole = isinstance(kind, type(click.INT))
    number = "a whole number" if is_whole else "a number"
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        above = f" above {kind.min}" if kind.min_open else f", {kind.min} or more"
        number += above if kind.max is None else f" from {kind.min} to {kind.max}"
    comma = " Write a point, not a comma." if "," in value and not is_whole else ""
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
    except Exception as error:
        if not isinstance(error, click.Abort) and not is_interrupt(error):
            raise
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
        logging.lastResort.addFilter(_Once())
    say.encode("table")  # on Windows a file or a pipe has another encoding than the terminal
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
