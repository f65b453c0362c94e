"""``earnest predict``: recordings to emotions."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import Literal, TextIO, TypeAlias

import click

from earnest.apps.cli.output import EXIT_SOME_FAILED, output_options
from earnest.audio.source import Source, path_of, printable
from earnest.bundle import DEFAULT_BUNDLE
from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.errors import AudioError, EarnestError
from earnest.runtime.prediction import Prediction
from earnest.runtime.predictor import Predictor

Format: TypeAlias = Literal["table", "json", "csv"]
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "json", ".json": "json", ".txt": "table"}


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--model", default=DEFAULT_BUNDLE, show_default=True, metavar="NAME|PATH", help="Which bundle answers.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), help="How to write; default: table.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A .jsonl or .csv file to write.")
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Cores for the network.")
@output_options
def command(
    paths: tuple[str, ...],
    model: str,
    form: Format | None,
    output: Path | None,
    threads: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tell the emotion of recordings.

    PATHS are files, folders (searched for recordings) or - for standard input. JSON is one object a line.

    \b
    Examples:
      earnest predict talk.wav
      earnest predict recordings/ --output emotions.csv
      cat talk.ogg | earnest predict - --json

    Exit codes: 0 all answered, 1 an error that was explained, 2 wrong usage, 3 some recordings could not be read
    (their rows say why).
    """
    chosen = _format(form, as_json, output)
    predictor = Predictor.load(model, threads)
    sources = _sources(paths)
    predictions = _counted(predictor.predict_many(sources), len(sources), _shows_progress(output, quiet))
    if isinstance(
        sys.stdout, TextIOWrapper
    ):  # JSON and CSV are UTF-8 everywhere, a table is what the terminal can show
        sys.stdout.reconfigure(encoding=None if chosen == "table" else "utf-8", errors="replace")
    try:
        with output.open("w", encoding="utf-8", newline="") if output else nullcontext(sys.stdout) as file:
            n_failed = _write(predictions, chosen, file, predictor.info.classes, [path_of(item) for item in sources])
    except OSError as error:
        if output is None or isinstance(error, BrokenPipeError):
            raise
        raise EarnestError(f"{output}: not writable ({error.strerror}). Name another file with --output.") from error
    if output and not quiet:
        click.echo(f"{len(sources) - n_failed} answered, {n_failed} failed: {output}", err=True)
    if n_failed:
        click.get_current_context().exit(EXIT_SOME_FAILED)


def _format(form: Format | None, as_json: bool, output: Path | None) -> Format:
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} exclude each other.")
    if form or as_json:
        return form or "json"
    if output is None:
        return "table"
    if output.suffix.lower() not in _SUFFIXES:
        raise click.UsageError(f"--output {output}: the name must end in {', '.join(_SUFFIXES)}, or give --format.")
    return _SUFFIXES[output.suffix.lower()]


def _sources(paths: Sequence[str]) -> list[Source]:
    sources: list[Source] = []
    for path in paths:
        if path == "-":
            sources.append(sys.stdin.buffer)
        elif Path(path).is_dir():
            sources += _recordings_in(path)
        else:
            sources.append(path)
    return sources


def _recordings_in(folder: str) -> list[str]:
    """Return what has the name of a recording, sorted; a folder with such a name is listed, to become an error."""
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        found += [os.path.join(parent, name) for name in [*files, *folders] if _is_recording(name)]  # noqa: PTH118
        folders[:] = [name for name in folders if not _is_recording(name)]
    if not found:
        endings = " ".join(sorted(AUDIO_SUFFIXES))
        raise AudioError(f"{printable(folder)}: no recordings in this folder ({endings}). Name another one.")
    return sorted(found)


def _is_recording(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122


def _shows_progress(output: Path | None, quiet: bool) -> bool:
    """On a terminal only, and not where the rows themselves appear."""
    rows_on_terminal = output is None and sys.stdout.isatty()
    return sys.stderr.isatty() and not quiet and not rows_on_terminal


def _counted(predictions: Iterator[Prediction], total: int, shown: bool) -> Iterator[Prediction]:
    if not shown:
        yield from predictions
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(predictions, "Predicting", total, console=Console(stderr=True), transient=True)


def _write(
    predictions: Iterable[Prediction], form: Format, file: TextIO, classes: Sequence[str], paths: Sequence[str]
) -> int:
    """Write rows as they come; return how many had an error."""
    line_of, header = _formatter(form, classes, paths)
    if header:
        click.echo(header, file=file)
    n_failed = 0
    for prediction in predictions:
        n_failed += prediction.status == "error"
        click.echo(line_of(prediction), file=file)
    return n_failed


def _formatter(form: Format, classes: Sequence[str], paths: Sequence[str]) -> tuple[Callable[[Prediction], str], str]:
    from earnest.runtime.formats import csv_header, csv_line, json_line

    if form == "json":
        return json_line, ""
    if form == "csv":
        return lambda prediction: csv_line(prediction, classes), csv_header(classes)
    from earnest.apps.cli._predict_table import PredictionTable

    table = PredictionTable(paths, shutil.get_terminal_size().columns)
    return table.row, table.header()
