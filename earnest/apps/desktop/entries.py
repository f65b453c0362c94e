"""The table of files: what is known of each, as Qt's model, sorted and filtered."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, QSortFilterProxyModel, Qt
from PySide6.QtGui import QColor

from earnest.apps.desktop.answer import short_error
from earnest.apps.desktop.texts import localised, tip, tr, word
from earnest.corpora.base import audio_files
from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.errors import AudioError, printable
from earnest.runtime.prediction import Prediction, percent
from earnest.runtime.timeline import Timeline
from earnest.runtime.timeline_plot import clock, label_colour

Index = QModelIndex | QPersistentModelIndex
PICTURES = frozenset({".png"})
OPENED = AUDIO_SUFFIXES | PICTURES
SORTED = Qt.ItemDataRole.UserRole


@dataclass(frozen=True)
class Entry:
    """A file of the table; ``timeline`` is None while it has no answer, and ``state`` says why."""

    path: str
    n_bytes: int = 0
    state: str = "waiting"
    timeline: Timeline | None = None

    @property
    def prediction(self) -> Prediction | None:
        """The answer, or the error."""
        return self.timeline.prediction if self.timeline else None

    @property
    def label(self) -> str:
        """What is said of it in a word: emotion or status, else the state."""
        found = self.prediction
        return (found.emotion or found.status) if found else self.state


def found_files(paths: Iterable[str]) -> list[Entry]:
    """Return the recordings that files and folders hold; may take long.

    Raises
    ------
    AudioError
        When a folder holds none.
    """
    entries = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = audio_files(path)
            if not inside:
                endings = " ".join(sorted(AUDIO_SUFFIXES))
                raise AudioError(f"{printable(str(path))}: no recordings in this folder ({endings}). Choose another.")
            entries += [Entry(str(one), _size(one)) for one in inside]
        else:
            entries.append(Entry(str(path), _size(path)))
    return entries


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a row with its error, later
        return 0


def titles() -> tuple[str, ...]:
    """Return the columns' titles."""
    return tr("File"), tr("Emotion"), tr("Confidence"), tr("Length"), tr("Quality"), tr("Note"), tr("Folder")


FILE, EMOTION, CONFIDENCE, LENGTH, QUALITY, NOTE, FOLDER = range(7)


class FileTable(QAbstractTableModel):
    """The files, in the order in which they were opened."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.entries: list[Entry] = []
        self._rows: dict[str, int] = {}

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        """Return how many files there are."""
        return 0 if parent.isValid() else len(self.entries)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        """Return how many columns there are."""
        return 0 if parent.isValid() else 7

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        """Return a column's title."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return titles()[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell: what is shown, what it is sorted by, its colour, its tip."""
        entry, column = self.entries[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _shown(entry, column)
        if role == SORTED:
            return _sorted(entry, column)
        if role == Qt.ItemDataRole.ToolTipRole:
            return tip(_note(entry) if column == NOTE else printable(entry.path))
        if (
            role == Qt.ItemDataRole.DecorationRole
            and column == EMOTION
            and entry.prediction
            and entry.prediction.emotion
        ):
            return QColor(label_colour(entry.label, entry.timeline.classes if entry.timeline else ()))
        return None

    def add(self, entries: Sequence[Entry]) -> list[str]:
        """Append the files that are not there yet; return their paths."""
        new = [entry for entry in {entry.path: entry for entry in entries}.values() if entry.path not in self._rows]
        if not new:
            return []
        first = len(self.entries)
        self.beginInsertRows(QModelIndex(), first, first + len(new) - 1)
        self.entries += new
        self._rows |= {entry.path: first + place for place, entry in enumerate(new)}
        self.endInsertRows()
        return [entry.path for entry in new]

    def remove(self, paths: Iterable[str]) -> None:
        """Take files out of the table; they stay on the disk."""
        gone = set(paths)
        self.beginResetModel()
        self.entries = [entry for entry in self.entries if entry.path not in gone]
        self._rows = {entry.path: row for row, entry in enumerate(self.entries)}
        self.endResetModel()

    def of(self, path: str) -> Entry | None:
        """Return the entry of a file."""
        return self.entries[self._rows[path]] if path in self._rows else None

    def row_of(self, path: str) -> int | None:
        """Return the row of a file."""
        return self._rows.get(path)

    def answer(self, found: Sequence[tuple[str, Timeline]]) -> None:
        """Take answers in."""
        for path, timeline in found:
            self._change(path, timeline=timeline, state="answered")
        self._tell_changed([path for path, _ in found])

    def say(self, paths: Sequence[str], state: str) -> None:
        """Set the state of files, whose answers are forgotten."""
        for path in paths:
            self._change(path, timeline=None, state=state)
        self._tell_changed(paths)

    def _change(self, path: str, **changes: Any) -> None:
        if path in self._rows:
            row = self._rows[path]
            self.entries[row] = replace(self.entries[row], **changes)

    def _tell_changed(self, paths: Sequence[str]) -> None:
        rows = [self._rows[path] for path in paths if path in self._rows]
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), 6))

    def counts(self) -> dict[str, int]:
        """Return label → files, the most frequent first."""
        return dict(Counter(entry.label for entry in self.entries).most_common())


def _shown(entry: Entry, column: int) -> str:
    found = entry.prediction
    if column == FILE:
        return printable(Path(entry.path).name)
    if column == FOLDER:
        return printable(str(Path(entry.path).parent))
    if column == EMOTION:
        return word(entry.label)
    if found is None:
        return ""
    if column == CONFIDENCE:
        return "" if found.confidence is None else localised(percent(found.confidence))
    if column == LENGTH:
        return "" if found.duration_s is None else localised(clock(round(found.duration_s, 1), found.duration_s))
    return ", ".join(map(word, found.quality)) if column == QUALITY else _note(entry)


def _note(entry: Entry) -> str:
    """Return the error, or what stands beside an answer without an emotion."""
    found = entry.prediction
    if found is None:
        return ""
    if found.error:
        return short_error(found)
    if found.status == "unsure":
        return ", ".join(f"{word(name)} {localised(percent(share))}" for name, share in found.top(2))
    if found.shares and found.status == "mixed":
        return ", ".join(f"{word(name)} {localised(f'{share:.0%}')}" for name, share in found.shares.items())
    return ", ".join(dict.fromkeys(word(f"({burst.kind})") for burst in found.vocal_bursts))


def _sorted(entry: Entry, column: int) -> Any:
    found = entry.prediction
    if column == CONFIDENCE:
        return -1.0 if found is None or found.confidence is None else found.confidence
    if column == LENGTH:
        return -1.0 if found is None or found.duration_s is None else found.duration_s
    return _shown(entry, column).casefold()


class FileFilter(QSortFilterProxyModel):
    """The files that are looked for, sorted by a column."""

    def __init__(self, table: FileTable, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._table, self._label, self._sought = table, "", ""
        self.setSourceModel(table)
        self.setSortRole(SORTED)

    def look_for(self, label: str, sought: str) -> None:
        """Keep files of a label ("" for all) in whose path or note a text stands."""
        self._label, self._sought = label, sought.casefold()
        self.invalidate()

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:  # noqa: N802
        """Return whether a file is looked for."""
        entry = self._table.entries[source_row]
        if self._label and entry.label != self._label:
            return False
        return not self._sought or self._sought in f"{entry.path}\n{_note(entry)}".casefold()


class TimeLeft:
    """How long work of known size still takes, from what it took so far."""

    def __init__(self, total: int) -> None:
        self._begun, self.total, self.done = time.monotonic(), total, 0

    def seconds(self) -> float | None:
        """Return seconds to go; None before anything is known."""
        passed = time.monotonic() - self._begun
        return None if self.done <= 0 or passed < 1 else passed * (self.total - self.done) / self.done
