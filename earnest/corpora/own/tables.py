"""Own tables: CSV, JSON lines, Parquet or a list of files, with columns that are declared or guessed by their names."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earnest.audio.source import channel_number, channel_path, file_and_channel
from earnest.corpora.manifest import AUDIO_SUFFIXES, COLUMNS, names_microphones
from earnest.corpora.own.data import FoundRecording
from earnest.errors import CorpusError, counted, printable, shown, suggestion
from earnest.files.reading import parsed_json, read_text
from earnest.files.tables import (
    largest_shared_page,
    lines_of,
    number_in,
    numbered_rows,
    opened_parquet,
    text_of,
    with_point,
    without_points,
)
from earnest.labels import AFFECT

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
LIST_SUFFIXES = (".txt", ".lst", ".list", ".scp")
MOST_ROWS = 5_000_000
_NAME_FILES = "Write the recordings to files, and name these in a column 'path'."
_DELIMITERS = ("\t", ";", "|", ",")
PATH, LABEL, SPEAKER, SPLIT, CHANNEL = "path", "label", "speaker", "split", "channel"
ELSEWHERE = "Commands without this option take the manifest that 'earnest corpus manifest' writes with it."
NAMES: Mapping[str, tuple[str, ...]] = {
    PATH: (
        *("path", "file_name", "filename", "file", "filepath", "file_path", "audio_path", "audio_filepath"),
        *("audio_file", "wav_path", "wav_file", "audio", "wav", "recording", "clip", "fname"),
        *("datei", "dateiname", "dateipfad", "pfad", "aufnahme"),
    ),
    LABEL: (
        *("emotion", "label", "emotion_label", "labels", "class", "class_name", "category", "emo", "target"),
        *("mood", "sentiment", "state", "tag", "emoclass", "gefühl", "gefuehl", "stimmung", "klasse"),
    ),
    SPEAKER: (
        *("speaker", "speaker_id", "speakerid", "spk_id", "spk", "spkid", "actor", "actor_id", "subject"),
        *("subject_id", "participant", "participant_id", "client_id", "user_id", "user", "person", "talker", "spkrid"),
        *("sprecher", "sprecherin", "sprecher_id"),
    ),
    SPLIT: ("split", "subset", "partition"),
    "start_s": ("start_s", "start", "begin", "onset", "start_time", "begin_time", "tmin", "xmin", "offset"),
    "end_s": ("end_s", "end", "stop", "end_time", "tmax", "xmax"),
    "duration_s": ("duration_s", "duration"),
    CHANNEL: ("channel", "kanal"),
    "gender": ("gender", "sex"),
    "valence": ("valence", "emoval", "valenz"),
    "arousal": ("arousal", "emoact"),
    "dominance": ("dominance", "emodom", "dominanz"),
}
"""What is looked for → names of columns that say it, the likeliest first; case, spaces and dashes don't count."""
_KEPT = {"utterance_id", "corpus", "session", "text_id", "style", "group"}
"""Columns of a manifest that keep their meaning in any table that has a column of that name."""

_NUMBERS = {"start_s", "end_s", "duration_s", *AFFECT}
Row = Mapping[str, Any]


@dataclass(frozen=True)
class OwnTable:
    """A table as it was read: names of its columns, rows with where each stands, and what parts the cells of a text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, Row], ...]
    delimiter: str = ","


@dataclass(frozen=True)
class ColumnNames:
    """Names of a table's columns; None where there is no such column.

    Attributes
    ----------
    has_sides : whether the column ``channel`` numbers the channel that is heard, as in lists of `earnest predict`
    """

    path: str
    label: str | None
    speaker: str | None
    others: Mapping[str, str]
    has_sides: bool = False

    def found(self, table: OwnTable) -> Iterator[FoundRecording]:
        """Yield the recordings that the rows name."""
        for where, row in table.rows:
            more = {ours: cell for ours, theirs in self.others.items() if (cell := text_of(row.get(theirs)))}
            more |= {name: with_point(more[name], table.delimiter) for name in _NUMBERS & more.keys()}
            label = text_of(row.get(self.label)) if self.label else ""
            if self.label == "emotion" and label == "other":  # a manifest: the word itself stands beside it
                label = text_of(row.get("native_emotion")) or label
            speaker = text_of(row.get(self.speaker)) if self.speaker else ""
            split = more.pop(SPLIT, "")
            path = path_in_cell(row.get(self.path))
            if self.has_sides and path and file_and_channel(path)[1] is None:
                path = channel_path(path, channel_number(more.pop(CHANNEL, "")))
            yield FoundRecording(path, label, where, speaker, split, more)


def columns_of(
    table: OwnTable, source: Path, label_column: str | None, speaker_column: str | None, needs_label: bool = True
) -> ColumnNames:
    """Find out which column says what: as declared, else by their names.

    Raises `CorpusError` when a declared column is not there, or none looks like what is needed.
    """
    path = _guessed(table, PATH, None, source) or _column_of_files(table)
    if path is None:
        raise CorpusError(f"{source}: which column names the recordings? Call it 'path'. There are {_listed(table)}.")
    label = _guessed(table, LABEL, label_column, source)
    if label is None and needs_label:
        raise CorpusError(
            f"{source}: which column is the label? Say --label-column NAME. There are {_listed(table)}. {ELSEWHERE}"
        )
    speaker = _guessed(table, SPEAKER, speaker_column, source)
    guessed = {ours: _guessed(table, ours, None, source) for ours in NAMES if ours not in (PATH, LABEL, SPEAKER)}
    for name in AFFECT:
        if (theirs := guessed[name]) and not _holds_a_number(table, theirs):
            guessed[name] = None  # words are no ratings
    if guessed["end_s"] is None and guessed["duration_s"] is None:
        offset = next((name for name in table.columns if _plain(name) == "offset"), None)
        if guessed["start_s"] == offset:
            guessed["start_s"] = None  # an offset alone may be anything
        elif _plain(guessed["start_s"] or "") == "onset":
            guessed["end_s"] = offset
    if guessed["end_s"] and not guessed["start_s"]:
        raise CorpusError(
            f"{source}: the column {shown(guessed['end_s'])} says where a part ends. Which one says where it begins? "
            f"Call it 'start_s'. There are {_listed(table)}."
        )
    others = {ours: theirs for ours, theirs in guessed.items() if theirs}
    others |= {name: name for name in table.columns if name in _KEPT and name in COLUMNS}
    others = {ours: theirs for ours, theirs in others.items() if theirs != label}
    return ColumnNames(path, label, speaker, others, _has_sides(table, others.get(CHANNEL)))


def _has_sides(table: OwnTable, column: str | None) -> bool:
    """Whether all cells of a column are numbers of channels; any other word may be a microphone."""
    cells = {cell for _, row in table.rows if (cell := text_of(row.get(column)))} if column else set()
    return not names_microphones(table.columns) and all(map(channel_number, cells))


def doubts_about_raters(table: OwnTable, columns: ColumnNames) -> list[str]:
    """Warn of other columns that hold the same labels, as a table has of several people who listened."""
    if columns.label is None:
        return []
    used = {columns.path, columns.label, columns.speaker, *columns.others.values()}
    labels = [text_of(row.get(columns.label)) for _, row in table.rows]
    known, told, differing = {*labels, ""}, list[str](), set[int]()
    for name in table.columns:
        if name in used or not all(text_of(row.get(name)) in known for _, row in table.rows):
            continue
        words = [text_of(row.get(name)) for _, row in table.rows]
        others = {at for at, word in enumerate(words) if word not in ("", labels[at])}
        if others and len({*words} - {""}) > 1:
            told.append(name)
            differing |= others
    if not told:
        return []
    differ = f"say another one than '{columns.label}' in {len(differing)} of {counted(len(labels), 'row')}"
    return [
        f"{', '.join(map(printable, told))} hold such labels too, and {differ}: '{columns.label}' alone is taken. Of "
        "labels by several people make a column, such as with those of most."
    ]


def doubts_about_parts(columns: ColumnNames, found: Sequence[FoundRecording]) -> list[str]:
    """Warn of rows that may be parts of recordings, where no column says so: each is the whole of it, or its rest."""
    several = _of_channels(found)
    if "start_s" in columns.others:
        has_ends = not columns.others.keys().isdisjoint(("end_s", "duration_s"))
        told = "No column says where parts end. Each goes to the end of its recording; else call that column end_s."
        return several if has_ends else [*several, told]
    rows = Counter(one.path for one in found if one.path)
    path, n_rows = max(rows.items(), key=lambda item: item[1], default=("", 0))
    whole = (
        f"{shown(path)} is in {n_rows} rows, each about the whole recording. If they are parts, call the columns with "
        "their times in seconds start_s and end_s. If several people labelled it, keep one row of each recording, such "
        "as with the label of most of them: where they don't agree, `earnest learn` leaves it out, and what is left is "
        "the easier part."
    )
    return [*several, *([whole] if n_rows > 1 else [])]


def _of_channels(found: Iterable[FoundRecording]) -> list[str]:
    """Warn that the channels of a recording are heard together where rows name several of one."""
    channels: dict[str, set[str]] = {}
    for one in found:
        if one.path and CHANNEL in one.more:
            channels.setdefault(one.path, set()).add(one.more[CHANNEL])
    path = next((path for path, named in channels.items() if len(named) > 1), None)
    if path is None:
        return []
    return [f"The channels of {shown(path)} are heard together. For one alone number them from 1 (2: the right one)."]


def has_recordings(path: Path) -> bool:
    """Whether a file is a table that has a column of recordings."""
    try:
        return _guessed(read_table(path), PATH, None, path) is not None
    except CorpusError:
        return False


def read_table(path: Path) -> OwnTable:
    """Read a table by what its name ends in.

    Raises `CorpusError` when it can't be read, or holds no rows; `MissingExtraError` for Parquet, where pyarrow is not
    installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        table = _parquet(path)
    elif suffix in (".json", ".jsonl", ".ndjson"):
        table = _json_lines(path)
    else:
        table = _cells(path)
    if not table.rows:
        raise CorpusError(f"{path}: holds no rows.")
    return table


def read_list(path: Path) -> OwnTable:
    """Read a list of files: a path a line, then perhaps label and speaker, with tabs, ``| ; ,`` or spaces between.

    Empty lines, and those that begin with ``#``, don't count. A list with a header is a table. In Kaldi's ``.scp`` each
    line begins with a name, then the path.
    """
    text = read_text(path, CorpusError, what="list of files")
    lines = [(number, line.strip()) for number, line in enumerate(lines_of(text), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise CorpusError(f"{path}: holds no rows.")
    if path.suffix.lower() == ".scp":
        paths = [(number, line.split(None, 1)[-1]) for number, line in lines]
        lines = paths if _is_recording(paths[0][1]) else lines  # or another program's
    first = lines[0][1]
    mark = next((mark for mark in _DELIMITERS if mark in first), None)
    header = first.split(mark) if mark else _split(first)
    if not _is_recording(first) and guessed_name(header, PATH) is not None:
        return _cells(path)
    names = (PATH, LABEL, SPEAKER)
    rows = tuple((f"{path}:{number}", dict(zip(names, _split(line), strict=False))) for number, line in lines)
    width = max(len(row) for _, row in rows)
    return OwnTable(names[:width], rows)


def joined(table: OwnTable, others: Iterable[OwnTable], key: str, name: str) -> OwnTable:
    """Add the column ``name`` of another table to rows with the same ``key``."""
    for other in others:
        if name in other.columns and key in other.columns:
            known = {text_of(row.get(key)): row.get(name) for _, row in other.rows}
            rows = tuple((where, {**row, name: known.get(text_of(row.get(key)))}) for where, row in table.rows)
            return replace(table, columns=(*table.columns, name), rows=rows)
    return table


def guessed_name(columns: Sequence[str], what: str) -> str | None:
    """Return the column whose name says what is looked for (a key of `NAMES`), None where there is none."""
    plain = {_plain(name): name for name in reversed(columns)}
    return next((plain[name] for name in NAMES[what] if name in plain), None)


def _guessed(table: OwnTable, what: str, declared: str | None, source: Path) -> str | None:
    if declared is None:
        return guessed_name(table.columns, what)
    if declared in table.columns:
        return declared
    raise CorpusError(f"{source}: no column {shown(declared)}.{suggestion(declared, table.columns)}")


def _column_of_files(table: OwnTable) -> str | None:
    """Return the one column, whatever it is called, whose first cells all end as recordings do."""
    rows = [row for _, row in table.rows[:20]]
    found = [name for name in table.columns if all(_is_recording(text_of(row.get(name))) for row in rows)]
    return found[0] if len(found) == 1 else None


def _holds_a_number(table: OwnTable, column: str) -> bool:
    for _, row in table.rows:
        with suppress(CorpusError):
            if (text := text_of(row.get(column))) and number_in(with_point(text, table.delimiter), "") is not None:
                return True
    return False


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _listed(table: OwnTable) -> str:
    return ", ".join(map(printable, table.columns[:20])) or "none"


def path_in_cell(cell: Any) -> str:
    """Return the path in a cell; the package datasets writes {"path": …, "bytes": …}."""
    if isinstance(cell, Mapping):
        if cell.get("bytes"):
            raise CorpusError(f"A table holds the sound itself. {_NAME_FILES}")
        return text_of(cell.get("path"))
    return text_of(cell).strip()


def _is_recording(text: str) -> bool:
    return any(Path(cell).suffix.lower() in AUDIO_SUFFIXES for cell in _split(text))


def _split(line: str) -> list[str]:
    """Split a line at the first mark that it holds; with spaces alone, at the last: a path may hold some.

    A line that ends as a recording does is one path, whatever marks are in it, but for tabs.
    """
    if Path(line).suffix.lower() in AUDIO_SUFFIXES and "\t" not in line:
        return [line]
    for mark in _DELIMITERS:
        if mark in line:
            return [cell.strip() for cell in line.split(mark)][:3]
    if " " not in line:
        return [line]
    words = line.split()
    # "path label" or "path label speaker": the path ends where its suffix does.
    ends = [place for place, word in enumerate(words, 1) if Path(word).suffix.lower() in AUDIO_SUFFIXES]
    end = ends[-1] if ends and len(words) - ends[-1] <= 2 else len(words) - 1
    return [line.rsplit(None, len(words) - end)[0], *words[end:]]


def _cells(path: Path) -> OwnTable:
    text = read_text(path, CorpusError, what="table")
    numbered, delimiter = numbered_rows(text, path)
    if not numbered:
        raise CorpusError(f"{path}: holds no rows.")
    if any(Path(cell.strip()).suffix.lower() in AUDIO_SUFFIXES for cell in numbered[0][1]):
        return _without_header(path, numbered)
    header = [name.strip() for name in numbered[0][1]]
    for number, row in numbered[1:]:
        if len(row) != len(header):
            raise CorpusError(f"{path}, row {number}: {counted(len(row), 'cell')}, but the header has {len(header)}.")
    columns = map(without_points, zip(*(row for _, row in numbered[1:]), strict=True))
    cells = zip(*columns, strict=True) if len(numbered) > 1 else ()
    rows = (
        (f"{path}, row {number}", dict(zip(header, row, strict=True)))
        for (number, _), row in zip(numbered[1:], cells, strict=True)
    )
    return OwnTable(tuple(header), tuple(rows), delimiter)


def _without_header(path: Path, numbered: Sequence[tuple[int, Sequence[str]]]) -> OwnTable:
    """A table whose first row names a recording already: path, then label, then speaker."""
    names = (PATH, LABEL, SPEAKER)[: max(len(row) for _, row in numbered)]
    rows = ((f"{path}, row {number}", dict(zip(names, row, strict=False))) for number, row in numbered)
    return OwnTable(names, tuple(rows))


def _json_lines(path: Path) -> OwnTable:
    rows: list[tuple[str, Row]] = []
    # JSON text may hold other line separators.
    for number, line in enumerate(read_text(path, CorpusError, what="table").split("\n"), 1):
        if line.strip():
            row = parsed_json(line, where := f"{path}:{number}", CorpusError)
            if not isinstance(row, dict):
                raise CorpusError(f'{where}: expected one object a line, like {{"path": …, "label": …}}.')
            rows.append((where, row))
    return OwnTable(tuple(dict.fromkeys(name for _, row in rows for name in row)), tuple(rows))


def _parquet(path: Path) -> OwnTable:
    with opened_parquet(path) as file:
        if file.metadata.num_rows > MOST_ROWS:
            raise CorpusError(f"{path}: {file.metadata.num_rows:,} rows; at most {MOST_ROWS:,} are read.")
        wanted = [name for name in file.schema_arrow.names if not _holds_sound(file.schema_arrow.field(name))]
        if len(wanted) < len(file.schema_arrow.names) and guessed_name(wanted, PATH) is None:
            raise CorpusError(f"{path}: holds the sound itself. {_NAME_FILES}")
        largest_shared_page(path, file.metadata, wanted)  # refuses pages that swell
        rows = file.read(wanted).to_pylist()
    return OwnTable(tuple(wanted), tuple((f"{path}, row {number}", row) for number, row in enumerate(rows, 1)))


def _holds_sound(field: Any) -> bool:
    """Whether a column holds bytes of recordings, which are never read: {"bytes": …, "path": …}."""
    import pyarrow

    kind = field.type
    if pyarrow.types.is_struct(kind):
        return any(pyarrow.types.is_binary(kind.field(place).type) for place in range(kind.num_fields))
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))
