"""Inputs of a batch run: recordings in folders, lists, tables and tar files; read ahead, each with a key."""

import logging
import os
import shlex
import tarfile
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, TypeAlias, cast

from earnest.apps.batch.places import explained, filesystem_of, is_url, patiently, url_of
from earnest.apps.batch.tar import members
from earnest.apps.cli._lists import (
    MOST_LIST_BYTES,
    channel_of,
    file_in,
    is_table,
    refuse_part,
    rows_of_list,
    warn_of_columns,
)
from earnest.apps.cli._recordings import told_recordings
from earnest.audio.source import Channel, Source, channel_path, path_of
from earnest.corpora.folders import found_in, is_recording
from earnest.corpora.own.tables import SPEAKER, guessed_name
from earnest.corpora.turns import are_turns
from earnest.errors import AudioError, EarnestError, counted, first_line, printable
from earnest.files.reading import decoded, opened
from earnest.files.tables import damaged_table, largest_shared_page, lines_of, load_pyarrow, text_of

Kind: TypeAlias = Literal["file", "member", "row"]
_LISTS = (".csv", ".tsv", ".txt")
_PACKED = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst")
CHANNEL, _PART_COLUMNS = "channel", ("start_s", "end_s")
_log = logging.getLogger(__name__)
_SOUND_COLUMNS, _PATH_COLUMNS, _KEY_COLUMNS = ("audio", "bytes"), ("path", "url"), ("key", "utterance_id", "id")
MOST_ROWS = 2**31
MOST_NAME_BYTES = 2**16
_NAMES_AT_ONCE = 100  # rows of a table


@dataclass(frozen=True, slots=True)
class Input:
    """One recording and where its bytes are.

    Attributes
    ----------
    key : what its row is called; no two inputs of a run have the same
    kind : a file, a member of a tar file, or a row of a Parquet table
    location : path or address of the file, the tar file or the table, as the system's bytes
    start : of a member its first byte, of a row its number in the table
    n_bytes : -1 where they are not known
    channel : that is heard by itself, from 1; None for the mean of all
    speaker : whom a list or a table names; "" where nobody is named
    """

    key: str
    kind: Kind
    location: bytes
    start: int = 0
    n_bytes: int = -1
    channel: int | None = None
    speaker: str = ""

    @property
    def sound(self) -> tuple[bytes, int, int | None]:
        """What is heard: a place, and the channel."""
        return self.location, self.start, self.channel

    def of_channel(self, channel: int | None) -> "Input":
        """Return one channel of this recording, which is called by it; itself for None."""
        return replace(self, key=channel_path(self.key, channel), channel=channel) if channel else self


def inputs_of(source: str) -> Iterator[Input]:
    """Find the inputs that a word of the command line means.

    Raises `EarnestError` when there is nothing, or it can't be read.

    Parameters
    ----------
    source : a recording, a folder of recordings or of tar files, a list (.csv or .tsv with the column path, .txt with a
        path a line), a table (.parquet), a tar file, or the address of one of these
    """
    if source == "-":
        raise EarnestError("Standard input is one recording. Answer it with: earnest predict -")
    if are_turns(source) and not Path(source).is_dir():
        told = "turns of speakers, and a batch run answers whole recordings"
        raise EarnestError(f"{source}: {told}. Answer them with: {shlex.join(['earnest', 'predict', source])}")
    lowered = source.lower()
    if lowered.endswith(_PACKED):
        raise EarnestError(f"{source}: a compressed tar file can't be read in parts. Decompress it to .tar first.")
    if lowered.endswith(".tar"):
        return _members(source)
    if lowered.endswith(".parquet"):
        return _table_rows(source)
    if lowered.endswith(_LISTS) and (is_url(source) or not Path(source).is_dir()):
        return _listed(source)
    return _remote_folder(source) if is_url(source) else _local(source)


def _local(source: str) -> Iterator[Input]:
    """Yield a recording, or what a folder holds: recordings, or else tar files."""
    folder = Path(source)
    if not folder.exists():
        raise EarnestError(f"{source}: no such file or folder. Check the path.")
    if not folder.is_dir():
        yield _file(source, _size_of(source))
        return
    found = found_in(source)
    _refuse_both(source, found.recordings, found.tars)
    for tar in found.tars:
        yield from _members(str(Path(tar)))
    for path in [] if found.tars else told_recordings(found):
        yield _file(path, _size_of(path))


def _refuse_both(source: str, recordings: Sequence[str], tars: Sequence[str]) -> None:
    """Raise `EarnestError` for a folder with both: often a tar file lies beside what was unpacked from it."""
    if recordings and tars:
        both = f"recordings, such as {recordings[0]}, and tar files, such as {tars[0]}"
        raise EarnestError(f"{source}: holds {both}. A run answers one kind: move the other away, or name a tar file.")


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except (OSError, ValueError):
        return -1  # its row will say what is wrong


def _file(path: str, n_bytes: int = -1) -> Input:
    return Input(path_of(path), "file", _location(path), 0, n_bytes)


def _location(path: str) -> bytes:
    """Return where a file is, for workers that work in other folders too."""
    return os.fsencode(path if is_url(path) else os.path.abspath(path))  # noqa: PTH100


def _remote_folder(url: str) -> Iterator[Input]:
    """Yield the inputs below an address: recordings, or else tar files; a recording's own address is one of itself."""
    system, root = filesystem_of(url)

    def found() -> dict[str, Any]:
        system.invalidate_cache()
        return cast(dict[str, Any], system.find(root, detail=True))

    with explained(url):
        files = patiently(found, url)
    sizes = {path: int(facts.get("size") or -1) for path, facts in files.items() if facts.get("type") != "directory"}
    tars = sorted(path for path in sizes if path.lower().endswith(".tar"))
    recordings = sorted(path for path in sizes if is_recording(PurePosixPath(path).name))
    if not tars and not recordings:
        raise EarnestError(f"{url}: there are no recordings or tar files. Give another address.")
    _refuse_both(url, recordings, tars)
    for tar in tars:
        yield from _members(url_of(system, tar))
    for path in recordings:
        yield _file(url_of(system, path), sizes[path])


def _listed(source: str) -> Iterator[Input]:
    """Yield the inputs that a list names; relative paths start at its folder."""
    with read_location(source) as file:
        data = file.read(MOST_LIST_BYTES + 1)
    if len(data) > MOST_LIST_BYTES:
        raise EarnestError(f"{source}: larger than {MOST_LIST_BYTES >> 20} MiB. Save the list as a table (.parquet).")
    text = decoded(data, source, what="list")
    if is_table(source):
        rows = rows_of_list(text, source)
        warn_of_columns(rows[0][1], source)
        for number, row in rows:
            refuse_part(row, f"{source}, row {number}")
        found = map(_file, named_in(source, (row["path"] for _, row in rows)))
        for one, (number, row) in zip(found, rows, strict=True):
            yield _told(one, row, f"{source}, row {number}")
    else:
        yield from map(_file, named_in(source, filter(None, (line.strip() for line in lines_of(text)))))


def _told(whole: Input, row: Mapping[str, str], where: str) -> Input:
    """Return what a row of a list or a table tells of a recording: a channel of it, and who speaks."""
    return replace(whole.of_channel(channel_of(row, where)), speaker=row.get(SPEAKER, ""))


def named_in(source: str, paths: Iterable[str]) -> Iterator[str]:
    """Yield paths as they are seen from the folder of the file that names them.

    Raises `EarnestError` where a file from another machine names files of this one.
    """
    folder = source.rpartition("/")[0] if is_url(source) else str(Path(source).parent)
    for path in paths:
        if is_url(path):
            yield path
        elif not is_url(source):
            yield str(file_in(Path(folder), path))
        elif path.startswith("/") or ".." in PurePosixPath(path).parts:
            raise EarnestError(
                f"{source}: names '{path}', which is outside the folder of the list. Write whole addresses."
            )
        else:
            yield f"{folder}/{path}"


@contextmanager
def read_location(location: str) -> Iterator[BinaryIO]:
    """Open a file here or elsewhere for reading and seeking; what goes wrong elsewhere is an `EarnestError`."""
    if is_url(location):
        with explained(location), patiently(lambda: open_url(location), location) as file:
            yield file
    else:
        with opened(Path(location)) as file:
            yield file


def open_url(url: str) -> BinaryIO:
    """Open a file elsewhere; errors are those of its file system."""
    system, path = filesystem_of(url)
    return cast(BinaryIO, system.open(path, "rb"))


def _members(location: str) -> Iterator[Input]:
    """Yield the recordings in a tar file, by the place of their bytes; nothing is ever unpacked."""
    try:
        with read_location(location) as file:
            for member in members(file):
                if is_recording(PurePosixPath(member.name).name):
                    key = f"{path_of(location)}/{member.name}"
                    yield Input(path_of(key), "member", _location(location), member.offset, member.n_bytes)
    except tarfile.TarError as error:
        raise EarnestError(
            f"{location}: not a readable tar file ({first_line(error)}). Write it anew with tar."
        ) from error
    except OSError as error:
        raise EarnestError(f"{location}: not readable ({first_line(error)}).") from error


def _table_rows(location: str) -> Iterator[Input]:
    """Yield the sounds of a Parquet table: bytes, or paths."""
    pyarrow = load_pyarrow()
    try:
        with read_location(location) as file, pyarrow.parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            sound, path = sound_column(table.schema_arrow), _first(_PATH_COLUMNS, names)
            key = _first(_KEY_COLUMNS, names) or (path if sound else None)
            if not (sound or path):
                sounds, paths = " or ".join(_SOUND_COLUMNS), " or ".join(_PATH_COLUMNS)
                raise EarnestError(f"{location}: needs a column {sounds} with bytes, or {paths} with paths.")
            columns = [*filter(None, (None if sound else path, key)), *_channels(table.schema_arrow, location)]
            columns += [name for name in _PART_COLUMNS if name in names and not sound]
            speaker = guessed_name(names, SPEAKER)
            columns += [speaker] if speaker and speaker not in columns else []
            if not is_url(location):  # of an address all pages would be fetched for that
                largest_shared_page(Path(location), table.metadata, [*filter(None, (sound, *columns))])
            # As dictionaries: a cell of many MiB is held once, however many rows name it.
            texts = [name for name in columns if _is_text(table.schema_arrow.field(name).type)]
            names_apart = pyarrow.parquet.ParquetFile(file, metadata=table.metadata, read_dictionary=texts)
            for number, row in enumerate(_rows(location, names_apart, columns)):
                named = {**row, SPEAKER: row.get(speaker)} if speaker else row
                yield _of_row(location, number, named, None if sound else path, key)
    except damaged_table() as error:
        raise EarnestError(f"{location}: not a readable Parquet table ({first_line(error)}).") from error


def _rows(location: str, table: Any, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    n_rows = table.metadata.num_rows
    if n_rows > MOST_ROWS:
        raise EarnestError(f"{location}: says that it has {n_rows} rows, more than {MOST_ROWS}. Split it.")
    return _names_in(location, table, columns) if columns else ({} for _ in range(n_rows))


def _of_row(location: str, number: int, row: Mapping[str, Any], path: str | None, key: str | None) -> Input:
    cells = {name: text_of(row.get(name)) for name in (CHANNEL, SPEAKER, *_PART_COLUMNS)}
    refuse_part(cells, where := f"{location}, row {number}")
    if path:
        (whole,) = named_in(location, [str(row[path])])
        return _told(_file(whole), cells, where)
    name = f"{number:08d}" if key is None or row[key] is None else str(row[key])
    return _told(Input(path_of(f"{location}/{name}"), "row", _location(location), number), cells, where)


def _names_in(location: str, table: Any, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the cells of columns that hold paths or keys, row by row."""
    for batch in table.iter_batches(_NAMES_AT_ONCE, columns=columns, use_threads=False):
        for name, cells in zip(batch.schema.names, batch.columns, strict=True):
            n_bytes = getattr(cells, "dictionary", cells).nbytes
            if n_bytes > _NAMES_AT_ONCE * MOST_NAME_BYTES:
                raise EarnestError(
                    f"{location}: its column {name} holds {n_bytes >> 20} MiB in {_NAMES_AT_ONCE} rows. "
                    "Names are shorter: is it the right table?"
                )
        yield from batch.to_pylist()


def _channels(schema: Any, location: str) -> list[str]:
    """Return the column that says which channel is heard; a text of that name may say anything, such as "telephone"."""
    types = load_pyarrow().types
    if CHANNEL not in schema.names:
        return []
    kind = schema.field(CHANNEL).type
    if types.is_integer(kind) or types.is_floating(kind):
        return [CHANNEL]
    _log.warning("%s: the column 'channel' is not read, for it holds no numbers. 1 would be the left one.", location)
    return []


def _is_text(kind: Any) -> bool:
    types = load_pyarrow().types
    checks = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(is_so(kind) for is_so in checks)


def _first(wanted: Iterable[str], names: list[str]) -> str | None:
    return next((name for name in wanted if name in names), None)


def sound_column(schema: Any) -> str | None:
    """Return the column of a table that holds files' bytes, itself or (as in Hugging Face's tables) in its bytes."""
    types = load_pyarrow().types
    for name in _SOUND_COLUMNS:
        if name not in schema.names:
            continue
        kind = schema.field(name).type
        if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return f"{name}.bytes"
        if types.is_binary(kind) or types.is_large_binary(kind):
            return name
    return None


def table_sounds(location: str, numbers: Iterable[int]) -> Iterator[memoryview | None]:
    """Yield the bytes in rows of a table, of rising numbers; a group of rows that has none of them is not read.

    One row at a time: rows may all name one cell, so that a small table holds more than the memory of the machine.
    """
    pyarrow = load_pyarrow()
    with read_location(location) as file, pyarrow.parquet.ParquetFile(file) as table:
        column, begin, group = sound_column(table.schema_arrow), 0, 0
        rows: Iterator[Any] = iter(())
        at = -1  # number of the row that was taken last
        for number in numbers:
            while number >= begin + table.metadata.row_group(group).num_rows:
                begin += table.metadata.row_group(group).num_rows
                group += 1
                rows = iter(())
            if at < begin or number <= at:
                rows, at = _values(table, group, column), begin - 1
            for value in rows:
                at += 1
                if at == number:
                    yield value
                    break
            else:
                yield None  # the table says that it has more rows than it has


def _values(table: Any, group: int, column: str | None) -> Iterator[memoryview | None]:
    for batch in table.iter_batches(1, row_groups=[group], columns=[column], use_threads=False):
        values = batch.column(0)
        for value in values.field("bytes") if column and column.endswith(".bytes") else values:
            held = value.as_buffer()
            yield None if held is None else memoryview(held)


AHEAD = 16  # inputs that are read beyond the one that is decoded
IN_MEMORY_BYTES = 8 * 2**20  # a larger one goes through a file: up to a hundred wait to be answered
MOST_BYTES = 16 * 2**30
MOST_CELL_BYTES = 256 * 2**20  # of a sound in a table
_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Fetched:
    """An input fetched for a predictor: its sound, or an error.

    Attributes
    ----------
    source : path or bytes, None where the input can't be read
    error : why, in a sentence
    copy : the file to remove afterwards
    """

    one: Input
    source: str | bytes | None
    error: str | None = None
    copy: Path | None = None

    @cached_property
    def heard(self) -> Source | None:
        """What is decoded: the source, or one channel of it; one object, however often it is asked."""
        if self.source is None or self.one.channel is None:
            return self.source
        return Channel(self.source, self.one.channel)

    def forget(self) -> None:
        """Remove the copy."""
        if self.copy:
            with suppress(OSError):
                self.copy.unlink()


class Fetcher:
    """Reads the inputs of shards, which all come from one source."""

    def __init__(self, source: str) -> None:
        self._source = source

    def fetched(self, inputs: Sequence[Input]) -> Iterator[Fetched]:
        """Yield inputs in order; what can't be read says so.

        Raises `EarnestError` when a server refuses or can't be reached, which says nothing about the input.
        """
        for kind, group in groupby(inputs, key=lambda one: (one.kind, one.kind == "row" and one.location)):
            if kind[0] == "row":
                yield from self._rows(list(group))
            else:
                yield from _ahead(self._fetch, group)

    def _rows(self, inputs: Sequence[Input]) -> Iterator[Fetched]:
        """Yield rows of one table."""
        location = os.fsdecode(inputs[0].location)
        try:
            sounds = table_sounds(location, [one.start for one in inputs])
            for one, data in zip(inputs, sounds, strict=True):
                yield _fetched_cell(one, data)
        except damaged_table() as error:
            raise EarnestError(f"{location}: can't be read ({first_line(error)}). Is it still as it was?") from error

    def _fetch(self, one: Input) -> Fetched:
        location = os.fsdecode(one.location)
        if one.kind == "file" and not is_url(location):
            return Fetched(one, location)
        try:
            if is_url(location):
                return patiently(lambda: _fetched_from(one, location), location)
            with opened(Path(location)) as file:
                return _copied(one, file)
        except AudioError as error:
            return Fetched(one, None, str(error))
        except FileNotFoundError:
            return Fetched(one, None, f"{printable(one.key)}: no such file. Check the address.")
        except PermissionError as error:
            self._refuse_all_refused()
            return Fetched(one, None, f"{printable(one.key)}: the server refuses it ({printable(first_line(error))}).")
        except OSError as error:
            raise EarnestError(
                f"{location}: can't be read ({first_line(error)}). Give the same command again."
            ) from error

    def _refuse_all_refused(self) -> None:
        """Raise `EarnestError` where the server refuses the source as well, so that it isn't about one input."""
        if is_url(self._source):
            system, path = filesystem_of(self._source)
            with explained(self._source):
                patiently(lambda: system.ls(path, refresh=True), self._source)


def _fetched_from(one: Input, url: str) -> Fetched:
    with open_url(url) as file:
        return _copied(one, file)


def _fetched_cell(one: Input, data: memoryview | None) -> Fetched:
    if not data:
        return Fetched(one, None, f"{one.key}: empty, no bytes at all.")
    if data.nbytes > MOST_CELL_BYTES:
        most = f"{MOST_CELL_BYTES >> 20} MiB"
        return Fetched(one, None, f"{one.key}: larger than {most}. Keep it as a file, and its path in the table.")
    if data.nbytes <= IN_MEMORY_BYTES:
        return Fetched(one, bytes(data))
    return _in_file(one, [data])


def _copied(one: Input, file: BinaryIO) -> Fetched:
    """Read an input into memory, or a large one into a file."""
    n_bytes = one.n_bytes if one.kind == "member" else file.seek(0, os.SEEK_END)
    if n_bytes > MOST_BYTES:
        raise AudioError(f"{printable(one.key)}: larger than {MOST_BYTES >> 30} GiB. Cut it into parts.")
    file.seek(one.start)
    if n_bytes <= IN_MEMORY_BYTES:
        return Fetched(one, _exactly(file, n_bytes, one))
    sizes = (min(_PIECE_BYTES, n_bytes - begin) for begin in range(0, n_bytes, _PIECE_BYTES))
    return _in_file(one, (_exactly(file, size, one) for size in sizes))


def _in_file(one: Input, pieces: Iterable[bytes | memoryview]) -> Fetched:
    with ExitStack() as failing, tempfile.NamedTemporaryFile(prefix="earnest-", delete=False) as copy:
        failing.callback(Path(copy.name).unlink)  # when it is closed: Windows removes nothing that is open
        copy.writelines(pieces)
        failing.pop_all()
    return Fetched(one, copy.name, copy=Path(copy.name))


def _exactly(file: BinaryIO, n_bytes: int, one: Input) -> bytes:
    data = file.read(n_bytes)
    if len(data) < n_bytes:
        raise AudioError(f"{printable(one.key)}: {counted(n_bytes - len(data), 'byte')} missing at its end.")
    return data


def _ahead(fetch: Callable[[Input], Fetched], inputs: Iterable[Input]) -> Iterator[Fetched]:
    """Fetch in order, some ahead; files of this machine are opened by who decodes them, and need no thread."""
    waiting: deque[Future[Fetched] | Fetched] = deque()
    pool = ThreadPoolExecutor(AHEAD, "earnest-fetch")  # starts a thread when there is work for it
    try:
        for one in inputs:
            is_here = one.kind == "file" and not is_url(os.fsdecode(one.location))
            waiting.append(fetch(one) if is_here else pool.submit(fetch, one))
            if len(waiting) > AHEAD:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for left in waiting:
            if isinstance(left, Fetched) or (left.done() and not left.cancelled() and left.exception() is None):
                _result(left).forget()


def _result(fetched: Future[Fetched] | Fetched) -> Fetched:
    return fetched if isinstance(fetched, Fetched) else fetched.result()
