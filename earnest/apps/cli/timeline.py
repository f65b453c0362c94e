"""``earnest timeline``: emotion over time in a long recording."""

import shlex
import shutil
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path

import click

from earnest.apps.cli._answers import is_of_separate, tell_separate
from earnest.apps.cli._options import (
    AdaptationOptions,
    AnswerOptions,
    AveragingOptions,
    channel_option,
    options,
    window_options,
)
from earnest.apps.cli._recordings import in_channels, standard_input
from earnest.apps.cli.output import chosen_format, output_options, overwrite_option, refuse_input
from earnest.audio.activity import DETECTORS
from earnest.errors import MissingExtraError
from earnest.files.writing import new_file
from earnest.runtime.timeline import FORMATS, SUFFIXES, Timeline, written
from earnest.runtime.windows import Windowing

_PICTURES = (".png", ".svg", ".pdf")


@click.command()
@click.argument("paths", metavar="PATH", nargs=-1, required=True)
@channel_option()
@options("models", AveragingOptions)
@options("adaptation", AdaptationOptions)
@options("answer", AnswerOptions)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", *FORMATS]),
    help="Format. Default: table, or what the file's name says.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write.")
@overwrite_option
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Picture to draw: .png, .svg or .pdf.")
@window_options
@click.option(
    "--activity",
    type=click.Choice(DETECTORS),
    default="auto",
    show_default=True,
    help="What finds speech (voice activity detection).",
)
@output_options
def command(
    paths: tuple[str, ...],
    channels: tuple[int, ...],
    models: AveragingOptions,
    form: str | None,
    output: Path | None,
    overwrite: bool,
    plot: Path | None,
    window_s: float,
    hop_s: float,
    activity: str,
    adaptation: AdaptationOptions,
    answer: AnswerOptions,
    as_json: bool,
    quiet: bool,
) -> None:
    """Tell the emotion over time of a recording of any length.

    PATH is a file or - for standard input. Speech is found first. The network hears it in overlapping windows. A
    span is neighbouring windows with one emotion; below the model's threshold it is "unsure". Times are in seconds.

    \b
    Examples:
      earnest timeline interview.mp3
      earnest timeline interview.mp3 --output interview.srt --plot interview.png
      earnest timeline call.wav --channel 2
    """
    path = _one(paths)
    chosen = chosen_format(form, as_json, output, SUFFIXES)
    for place in (output, plot):
        refuse_input(place, paths)
    if plot and plot.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--plot {plot}: the name must end in {', '.join(_PICTURES)}.")
    if plot and find_spec("matplotlib") is None:  # told before a long recording is heard, not after it
        raise MissingExtraError("drawing", "report")
    windowing = Windowing(window_s, hop_s, activity)
    predictor = models.load()
    (source,) = in_channels([standard_input() if path == "-" else path], channels)
    asked = answer.of(predictor.info)
    with ExitStack() as places:
        text_place, plot_place = (path and places.enter_context(new_file(path, overwrite)) for path in (output, plot))
        timeline = predictor.timeline(source, windowing, adaptation.adapter(predictor, channels), **asked.words())
        _write(_text(timeline, chosen), chosen, text_place)
        if plot_place:
            timeline.plot(plot_place)
    for written_path in (output, plot):
        if written_path and not quiet:
            n_spans = len(timeline.spans)
            click.echo(f"{n_spans} span{'s'[: n_spans != 1]}: {written_path}", err=True)
    if not quiet:
        tell_separate(is_of_separate(timeline.prediction), 1, "--channel 1, then --channel 2")


def _one(paths: tuple[str, ...]) -> str:
    """Return the recording, or say how timelines of several are made."""
    if len(paths) == 1 and not Path(paths[0]).is_dir():
        return paths[0]
    source = paths[0] if len(paths) == 1 else str(Path(paths[0]).parent)
    many = shlex.join(["earnest", "batch", source, "--table", "timelines", "--output", "answers"])
    loop = 'for one in *.wav; do earnest timeline "$one" -o "${one%.*}.srt"; done'
    raise click.UsageError(f"Name one recording. A table of many: {many}. A file for each: {loop}")


def _text(timeline: Timeline, form: str) -> Iterable[str]:
    if form == "table":
        from earnest.apps.cli._answers import chart

        columns = min(shutil.get_terminal_size().columns, 160)
        return (f"{line}\n" for line in chart(timeline, columns))
    return written(timeline, form)


def _write(text: Iterable[str], form: str, output: Path | None) -> None:
    if output is None:
        if isinstance(sys.stdout, TextIOWrapper):  # files are UTF-8 everywhere, a table is what the terminal can show
            sys.stdout.reconfigure(encoding=None if form == "table" else "utf-8", errors="replace")
        for part in text:
            click.echo(part, nl=False)
        return
    with output.open("w", encoding="utf-8", newline="") as file:
        file.writelines(click.unstyle(part) for part in text)
