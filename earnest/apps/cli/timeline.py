"""``earnest timeline``: emotion over time in a long recording, or the spans of many in one table."""

import shlex
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._answers import NoteCounter, chart
from earnest.apps.cli._lists import is_folder, is_list, names_turns
from earnest.apps.cli._options import (
    AdaptationOptions,
    AnswerOptions,
    AveragingOptions,
    WindowOptions,
    channel_option,
    options,
)
from earnest.apps.cli._recordings import Hearing, NamedRecordings, Speakers
from earnest.apps.cli._typed import (
    EXIT_SOME_FAILED,
    FILE,
    chosen_format,
    output_options,
    overwrite_option,
    refuse_input,
)
from earnest.audio.activity import DETECTORS
from earnest.audio.source import Part, Source, source_name
from earnest.errors import AudioError, MissingExtraError, counted
from earnest.files.writing import new_file, unfollowed
from earnest.runtime.adaptation import Adapter
from earnest.runtime.prediction import Options
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import FORMATS, SUFFIXES, Timeline, written, written_spans
from earnest.runtime.windows import Windowing

_PICTURES = (".png", ".svg", ".pdf")
_SPEECH_ALONE = ("jsonl", "csv", "rttm")  # formats without vocal bursts
_ROWS = ("csv", "jsonl")  # formats that hold the spans of several recordings


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
@click.option("-o", "--output", type=FILE, help="File to write: .srt, .csv or another ending of a format.")
@overwrite_option
@click.option("--plot", type=FILE, help="Picture to write: .png, .svg or .pdf.")
@options("windows", WindowOptions)
@click.option(
    "--activity",
    type=click.Choice(DETECTORS),
    default="auto",
    show_default=True,
    help="Voice activity detection: how speech is found.",
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
    windows: WindowOptions,
    activity: str,
    adaptation: AdaptationOptions,
    answer: AnswerOptions,
) -> None:
    """Recognise emotions over time in recordings of any length.

    PATH is a file or - for standard input. Several files, folders and lists (.csv or .tsv with the column path, and
    perhaps channel and speaker) are for --format csv and jsonl: their spans become the rows of one table.
    Speech is found first. The network hears it in overlapping windows. A span is neighbouring windows with one emotion;
    below the model's threshold it is "unsure". Times are in seconds.

    \b
    Examples:
      earnest timeline interview.mp3
      earnest timeline interview.mp3 --output interview.srt --plot interview.png
      earnest timeline call.wav --channel 2
      earnest timeline calls/ --output spans.csv

    Exit codes: 0 all answered, 1 an error that was explained, 2 wrong usage, 3 some of several recordings could not be
    read, 130 stopped by Ctrl-C.
    """
    chosen = chosen_format(form, output, SUFFIXES)
    _refuse_turns(paths)
    is_table = len(paths) > 1 or is_list(paths[0]) or is_folder(paths[0])
    recordings = NamedRecordings(paths)
    sources = recordings.sources(channels, output)
    if part := next((one for one in sources if isinstance(one, Part)), None):
        told = "A timeline is of a whole recording; earnest predict answers parts"
        raise click.UsageError(f"{source_name(part)}: a part. {told}.")
    if is_table:
        _check_table(paths, chosen, plot)
    _check_picture(plot, paths)
    predictor = models.load()
    adapter = _adapters(adaptation, predictor, channels)
    hearing = Hearing(predictor, say.progress())
    asked = answer.of(predictor.info)
    notes = NoteCounter("--channel 1, then --channel 2", asked.classes)
    speakers = recordings.speakers()
    run = TimelineRun(hearing, windows.windowing(activity), asked, adapter, notes, speakers)
    if is_table:
        with _place(output, overwrite) as place:
            found = run.timelines(sources, output is None and sys.stdout.isatty())
            _write(written_spans(found, chosen, "speaker" in speakers.told), chosen, place)
    else:
        _tell_one(run, sources[0], chosen, output, plot, overwrite)
    if not say.is_quiet():
        run.tell({output: chosen not in _SPEECH_ALONE, plot: True}, len(sources))
    if run.n_failed:
        click.get_current_context().exit(EXIT_SOME_FAILED)


@dataclass
class TimelineRun:
    """Hears recordings as they were asked for, and counts what came of it."""

    hearing: Hearing
    windowing: Windowing
    options: Options
    adapter: Callable[[], Adapter | None]
    notes: NoteCounter
    speakers: Speakers
    n_failed: int = 0
    n_spans: int = 0
    n_bursts: int = 0

    def timeline(self, source: Source) -> Timeline:
        """Hear one."""
        found = self.hearing.predictor.timeline(source, self.windowing, self.adapter(), **self.options.words())
        self.n_spans += len(found.spans)
        self.n_bursts += len(found.prediction.vocal_bursts)
        self.notes.count(found.prediction)
        return replace(
            found, prediction=replace(found.prediction, speaker=self.speakers.told_of(found.path).speaker or None)
        )

    def timelines(self, sources: Collection[Source], on_screen: bool) -> Iterable[Timeline]:
        """Hear several; ``on_screen`` is whether they appear on a terminal as they come."""
        if on_screen:
            return self.hearing.among(self._readable(sources))
        return self._readable(self.hearing.counted("Hearing", sources, len(sources)))

    def _readable(self, sources: Iterable[Source]) -> Iterator[Timeline]:
        """Hear several; one that can't be read is told on standard error."""
        for source in sources:
            try:
                yield self.timeline(source)
            except (AudioError, MissingExtraError) as error:
                self.n_failed += 1
                self.notes.n_whole += 1
                say.line(f"earnest: {error}", err=True)

    def tell(self, files: Mapping[Path | None, bool], n_recordings: int) -> None:
        """Report, on standard error, the files written and the channels not heard.

        Parameters
        ----------
        files : file, None for one that nobody asked for → whether it holds vocal bursts
        """
        spans = counted(self.n_spans, "span")
        bursts = f", {counted(self.n_bursts, 'vocal burst')}" if self.n_bursts else ""
        of_several = f" of {counted(n_recordings - self.n_failed, 'recording')}" if n_recordings > 1 else ""
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        for path, has_bursts in files.items():
            if path:
                click.echo(f"{spans}{bursts if has_bursts else ''}{of_several}{failed}: {path}", err=True)
        self.notes.tell()


def _adapters(
    adaptation: AdaptationOptions, predictor: Predictor, channels: Sequence[int]
) -> Callable[[], Adapter | None]:
    """Return a maker of adapters: one for each recording, or one for a single speaker in all."""
    adapter = adaptation.adapter(predictor, channels)
    return predictor.adapter if adapter and adaptation.adapt == ("auto",) else lambda: adapter


def _refuse_turns(paths: Sequence[str]) -> None:
    if turns := next(filter(names_turns, paths), None):
        told = "turns of speakers, and a timeline is of a whole recording"
        instead = "Name the recording itself, or answer its turns with"
        raise click.UsageError(f"{turns}: {told}. {instead}: {shlex.join(['earnest', 'predict', turns])}")


def _check_table(paths: Sequence[str], form: str, plot: Path | None) -> None:
    """Refuse forms that hold one recording alone, and say how timelines of several are made."""
    if plot or form not in _ROWS:
        rows = shlex.join(["earnest", "timeline", *paths[:1], *(["…"] if len(paths) > 1 else []), "-o", "spans.csv"])
        loop = 'for one in *.wav; do earnest timeline "$one" -o "${one%.*}.srt"; done'
        raise click.UsageError(f"Name one recording. A table of the spans of many: {rows}. A file for each: {loop}")


def _check_picture(plot: Path | None, paths: Sequence[str]) -> None:
    refuse_input(plot, paths)
    if plot and plot.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--plot {plot}: the name must end in {', '.join(_PICTURES)}.")
    if plot and find_spec("matplotlib") is None:  # told before a long recording is heard, not after it
        raise MissingExtraError("drawing", "report")


def _tell_one(
    run: TimelineRun, source: Source, form: str, output: Path | None, plot: Path | None, overwrite: bool
) -> None:
    """Finish the file, then the picture, then write to standard output: what goes wrong later loses nothing."""
    with _place(plot, overwrite) as picture:
        with _place(output, overwrite) as place:
            with run.hearing.waiting():
                timeline = run.timeline(source)
            if place:
                _write(_text(timeline, form, output), form, place)
        if picture:
            timeline.plot(picture)
    if not output:
        _write(_text(timeline, form, None), form, None)


def _place(path: Path | None, overwrite: bool) -> AbstractContextManager[Path | None]:
    return new_file(path, overwrite) if path else nullcontext()


def _text(timeline: Timeline, form: str, output: Path | None) -> Iterable[str]:
    if form == "table":
        columns = min(shutil.get_terminal_size().columns, 160)
        return (f"{line}\n" for line in chart(timeline, columns))
    return written(timeline, form, output and output.parent)


def _write(text: Iterable[str], form: str, output: Path | None) -> None:
    if output is None:
        say.encode(form)
        for part in text:
            (click.echo if form == "table" else say.whole)(part, nl=False)
        return
    with open(output, "w", encoding="utf-8", newline="", opener=unfollowed) as file:
        file.writelines(map(click.unstyle, text) if form == "table" else text)
