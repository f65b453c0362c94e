"""Fields that choose one of several things: no wheel that was meant for what lies around them changes one."""

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QComboBox, QCompleter, QLineEdit, QListView

from earnest.apps.desktop.texts import word
from earnest.errors import printable
from earnest.labels import EMOTIONS, UNSURE


class ChoiceField(QComboBox):
    """A field with a list, whose choice is made there or with keys."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # Qt's own gives it the keys at a turn of the wheel

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave the wheel to what scrolls."""
        event.ignore()


class EmotionField(ChoiceField):
    """An emotion, from the list or a word of one's own."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.typing = QLineEdit()
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
        """Show what a part has; it may be in no list."""
        self._shown = emotion
        self._known.hide()
        self.setCurrentIndex(self.findData(emotion))  # where the keys ↑ and ↓ go on
        self.setEditText(word(printable(emotion)))

    @property
    def emotion(self) -> str:
        """What the field names, "" for nothing; what it says in another language is the emotion of that name."""
        text = self.currentText().strip()
        place = self.findText(text, Qt.MatchFlag.MatchFixedString)
        if place >= 0:
            return str(self.itemData(place))
        return next((name for name in (self._shown, UNSURE) if word(printable(name)) == text), text)

    @property
    def is_typed(self) -> bool:
        """Whether somebody typed what nobody took over yet."""
        return bool(self.typing.isModified() and self.emotion)
