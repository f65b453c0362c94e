"""Own recordings in folders: those of a class in a folder of its name, with or without train, valid and test above."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from earnest.corpora.base import audio_files_and_links
from earnest.corpora.own.rows import FoundRecording
from earnest.corpora.tables import SYNONYMS
from earnest.errors import CorpusError, printable, shown
from earnest.files.links import unfollowed
from earnest.labels import EMOTIONS

SET_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev", "eval"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
FOLDER = "folder "
_WORDS = {*EMOTIONS, *SYNONYMS, "joy", "neutrality", "contentment"}


def class_folders(
    root: Path, label_column: str | None, speaker_column: str | None
) -> tuple[list[FoundRecording], str, list[str]]:
    """Return recordings below a folder, which level of folders is the label ("folder 1"), and notes.

    Parameters
    ----------
    label_column, speaker_column : "folder N", N counted from 1 below ``root`` (and below train, valid and test)
    """
    paths, links = audio_files_and_links(root)
    linked = unfollowed(root, links)
    if not paths:
        raise CorpusError(f"{root}: no recordings there, and no table that names some. {linked}".rstrip())
    files = [path.relative_to(root) for path in paths]
    split_of, folders = _without_sets([file.parent.parts for file in files])
    told = level_in(label_column)
    level, notes = (told, []) if told else _label_level(folders)
    who = level_in(speaker_column)
    found = [
        FoundRecording(file.as_posix(), _at(inner, level), str(root / file), _at(inner, who), split)
        for file, inner, split in zip(files, folders, split_of, strict=True)
    ]
    return found, f"{FOLDER}{level}", [*notes, linked] if linked else notes


def level_in(column: str | None) -> int:
    """Read "folder 2" as 2; 0 for None.

    Raises
    ------
    CorpusError
        For the name of a column: folders have none.
    """
    if column is None:
        return 0
    number = column.removeprefix(FOLDER)
    if column.startswith(FOLDER) and number.isdecimal() and 0 < int(number) < 20:
        return int(number)
    raise CorpusError(f"{shown(column)} is no column of a folder of recordings. Say 'folder 1' for its folders' names.")


def label_of(path: str) -> str:
    """Return the label of one recording without any other: the name of the folder that it is in."""
    return PurePosixPath(path).parent.name


def _without_sets(folders: Sequence[tuple[str, ...]]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Take train, valid and test away where these are the first folders of all recordings."""
    if not all(parts and parts[0].lower() in SET_NAMES for parts in folders):
        return [""] * len(folders), list(folders)
    return [SET_NAMES[parts[0].lower()] for parts in folders], [parts[1:] for parts in folders]


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
        f"Folders lie in folders: level {best + 1} of {deepest} ({some} …) is taken as the label. Another one: "
        f"--label-column 'folder N'. One of speakers: --speaker-column 'folder N'."
    ]


def _at(parts: Sequence[str], level: int) -> str:
    return parts[level - 1] if 0 < level <= len(parts) else ""
