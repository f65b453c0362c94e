"""Labels by hand: each recording's parts, undo and redo, a journal that a kill can't empty."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSignalBlocker,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QUndoCommand, QUndoStack
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from earnest.apps.desktop.analysis import reason
from earnest.apps.desktop.fields import EmotionField, RowsTable, TypingField, arranged, button
from earnest.apps.desktop.texts import PlainLabel, explained, localised, moment, tr, word
from earnest.corpora.annotations import Annotation, AnnotationJournal, AnnotatorAgreement, utterances_of
from earnest.corpora.manifest import Utterance
from earnest.corpora.transcripts import SpeakerTurn
from earnest.errors import EarnestError, in_percent, printable
from earnest.files.writing import OTHERWISE, held_file
from earnest.labels import EMOTIONS
from earnest.runtime.prediction import Span
from earnest.runtime.timeline import Timeline, speakers_of
from earnest.runtime.timeline_plot import label_colour

Parts = tuple[Annotation, ...]


class Annotations(QObject):
    """The parts of each recording that somebody touched; every change is in the journal before anything else happens.

    Signals
    -------
    changed : path of the recording
    stepped : path of the recording that was undone or redone
    failed : why the journal can't be written
    """

    changed = Signal(str)
    stepped = Signal(str)
    failed = Signal(str)

    def __init__(self, journal: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.undo_stack = QUndoStack(self)
        self._journal, self._place, self._holding = AnnotationJournal(journal), journal, ExitStack()
        self._taken = ""  # why nothing is written: another window does
        self._unsaved = dict[str, None]()  # paths of recordings, in order
        self._parts: dict[str, Parts] = {}

    def recover(self) -> None:
        """Recover the annotations of earlier windows; of several windows, the first one alone writes there.

        Raises `EarnestError` when the journal is damaged.
        """
        self._hold()
        self._parts = self._journal.read()

    def _hold(self) -> None:
        try:
            self._holding.enter_context(held_file(self._place))
            self._taken = ""
        except EarnestError as error:
            otherwise = tr("Correct in that window, or close both and start again.")
            self._taken = f"{explained(str(error).removesuffix(OTHERWISE).rstrip())} {otherwise}"

    def close(self) -> None:
        """Let other windows write the journal."""
        self._holding.close()

    @property
    def by_recording(self) -> Mapping[str, Parts]:
        """Path → parts, of the recordings that somebody touched."""
        return self._parts

    def of(self, path: str, timeline: Timeline | None, speakers: Sequence[str] = ()) -> Parts:
        """Return the parts of a recording: as they were left, else as the model hears them."""
        if path in self._parts:
            return self._parts[path]
        entries = timeline.entries() if timeline else []
        names = speakers if len(speakers) == len(entries) else [""] * len(entries)
        return tuple(
            Annotation(one.start_s, one.end_s, one.emotion, name) for one, name in zip(entries, names, strict=True)
        )

    def change(self, path: str, before: Parts, after: Parts, what: str) -> None:
        """Do something that can be undone."""
        if before != after:
            kept = before if path in self._parts else None
            self.undo_stack.push(_Change(self, path, kept, after, what))

    def put(self, path: str, parts: Parts | None) -> None:
        """Note a recording's parts, None for one that nobody touched."""
        if parts is None:
            self._parts.pop(path, None)
        else:
            self._parts[path] = parts
        self._unsaved[path] = None
        try:
            if self._taken:
                self._take_over()
            for changed in [*self._unsaved]:
                self._journal.write(changed, self._parts.get(changed))
                del self._unsaved[changed]
        except Exception as error:  # a full disk: the change is there, and the user is told that it is not safe
            why = self._taken or explained(reason(error))
            self.failed.emit(tr("This correction is not saved: {why}").format(why=why))
        self.changed.emit(path)

    def _take_over(self) -> None:
        """Write from now on, where the other window has ended; what it wrote is read, but for what was changed here."""
        self._hold()
        if self._taken:
            raise EarnestError(self._taken)
        theirs = {path: parts for path, parts in self._journal.read().items() if path not in self._unsaved}
        self._parts = theirs | {path: self._parts[path] for path in self._unsaved if path in self._parts}


class _Change(QUndoCommand):
    """One recording's parts, before (None where nobody had touched it) and after."""

    def __init__(self, annotations: Annotations, path: str, before: Parts | None, after: Parts, what: str) -> None:
        super().__init__(what)
        self._annotations, self._path, self._before, self._after = annotations, path, before, after
        self._is_new = True  # Qt calls `redo` for what is done at first, too

    def redo(self) -> None:
        self._annotations.put(self._path, self._after)
        if not self._is_new:
            self._annotations.stepped.emit(self._path)
        self._is_new = False

    def undo(self) -> None:
        self._annotations.put(self._path, self._before)
        self._annotations.stepped.emit(self._path)


def relabelled(parts: Parts, rows: Sequence[int], emotion: str) -> Parts:
    """Return the parts with another emotion in some of them; the same word confirms it."""
    return tuple(replace(one, emotion=emotion, by_hand=True) if row in rows else one for row, one in enumerate(parts))


def spoken_by(parts: Parts, rows: Sequence[int], speaker: str) -> Parts:
    """Return the parts with another speaker in some of them."""
    return tuple(replace(one, speaker=speaker) if row in rows else one for row, one in enumerate(parts))


def spans_of(parts: Parts) -> list[Span]:
    """Return the parts as spans, to draw or to compare."""
    return [Span(one.start_s, one.end_s, one.emotion, 1.0) for one in parts]


def with_speakers(parts: Parts, turns: Sequence[SpeakerTurn]) -> Parts:
    """Return the parts with who speaks longest in each; where nobody does, with the speaker that they had."""
    names = speakers_of(spans_of(parts), turns)
    return tuple(replace(one, speaker=name or one.speaker) for one, name in zip(parts, names, strict=True))


def without(parts: Parts, rows: Sequence[int]) -> Parts:
    """Return the parts without some of them."""
    return tuple(one for row, one in enumerate(parts) if row not in rows)


def with_part(parts: Parts, new: Annotation) -> Parts:
    """Return the parts with another one; what lies under it is cut away, for parts don't overlap."""
    kept = []
    for one in parts:
        if one.end_s <= new.start_s or one.start_s >= new.end_s:
            kept.append(one)
            continue
        if one.start_s < new.start_s:
            kept.append(replace(one, end_s=new.start_s))
        if one.end_s > new.end_s:
            kept.append(replace(one, start_s=new.end_s))
    return tuple(sorted([*kept, new], key=lambda one: one.start_s))


def annotated_timeline(timeline: Timeline, parts: Parts) -> Timeline:
    """Return a timeline whose spans are those of a person; a label by hand has confidence 1."""
    entries = timeline.entries()
    spans = tuple(Span(one.start_s, one.end_s, one.emotion, _confidence(one, entries)) for one in parts)
    prediction = replace(timeline.prediction, vocal_bursts=())  # they are among the parts
    speakers = tuple(one.speaker for one in parts)
    return replace(timeline, prediction=prediction, spans=spans, speakers=speakers if any(speakers) else ())


def _confidence(part: Annotation, entries: Sequence[Span]) -> float:
    """Return 1 by hand, else what the entry around the part has; 0 where the model of now does not say the same."""
    if part.by_hand:
        return 1.0
    place = bisect_right(entries, part.start_s, key=lambda entry: entry.start_s) - 1
    if place < 0 or part.end_s > entries[place].end_s or part.emotion != entries[place].emotion:
        return 0.0
    return entries[place].confidence


def labelled(annotated: Mapping[str, Parts]) -> list[Utterance]:
    """Return a row for each part that was labelled by hand; without any, raise an `EarnestError`."""
    if rows := utterances_of(annotated):
        return rows
    raise EarnestError(tr("There are no annotations yet. Correct or confirm a part first."))


Index = QModelIndex | QPersistentModelIndex
EMOTION = 2
WIDTHS = 62, 62, 100, 80, 55
TIME_EDGES = 14  # pixels beside a time, in its cell
MOST_ROWS = 5_000
DIFFERS = QColor("#f4b6a6")


class PartsTable(QAbstractTableModel):
    """Start, end, emotion, speaker, and who said so."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: Parts = ()
        self.classes: tuple[str, ...] = EMOTIONS

    def show(self, parts: Parts) -> None:
        """Show other parts."""
        self.beginResetModel()
        self.parts = parts
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        """Return how many parts there are."""
        return 0 if parent.isValid() else len(self.parts)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008
        """Return how many columns there are."""
        return 0 if parent.isValid() else 5

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        """Return a column's title."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return (tr("Start"), tr("End"), tr("Emotion"), tr("Speaker"), tr("By"))[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell."""
        part, column = self.parts[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            by = tr("hand") if part.by_hand else tr("model")
            said = word(printable(part.emotion))
            times = (moment(time_s, self.parts[-1].end_s) for time_s in (part.start_s, part.end_s))
            return (*times, said, printable(part.speaker), by)[column]
        if role == Qt.ItemDataRole.DecorationRole and column == EMOTION:
            return QColor(label_colour(part.emotion, self.classes))
        return None


class AnnotationPanel(QWidget):
    """Buttons and fields around the table; digits name emotions, Return confirms.

    What is typed in a field is taken over with Return, or when anything else is done.

    Signals
    -------
    part_chosen : start in seconds of the part that a person made the current one
    refused : why something can't be done
    learning_wanted, comparing_wanted, saving_wanted : the user asks for it
    """

    part_chosen = Signal(float)
    refused = Signal(str)
    learning_wanted = Signal()
    comparing_wanted = Signal()
    saving_wanted = Signal()

    def __init__(self, annotations: Annotations) -> None:
        super().__init__()
        self._annotations, self._path, self._selection = annotations, "", (0.0, 0.0)
        self._classes: tuple[str, ...] = ()
        self.model, self.table = PartsTable(), RowsTable(tr("Parts of the recording"))
        self._set_up_table()
        self.emotions, self.speaker = EmotionField(tr("Emotion of the chosen parts")), TypingField()
        self.emotions.activated.connect(lambda *_: self.relabel(self.emotions.emotion))
        self.emotions.typing.editingFinished.connect(self.take_typed)
        self.speaker.setAccessibleName(tr("Speaker of the chosen parts"))
        self.speaker.setPlaceholderText(tr("Speaker"))
        self.speaker.editingFinished.connect(self.take_typed)
        self.count = PlainLabel(name=tr("Corrections"), wraps=True)
        grid = QGridLayout()
        buttons = (
            (tr("&Right as it is"), self.confirm),
            (tr("&Add selection"), self.add_selection),
            (tr("&Delete"), self.delete),
            (tr("&Save …"), self.saving_wanted.emit),
            (tr("&Compare …"), self.comparing_wanted.emit),
            (tr("&Learn …"), self.learning_wanted.emit),
        )
        meanings = {4: tr("Compare with a &second annotator …"), 5: tr("Learn &from my corrections …")}
        self.buttons = []
        for place, (text, what) in enumerate(buttons):
            meaning = meanings.get(place, text).replace("&", "")
            self.buttons.append(button(text, what, meaning, meaning))
            grid.addWidget(self.buttons[-1], place // 2, place % 2)
        # A click leaves the keys to the field: what is typed there is of the new part alone.
        self.buttons[1].setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.learning = self.buttons[-1]
        fields = QFormLayout()
        fields.addRow(tr("Emotion"), self.emotions)
        fields.addRow(tr("Speaker"), self.speaker)
        side = arranged(QVBoxLayout(), fields, grid, self.count, 1)
        arranged(QHBoxLayout(self), (self.table, 3), (side, 2))
        self._tell_count()

    def _set_up_table(self) -> None:
        self.table.setModel(self.model)
        for column, width in enumerate(WIDTHS):
            self.table.horizontalHeader().resizeSection(column, width)
        self.table.setMinimumWidth(sum(WIDTHS[:2]) + 24)  # in a narrow window it scrolls
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._choose())

    def set_classes(self, classes: Sequence[str]) -> None:
        """Offer a model's emotions first, then the other canonical ones."""
        self._classes, self.model.classes = tuple(classes), (*classes, *EMOTIONS)
        self.emotions.offer(classes)

    def show_parts(self, path: str, parts: Parts) -> None:
        """Show a recording's parts; the row that was current stays so, and the chosen ones where there are as many."""
        if path != self._path:
            self.take_typed()
        self._tell_count()
        if path == self._path and parts == self.model.parts:
            return  # somebody may be typing
        row = self.table.currentIndex().row() if path == self._path else 0
        rows = self._rows() if path == self._path and len(parts) == len(self.model.parts) else []
        self._path = path
        self.model.show(parts)
        if parts:
            self._widen_times()
            with QSignalBlocker(self):  # nobody chose it
                self._go_to(min(max(row, 0), len(parts) - 1))
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for number in rows:
            self.table.selectionModel().select(self.model.index(number, 0), flags)

    def _widen_times(self) -> None:
        """Give the times of a recording of hours the room that they need."""
        header, last = self.table.horizontalHeader(), len(self.model.parts) - 1
        for column in (0, 1):
            width = self.table.fontMetrics().horizontalAdvance(str(self.model.index(last, column).data())) + TIME_EDGES
            header.resizeSection(column, max(width, header.sectionSize(column)))

    def set_selection(self, start_s: float, end_s: float) -> None:
        """Set the selection of the waveform."""
        self._selection = start_s, end_s

    def choose(self, number: int) -> None:
        """Make a part the current one."""
        self.take_typed()
        self._go_to(number)

    def _go_to(self, number: int) -> None:
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.table.selectionModel().setCurrentIndex(self.model.index(number, 0), flags)  # also while Ctrl is held

    def step(self, by: int) -> None:
        """Go to the next part, or the one before."""
        if self.model.parts:
            row = min(max(self.table.currentIndex().row() + by, 0), len(self.model.parts) - 1)
            self.choose(row)

    def relabel(self, emotion: str) -> None:
        """Name the emotion of the chosen parts."""
        self.take_typed()
        if emotion and self._rows():
            self._change(relabelled(self.model.parts, self._rows(), emotion), tr("another emotion"))

    def relabel_by_number(self, number: int) -> None:
        """Name the emotion by its place among the model's."""
        if number < len(self._classes):
            self.relabel(self._classes[number])

    def confirm(self) -> None:
        """Confirm the chosen parts as they are."""
        self.take_typed()
        parts, rows = self.model.parts, [row for row in self._rows() if self.model.parts[row].has_label]
        if self._rows() and not rows:
            self.refused.emit(tr("No emotion is named here that could be right. Name one first."))
        for emotion in {parts[row].emotion for row in rows}:
            parts = relabelled(parts, [row for row in rows if parts[row].emotion == emotion], emotion)
        self._change(parts, tr("confirmed"))

    def add_selection(self) -> None:
        """Make the selected stretch a part, with the emotion that the field names, and choose it."""
        start_s, end_s = self._selection
        emotion = self.emotions.emotion or "neutral"
        if self._path and end_s > start_s:
            new = Annotation(round(start_s, 3), round(end_s, 3), emotion, self.speaker.text().strip(), True)
            self._change(with_part(self.model.parts, new), tr("a new part"))
            self.choose(self.model.parts.index(new))

    def delete(self) -> None:
        """Delete the chosen parts."""
        self.take_typed()
        self._change(without(self.model.parts, self._rows()), tr("deleted"))

    def take_typed(self) -> None:
        """Take over what is typed in a field."""
        if self._rows() and self.speaker.isModified():
            self.speaker.setModified(False)
            self._change(spoken_by(self.model.parts, self._rows(), self.speaker.text().strip()), tr("another speaker"))
        if self.emotions.is_typed:
            self.emotions.typing.setModified(False)
            self.relabel(self.emotions.emotion)

    def _change(self, after: Parts, what: str) -> None:
        if self._path:
            self._annotations.change(self._path, self.model.parts, after, what)

    def _rows(self) -> list[int]:
        return sorted({index.row() for index in self.table.selectionModel().selectedRows()})

    def _choose(self) -> None:
        row = self.table.currentIndex().row()
        if 0 <= row < len(self.model.parts):
            part = self.model.parts[row]
            self.emotions.show_emotion(part.emotion)
            self.speaker.setText(part.speaker)
            self.part_chosen.emit(part.start_s)

    def _tell_count(self) -> None:
        counts = [sum(part.is_labelled for part in parts) for parts in self._annotations.by_recording.values()]
        said = tr("Labels by hand: {parts}, in recordings: {recordings}. Each is saved at once.")
        self.count.setText(said.format(parts=sum(counts), recordings=sum(count > 0 for count in counts)))


class AgreementDialog(QDialog):
    """The stretches that both labelled; where they differ, the row has a colour and says so."""

    def __init__(self, found: AnnotatorAgreement, second: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Two annotators"))
        self.resize(760, 520)
        self.summary = PlainLabel(_summary(found), tr("Agreement"), wraps=True)
        shown = sorted(found.shared, key=lambda one: (one.first == one.second, one.path, one.start_s))[:MOST_ROWS]
        self.table = QTableWidget(len(shown), 6)
        self.table.setTabKeyNavigation(False)
        self.table.setAccessibleName(tr("Stretches that both labelled"))
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        titles = tr("File"), tr("Start"), tr("End"), tr("I"), printable(Path(second).name), ""
        self.table.setHorizontalHeaderLabels(list(titles))
        longest_s = max((one.end_s or 0.0 for one in shown), default=0.0)
        for row, one in enumerate(shown):
            differs = one.first != one.second
            times = moment(one.start_s, longest_s), "" if one.end_s is None else moment(one.end_s, longest_s)
            said = word(one.first), word(one.second), tr("differs") if differs else ""
            for column, text in enumerate((printable(Path(one.path).name), *times, *said)):
                item = QTableWidgetItem(text)
                if differs:
                    item.setBackground(DIFFERS)
                    item.setForeground(QColor("black"))
                self.table.setItem(row, column, item)
        self.table.horizontalHeader().setStretchLastSection(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        arranged(QVBoxLayout(self), self.summary, self.table, buttons)


def _summary(found: AnnotatorAgreement) -> str:
    if not found.shared:
        return tr("The two files label no common stretch of a recording.")
    kappa = tr("not defined") if found.kappa is None else localised(f"{found.kappa:.3f}")
    said = tr("Cohen's kappa {kappa}; they agree on {share} of what both labelled (stretches: {count}).")
    return said.format(kappa=kappa, share=localised(f"{in_percent(found.observed, 1)}%"), count=len(found.shared))
