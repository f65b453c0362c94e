"""``earnest predict``: recordings to emotions."""

import shutil
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, cast

import click

from earnest.apps.cli import say
from earnest.apps.cli._answers import NoteCounter, PredictionTable, SpeakerSums
from earnest.apps.cli._lists import is_folder
from earnest.apps.cli._options import (
    CHANNELS,
    JOBS,
    AnswerOptions,
    AveragingOptions,
    ModelOptions,
    ReadingOptions,
    SpeakerOptions,
    option,
    options,
)
from earnest.apps.cli._recordings import (
    ChannelCount,
    Hearing,
    NamedRecordings,
    Speakers,
    arriving,
    counter_of,
    in_channels,
)
from earnest.apps.cli._typed import EXIT_SOME_FAILED, FILE, chosen_format, output_options
from earnest.audio.source import Source, path_of, place_of, whole_and_channel
from earnest.errors import counted
from earnest.files.writing import held_file
from earnest.progress import Progress
from earnest.runtime.adaptation import Adapter
from earnest.runtime.bulk import AnsweredRecording, BatchAnswers
from earnest.runtime.decoders import Decoders
from earnest.runtime.formats import csv_header, csv_line, json_line
from earnest.runtime.picture import is_picture
from earnest.runtime.prediction import ClassChoice, Options, Prediction
from earnest.runtime.predictor import Predictor

if TYPE_CHECKING:
    from earnest.apps.cli._row_file import Adapted, MadeBy

Format: TypeAlias = Literal["table", "json", "csv", "parquet"]
Existing: TypeAlias = Literal["refuse", "resume", "overwrite"]
Writer: TypeAlias = Callable[[Prediction], None]
Row = TypeVar("Row", bound=Prediction | AnsweredRecording)
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "json", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True)
class DecodingOptions(ReadingOptions):
    """Options of decoding and batching."""

    channels: tuple[int, ...] = option("--channel", **CHANNELS)
    jobs: int = option("--jobs", **JOBS, help="Recordings to decode at a time.")

    def load(self, models: ModelOptions | AveragingOptions) -> Predictor:
        """Load the models, with what decodes for them until the command ends."""
        predictor = models.load(self.batch_s, "throughput" if self.jobs > 1 else "latency")
        predictor.file_s = self.file_s
        if self.isolate:
            predictor.decoders = click.get_current_context().with_resource(_decoders(self.jobs))
        return predictor


@dataclass(frozen=True)
class ExistingOptions:
    """Options for an output file that exists: resume, retry, overwrite."""

    resume: bool = option("--resume", is_flag=True, help="Go on with --output: skip what it holds.")
    retry_failed: bool = option(
        "--retry-failed", is_flag=True, help="Go on with --output, and answer failed recordings of PATHS again."
    )
    overwrite: bool = option("--overwrite", is_flag=True, help="Replace an --output that exists.")

    def choice(self, output: Path | None) -> Existing:
        """Return the choice for an output that exists."""
        goes_on = "--retry-failed" if self.retry_failed else "--resume" if self.resume else ""
        asked = [word for word in (goes_on, "--overwrite" if self.overwrite else "") if word]
        if asked and output is None:
            raise click.UsageError(f"{asked[0]} needs --output.")
        if len(asked) > 1:
            raise click.UsageError(f"{' and '.join(asked)} can't be used together.")
        return "resume" if goes_on else "overwrite" if self.overwrite else "refuse"

    def retried(self, sources: Iterable[Source]) -> frozenset[str]:
        """Return the places of recordings that are answered again where they failed."""
        return frozenset(place_of(path_of(source)) for source in sources) if self.retry_failed else frozenset()


@contextmanager
def _decoders(size: int) -> Iterator[Decoders]:
    from earnest.runtime.decoders import start_decoders

    decoders = start_decoders(size)
    try:
        yield decoders
    finally:
        decoders.close()


@click.command()
@click.argument("paths", nargs=-1, required=True)
@options("models", AveragingOptions)
@options("adaptation", SpeakerOptions)
@options("answer", AnswerOptions)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "jsonl", "csv", "parquet"]),
    callback=lambda _context, _option, form: "json" if form == "jsonl" else form,
    help="Default: table. json and jsonl are the same: one object per line.",
)
@click.option("-o", "--output", type=FILE, help="File to write: .jsonl, .csv or .parquet.")
@options("existing", ExistingOptions)
@click.option("--watch", is_flag=True, help="Then wait for new recordings in the folders, until Ctrl-C.")
@click.option("--top", type=click.IntRange(1, 20), default=3, show_default=True, help="Classes in a row of the table.")
@click.option("--vocal-bursts", is_flag=True, help="Add a line to the table for each laugh, cry, scream or sigh.")
@options("decoding", DecodingOptions)
@output_options
def command(
    paths: tuple[str, ...],
    models: AveragingOptions,
    adaptation: SpeakerOptions,
    answer: AnswerOptions,
    form: Format | None,
    output: Path | None,
    existing: ExistingOptions,
    watch: bool,
    top: int,
    vocal_bursts: bool,
    decoding: DecodingOptions,
) -> None:
    """Recognise the emotion of recordings.

    PATHS are recordings, folders (searched for recordings), lists, speaker turns, or - for standard input. A list is a
    .csv or .tsv with the column path, and perhaps speaker, channel, text, start_s and end_s (a part, in seconds).
    Speaker turns are subtitles (.srt, .vtt), .rttm, the .json of Whisper and others, Praat's .TextGrid or ELAN's .eaf,
    with their recording beside them: each turn becomes a row. JSON has one object per line.

    An answer below the model's threshold is "unsure": it has probabilities, but no emotion. A recording with several
    segments of speech is "mixed" when no emotion holds most of them. One that can't be read, crashes its decoder
    (--isolate) or takes too long (--timeout) becomes a row with an error.

    An --output file appears when it is whole; until then its rows are in NAME.partial, where --resume finds them. Only
    one run at a time may write it. NAME.sha256 is its checksum, for sha256sum --check.

    \b
    Examples:
      earnest predict talk.wav
      earnest predict recordings/ --output emotions.csv --resume
      earnest predict anna/ --adapt off
      earnest predict ravdess/ --adapt auto --speaker-pattern 'Actor_([0-9]+)' --output emotions.csv
      earnest predict interview.srt --output emotions.csv
      earnest predict calls/ --channel 1 --channel 2 --output emotions.csv
      earnest predict talk.wav --classes angry,happy,neutral,sad --no-abstain
      cat talk.ogg | earnest predict - --json
      earnest predict talk.wav --tta speed --model bundles/fold1 --model bundles/fold2

    Exit codes: 0 all answered, 1 an error that was explained, 2 wrong usage, 3 some recordings could not be read
    (their rows say why), 130 stopped by Ctrl-C.
    """
    chosen, found, predictor = _format(form, output), existing.choice(output), decoding.load(models)
    asked, count, recordings = answer.of(predictor.info), counter_of(predictor), NamedRecordings(paths)
    speakers = recordings.speakers(adaptation.speaker_pattern, not adaptation.adapt)
    sources = recordings.sources(decoding.channels, output, count, watch)
    is_batch = adaptation.is_batch(predictor, paths)
    if is_batch and not say.is_quiet():
        _tell_adaptation(speakers, not adaptation.adapt, bool(decoding.channels), sum(map(is_picture, sources)))
    adapter = None if is_batch else adaptation.adapter(predictor, decoding.channels)
    run = PredictRun(predictor, asked, decoding.jobs, adapter, speakers, is_batch, adaptation)
    batches = _batches(sources, _watched(paths) if watch else [], decoding.channels, count)
    written = Written(NoteCounter("--channel 1 --channel 2", asked.classes))
    if output is None:
        known = [] if watch else [path_of(item) for item in sources]
        _show(batches, run, _printing(chosen, run.info.classes, speakers.told, known, top, vocal_bursts), written)
    else:
        _write_file(batches, run, output, chosen, found, existing.retried(sources), written)
    speakers.tell_unmatched()
    written.end()


ADAPTS = (
    "The recordings of a folder, or of each sub-folder, are all heard before they are answered, as one speaker's{} "
    "(--speaker-pattern: who speaks; --adapt off: each by itself)."
)


def _tell_adaptation(speakers: Speakers, is_default: bool, has_channels: bool, n_pictures: int) -> None:
    """Report, on standard error, what is adapted unasked, and what is not though it was asked for."""
    speakers.tell_alike()
    if is_default:
        click.echo(ADAPTS.format(", each channel as another's" if has_channels else ""), err=True)
    if n_pictures:
        told = "not adapted, as --adapt auto needs sound. To a profile they are: --profile"
        click.echo(f"{counted(n_pictures, 'spectrogram')}: {told}.", err=True)


@dataclass
class Written:
    """Counts the rows that are written: all, those with an error, those about a part of what a recording holds.

    Attributes
    ----------
    n_held_failed : rows with an error that a file held before
    """

    notes: NoteCounter
    n_rows: int = 0
    n_failed: int = 0
    n_held_failed: int = 0

    def write(self, rows: Iterable[Row], writer: Callable[[Row], None]) -> None:
        """Write rows as they come."""
        for row in rows:
            told = row if isinstance(row, Prediction) else row.plain
            self.n_rows += 1
            self.n_failed += told.status == "error"
            self.notes.count(told)
            writer(row)

    def end(self) -> None:
        """Write the note about channels that were not heard, and end the command with its exit code."""
        if not say.is_quiet():
            self.notes.tell()
        if self.n_failed or self.n_held_failed:
            click.get_current_context().exit(EXIT_SOME_FAILED)


class PredictRun:
    """Answers recordings as they were asked for; with batch adaptation, each adapted to all of its speaker's.

    Attributes
    ----------
    info : of the model, with the classes and the threshold of the answers
    """

    def __init__(
        self,
        predictor: Predictor,
        asked: Options,
        jobs: int,
        adapter: Adapter | None,
        speakers: Speakers,
        is_batch: bool,
        adaptation: SpeakerOptions,
    ) -> None:
        self._adaptation = adaptation
        self._predictor, self._asked, self._jobs, self._adapter = predictor, asked, jobs, adapter
        self._speakers, self._heard = speakers, list[AnsweredRecording]()
        self._batch: BatchAnswers | None = predictor.batch(asked) if is_batch else None
        below = predictor.info.abstain_below if asked.abstain_below is None else asked.abstain_below
        classes = ClassChoice(predictor.info, asked).classes
        self.info = replace(predictor.info, classes=classes, abstain_below=below)

    @property
    def adapts(self) -> bool | None:
        """Whether every answer is adapted, or none; None where it depends on what was heard before."""
        if self._adapter is None and not self._batch:
            return False
        return True if self._adapter and self._adapter.is_active else None

    @property
    def made_by(self) -> "MadeBy":
        """What decides the rows, as their file tells it."""
        from earnest.apps.cli._row_file import MadeBy

        classes = Options(tuple(sorted(self._asked.classes))).classes_text
        whom = self._adaptation.words(self._adapter, is_batch=bool(self._batch))
        options = " ".join([f"--classes {classes}"] * bool(classes) + whom)
        return MadeBy.of(self.info, self._adaptation.profile_digest, options)

    @property
    def adapted(self) -> "Adapted | None":
        """The adapter of journaled rows, which answers them again; None where they are the answers."""
        return self._adapted if self._batch else None

    def plain(self, source: Source) -> list[float]:
        """Return the probabilities of one recording by itself, [] without an answer."""
        (row,) = self._predictor.predict_many([source], 1, None, **self._asked.words())
        return [row.probabilities[name] for name in self.info.classes if name in row.probabilities]

    def journaled(
        self, some: Sequence[Source], progress: Progress, on_screen: bool = False
    ) -> Iterable[Prediction | AnsweredRecording]:
        """Return the rows of a journal: the answers, or the windows that were heard."""
        hearing = Hearing(self._predictor, progress)
        found = map(self._named, self._found(hearing.predictor, some))
        if on_screen or len(some) == 1:
            return hearing.among(found)
        return hearing.counted("Hearing" if self._batch else "Predicting", found, len(some))

    def _found(self, predictor: Predictor, some: Sequence[Source]) -> Iterable[Prediction | AnsweredRecording]:
        jobs = min(self._jobs, len(some) or 1)
        if self._batch:
            return predictor.hear_many(some, jobs, self._asked)
        return predictor.predict_many(some, jobs, self._adapter, **self._asked.words())

    def _named(self, row: Prediction | AnsweredRecording) -> Prediction | AnsweredRecording:
        """Return a row with what a list or a pattern tells of it."""
        plain = row.plain if isinstance(row, AnsweredRecording) else row
        told = self._speakers.told_of(plain.path)
        named = replace(plain, speaker=told.speaker or None, text=told.text or None)
        return replace(row, plain=named) if isinstance(row, AnsweredRecording) else named

    def rows(self, some: Sequence[Source], progress: Progress, on_screen: bool) -> Iterable[Prediction]:
        """Yield the answers to some recordings; speakers are adapted to what came earlier too.

        Parameters
        ----------
        on_screen : whether the rows appear on a terminal as they come, where a bar would be among them
        """
        found = self.journaled(some, progress, on_screen and not self._batch)
        if not self._batch:
            yield from (row for row in found if isinstance(row, Prediction))
            return
        n_before = len(self._heard)
        self._heard += (heard for heard in found if isinstance(heard, AnsweredRecording))
        speaking = {self._speaker(heard) for heard in self._heard[n_before:]}
        told = [heard for heard in self._heard[:n_before] if self._speaker(heard) in speaking]
        yield from islice(self._adapted(lambda: iter([*told, *self._heard[n_before:]])), len(told), None)

    def _speaker(self, heard: AnsweredRecording) -> str:
        return self._speakers.of(heard.plain.path)

    def _adapted(self, heard: Callable[[], Iterator[AnsweredRecording]]) -> Iterator[Prediction]:
        assert self._batch is not None
        return self._batch.answered(lambda: ((self._speaker(one), one) for one in heard()))


def _format(form: Format | None, output: Path | None) -> Format:
    chosen = chosen_format(form, output, _SUFFIXES)
    if output is None and chosen == "parquet":
        raise click.UsageError("--format parquet needs --output.")
    if output is not None and chosen == "table":
        raise click.UsageError(f"--output {output}: a table is for the terminal. Give another --format.")
    return cast("Format", chosen)


def _watched(paths: Sequence[str]) -> list[str]:
    folders = [*filter(is_folder, paths)]
    if not folders:
        raise click.UsageError("--watch needs a folder.")
    return folders


def _batches(
    sources: list[Source], watched: Sequence[str], channels: Sequence[int], count: ChannelCount
) -> Iterator[Sequence[Source]]:
    """Yield the recordings that are there and then those that arrive in the folders that are watched."""
    yield sources
    if watched:
        known = {whole for whole, _ in map(whole_and_channel, sources) if isinstance(whole, str)}
        yield from (in_channels(some, channels, count) for some in arriving(watched, known, count))


def _write_file(
    batches: Iterable[Sequence[Source]],
    run: PredictRun,
    output: Path,
    form: Format,
    existing: Existing,
    retried: frozenset[str],
    written: Written,
) -> None:
    from earnest.apps.cli._row_file import RowFile

    assert form != "table"
    with (
        say.resumable(f"{output}.partial", " with --resume"),
        held_file(output),
        RowFile(output, form, run.info, existing, run.adapted, run.adapts, retried, run.made_by) as rows,
    ):
        rows.check_samples(run.plain)
        n_held = rows.done.total()
        for batch in batches:
            left = [source for source in batch if not is_done(rows.done, source)]
            if left:
                rows.refuse_more()
            written.write(run.journaled(left, say.progress(with_json=True)), rows.write)
            rows.publish()
        rows.close()
    if not say.is_quiet():
        n_failed = written.n_failed
        where = where_failed(output, n_held, n_failed, rows.n_failed, is_batch=run.adapted is not None)
        click.echo(f"{written.n_rows - n_failed} answered, {n_failed} failed{where}", err=True)
    written.n_held_failed = rows.n_failed


def where_failed(output: Path, n_held: int, n_failed: int, n_held_failed: int, is_batch: bool = False) -> str:
    """Return the end of a summary: what the file held before, its name, and where it says why recordings failed."""
    again = "--overwrite answers all of them again" if is_batch else "--retry-failed answers these again"
    failed = f", of which {n_held_failed} failed ({again})" if n_held_failed else ""
    held = f", {n_held} were there already{failed}" if n_held else ""
    return f"{held}: {output}" + (", whose column 'error' says why" if n_failed or n_held_failed else "")


def _show(
    batches: Iterable[Sequence[Source]], run: PredictRun, printing: AbstractContextManager[Writer], written: Written
) -> None:
    """Answer recordings on standard output."""
    rows = _begun(run.rows(some, say.progress(with_json=True), sys.stdout.isatty()) for some in batches)
    with printing as printer:
        written.write(rows, printer)


def _begun(answered: Iterator[Iterable[Prediction]]) -> Iterator[Prediction]:
    """Answer the first recording now, so that what ends the command is told without the head of a table."""
    begun = iter(next(answered))
    first = [*islice(begun, 1)]
    return chain(first, begun, chain.from_iterable(answered))


def is_done(done: dict[str, int], source: Source) -> bool:
    """Whether the file holds a row for this source; each row stands for one."""
    place = place_of(path_of(source))
    if not done.get(place):
        return False
    done[place] -= 1
    return True


@contextmanager
def _printing(
    form: Format, classes: Sequence[str], told: Container[str], paths: Sequence[str], top: int, with_bursts: bool
) -> Iterator[Writer]:
    """Hand out what prints a row; behind the last one of a table stands what each speaker's rows add up to."""
    say.encode(form)
    if form == "json":
        yield lambda row: click.echo(json_line(row))
        return
    if form == "csv":
        say.whole(csv_header(classes, told))
        yield lambda row: say.whole(csv_line(row, classes, told))
        return
    width = shutil.get_terminal_size().columns
    table, sums = PredictionTable(paths, width, top, classes, "text" in told), SpeakerSums(width)
    click.echo(table.header())

    def write(row: Prediction) -> None:
        click.echo(table.row(row))
        sums.add(row)
        for burst in row.vocal_bursts if with_bursts else ():
            click.echo(table.burst_row(burst))

    yield write
    for line in sums.lines():
        click.echo(line)
