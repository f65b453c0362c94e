"""The files: table, search, filter with counts, progress with time left, cancel."""

from collections.abc import Sequence

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from earnest.apps.desktop.analysis import Analysis, Listening
from earnest.apps.desktop.entries import CONFIDENCE, EMOTION, FILE, LENGTH, Entry, FileFilter, FileTable, TimeLeft
from earnest.apps.desktop.texts import PlainLabel, tr, word
from earnest.errors import printable
from earnest.runtime.timeline import Timeline
from earnest.runtime.timeline_plot import clock

SHOWN_MS = 250
WIDTHS = {FILE: 140, EMOTION: 95, CONFIDENCE: 85, LENGTH: 65}


class FilesPanel(QWidget):
    """The table and what answers its files.

    Signals
    -------
    current_changed : path of the file that is current, "" for none
    answered : paths of files that have a new answer
    """

    current_changed = Signal(str)
    answered = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model, self.analysis = FileTable(self), Analysis(self)
        self.filter = FileFilter(self.model, self)
        self.search, self.labels = QLineEdit(), QComboBox()
        self.search.setPlaceholderText(tr("Search names and notes"))
        self.search.setClearButtonEnabled(True)
        self.search.setAccessibleName(tr("Search names and notes"))
        self.labels.setAccessibleName(tr("Show one emotion"))
        self.table = QTableView()
        self._set_up_table()
        self.progress, self.state, self.stop = QProgressBar(), PlainLabel(), QPushButton(tr("Cancel"))
        self.progress.setAccessibleName(tr("Progress"))
        self.progress.hide()
        self.state.setAccessibleName(tr("State of the work"))
        self.state.setWordWrap(True)
        self.stop.setAccessibleName(tr("Cancel"))
        self.stop.hide()
        self._left = TimeLeft(0)
        self._looks_for = QTimer(self, interval=150, singleShot=True)
        self._looks_for.timeout.connect(self._look)
        self.search.textChanged.connect(lambda *_: self._looks_for.start())
        self.labels.currentIndexChanged.connect(lambda *_: self._looks_for.start())
        self.stop.clicked.connect(self.cancel)
        self.analysis.answered.connect(self._take)
        self.analysis.begun.connect(lambda path: self.model.say([path], "hearing"))
        self.analysis.ended.connect(self._end)
        self._shown = QTimer(self, interval=SHOWN_MS)
        self._shown.timeout.connect(self._show_progress)
        self._arrange()
        self._count()

    def _set_up_table(self) -> None:
        self.table.setModel(self.filter)
        self.table.setAccessibleName(tr("Files"))
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as they were opened
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(False)
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setHighlightSections(False)  # bold titles would be cut off
        for column, width in WIDTHS.items():
            header.resizeSection(column, max(width, header.sectionSizeHint(column)))
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # so that thousands of rows cost nothing
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.table.selectionModel().currentRowChanged.connect(lambda index, _: self._choose(index))

    def _arrange(self) -> None:
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.search, 2)
        top.addWidget(self.labels, 1)
        bottom.addWidget(self.progress, 1)
        bottom.addWidget(self.stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 0, 4)
        layout.addLayout(top)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.state)
        layout.addLayout(bottom)

    def answer_with(self, listening: Listening) -> None:
        """Answer all files, also those that have an answer of another model."""
        self.analysis.answer_with(listening)
        paths = [entry.path for entry in self.model.entries]
        self.model.say(paths, "waiting")
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
        """Take the chosen files out of the table."""
        chosen = set(self.chosen())
        busy = [path for path in self.analysis.cancel() if path not in chosen]
        self.model.remove(chosen)
        self._work(busy)
        self._count()
        self.current_changed.emit(self.current)

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
        if row is not None:
            self._go_to(self.filter.mapFromSource(self.model.index(row, 0)))

    def _go_to(self, index: QModelIndex) -> None:
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.table.selectionModel().setCurrentIndex(index, flags)  # also while Ctrl is held
        self.table.scrollTo(index)

    def step(self, by: int) -> None:
        """Go to the next file, or the one before."""
        row = min(max(self.table.currentIndex().row() + by, 0), self.filter.rowCount() - 1)
        if row >= 0:
            self._go_to(self.filter.index(row, 0))

    def answered_timelines(self) -> list[Timeline]:
        """Return the answers of the chosen files; of all that are shown where one or none is chosen."""
        paths = self.chosen()
        if len(paths) < 2:
            shown = (self.filter.mapToSource(self.filter.index(row, 0)).row() for row in range(self.filter.rowCount()))
            paths = [self.model.entries[row].path for row in shown]
        found = (self.model.of(path) for path in paths)
        return [entry.timeline for entry in found if entry is not None and entry.timeline is not None]

    def _choose(self, index: QModelIndex) -> None:
        source = self.filter.mapToSource(index)
        self.current_changed.emit(self.model.entries[source.row()].path if source.isValid() else "")

    def _work(self, paths: Sequence[str]) -> None:
        if not paths:
            self._count()
            return
        sizes = sum(entry.n_bytes for path in paths if (entry := self.model.of(path)))
        if not self.analysis.is_busy:
            self._left = TimeLeft(0)
        self._left.total += sizes
        self.analysis.add(paths)
        self._shown.start()
        self._show_progress()
        self._count()

    def _take(self, found: list[tuple[str, Timeline]]) -> None:
        self._left.done += sum(entry.n_bytes for path, _ in found if (entry := self.model.of(path)))
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
        """Say how many files there are, how many failed, and how long it takes."""
        counts = self.model.counts()
        n_left, n_all = self.analysis.n_waiting, len(self.model.entries)
        said = [tr("1 file") if n_all == 1 else tr("{count} files").format(count=n_all)]
        if counts.get("error"):
            said.append(tr("{count} could not be read").format(count=counts["error"]))
        if n_left and self.analysis.is_busy:
            said.append(tr("{count} left").format(count=n_left))
            if self.analysis.heard_s > 30:
                said.append(tr("{time} of this one heard").format(time=clock(round(self.analysis.heard_s), 3600)))
            seconds = self._left.seconds()
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
