"""Any layout of own labelled recordings → rows, and where labels and speakers came from.

Of folders: those of a class in a folder of its name, with or without train, valid and test above.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path, PurePath, PurePosixPath

from earnest.audio.source import found_channel, is_file, path_in
from earnest.corpora.folders import Found, found_in
from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.corpora.own.data import FoundLayout, FoundRecording, OwnData, Refused, none_usable, utterances_of
from earnest.corpora.own.tables import (
    ELSEWHERE,
    LABEL,
    LIST_SUFFIXES,
    SPEAKER,
    TABLE_SUFFIXES,
    OwnTable,
    columns_of,
    doubts_about_parts,
    doubts_about_raters,
    guessed_name,
    has_recordings,
    joined,
    read_list,
    read_table,
)
from earnest.corpora.own.tiers import labels_of
from earnest.corpora.tiers import AnnotationFile, is_annotation, read_annotation
from earnest.errors import CorpusError, named, printable, shown
from earnest.labels import EMOTIONS, SYNONYMS, composed

SET_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "eval"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
FOLDER = "folder "
_WORDS = {*EMOTIONS, *SYNONYMS, "joy", "neutrality", "contentment"}
_WORD = re.compile(r"[^\W\d_]+")
LONGEST_PATH = 255  # letters that a pattern is tried on: its time may grow with a high power of them
LIST = "a list of files"
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(frozen=True)
class Hints:
    """Hints of the data's maker; see `read_own`."""

    label_column: str | None
    speaker_column: str | None
    label_pattern: re.Pattern[str] | None
    speaker_pattern: re.Pattern[str] | None
    root: Path | None

    def given(self) -> dict[str, str]:
        """Return what was given, by the names of `read_own`'s parameters; of the root its name alone."""
        root = None if self.root is None else self.root.resolve().name
        columns = {"root": root, "label_column": self.label_column, "speaker_column": self.speaker_column}
        patterns = {"label_pattern": self.label_pattern, "speaker_pattern": self.speaker_pattern}
        sources = {name: pattern.pattern for name, pattern in patterns.items() if pattern is not None}
        return {name: column for name, column in columns.items() if column is not None} | sources


def read_own(
    path: str | Path,
    *,
    label_column: str | None = None,
    speaker_column: str | None = None,
    label_pattern: str | None = None,
    speaker_pattern: str | None = None,
    root: Path | None = None,
) -> OwnData:
    """Read labelled recordings in any of these layouts: nothing is changed, no sound is read.

    * a folder for each class, with or without train, valid and test above;
    * a folder with ``metadata.csv``, ``.jsonl`` or ``.parquet`` (Hugging Face audiofolder), or with one other table;
    * an audformat database (``db.*.csv`` or ``db.*.parquet``);
    * a table (CSV, TSV, JSON lines, Parquet), a manifest of earnest's among them: parts of recordings are read too;
    * a list of files: a path a line, then perhaps label and speaker; without labels, the files' folders are these;
    * an annotation of ELAN's (``.eaf``) or Praat's (``.TextGrid``), or a label track of Audacity's (``.txt``), beside
      its recording, or a folder with such annotations: their entries are parts of recordings.

    Raises `CorpusError` when there is nothing to be read, or it isn't clear what the label is. What is wrong with
    single recordings is in `OwnData.refused`.

    Parameters
    ----------
    label_column, speaker_column : of the table, where their names don't tell; of folders "folder 1", "folder 2", …; of
        annotations names of tiers
    label_pattern, speaker_pattern : regular expressions on a recording's path below ``path``; the group "label" or
        "speaker", or else the first one, or the whole match
    root : where relative paths of a table start; None for its folder, or the current one where they are only there
    """
    source = _path_of(path)
    hints = Hints(
        label_column,
        speaker_column,
        _compiled(label_pattern, "label pattern"),
        _compiled(speaker_pattern, "speaker pattern"),
        root,
    )
    layout = _of_folder(source, hints) if source.is_dir() else _of_file(source, hints)
    layout = _with_patterns(layout, hints)
    rows = utterances_of(layout.found, layout.base)
    refused = [*rows.refused, *(Refused(str(one), "no row of the table names it") for one in layout.strangers)]
    if not rows.utterances:
        raise none_usable(source, refused)
    n_without = sum(not row.speaker for row in rows.utterances)
    has_speakers = n_without < len(rows.utterances)
    notes = [*layout.notes]
    if has_speakers and n_without:
        notes.append(f"{n_without} of {len(rows.utterances)} recordings have no speaker.")
    return OwnData(
        source,
        layout.name,
        rows.utterances,
        tuple(refused),
        layout.label_from,
        layout.speaker_from if has_speakers else "",
        rows.splits,
        (*notes, *([] if has_speakers else _unmatched(hints.speaker_pattern, layout.found[0].path))),
        hints.given(),
    )


def _path_of(given: object) -> Path:
    if isinstance(given, str) and not given:
        raise CorpusError("source: an empty text names no folder, table or list of files. The working folder is '.'.")
    if isinstance(given, str | PathLike):
        return Path(given)
    raise CorpusError(
        f"source: expected the path of a folder, table or list of files, got {type(given).__name__}. Write a table to "
        "a file first (a DataFrame with to_csv), and give its path."
    )


def _of_file(source: Path, hints: Hints) -> FoundLayout:
    suffix = source.suffix.lower()
    if not source.exists():
        raise CorpusError(f"{source}: no such file or folder. Check the path.")
    if is_annotation(source):
        one = [read_annotation(source)]
        return labels_of(one, source, hints.label_column, hints.speaker_column, source.parent)
    if suffix in LIST_SUFFIXES:
        return _of_table(LIST, source, read_list(source), hints)
    if suffix in TABLE_SUFFIXES:
        return _of_table("a table", source, read_table(source), hints)
    known = ", ".join((*TABLE_SUFFIXES, *LIST_SUFFIXES, ".eaf", ".TextGrid"))
    raise CorpusError(
        f"{source}: expected a folder, or a file that ends in {known}. Programs such as Excel save tables as CSV or "
        "text with tabs: a row a recording, or part of one, with columns path, label, start_s, end_s."
    )


def _of_table(name: str, source: Path, table: OwnTable, hints: Hints) -> FoundLayout:
    needs_label = hints.label_pattern is None and hints.label_column is None and name != LIST
    columns = columns_of(table, source, hints.label_column, hints.speaker_column, needs_label)
    found = list(columns.found(table))
    base, notes = _base(source, found, hints.root)
    label_from = f"column '{columns.label}'"
    if columns.label is None:
        used = {columns.path, columns.speaker, *columns.others.values()}
        others = named([printable(name) for name in table.columns if name not in used])
        if others and hints.label_pattern is None:
            notes.append(f"Is the label in one of {others}? Then say --label-column NAME. {ELSEWHERE}")
        found = [replace(one, label=PurePosixPath(one.path.replace("\\", "/")).parent.name) for one in found]
        label_from = "the files' folders"
    speaker_from = f"column '{columns.speaker}'" if columns.speaker else ""
    if hints.label_pattern is None:
        notes += doubts_about_raters(table, columns)
    notes += doubts_about_parts(columns, found)
    return FoundLayout(name, found, base, label_from, speaker_from, notes)


def _base(source: Path, found: Sequence[FoundRecording], root: Path | None) -> tuple[Path, list[str]]:
    """Return where relative paths start: the table's folder, or the current one where only that holds any of them."""
    if root is not None:
        return root, []
    here, there = Path(), source.parent
    some = [one.path for one in found[:1000] if one.path]
    if not any(is_file(path_in(there, one)) for one in some) and any(is_file(path_in(here, one)) for one in some):
        return here, ["Paths of the table start at the current folder, not at that of the table."]
    return there, []


def _of_folder(source: Path, hints: Hints) -> FoundLayout:
    if tables := _metadata_of(source):
        return _audiofolder(source, tables, hints)
    if tables := sorted(path for path in source.glob("db.*") if path.suffix in (".csv", ".parquet")):
        return _audformat(source, tables, hints)
    here = [path for path in sorted(source.iterdir()) if path.suffix.lower() in TABLE_SUFFIXES and has_recordings(path)]
    if len(here) == 1:
        return _of_table(f"a folder with {here[0].name}", here[0], read_table(here[0]), hints)
    if here:
        names = ", ".join(path.name for path in here[:5])
        raise CorpusError(f"{source}: holds several tables of recordings ({names}). Give the path of one of them.")
    inside = found_in(str(source))
    if inside.annotations and (annotated := _annotated(source, inside, hints)):
        return annotated
    label = hints.label_column or ("folder 1" if hints.label_pattern else None)  # which a pattern replaces
    found, label_from, notes = class_folders(source, inside, label, hints.speaker_column)
    speaker_from = hints.speaker_column or ""
    name = "a folder of recordings" if hints.label_pattern else "a folder for each class"
    return FoundLayout(name, found, source, label_from, speaker_from, notes)


def _annotated(source: Path, inside: Found, hints: Hints) -> FoundLayout | None:
    """Return what annotations say; None where their tiers say something else, such as words, and folders the class."""
    files, notes = list[AnnotationFile](), list[str]()
    for path in map(Path, inside.annotations):
        try:
            files.append(read_annotation(path))
        except CorpusError as error:
            notes.append(str(error))
    try:
        layout = labels_of(files, source, hints.label_column, hints.speaker_column, source)
    except CorpusError:
        if hints.label_pattern or {Path(path).parent for path in inside.recordings} != {source}:
            return None
        raise
    return replace(layout, notes=[*layout.notes, *notes])


def _metadata_of(source: Path) -> list[Path]:
    """Return the metadata of an audiofolder: at its top, or in each of train, valid and test."""
    folders = [source, *sorted(path for path in source.iterdir() if path.is_dir() and path.name.lower() in SET_NAMES)]
    found = (next((folder / name for name in METADATA if (folder / name).is_file()), None) for folder in folders)
    return [path for path in found if path]


def _audiofolder(source: Path, tables: Sequence[Path], hints: Hints) -> FoundLayout:
    found: list[FoundRecording] = []
    layouts = []
    for path in tables:
        table, below = read_table(path), path.parent.relative_to(source)
        has_label = guessed_name(table.columns, LABEL) is not None
        name = "an audiofolder with metadata" if has_label or hints.label_column else LIST
        layouts.append(_of_table(name, path, table, replace(hints, root=path.parent)))
        split = SET_NAMES.get(below.name.lower(), "")
        found += (
            replace(one, path=(below / one.path).as_posix(), split=one.split or split) for one in layouts[-1].found
        )
    # Unlike Path.resolve, realpath doesn't fail at a link that points to itself.
    paths = (path_in(source, one.path) for one in found if one.path and "\0" not in one.path)
    named = {os.path.realpath(found_channel(path)[0]) for path in paths}
    strangers = [path for path in map(Path, found_in(str(source)).recordings) if os.path.realpath(path) not in named]
    first = layouts[0]
    return replace(first, name="an audiofolder with metadata", found=found, base=source, strangers=strangers)


def _audformat(source: Path, paths: Sequence[Path], hints: Hints) -> FoundLayout:
    """Read the largest table with labels, and speakers from any table that has them."""
    tables = [(path, read_table(path)) for path in paths]
    labelled = [
        (path, table)
        for path, table in tables
        if "file" in table.columns and (hints.label_column or guessed_name(table.columns, "label")) in table.columns
    ]
    if not labelled:
        names = ", ".join(path.name for path in paths[:5])
        raise CorpusError(f"{source}: none of {names} has a label for each file. Say --label-column NAME. {ELSEWHERE}")
    path, table = max(labelled, key=lambda one: (len(one[1].rows), one[0].name))
    speaker = hints.speaker_column or guessed_name(
        [name for _, other in tables for name in other.columns if "file" in other.columns], SPEAKER
    )
    if speaker and speaker not in table.columns:
        table = joined(table, (other for _, other in tables), "file", speaker)
    layout = _of_table("an audformat database", path, table, replace(hints, root=hints.root or source))
    others = [one.name for one, _ in labelled if one != path]
    notes = [f"Labels are those of {path.name}; {', '.join(others[:5])} were left out."] if others else []
    return replace(layout, notes=[*layout.notes, *notes])


def _with_patterns(layout: FoundLayout, hints: Hints) -> FoundLayout:
    found = layout.found
    if hints.label_pattern:
        found = [replace(one, label=matched(hints.label_pattern, one.path, "label") or "") for one in found]
        layout = replace(layout, label_from="a pattern on the path")
    if hints.speaker_pattern:
        found = [replace(one, speaker=matched(hints.speaker_pattern, one.path, SPEAKER) or "") for one in found]
        layout = replace(layout, speaker_from="a pattern on the path")
    return replace(layout, found=found)


def matched(pattern: re.Pattern[str], path: str, group: str) -> str | None:
    """Search a path with a composed pattern: the group of this name, or else the first one, or all."""
    found = pattern.search(composed(path)) if len(path) <= LONGEST_PATH else None
    if found is None:
        return None
    if group in pattern.groupindex:
        return found.group(group)
    return found.group(1) if pattern.groups else found.group()


def _compiled(pattern: str | None, what: str) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(composed(pattern))
    except (re.error, OverflowError, RecursionError) as error:
        raise CorpusError(f"{what} {shown(pattern)}: not a regular expression ({error}).") from None


def class_folders(
    root: Path, inside: Found, label_column: str | None, speaker_column: str | None
) -> tuple[list[FoundRecording], str, list[str]]:
    """Return recordings below a folder, which level of folders is the label ("folder 1"), and notes.

    Parameters
    ----------
    inside : what is in ``root``
    label_column, speaker_column : "folder N", N counted from 1 below ``root`` (and below train, valid and test)
    """
    left_out, paths = inside.left_out(), sorted(map(Path, inside.recordings))
    if not paths:
        nothing = f"no recordings there ({' '.join(sorted(AUDIO_SUFFIXES))}), and no table that names some"
        raise CorpusError(f"{root}: {nothing}. {left_out or 'Name another folder.'}")
    files = [path.relative_to(root) for path in paths]
    split_of, folders = _without_sets([file.parent.parts for file in files])
    told = level_in(label_column)
    level, notes = told, list[str]()
    if not told:
        level, notes = _label_level(folders)
        notes += _labels_in_names(files, {_at(inner, level) for inner in folders})
    who = level_in(speaker_column)
    for asked in (told, who):
        _check_level(root, asked, folders)
    found = [
        FoundRecording(file.as_posix(), _at(inner, level), str(root / file), _at(inner, who), split)
        for file, inner, split in zip(files, folders, split_of, strict=True)
    ]
    return found, f"{FOLDER}{level}", [*notes, left_out] if left_out else notes


def level_in(column: str | None) -> int:
    """Read "folder 2" as 2; 0 for None. Raises `CorpusError` for the name of a column: folders have none."""
    if column is None:
        return 0
    number = column.removeprefix(FOLDER)
    if column.startswith(FOLDER) and number.isdecimal() and 0 < int(number) < 20:
        return int(number)
    raise CorpusError(f"{shown(column)} is no column of a folder of recordings. Say 'folder 1' for its folders' names.")


def _unmatched(speaker_pattern: re.Pattern[str] | None, path: str) -> list[str]:
    """Describe a given pattern that found no speaker, and the path that it was tried on."""
    if speaker_pattern is None:
        return []
    pattern = shown(speaker_pattern.pattern)
    return [f"The speaker pattern {pattern} is in no path; it is looked for in all of a path, such as {shown(path)}."]


def _check_level(root: Path, level: int, folders: Sequence[tuple[str, ...]]) -> None:
    """Refuse a level of folders that no recording lies in, and name those that there are."""
    deepest = max(map(len, folders))
    if level > max(deepest, 1):  # without any folder it is the label that is missing
        names = (sorted({parts[at] for parts in folders if len(parts) > at}) for at in range(deepest))
        there = "; ".join(f"'{FOLDER}{at}' ({', '.join(map(printable, some[:3]))})" for at, some in enumerate(names, 1))
        raise CorpusError(f"{root}: there is no '{FOLDER}{level}'. There is {there or 'no folder in it'}.")


def _without_sets(folders: Sequence[tuple[str, ...]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Take train, valid and test away where all recordings that are in a folder are in these."""
    if not {parts[0].lower() for parts in folders if parts} <= SET_NAMES.keys():
        return [""] * len(folders), list(folders)
    return [SET_NAMES[parts[0].lower()] if parts else "" for parts in folders], [parts[1:] for parts in folders]


def _label_level(folders: Sequence[tuple[str, ...]]) -> tuple[int, list[str]]:
    """Return the level of folders that most looks like classes, from 1, and what to tell about that choice."""
    deepest = max((len(parts) for parts in folders), default=0)
    if deepest < 2:
        return 1, []
    names = [{parts[level] for parts in folders if len(parts) > level} for level in range(deepest)]
    known = [sum(name.lower() in _WORDS for name in level) / len(level) for level in names]
    best = max(range(deepest), key=lambda level: (known[level] > 0.5, -level))
    some = ", ".join(map(printable, sorted(names[best])[:3]))
    return best + 1, [
        f"There are folders inside folders: level {best + 1} of {deepest} ({some} …) is taken as the label. Another "
        f"level: --label-column 'folder N'. Speakers: --speaker-column 'folder N'. {ELSEWHERE}"
    ]


def _labels_in_names(files: Sequence[PurePath], labels: Collection[str]) -> list[str]:
    """Return what to tell where no folder's name is an emotion, but a word in most files' names is one."""
    if any(label.lower() in _WORDS for label in labels):
        return []
    words = [next((one for one in _WORD.findall(file.stem.lower()) if one in _WORDS), "") for file in files]
    found = Counter(filter(None, words))
    if len(found) < 2 or 2 * found.total() < len(files):
        return []
    example = next(file for file, word in zip(files, words, strict=True) if word)
    return [
        f"The labels are the folders' names, and none of these is an emotion, but most files' names hold one "
        f"({printable(example.name)}). If that is the label: --label-pattern '{'|'.join(sorted(found))}'."
    ]


def _at(parts: Sequence[str], level: int) -> str:
    return parts[level - 1] if 0 < level <= len(parts) else ""
