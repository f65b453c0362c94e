"""Which recordings the words of a command line mean, and which come later."""

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from earnest.apps.cli._speakers import is_list, read_list
from earnest.audio.source import Source
from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.errors import AudioError, printable
from earnest.files.links import unfollowed

POLL_S = 1.0
_log = logging.getLogger("earnest")


def sources_of(paths: Sequence[str]) -> list[Source]:
    """Return the recordings that words mean: files, those in folders and in lists (.csv), - for standard input."""
    sources: list[Source] = []
    for path in paths:
        if path == "-":
            sources.append(sys.stdin.buffer)
        elif Path(path).is_dir():
            sources += _recordings_in(path)
        elif is_list(path):
            sources += read_list(Path(path)).paths
        else:
            sources.append(path)
    return sources


def _recordings_in(folder: str) -> list[str]:
    """Return what has the name of a recording, sorted; a folder with such a name is listed, to become an error."""
    found, linked = _search(folder), unfollowed(Path(folder))
    if not found:
        endings = " ".join(sorted(AUDIO_SUFFIXES))
        told = linked or "Name another one."
        raise AudioError(f"{printable(folder)}: no recordings in this folder ({endings}). {told}")
    if linked:
        _log.warning("%s: %s", printable(folder), linked)
    return found


def _search(folder: str) -> list[str]:
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        found += [os.path.join(parent, name) for name in [*files, *folders] if _is_recording(name)]  # noqa: PTH118
        folders[:] = [name for name in folders if not _is_recording(name)]
    return sorted(found)


def _is_recording(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES  # noqa: PTH122


def arriving(folders: Sequence[str], known: set[str]) -> Iterator[list[str]]:
    """Yield, until Ctrl-C, the recordings that were added to folders; one that still grows is left for later.

    Parameters
    ----------
    known : paths that were there before; what is yielded is added
    """
    growing: dict[str, tuple[int, float]] = {}
    while True:
        seen = {path: _state(path) for folder in folders for path in _search(folder) if path not in known}
        ready = [path for path, state in seen.items() if state is not None and growing.get(path) == state]
        growing = {path: state for path, state in seen.items() if state is not None and path not in ready}
        known.update(ready)
        if ready:
            yield ready
        time.sleep(POLL_S)


def _state(path: str) -> tuple[int, float] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:  # it is gone again
        return None
    return status.st_size, status.st_mtime
