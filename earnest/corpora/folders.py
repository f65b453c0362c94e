"""Folders → the recordings in them, and what is left out and has to be told.

Nobody means what is hidden, nor what programs keep for themselves (virtual environments, `node_modules`, a waste bin).
Links to folders are not followed: they may lead in circles, or out of what was named.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.errors import counted, named, printable

ANNOTATED = (".eaf", ".textgrid")  # what ELAN and Praat write about recordings
_OF_MACOS = "._"  # before the name of a file with what macOS knows of another file
_HEADERLESS = (".al", ".alaw", ".g722", ".g729", ".gsm", ".mulaw", ".pcm", ".sln", ".ul", ".ulaw", ".vox")
_OF_PROGRAMS = {"node_modules", "site-packages", "$RECYCLE.BIN"}
_IN_ENVIRONMENTS = {"pyvenv.cfg", "conda-meta"}  # names in the top folder of an environment of Python
_JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT; Python 3.11 lacks os.path.isjunction


@dataclass
class Found:
    """What a folder holds.

    Attributes
    ----------
    recordings : paths, as `os.path.join` writes them, sorted; also of a folder with such a name, to become an error
    tars : paths of tar files, sorted
    annotations : paths of files of ELAN's and Praat's, sorted
    links : to folders, which are not followed
    headerless : names of files with samples alone, as telephone systems write them; nothing tells their rate and coding
    unmeant : hidden file, hidden folder or folder of a program → how many recordings are left out there
    """

    root: str
    recordings: list[str] = field(default_factory=list)
    tars: list[str] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    headerless: list[str] = field(default_factory=list)
    unmeant: dict[str, int] = field(default_factory=dict)

    def left_out(self) -> str:
        """Say in sentences what is left out and what to do; "" for nothing."""
        return " ".join(self.left_out_by_kind())

    def left_out_by_kind(self) -> list[str]:
        """Say the same of links, of files without a header, and of what nobody means, where there are some."""
        return [told for told in (self._unfollowed(), self._without_header(), self._unmeant()) if told]

    def _unfollowed(self) -> str:
        if not self.links:
            return ""
        many = f"{len(self.links)} folders are links, which are"
        what = "A folder is a link, which is" if len(self.links) == 1 else many
        names = self._names(self.links)
        return f"{what} not followed: {names}. Name the folder it points to, or copy it; links to files are read."

    def _without_header(self) -> str:
        if not self.headerless:
            return ""
        endings = sorted({ending_of(name) for name in self.headerless})
        return (
            f"{counted(len(self.headerless), 'file')} without a header can't be read ({' '.join(endings)}). "
            "With ffmpeg: ffmpeg -f mulaw -ar 8000 -i call.ulaw call.wav (or -f alaw, gsm, s16le)."
        )

    def _unmeant(self) -> str:
        if not self.unmeant:
            return ""
        count = counted(sum(self.unmeant.values()), "recording")
        where = self._names(list(self.unmeant))
        return f"{count} left out, hidden or in folders of programs: {where}. To hear what is there, name it."

    def _names(self, paths: Sequence[str]) -> str:
        return named([printable(str(Path(path).relative_to(self.root))) for path in paths])


def found_in(root: str) -> Found:
    """Look for recordings in a folder and below, in one walk."""
    found = Found(root)
    unmeant: dict[str, str] = {}  # a folder that nobody means, or below one → that one
    for parent, folders, files in os.walk(root):
        if parent not in unmeant and parent != root and _is_of_program(parent, {*files, *folders}):
            unmeant[parent] = parent
        links = {name for name in folders if _is_link(Path(parent, name))}
        wanted = {name for name in [*files, *folders] if is_recording(name)} - links
        folders[:] = sorted({*folders} - links - wanted)
        for name in sorted({*folders, *links, *wanted}):
            path = os.path.join(parent, name)  # noqa: PTH118  # as os.walk writes it
            top = unmeant.get(parent) or (path if name.startswith(".") else None)
            if top is None:
                found.recordings += [path] if name in wanted else []
                found.links += [path] if name in links else []
            elif name in wanted:
                found.unmeant[top] = found.unmeant.get(top, 0) + 1
            else:
                unmeant[path] = top
        if parent not in unmeant:
            found.headerless += [name for name in files if ending_of(name) in _HEADERLESS]
            for paths, endings in ((found.tars, (".tar",)), (found.annotations, ANNOTATED)):
                names = (name for name in files if ending_of(name) in endings and not name.startswith("."))
                paths += [os.path.join(parent, name) for name in names]  # noqa: PTH118
    for paths in (found.recordings, found.tars, found.annotations):
        paths.sort()
    return found


class RecordingFinder:
    """Finds the recordings that files beside them are about, and looks into each folder once."""

    def __init__(self) -> None:
        self._folders: dict[Path, Mapping[str, Sequence[Path]]] = {}

    def called(self, folder: Path, name: str) -> Sequence[Path]:
        """Return the recording of a folder with this name, or else those with this name but for their endings."""
        if folder not in self._folders:
            try:
                paths = sorted(path for path in folder.iterdir() if is_recording(path.name))
            except OSError:  # nobody may look into it
                paths = []
            stems = defaultdict[str, list[Path]](list)
            for path in paths:
                stems[path.stem].append(path)
            self._folders[folder] = {**stems, **{path.name: [path] for path in paths}}
        return self._folders[folder].get(name, ())


def _is_of_program(folder: str, inside: set[str]) -> bool:
    return Path(folder).name in _OF_PROGRAMS or not _IN_ENVIRONMENTS.isdisjoint(inside)


def _is_link(folder: Path) -> bool:
    """Whether a folder is a symbolic link, or a junction, which is what Windows has for everybody."""
    try:
        status = folder.lstat()
    except OSError:  # it is gone
        return False
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def ending_of(name: str) -> str:
    """Return the ending of a file's name, in lower case, with its point."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122


def is_recording(name: str) -> bool:
    """Whether a file is called as recordings are."""
    return ending_of(name) in AUDIO_SUFFIXES and not name.startswith(_OF_MACOS)
