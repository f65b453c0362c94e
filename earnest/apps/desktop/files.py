"""The files: table, search, filter with counts, progress with time left, cancel."""

import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    QUrl,
    Signal,
)
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from earnest.apps.desktop.analysis import Analysis, Listening
from earnest.apps.desktop.answer import short_error
from earnest.apps.desktop.fields import ChoiceField, RowsTable, TypingField, arranged, button
from earnest.apps.desktop.texts import PlainLabel, explained, localised, tip, tr, word
from earnest.corpora.folders import found_in
from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.errors import in_percent, printable
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
        """The entry in a word: emotion or status, else the state."""
        found = self.prediction
        return (found.emotion or found.status) if found else self.state


def found_files(paths: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """Return the recordings that files and folders hold, and a sentence for each folder without any; may take long."""
    entries, problems = [], []
    for path in map(Path, paths):
        if not path.is_dir():
            entries.append(Entry(str(path), _size(path)))
            continue
        found = found_in(str(path))
        entries += [Entry(one, _size(Path(one))) for one in found.recordings]
        if not found.recordings:
            endings = " ".join(sorted(AUDIO_SUFFIXES))
            said = tr("{folder}: no recordings in this folder ({endings}). Choose another.")
            problems.append(said.format(folder=printable(str(path)), endings=endings))
        if left_out := [explained(told) for told in found.left_out_by_kind()]:
            problems.append(f"{printable(str(path))}: {' '.join(left_out)}")
    return entries, problems


def pasted_path(line: str) -> str:
    """Return the path that a line of text names: as it stands, in quotes as Windows copies it, or as an address."""
    text = line.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return QUrl(text).toLocalFile() if text.startswith("file:") else text


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a row with its error, later
        return 0


FILE, EMOTION, CONFIDENCE, LENGTH, QUALITY, NOTE, FOLDER = range(7)


class FileTable(QAbstractTableModel):
    """The files, in the order in which they were opened."""

    def __init__(self, parent: QObject) -> None:
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
            titles = tr("File"), tr("Emotion"), tr("Confidence"), tr("Length"), tr("Quality"), tr("Note"), tr("Folder")
            return titles[section]
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
        return ", ".join(f"{word(name)} {localised(f'{in_percent(share)}%')}" for name, share in found.shares.items())
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

    def __init__(self, table: FileTable, parent: QObject) -> None:
        super().__init__(parent)
        self._table, self._label, self._sought = table, "", ""
        self.setSourceModel(table)
        self.setSortRole(SORTED)

    def look_for(self, label: str, sought: str) -> None:
        """Keep files of a label ("" for all) in whose path or note a text stands."""
        self._label, self._sought = label, _folded(sought)
        self.invalidate()

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:  # noqa: N802
        """Return whether a file is looked for."""
        entry = self._table.entries[source_row]
        if self._label and entry.label != self._label:
            return False
        return not self._sought or self._sought in _folded(f"{entry.path}\n{_note(entry)}")


def _folded(text: str) -> str:
    """Return a text as somebody may type it: a Mac writes "ü" of a file's name as two characters."""
    return unicodedata.normalize("NFKC", text).casefold()


class TimeLeft:
    """Estimate of the time left, from the time taken so far; unknown while a piece takes longer than expected."""

    def __init__(self) -> None:
        self._since, self._took_s, self._done = time.monotonic(), 0.0, 0

    def finish(self, size: int) -> None:
        """Note that a piece is done."""
        now = time.monotonic()
        self._took_s, self._done, self._since = self._took_s + now - self._since, self._done + size, now

    def drop(self) -> None:
        """Note that what was begun is not wanted any more; its time tells nothing."""
        self._since = time.monotonic()

    def seconds(self, left: int) -> float | None:
        """Return seconds to go for work of this size, the piece that was begun included; None where that is unknown."""
        if self._done <= 0 or self._took_s < 1:
            return None
        seconds = self._took_s * left / self._done - (time.monotonic() - self._since)
        return seconds if seconds > 0 else None


SHOWN_MS = 250
WIDTHS = {FILE: 140, EMOTION: 95, CONFIDENCE: 85, LENGTH: 65}
LEAST_WIDTH = 80  # of names


class FilesView(RowsTable):
    """The rows; in a narrow window names are shortened, so that emotions and confidences are seen."""

    def __init__(self) -> None:
        super().__init__(tr("Files"))
        self._cut = 0  # from the names' column, which it gets back where there is room

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Share the width."""
        super().resizeEvent(event)
        header = self.horizontalHeader()
        if not header.count():
            return
        wanted = header.sectionSize(FILE) + self._cut
        room = self.viewport().width() - header.sectionSize(EMOTION) - header.sectionSize(CONFIDENCE)
        header.resizeSection(FILE, min(wanted, max(room, LEAST_WIDTH)))
        self._cut = wanted - header.sectionSize(FILE)


class FilesPanel(QWidget):
    """The table and what answers its files.

    Signals
    -------
    current_changed : path of the file that is current, "" for none
    answered : paths of files that have a new answer
    """

    current_changed = Signal(str)
    answered = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.model, self.analysis = FileTable(self), Analysis(self)
        self.filter = FileFilter(self.model, self)
        self.search, self.labels = TypingField(), ChoiceField(tr("Show one emotion"))
        self.search.setPlaceholderText(tr("Search names and notes"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Search names and notes"))
        self.table = FilesView()
        self._set_up_table()
        self.progress = QProgressBar()
        self.state = PlainLabel(name=tr("State of the work"), wraps=True)
        self.stop = button(tr("Cancel"), self.cancel, tr("Cancel"))
        self.progress.setAccessibleName(tr("Progress"))
        self.progress.setMinimumWidth(1)  # so that it makes no narrow window wider
        self.progress.hide()
        self.stop.hide()
        self._left = TimeLeft()
        self._looks_for = QTimer(self, interval=150, singleShot=True)
        self._looks_for.timeout.connect(self._look)
        self.search.textChanged.connect(lambda *_: self._looks_for.start())
        self.labels.currentIndexChanged.connect(lambda *_: self._looks_for.start())
        self.analysis.answered.connect(self._take)
        self.analysis.begun.connect(lambda path: self.model.say([path], "hearing"))
        self.analysis.ended.connect(self._end)
        self._shown = QTimer(self, interval=SHOWN_MS)
        self._shown.timeout.connect(self._show_progress)
        self._arrange()
        self._count()

    def _set_up_table(self) -> None:
        self.table.setModel(self.filter)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as they were opened
        self.table.setWordWrap(False)
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.table.horizontalHeader()
        for column, width in WIDTHS.items():
            header.resizeSection(column, max(width, header.sectionSizeHint(column)))
        self.table.selectionModel().currentRowChanged.connect(lambda index, _: self._choose(index))

    def _arrange(self) -> None:
        top = arranged(QHBoxLayout(), (self.search, 2), (self.labels, 1))
        bottom = arranged(QHBoxLayout(), (self.progress, 1), self.stop)
        layout = arranged(QVBoxLayout(self), top, (self.table, 1), self.state, bottom)
        layout.setContentsMargins(4, 4, 0, 4)

    def answer_with(self, listening: Listening) -> None:
        """Answer all files, also those that have an answer of another model."""
        self.analysis.answer_with(listening)
        paths = [entry.path for entry in self.model.entries]
        self.model.say(paths, "waiting")
        self._left = TimeLeft()
        self._work(paths)

    def add(self, entries: Sequence[Entry]) -> list[str]:
        """Add files to the table and to the work; the first new one becomes current where none is."""
        new = self.model.add(entries)
        if not self.table.currentIndex().isValid() and new:
            self.choose(new[0])
        self._work(new)
        return new

    def cancel(self) -> None:
        """Answer no more; what is not answered says so, and can be answered again."""
        self.model.say(self.analysis.cancel(), "cancelled")
        self._left.drop()
        self._end()

    def retry(self) -> None:
        """Answer what was cancelled, what had an error, and what is chosen."""
        failed = {entry.path for entry in self.model.entries if entry.label in ("error", "cancelled")}
        paths = [path for path in dict.fromkeys([*failed, *self.chosen()]) if path]
        waiting = {entry.path for entry in self.model.entries if entry.state in ("waiting", "hearing")}
        paths = [path for path in paths if path not in waiting]
        self.model.say(paths, "waiting")
        self._work(paths)

    def remove_chosen(self) -> None:
        """Take the chosen files out of the table; the one behind the first of them becomes current."""
        rows = self.table.selectionModel().selectedRows()
        if not rows:
            return
        chosen, first = set(self.chosen()), min(index.row() for index in rows)
        if any(entry.state == "hearing" for path in self.analysis.forget(chosen) if (entry := self.model.of(path))):
            self._left.drop()
        self.model.remove(chosen)
        self._show_progress()
        self._count()
        if self.filter.rowCount():
            self._go_to(self.filter.index(min(first, self.filter.rowCount() - 1), 0))
        else:
            self.current_changed.emit("")

    def close_analysis(self) -> None:
        """Stop the work for good."""
        self._shown.stop()
        self.analysis.close()

    @property
    def current(self) -> str:
        """Path of the current file, "" for none."""
        index = self.filter.mapToSource(self.table.currentIndex())
        return self.model.entries[index.row()].path if index.isValid() else ""

    def chosen(self) -> list[str]:
        """Return the paths of the chosen files, in the order of the table."""
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [self.model.entries[self.filter.mapToSource(self.filter.index(row, 0)).row()].path for row in rows]

    def choose(self, path: str) -> None:
        """Make a file the current one."""
        row = self.model.row_of(path)
        if row is None:
            return
        if not (index := self.filter.mapFromSource(self.model.index(row, 0))).isValid():  # not among what is looked for
            self.search.clear()
            self.labels.setCurrentIndex(0)
            self._look()
            index = self.filter.mapFromSource(self.model.index(row, 0))
        self._go_to(index)

    def _go_to(self, index: QModelIndex) -> None:
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.table.selectionModel().setCurrentIndex(index, flags)  # also while Ctrl is held
        self.table.scrollTo(index)

    def step(self, by: int) -> None:
        """Go to the next file, or the one before."""
        row = min(max(self.table.currentIndex().row() + by, 0), self.filter.rowCount() - 1)
        if row >= 0:
            self._go_to(self.filter.index(row, 0))

    def answered_timelines(self) -> tuple[list[Timeline], int]:
        """Return the answers of the chosen files, of all that are shown where one or none is chosen; and how many lack.

        What waits, is heard or was cancelled has no answer.
        """
        paths = self.chosen()
        if len(paths) < 2:
            shown = (self.filter.mapToSource(self.filter.index(row, 0)).row() for row in range(self.filter.rowCount()))
            paths = [self.model.entries[row].path for row in shown]
        found = (self.model.of(path) for path in paths)
        answered = [entry.timeline for entry in found if entry is not None and entry.timeline is not None]
        return answered, len(paths) - len(answered)

    def _choose(self, index: QModelIndex) -> None:
        source = self.filter.mapToSource(index)
        self.current_changed.emit(self.model.entries[source.row()].path if source.isValid() else "")

    def _work(self, paths: Sequence[str]) -> None:
        if not paths:
            self._count()
            return
        if not self.analysis.is_busy:
            self._left = TimeLeft()
        self.analysis.add(paths)
        self._shown.start()
        self._show_progress()
        self._count()

    def _take(self, found: list[tuple[str, Timeline]]) -> None:
        self._left.finish(sum(entry.n_bytes for path, _ in found if (entry := self.model.of(path))))
        self.model.answer(found)
        self.answered.emit([path for path, _ in found])

    def _end(self) -> None:
        self._shown.stop()
        self._show_progress()

    def _show_progress(self) -> None:
        entries = self.model.entries
        n_left = self.analysis.n_waiting
        busy = self.analysis.is_busy and n_left > 0
        self.progress.setVisible(busy)
        self.stop.setVisible(busy)
        if busy:
            self.progress.setRange(0, len(entries))
            self.progress.setValue(len(entries) - n_left)
        self._count()

    def _count(self) -> None:
        """Show the number of files, of failures, and the time left."""
        counts = self.model.counts()
        n_left, n_all = self.analysis.n_waiting, len(self.model.entries)
        said = [tr("1 file") if n_all == 1 else tr("{count} files").format(count=n_all)]
        if counts.get("error"):
            said.append(tr("{count} could not be read").format(count=counts["error"]))
        if counts.get("cancelled"):
            said.append(tr("{count} cancelled").format(count=counts["cancelled"]))
        if n_left and self.analysis.is_busy:
            said.append(tr("{count} left").format(count=n_left))
            if self.analysis.heard_s > 30:
                said.append(tr("{time} of this one heard").format(time=clock(round(self.analysis.heard_s), 3600)))
            seconds = self._left.seconds(
                sum(entry.n_bytes for entry in self.model.entries if entry.state in ("waiting", "hearing"))
            )
            if seconds is not None:
                said.append(tr("about {time} to go").format(time=clock(max(round(seconds), 1), seconds)))
        self.state.setText(", ".join(said))
        self._offer(counts)

    def _offer(self, counts: dict[str, int]) -> None:
        chosen = str(self.labels.currentData() or "")
        offered = {"": len(self.model.entries), **counts}
        if chosen not in offered:
            offered[chosen] = 0
        self.labels.blockSignals(True)
        self.labels.clear()
        for label, count in offered.items():
            said = word(printable(label)) if label else tr("all")
            self.labels.addItem(f"{said} ({count})", label)
        self.labels.setCurrentIndex(self.labels.findData(chosen))
        self.labels.blockSignals(False)

    def _look(self) -> None:
        self.filter.look_for(str(self.labels.currentData() or ""), self.search.text().strip())
