"""Recordings of a command line: which are meant, which come later, who speaks, and how much was heard.

Who speaks, in this order: the column ``speaker`` of a list (or what `earnest learn` takes for it),
``--speaker-pattern``, the first folder below one that was given, the folder itself. A folder of several speakers is
adapted to as what it is: a channel with several speakers.
"""

import csv
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePath
from threading import Lock
from typing import BinaryIO, TypeAlias, TypeVar

import click

from earnest.apps.cli import say
from earnest.apps.cli._typed import refuse_input
from earnest.audio.io import load_waveform
from earnest.audio.source import (
    Channel,
    Part,
    Source,
    channel_number,
    file_and_channel,
    path_in,
    path_of,
    recording_and_start,
    source_name,
    whole_and_channel,
)
from earnest.corpora.folders import Found, found_in
from earnest.corpora.manifest import AUDIO_SUFFIXES, names_microphones
from earnest.corpora.own.read import matched
from earnest.corpora.own.tables import PATH, SPEAKER, guessed_name
from earnest.errors import AudioError, CorpusError, EarnestError, MissingExtraError, counted, printable, shown
from earnest.files.reading import read_text
from earnest.files.tables import delimiter_of, has_text, number_in, text_rows, with_point
from earnest.labels import composed
from earnest.progress import SILENT, Progress, ShowAmount
from earnest.runtime.decoders import Reading
from earnest.runtime.predictor import Predictor

MOST_LIST_BYTES = 1 << 26
CHANNEL_NUMBERS = "expected 1 for the left one, 2 for the right one, and so on"
_COLUMNS = ("path", "speaker", "channel", "start_s", "end_s")  # of a list, that mean something
_MEANT = ("speaker", "channel")
POLL_S, LOOK_S = 1.0, 0.1
STALLED_S = 60.0  # without a change, after which a recording that is not whole is answered as it is
_log = logging.getLogger("earnest")


@dataclass(frozen=True)
class ListedRecordings:
    """A list of recordings: CSV with the column ``path`` and, perhaps, ``speaker``, ``channel``, times and others.

    Attributes
    ----------
    speakers : path, as `path_of` writes it → speaker, "" where the list names none
    first : the cells of its first row by the names of their columns, also of those that say nothing here
    """

    sources: tuple[Source, ...]
    speakers: Mapping[str, str]
    first: Mapping[str, str]


def is_folder(path: str) -> bool:
    """Whether a word of the command line is a folder; a name that is too long for the system is none."""
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises


def is_list(path: str) -> bool:
    """Whether a word of the command line is a list of recordings: a file that ends in .csv or .tsv."""
    return path.lower().endswith((".csv", ".tsv")) and not is_folder(path)


def read_list(path: Path) -> ListedRecordings:
    """Read a list of recordings; relative paths start at its folder.

    Raises `EarnestError` when it is no such list, names what is no channel or no part, or two speakers for one
    recording.
    """
    listed = rows_of_list(read_text(path, most=MOST_LIST_BYTES, what="list of recordings"), str(path))
    sources: list[Source] = []
    speakers: dict[str, str] = {}
    for number, row in listed:
        source: Source = str(path_in(path.parent, row["path"]))
        if channel := channel_of(row, f"{path}, row {number}"):
            source = Channel(source, channel)
        if times := part_of(row, f"{path}, row {number}"):
            try:
                source = Part(source, *times)
            except AudioError as error:
                raise EarnestError(f"{path}, row {number}: {error}") from None
        speaker = row.get("speaker", "")
        if speakers.setdefault(path_of(source), speaker) != speaker:
            told = f"another row says that {printable(row['path'])} is spoken by someone else"
            instead = "Keep one of them, or name each one's channel in a column 'channel'; call who listened 'rater'."
            raise EarnestError(f"{path}, row {number}: {told}. {instead}")
        sources.append(source)
    return ListedRecordings(tuple(sources), speakers, listed[0][1])


def warn_of_columns(first: Mapping[str, str], where: str) -> None:
    """Report columns of a list that look like one that means something, where that one isn't there.

    Parameters
    ----------
    first : column → cell of the list's first row
    """
    if unread := _unread_times(first, where):
        told = "are answered whole. For their parts, call the columns start_s and end_s"
        _log.warning("%s: %s not read, and recordings %s.", where, unread, told)
    columns = tuple(first)
    for name in columns:
        like = "channel" if "channel" in name.lower() else next(iter(get_close_matches(name.lower(), _MEANT)), None)
        if like and like not in columns:
            told = (
                "A call has a row a side: path,channel,speaker" if like == "channel" else "Rename it, if that is meant"
            )
            _log.warning("%s: the column %s is not read, '%s' would be. %s.", where, shown(name), like, told)


def channel_of(row: Mapping[str, str], where: str) -> int | None:
    """Return the channel that a row of a list names, from 1; None for the whole recording."""
    text = row.get("channel", "")
    if not text:
        return None
    if number := channel_number(text):
        return number
    raise EarnestError(f"{where}: channel {shown(text)}, {CHANNEL_NUMBERS}.")


def rows_of_list(text: str, where: str) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a list's text, each with its number (the header's is 1), column → cell; see `read_list`."""
    try:
        rows = text_rows(text, where)
        header = [name.strip() for name in next(rows, [])]
        _check_columns(header, where)
        header = _with_speaker(_with_path(header, where))
        filled = ((number, row) for number, row in enumerate(rows, 2) if has_text(row))
        listed = [(number, _cells(header, row, f"{where}, row {number}")) for number, row in filled]
        if names_microphones(header):
            for _, cells in listed:
                cells.pop("channel", None)
        delimiter = delimiter_of(text, where)
        for name in set(_columns_of_times(tuple(header))) & set(header):
            for _, cells in listed:
                cells[name] = with_point(cells[name], delimiter)
    except csv.Error as error:
        raise EarnestError(f"{where}: not a readable list of recordings ({printable(str(error))}).") from error
    if not listed:
        raise EarnestError(f"{where}: lists no recordings.")
    return listed


def _check_columns(header: Sequence[str], where: str) -> None:
    """Refuse a column that is there twice, and one that differs from one of ours in large letters alone."""
    for name in _COLUMNS:
        alike = [column for column in header if column.lower() == name]
        if len(alike) > 1:
            raise EarnestError(f"{where}: the column '{name}' is there {len(alike)} times. Keep one of them.")
        if alike and alike != [name]:
            raise EarnestError(f"{where}: the column {shown(alike[0])} is written '{name}' in a list of recordings.")


def _with_path(header: Sequence[str], where: str) -> list[str]:
    """Return the header with a column 'path'; one that `earnest learn` takes for it, such as 'file', is called so."""
    if "path" in header:
        return list(header)
    columns = f" There are {', '.join(map(shown, header))}." if header else ""
    theirs = guessed_name(header, PATH)
    if theirs is None or header.count(theirs) > 1:
        raise EarnestError(f"{where}: a list of recordings needs the column 'path', named in its first line.{columns}")
    return ["path" if name == theirs else name for name in header]


def _with_speaker(header: list[str]) -> list[str]:
    """Return the header with a column 'speaker'; one that `earnest learn` takes for it, 'participant', is called so."""
    theirs = guessed_name(header, SPEAKER)
    if theirs is None or header.count(theirs) > 1:
        return header
    return ["speaker" if name == theirs else name for name in header]


def _cells(header: Sequence[str], row: Sequence[str], where: str) -> dict[str, str]:
    if len(row) != len(header):
        raise EarnestError(f"{where}: {counted(len(row), 'cell')}, but the header has {len(header)}.")
    # Only a path may begin or end with a space, and that only where the file is called so.
    cells = {name: cell if name == "path" else cell.strip() for name, cell in zip(header, row, strict=True)}
    if not cells["path"]:
        raise EarnestError(f"{where}: the path is missing.")
    return cells


def part_of(row: Mapping[str, str], where: str) -> tuple[float, float | None] | None:
    """Return start and end, in seconds, of the part of its recording that a row of a list names; None for all of it.

    Columns are found by their names, as `earnest learn` finds them; what ours are not called may hold anything.
    """
    names = _columns_of_times(tuple(row))
    if names != _TIMES and not all(row.get(name, "").replace(".", "", 1).isdecimal() for name in names):
        names = _TIMES
    try:
        start_s, end_s = (number_in(row[name], where) if row.get(name) else None for name in names)
    except CorpusError as error:
        raise EarnestError(str(error)) from None
    return (start_s or 0.0, end_s) if start_s or end_s is not None else None


_TIMES = ("start_s", "end_s")


def _unread_times(row: Mapping[str, str], where: str) -> str:
    """Return the cells of a row that are times, as "'start' (00:00:05) is", and that `part_of` leaves out; or ""."""
    names = [name for name in _columns_of_times(tuple(row)) if row.get(name) and name not in _TIMES]
    try:
        times = [number_in(row[name], where) for name in names]
    except CorpusError:
        return ""
    if not any(time is not None for time in times) or part_of(row, where):
        return ""
    return " and ".join(f"{shown(name)} ({printable(row[name])})" for name in names) + (" are" if names[1:] else " is")


@lru_cache(maxsize=16)  # a list may have a million rows
def _columns_of_times(columns: tuple[str, ...]) -> tuple[str, ...]:
    start, end = (guessed_name(columns, what) or what for what in _TIMES)
    if start.lower() == "onset":
        end = next((name for name in columns if name.lower() == "offset"), end)
    return start, end


def refuse_part(row: Mapping[str, str], where: str) -> None:
    """Raise an `EarnestError` for a row that names a part of a recording, where whole ones alone are answered."""
    if part_of(row, where):
        instead = "Save that part as a file, or answer it with earnest predict"
        raise EarnestError(f"{where}: names a part of a recording. {instead}.")


class Speakers:
    """Finds a recording's speaker: a text that all recordings of one have in common, and no others."""

    def __init__(self, paths: Sequence[str], pattern: str | None = None, folders_alone: bool = False) -> None:
        """Look at what was given.

        Parameters
        ----------
        paths : words of the command line: recordings, folders, lists
        pattern : regular expression whose group "speaker", or else whose first one, is the speaker's name
        folders_alone : whether recordings outside the folders among ``paths`` have no speaker that nobody named
        """
        self._folders_alone = folders_alone
        self._folders = [*filter(is_folder, paths)]
        self._pattern, self._listed = _compiled(pattern), dict[str, str]()
        for path in filter(is_list, paths):
            self._listed |= read_list(Path(path)).speakers
        self._unmatched = dict[str, str]()  # path → what the pattern was tried on

    @property
    def are_listed(self) -> bool:
        """Whether a list names some."""
        return any(self._listed.values())

    def listed(self, path: str) -> str | None:
        """Return the name that a list has for a recording's speaker, None where it has none."""
        return self._listed.get(path) or self._listed.get(file_and_channel(recording_and_start(path)[0])[0]) or None

    def of(self, path: str) -> str:
        """Return the speaker of a recording, "" for none; with a pattern that doesn't match, it has one to itself.

        The channels of a recording are different speakers, unless a list says otherwise; its parts are of one.
        """
        if speaker := self._listed.get(path):
            return f"speaker {speaker}"
        whole, channel = file_and_channel(recording_and_start(path)[0])
        speaker = self._of_whole(whole)
        return f"{speaker} channel {channel}" if speaker and channel else speaker

    def _of_whole(self, path: str) -> str:
        if speaker := self._listed.get(path):
            return f"speaker {speaker}"
        folder = next((one for one in self._folders if PurePath(path).is_relative_to(one)), None)
        below = PurePath(path).relative_to(folder) if folder is not None else PurePath(path)
        if self._pattern:
            name = matched(self._pattern, below.as_posix(), SPEAKER)
            if name is None:
                self._unmatched[path] = below.as_posix()
                return f"recording {path}"
            return f"pattern {folder} {name}"
        if folder is None:
            return "" if self._folders_alone else f"folder {PurePath(path).parent}"
        return f"folder {PurePath(folder) / below.parts[0]}" if len(below.parts) > 1 else f"folder {folder}"

    def tell_unmatched(self) -> None:
        """Report, on standard error, recordings that a pattern left without a speaker."""
        if self._unmatched:
            first, count = printable(self._unmatched[min(self._unmatched)]), len(self._unmatched)
            told = f"--speaker-pattern finds no speaker in {count} of the paths below their folders, such as {first}; "
            click.echo(f"{told}these recordings are not adapted to others.", err=True)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(composed(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise click.UsageError(f"--speaker-pattern {pattern}: not a regular expression ({error}).") from None


_State: TypeAlias = tuple[int, float]  # of a file: its bytes, and when it was written to
ChannelCount: TypeAlias = Callable[[Source], int | None]
"""What tells how many channels a recording has, None where it can't be read."""


def counter_of(predictor: Predictor) -> ChannelCount:
    """Return a counter of a recording's channels, which opens it as a predictor will."""
    reading = Reading(predictor.max_seconds, predictor.decoders, predictor.file_s)

    def counted(source: Source) -> int | None:
        try:
            with reading.deadline(source), reading.open_audio(source) as audio:
                return audio.n_channels
        except (AudioError, MissingExtraError):
            return None

    return counted


def in_channels(
    recordings: Iterable[Source], channels: Sequence[int], count: ChannelCount | None = None
) -> list[Source]:
    """Return these channels of each recording, the recordings themselves where none is named.

    Parameters
    ----------
    count : of several channels those that a recording lacks are left out, unless it lacks them all; None to ask for all
    """
    found = list(recordings)
    if not channels:
        return found
    if named := next((one for one in found if whole_and_channel(one)[1]), None):
        told = f"{source_name(named)}: names a channel already"
        raise click.UsageError(f"{told}. Leave out --channel, or name the recordings without their channels.")
    numbers = list(dict.fromkeys(channels))
    count = count if len(numbers) > 1 else None
    return [_of_channel(recording, number) for recording in found for number in _there(recording, numbers, count)]


def _of_channel(recording: Source, number: int) -> Source:
    if isinstance(recording, Part):
        return Part(Channel(recording.source, number), recording.start_s, recording.end_s)
    return Channel(recording, number)


def _there(recording: Source, numbers: list[int], count: ChannelCount | None) -> list[int]:
    n_channels = count(recording) if count else None
    return [number for number in numbers if n_channels is None or number <= n_channels] or numbers


def sources_of(
    paths: Sequence[str],
    channels: Sequence[int] = (),
    output: Path | None = None,
    count: ChannelCount | None = None,
    waits: bool = False,
) -> list[Source]:
    """Return the recordings that words mean: files, those in folders and in lists (.csv, .tsv), - for standard input.

    Raises `click.UsageError` when standard input is to be read for each of several channels, or ``output`` is among
    what is read.

    Parameters
    ----------
    channels : each of them is a recording by itself; none for the mean of all
    output : what will be written
    count : as in `in_channels`, for recordings that are found in folders; nobody named these
    waits : whether more will come to folders: then one may hold none, and what is perhaps still written is left out
    """
    if "-" in paths and len(channels) > 1:
        raise click.UsageError("Standard input is read once: name one --channel, or save it as a file.")
    sources: list[Source] = []
    for path in paths:
        if path == "-":
            sources += in_channels([standard_input()], channels)
        elif is_folder(path):
            found = told_recordings(found_in(path), waits)
            there = [one for one in found if not waits or is_settled(one)]
            sources += in_channels(there, channels, count)
        elif is_list(path):
            listed = read_list(Path(path))
            warn_of_columns(listed.first, printable(path))
            sources += in_channels(listed.sources, channels)
        else:
            sources += in_channels([path], channels)
    refuse_input(output, chain(paths, (path_of(whole_and_channel(source)[0]) for source in sources)))
    return sources


def readable(sources: Iterable[Source]) -> tuple[list[Source], bool]:
    """Return the recordings that can be read, and whether some can't: these are told on standard error and left out.

    Raises `EarnestError` when none can be read.
    """
    kept, errors = list[Source](), list[EarnestError]()
    for source in sources:
        try:
            load_waveform(source, 16_000)
            kept.append(source)
        except (AudioError, MissingExtraError) as error:
            errors.append(error)
    if errors and not kept:
        raise errors[0]
    for told in errors:
        say.line(f"{told} It is left out.", err=True)
    return kept, bool(errors)


def standard_input() -> BinaryIO:
    """Return standard input, named "-"; `EarnestError` where whoever started the command has closed it."""
    if sys.stdin is None:
        raise EarnestError("-: standard input is closed. Send a recording to it, or name a file.")
    return sys.stdin.buffer


def told_recordings(found: Found, may_be_empty: bool = False) -> list[str]:
    """Return the recordings of a folder, and tell what is left out; `AudioError` where there are none."""
    folder = printable(found.root)
    left_out = found.left_out()
    if not found.recordings and not may_be_empty:
        endings = " ".join(sorted(AUDIO_SUFFIXES))
        told = left_out or "Name another one."
        raise AudioError(f"{folder}: no recordings in this folder ({endings}). {told}")
    if left_out:
        _log.warning("%s: %s", folder, left_out)
    return found.recordings


class Interrupt:
    """Whether Ctrl-C was pressed: the first time it is a wish to end, the second time it ends the command at once."""

    def __init__(self) -> None:
        self.is_asked = False

    def __enter__(self) -> "Interrupt":
        self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def wait(self, seconds: float) -> None:
        """Do nothing for so long, or until it is pressed."""
        until = time.monotonic() + seconds
        while not self.is_asked and time.monotonic() < until:
            time.sleep(LOOK_S)

    def _ask(self, *_: object) -> None:
        self.is_asked = True
        signal.signal(signal.SIGINT, self._before)


def arriving(folders: Sequence[str], known: set[str], count: ChannelCount) -> Iterator[list[str]]:
    """Yield, until Ctrl-C, the recordings that were added to folders, each when it is whole.

    It is when two looks found the same file, nobody has it open for writing, and it can be opened: a cut one can't.
    Where that is still so after `STALLED_S`, it is yielded nevertheless, for its row to say why. One of another size
    than when it was yielded is yielded again: whoever copied it had paused for longer. Ctrl-C while somebody works on
    what was yielded is looked at when that is done.

    Parameters
    ----------
    known : paths that were there before
    """
    since: dict[str, tuple[_State, float]] = {}  # what the last look found, and when it was found first
    n_bytes = {path: state[0] for path in known if (state := _state(path))}  # when yielded
    with Interrupt() as interrupt:
        while not interrupt.is_asked:
            now = time.monotonic()
            found = {path: _state(path) for folder in folders for path in found_in(folder).recordings}
            seen = {path: state for path, state in found.items() if state and n_bytes.get(path) != state[0]}
            same = {path: since[path][1] for path, state in seen.items() if path in since and since[path][0] == state}
            since = {path: (state, same.get(path, now)) for path, state in seen.items()}
            ready = [path for path, at in same.items() if now - at >= STALLED_S or _is_whole(path, count)]
            n_bytes |= {path: seen[path][0] for path in ready}
            if ready:
                yield ready
            interrupt.wait(POLL_S)


def _state(path: str) -> _State | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:  # it is gone again
        return None
    return status.st_size, status.st_mtime


def is_settled(path: str) -> bool:
    """Whether a recording has not been written to of late, by the clocks of this machine and of the folder's."""
    state = _state(path)
    return state is None or abs(time.time() - state[1]) > STALLED_S


def _is_whole(path: str, count: ChannelCount) -> bool:
    return not _is_being_written(path) and count(path) is not None


def _is_being_written(path: str) -> bool:
    """Whether a process has a file open for writing, as far as the system tells.

    Linux does, of own files: it gives nobody a lease to read who would not be alone with readers.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        with Path(path).open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # told to who has a lease, and by default ignored
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)  # until it is closed
    except OSError as error:  # another user's file, or a file system without leases
        return isinstance(error, BlockingIOError)
    return False


SLOW_S = 1.0  # after which somebody who waits is told how much was heard
T = TypeVar("T")


class Hearing:
    """Counts the seconds that a predictor hears of recordings, and shows them; what is opened again counts once.

    Attributes
    ----------
    predictor : a copy that is counted
    """

    def __init__(self, predictor: Predictor, progress: Progress = SILENT) -> None:
        self.predictor = predictor.watched(self._hear) if progress.visible else predictor
        self._progress, self._lock = progress, Lock()  # recordings are decoded by several threads
        self._seconds, self._total_s = dict[str, float](), 0.0
        self._show: Callable[[], object] = lambda: None

    def _hear(self, path: str, seconds: float) -> None:
        with self._lock:
            known = self._seconds.get(path, 0.0)
            if seconds > known:
                self._seconds[path] = seconds
                self._total_s += seconds - known
            self._show()

    def counted(self, what: str, items: Iterable[T], total: int) -> Iterable[T]:
        """Return the items, ``total`` of them; a bar counts them, and says how many seconds were heard."""
        return self._progress.counted(what, items, total, lambda: f"{self._total_s:.0f} s heard")

    def among(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items that are told on the terminal; a bar shows the seconds while the next one takes long."""
        found = iter(items)
        while True:
            with self.waiting():
                item = next(found, None)
            if item is None:
                return
            yield item

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Show the seconds while the block goes on, once it takes long."""
        since = time.monotonic()
        with ExitStack() as bars:
            shown: list[ShowAmount] = []

            def show() -> None:
                if time.monotonic() - since >= SLOW_S:
                    if not shown:
                        shown.append(bars.enter_context(self._progress.amount("Seconds heard")))
                    shown[0](round(self._total_s), 0)

            self._show = show
            try:
                yield
            finally:
                with self._lock:
                    self._show = lambda: None
