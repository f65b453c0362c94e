"""Readers for anybody's recordings: a table that names the files and what is said about them."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from earnest.audio.source import is_file, path_in
from earnest.corpora.folders import found_in
from earnest.corpora.manifest import COLUMNS, GENDERS, Gender, Utterance, unique_speaker
from earnest.corpora.own.read import METADATA
from earnest.corpora.own.tables import OwnTable, Row, path_in_cell, read_table
from earnest.errors import CorpusError, shown, suggestion
from earnest.files.tables import number_in, text_of, with_point
from earnest.labels import AFFECT, EMOTIONS, SYNONYMS

_NUMBERS = ("start_s", "end_s", *AFFECT)


def read_declared(
    path: Path,
    columns: Mapping[str, str] | None = None,
    emotions: Mapping[str, str] | None = None,
    corpus: str = "",
    audio_root: Path | None = None,
) -> list[Utterance]:
    """Read a table (CSV, TSV, JSON lines, Parquet) with one row a recording or part of one.

    Raises `CorpusError` for a wrong column, word, number or a recording that is not there, naming the line.

    Parameters
    ----------
    columns : manifest column → its name in the table; a manifest column that isn't named keeps its own name.
        ``path`` and ``emotion`` must be there.
    emotions : the table's word → canonical emotion; canonical names and their nouns ("anger") need no entry
    corpus : name of the corpus; without it the name of the file
    audio_root : where relative paths start; without it the folder of the table
    """
    table, columns = read_table(path), columns or {}
    _checked_columns(columns)
    if absent := next((theirs for theirs in columns.values() if theirs not in table.columns), None):
        raise CorpusError(f"{path}: no column {shown(absent)}.{suggestion(absent, table.columns)}")
    return _declared(table, path, columns, emotions, corpus or path.stem, audio_root)


def _declared(
    table: OwnTable,
    path: Path,
    columns: Mapping[str, str],
    emotions: Mapping[str, str] | None,
    corpus: str,
    audio_root: Path | None = None,
) -> list[Utterance]:
    columns = _checked_columns(columns)
    base = audio_root or path.parent
    words = {**{emotion: emotion for emotion in EMOTIONS}, **SYNONYMS, **_checked_emotions(emotions or {})}
    return _unique([_utterance(row, columns, words, corpus, base, where, table) for where, row in table.rows], path)


def read_audiofolder(root: Path, emotions: Mapping[str, str] | None = None, corpus: str = "") -> list[Utterance]:
    """Read a folder with ``metadata.csv`` (or ``.jsonl``, ``.parquet``): ``file_name``, and ``emotion`` or ``label``.

    The layout of the Hugging Face "audiofolder". Recordings that the table doesn't name are an error.
    """
    path = next((root / name for name in METADATA if (root / name).is_file()), None)
    if path is None:
        raise CorpusError(f"{root}: no metadata.csv there. It must name recordings (file_name) and their emotion.")
    table = read_table(path)
    columns = {"path": "file_name"} | ({} if "emotion" in table.columns else {"emotion": "label"})
    rows = _declared(table, path, columns, emotions, corpus or root.resolve().name)
    named = {os.path.realpath(row.path) for row in rows}  # unlike resolve(), takes a link that points to itself
    for found in found_in(str(root)).recordings:
        if os.path.realpath(found) not in named:
            raise CorpusError(f"{found}: not named in {path.name}. Add its row or move the file elsewhere.")
    return rows


def read_audformat(
    path: Path,
    column: str = "emotion",
    emotions: Mapping[str, str] | None = None,
    corpus: str = "",
    audio_root: Path | None = None,
) -> list[Utterance]:
    """Read one table of an audformat database: index ``file`` or ``file,start,end``, labels in ``column``.

    ``start`` and ``end`` are times ("0 days 00:00:01.500000"); an absent end means to the end of the file. Columns
    ``speaker`` and ``gender`` are read when they are there.
    """
    table = read_table(path)
    columns = {"path": "file", "emotion": column}
    columns |= {ours: theirs for ours, theirs in (("start_s", "start"), ("end_s", "end")) if theirs in table.columns}
    return _declared(table, path, columns, emotions, corpus or path.resolve().parent.name, audio_root)


def read_emobox(
    path: Path, emotions: Mapping[str, str] | None = None, corpus: str = "", audio_root: Path | None = None
) -> list[Utterance]:
    """Read a JSONL list of EmoBox: ``key``, ``dataset``, ``wav``, ``emo`` (or ``emotion``), and what else is there."""
    table = read_table(path)
    _, first = table.rows[0]
    columns = {"utterance_id": "key", "path": "wav", "emotion": "emo" if "emo" in first else "emotion"}
    return _declared(table, path, columns, emotions, corpus or str(first.get("dataset") or path.stem), audio_root)


TABLE_READERS: Mapping[str, Callable[..., list[Utterance]]] = {
    "csv": read_declared,
    "jsonl": read_declared,
    "audiofolder": read_audiofolder,
    "audformat": read_audformat,
    "emobox": read_emobox,
}


def _checked_columns(columns: Mapping[str, str]) -> dict[str, str]:
    for name in columns:
        if name not in COLUMNS:
            raise CorpusError(f"'{name}' is not a manifest column.{suggestion(name, COLUMNS)}")
    return {name: columns.get(name, name) for name in COLUMNS}


def _checked_emotions(emotions: Mapping[str, str]) -> Mapping[str, str]:
    for emotion in emotions.values():
        if emotion not in EMOTIONS:
            raise CorpusError(f"'{emotion}' is not a canonical emotion.{suggestion(emotion, EMOTIONS)}")
    return emotions


def column(path: Path, name: str) -> list[tuple[str, Row]]:
    """Return the value of a column of a published table beside the row that it is in, row by row.

    Raises `CorpusError` when the table can't be read or has no such column.
    """
    try:
        return [(row[name], row) for _, row in read_table(path).rows]
    except KeyError:
        raise CorpusError(f"{path}: expected a column {name}. Copy the file again.") from None


def _utterance(
    row: Row, columns: Mapping[str, str], words: Mapping[str, str], corpus: str, base: Path, where: str, table: OwnTable
) -> Utterance:
    told = {ours: text_of(row.get(theirs)).strip() for ours, theirs in columns.items() if ours != "path"}
    found = {"path": path_in_cell(row.get(columns["path"])), **told}
    values: dict[str, Any] = {ours: text for ours, text in found.items() if text}
    for needed in ("path", "emotion"):
        if needed not in values:
            hint = f" Say which column it is: --column {needed}=…" if columns[needed] not in table.columns else ""
            raise CorpusError(f"{where}: no value in the column '{columns[needed]}'.{hint}")
    native = values["emotion"]
    emotion = words.get(native) or words.get(native.lower())
    if emotion is None:
        word = shown(native)
        meant = f"Say --emotion {word[:-1]}=NAME' with one of {', '.join(EMOTIONS)}, or keep words of your own"
        raise CorpusError(f"{where}: the emotion {word} is unknown. {meant}: earnest corpus manifest PATH.")
    texts = {name: with_point(values.pop(name), table.delimiter) for name in _NUMBERS if name in values}
    numbers = {name: number_in(text, f"{where}: {columns[name]}") for name, text in texts.items()}
    values |= {name: number for name, number in numbers.items() if number is not None}
    path = path_in(base, values["path"])
    if not is_file(path):
        raise CorpusError(f"{where}: {shown(str(path))}: no such file. Relative paths start at {base}.")
    values |= {"path": path, "emotion": emotion, "gender": _gender(values.get("gender"), where)}
    values["native_emotion"] = values.get("native_emotion", native)
    values["corpus"] = values.get("corpus", corpus)
    values.setdefault("utterance_id", _identity(path, base, values))
    values["speaker"] = unique_speaker(values.get("speaker", ""), values["corpus"])
    return Utterance(**values)


def _identity(path: Path, base: Path, values: Row) -> str:
    relative = path.relative_to(base) if path.is_relative_to(base) else path
    name = relative.with_suffix("").as_posix()
    return f"{name}@{values.get('start_s', 0.0):g}" if "start_s" in values or "end_s" in values else name


def _gender(word: str | None, where: str) -> Gender | None:
    if word is None:
        return None
    if word.lower() not in GENDERS:
        raise CorpusError(f"{where}: the gender must be female, male or empty, got {shown(word)}.")
    return GENDERS[word.lower()]


def _unique(rows: list[Utterance], path: Path) -> list[Utterance]:
    name, count = Counter(row.utterance_id for row in rows).most_common(1)[0]
    if count > 1:
        raise CorpusError(f"{path}: '{name}' appears {count} times. Every row needs its own utterance_id.")
    return rows
