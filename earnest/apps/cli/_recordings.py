"""Recordings of a command line: which are meant, which come later, who speaks, and how much was heard.

Who speaks, in this order: the column ``speaker`` of a list (or what `earnest learn` takes for it), the turns of a
recording, ``--speaker-pattern``, the first folder below one that was given, the folder itself. A folder of several
speakers is adapted to as what it is: a channel with several speakers.
"""

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import chain
from operator import attrgetter
from pathlib import Path, PurePath
from threading import Lock
from typing import BinaryIO, TypeAlias, TypeVar

import click

from earnest.apps.cli import say
from earnest.apps.cli._lists import (
    Listed,
    ListedRecordings,
    is_folder,
    is_list,
    read_list,
    warn_of_columns,
    warn_of_text,
)
from earnest.apps.cli._typed import refuse_input
from earnest.audio.io import load_waveform
from earnest.audio.source import (
    Channel,
    Part,
    Source,
    file_and_channel,
    path_of,
    recording_and_start,
    source_name,
    whole_and_channel,
)
from earnest.corpora.folders import Found, found_in
from earnest.corpora.manifest import AUDIO_SUFFIXES, doubts_about_speakers, some_doubts
from earnest.corpora.own.read import matched
from earnest.corpora.own.tables import SPEAKER
from earnest.errors import AudioError, EarnestError, MissingExtraError, printable
from earnest.labels import composed
from earnest.progress import SILENT, Progress, ShowAmount
from earnest.runtime.decoders import Reading
from earnest.runtime.prediction import TOLD
from earnest.runtime.predictor import Predictor

POLL_S, LOOK_S = 1.0, 0.1
STALLED_S = 60.0  # without a change, after which a recording that is not whole is answered as it is
_log = logging.getLogger("earnest")


class Speakers:
    """Finds a recording's speaker: a text that all recordings of one have in common, and no others."""

    def __init__(
        self,
        folders: Sequence[str],
        listed: Mapping[str, Listed],
        pattern: str | None = None,
        folders_alone: bool = False,
    ) -> None:
        """Look at what was given.

        Parameters
        ----------
        folders : of the command line
        listed : path → what lists tell of the recording
        pattern : regular expression whose group "speaker", or else whose first one, is the speaker's name
        folders_alone : whether recordings outside the folders have no speaker that nobody named
        """
        self._folders, self._listed = folders, listed
        self._pattern, self._folders_alone = _compiled(pattern), folders_alone
        self._unmatched = dict[str, str]()  # path → what the pattern was tried on

    @property
    def told(self) -> frozenset[str]:
        """What lists tell of any recording, or a pattern may, by its name in `TOLD`."""
        found = {SPEAKER} if self._pattern else set()
        return frozenset(found.union(name for name in TOLD if any(getattr(one, name) for one in self._listed.values())))

    def told_of(self, path: str) -> Listed:
        """Return what lists or a pattern tell of a recording; of a channel and a part also that of the whole."""
        recording, start_s = recording_and_start(path)
        whole, channel = file_and_channel(recording)
        part = path.removeprefix(recording) if start_s is not None else ""
        found = [self._listed.get(one, Listed()) for one in (path, f"{whole}{part}" if channel else path, whole)]
        speaker, text = (next(filter(None, map(attrgetter(name), found)), "") for name in TOLD)
        return Listed(speaker or self._matched(whole) or "", text)

    def of(self, path: str) -> str:
        """Return the speaker of a recording, "" for none; with a pattern that doesn't match, it has one to itself.

        The channels of a recording are different speakers, unless a list says otherwise; its parts are of one.
        """
        if speaker := self._named(path):
            return speaker
        whole, channel = file_and_channel(recording_and_start(path)[0])
        speaker = self._of_whole(whole)
        return f"{speaker} channel {channel}" if speaker and channel else speaker

    def _named(self, path: str) -> str:
        """Return the speaker whom a list names; what turns of a recording call somebody means nobody elsewhere."""
        told = self._listed.get(path)
        if told is None or not told.speaker:
            return ""
        return f"{told.speaker} of {told.within}" if told.within else f"speaker {told.speaker}"

    def _of_whole(self, path: str) -> str:
        if speaker := self._named(path):
            return speaker
        folder, below = self._below(path)
        if self._pattern:
            name = self._matched(path)
            return f"recording {path}" if name is None else f"pattern {folder} {name}"
        if folder is None:
            return "" if self._folders_alone else f"folder {PurePath(path).parent}"
        return f"folder {PurePath(folder) / below.parts[0]}" if len(below.parts) > 1 else f"folder {folder}"

    def _below(self, path: str) -> tuple[str | None, PurePath]:
        """Return the folder of the command line that a recording is in, None for none, and its path below that."""
        folder = next((one for one in self._folders if PurePath(path).is_relative_to(one)), None)
        return folder, PurePath(path) if folder is None else PurePath(path).relative_to(folder)

    def _matched(self, path: str) -> str | None:
        """Return what the pattern finds, None where there is none, or it finds nothing."""
        if self._pattern is None:
            return None
        below = self._below(path)[1].as_posix()
        if (name := matched(self._pattern, below, SPEAKER)) is None:
            self._unmatched[path] = below
        return name

    def tell_alike(self) -> None:
        """Report, on standard error, names of lists that may be one speaker's, who is adapted to as several."""
        names = {one.speaker for one in self._listed.values() if one.speaker and not one.within}
        for doubt in some_doubts(doubts_about_speakers(names)):
            click.echo(doubt, err=True)

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


class NamedRecordings:
    """What words of the command line mean: recordings, those in folders and in lists; - for standard input."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    @cached_property
    def _lists(self) -> Mapping[str, ListedRecordings]:
        return {word: read_list(Path(word)) for word in self._words if is_list(word)}

    def speakers(self, pattern: str | None = None, folders_alone: bool = False) -> Speakers:
        """Return what finds a recording's speaker; parameters as of `Speakers`."""
        told = {path: one for listed in self._lists.values() for path, one in listed.told.items()}
        return Speakers([*filter(is_folder, self._words)], told, pattern, folders_alone)

    def sources(
        self,
        channels: Sequence[int] = (),
        output: Path | None = None,
        count: ChannelCount | None = None,
        waits: bool = False,
    ) -> list[Source]:
        """Return the recordings, in order.

        Raises `click.UsageError` when standard input is to be read for each of several channels, or ``output`` is
        among what is read.

        Parameters
        ----------
        channels : each of them is a recording by itself; none for the mean of all
        output : what will be written
        count : as in `in_channels`, for recordings that are found in folders; nobody named these
        waits : whether more will come to folders: then one may hold none, and what is perhaps still written is left out
        """
        if "-" in self._words and len(channels) > 1:
            raise click.UsageError("Standard input is read once: name one --channel, or save it as a file.")
        found: list[Source] = []
        for word in self._words:
            if word == "-":
                found += in_channels([standard_input()], channels)
            elif is_folder(word):
                inside = told_recordings(found_in(word), waits)
                there = [one for one in inside if not waits or is_settled(one)]
                found += in_channels(there, channels, count)
            elif listed := self._lists.get(word):
                warn_of_columns(listed.first, printable(word))
                found += in_channels(listed.sources, channels)
            else:
                warn_of_text(word)
                found += in_channels([word], channels)
        refuse_input(output, chain(self._words, (path_of(whole_and_channel(source)[0]) for source in found)))
        return found


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
