"""Lists of recordings: tables with a row a recording, and files of speaker turns, with a row a turn."""

import csv
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from earnest.audio.sound_file import ZIP, text_in
from earnest.audio.source import Channel, Part, Source, channel_number, is_file, path_in, path_of
from earnest.corpora.folders import RecordingFinder, is_recording
from earnest.corpora.manifest import names_microphones
from earnest.corpora.own.tables import PATH, SPEAKER, guessed_name
from earnest.corpora.turns import are_turns, recording_of, turns_by_recording
from earnest.errors import AudioError, CorpusError, EarnestError, counted, printable, shown
from earnest.files.reading import read_text
from earnest.files.tables import delimiter_of, has_text, number_in, text_rows, with_point, without_points

MOST_LIST_BYTES = 1 << 26
CHANNEL_NUMBERS = "expected 1 for the left one, 2 for the right one, and so on"
_COLUMNS = ("path", "speaker", "channel", "start_s", "end_s")  # of a list, that mean something
_MEANT = ("speaker", "channel")
_log = logging.getLogger("earnest")


@dataclass(frozen=True)
class Listed:
    """What a list tells of one of its recordings.

    Attributes
    ----------
    speaker, text : who speaks and what is said, "" where it doesn't tell
    within : the file of speaker turns, outside which its names of speakers mean nobody; "" for a table
    """

    speaker: str = ""
    text: str = ""
    within: str = ""


@dataclass(frozen=True)
class ListedRecordings:
    """The recordings of a list, in its order.

    Attributes
    ----------
    told : path, as `path_of` writes it → what the list tells
    first : the cells of a table's first row by the names of their columns, also of those that say nothing here
    """

    sources: tuple[Source, ...]
    told: Mapping[str, Listed]
    first: Mapping[str, str]


def is_folder(path: str) -> bool:
    """Whether a word of the command line is a folder; a name that is too long for the system is none."""
    return os.path.isdir(path)  # noqa: PTH112  # Path.is_dir raises


def is_table(path: str) -> bool:
    """Whether a word of the command line is a table of recordings: a file that ends in .csv or .tsv."""
    return path.lower().endswith((".csv", ".tsv")) and not is_folder(path)


def is_list(path: str) -> bool:
    """Whether a word of the command line is a list of recordings: a table, or a file of speaker turns."""
    return is_table(path) or names_turns(path)


def names_turns(path: str) -> bool:
    """Whether a word of the command line is a file of speaker turns."""
    return are_turns(path) and not is_folder(path)


def warn_of_text(path: str) -> None:
    """Say how a list of recordings is saved where a file is none by its name, and text or a spreadsheet inside."""
    if is_recording(path) or not is_file(Path(path)):
        return
    with suppress(OSError), Path(path).open("rb") as file:
        head = file.read(64)
        if head.startswith(ZIP) or text_in(head):
            told = "no recording. If it is a list of recordings, save it as .csv, with a column 'path'"
            _log.warning("%s: %s.", printable(path), told)


def read_list(path: Path) -> ListedRecordings:
    """Read a list of recordings; relative paths start at its folder.

    Raises `EarnestError` when it is no such list, names what is no channel or no part, or two speakers for one
    recording.
    """
    return _read_turns(path) if are_turns(str(path)) else _read_table(path)


def _read_turns(path: Path) -> ListedRecordings:
    """Read a file of speaker turns: each is a part of the recording beside it."""
    found, finder = turns_by_recording(path), RecordingFinder()
    told: dict[str, Listed] = {}
    sources: list[Source] = []
    for name, turns in found.items():
        recording = recording_of(path, name, finder, is_one=len(found) == 1)
        for turn in turns:
            part = Part(str(recording), turn.start_s, turn.end_s)
            told.setdefault(path_of(part), Listed(turn.speaker, turn.text, str(path)))
            sources.append(part)
    return ListedRecordings(tuple(sources), told, {})


def _read_table(path: Path) -> ListedRecordings:
    listed = rows_of_list(read_text(path, most=MOST_LIST_BYTES, what="list of recordings"), str(path))
    sources: list[Source] = []
    told: dict[str, Listed] = {}
    for number, row in listed:
        source: Source = str(file_in(path.parent, row["path"]))
        if channel := channel_of(row, f"{path}, row {number}"):
            source = Channel(source, channel)
        if times := part_of(row, f"{path}, row {number}"):
            try:
                source = Part(source, *times)
            except AudioError as error:
                raise EarnestError(f"{path}, row {number}: {error}") from None
        speaker = row.get("speaker", "")
        if told.setdefault(path_of(source), Listed(speaker, row.get("text", ""))).speaker != speaker:
            twice = f"another row says that {printable(row['path'])} is spoken by someone else"
            instead = "Keep one of them, or name each one's channel in a column 'channel'; call who listened 'rater'."
            raise EarnestError(f"{path}, row {number}: {twice}. {instead}")
        sources.append(source)
    return ListedRecordings(tuple(sources), told, listed[0][1])


def file_in(folder: Path, name: str) -> Path:
    """Return where a recording is that a list names; spaces around it count only where a file is called so."""
    written, plain = path_in(folder, name), path_in(folder, name.strip())
    return plain if written != plain and not is_file(written) and is_file(plain) else written


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
        if "speaker" in header:
            named = without_points([cells["speaker"] for _, cells in listed])
            for (_, cells), speaker in zip(listed, named, strict=True):
                cells["speaker"] = speaker
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
