"""Fields and tables whose keys and wheel do what a person means, such as undo and copying rows; and the notice."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QBoxLayout,
    QComboBox,
    QCompleter,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLayout,
    QLineEdit,
    QListView,
    QPushButton,
    QTableView,
    QWidget,
)

from earnest.apps.desktop.texts import PlainLabel, tr, word
from earnest.errors import printable
from earnest.files.tables import marked
from earnest.labels import EMOTIONS, UNSURE

Layout = TypeVar("Layout", bound=QBoxLayout)


def button(text: str, what: Callable[[], object], name: str = "", tip: str = "") -> QPushButton:
    """Make a button; ``name`` is what it is called for who hears it, where its text is short."""
    made = QPushButton(text)
    made.setAccessibleName(name)
    made.setToolTip(tip)
    made.clicked.connect(lambda *_: what())
    return made


def arranged(layout: Layout, *items: QWidget | QLayout | int | tuple[QWidget | QLayout, int]) -> Layout:
    """Put items into a row or column: widgets, layouts, each perhaps with its share of the room, or free room alone."""
    for item in items:
        what, share = item if isinstance(item, tuple) else (item, 0)
        if isinstance(what, QWidget):
            layout.addWidget(what, share)
        elif isinstance(what, QLayout):
            layout.addLayout(what, share)
        else:
            layout.addStretch(what)
    return layout


class ChoiceField(QComboBox):
    """A field with a list, whose choice is made there or with keys."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setAccessibleDescription(name)  # of a field with a list, Qt tells the value as its name on Linux
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # Qt's own gives it the keys at a turn of the wheel

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave the wheel to what scrolls."""
        event.ignore()


class TypingField(QLineEdit):
    """A field to type in; where nothing was typed, undo and redo are the window's."""

    def event(self, event: QEvent) -> bool:
        """Leave the keys of undo and redo to menus where this field has nothing to undo or redo."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride:
            undoes, redoes = (
                event.matches(key) for key in (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)
            )
            if (undoes and not self.isUndoAvailable()) or (redoes and not self.isRedoAvailable()):
                event.ignore()
                return False
        return super().event(event)


class EmotionField(ChoiceField):
    """An emotion, from the list or a word of one's own."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.typing = TypingField()
        self.typing.setAccessibleName(name)
        self.setLineEdit(self.typing)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._known = QListView()  # words that begin so: they stand below the field, and add no letter to a word
        completer = QCompleter(self.model(), self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setPopup(self._known)
        self.setCompleter(completer)
        self._shown = ""

    def offer(self, classes: Sequence[str]) -> None:
        """List a model's emotions first, then the other canonical ones."""
        self.clear()
        for name in dict.fromkeys([*classes, *EMOTIONS]):
            self.addItem(word(printable(name)), name)
        self.show_emotion(self._shown)

    def show_emotion(self, emotion: str) -> None:
        """Show the emotion of a part; it may be in no list."""
        self._shown = emotion
        self._known.hide()
        self.setCurrentIndex(self.findData(emotion))  # where the keys ↑ and ↓ go on
        self.setEditText(word(printable(emotion)))

    @property
    def emotion(self) -> str:
        """The emotion in the field, "" for none; a word of another language stands for the emotion of that name."""
        text = self.currentText().strip()
        place = self.findText(text, Qt.MatchFlag.MatchFixedString)
        if place >= 0:
            return str(self.itemData(place))
        return next((name for name in (self._shown, UNSURE) if word(printable(name)) == text), text)

    @property
    def is_typed(self) -> bool:
        """Whether somebody typed what nobody took over yet."""
        return bool(self.typing.isModified() and self.emotion)


def _copied(cell: object) -> str:
    """Return a cell as a spreadsheet takes it: in one line, without tabs, and no formula, whatever a file is called."""
    return marked(" ".join(str(cell).splitlines()).replace("\t", " "))


class RowsTable(QTableView):
    """A table whose rows are chosen and copied as a whole; Tab goes on to what comes behind it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setHighlightSections(False)  # bold titles would be cut off
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # so that thousands of rows cost nothing
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Copy the chosen rows as spreadsheets take them: a line each, cells between tabs, none that is computed."""
        if not event.matches(QKeySequence.StandardKey.Copy):
            super().keyPressEvent(event)
            return
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        if not rows:
            return
        columns = range(self.model().columnCount())
        lines = ("\t".join(_copied(self.model().index(row, column).data()) for column in columns) for row in rows)
        QGuiApplication.clipboard().setText("\n".join(lines))


class Notice(QFrame):
    """A message and its button; ``keys_to`` has the keys once it is closed, lest Qt give them to a field to type in."""

    def __init__(self, keys_to: QWidget) -> None:
        super().__init__()
        self._keys_to, self._first = keys_to, ""
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._said = PlainLabel(name=tr("Message"), wraps=True)
        self._said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = button(tr("Close"), self._close, tr("Close the message"))
        arranged(QHBoxLayout(self), (self._said, 1), self.button)
        self.hide()

    def say_first(self, what: str) -> None:
        """Show a message that stays, before others, until it is closed."""
        self._first = what
        self.say("")

    def say(self, what: str) -> None:
        """Show a message in place of the one before."""
        self._said.setText("\n".join(filter(None, (self._first, what))))
        self.show()

    def text(self) -> str:
        """Return the last notice."""
        return self._said.text()

    def _close(self) -> None:
        self._first = ""
        self._keys_to.setFocus()
        self.hide()
