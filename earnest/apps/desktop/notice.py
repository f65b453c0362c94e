"""The notice of an error or a finished task, above everything in the window until a person closes it."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QWidget

from earnest.apps.desktop.texts import PlainLabel, tr


class Notice(QFrame):
    """A message and its button; ``keys_to`` has the keys once it is closed, lest Qt give them to a field to type in."""

    def __init__(self, keys_to: QWidget) -> None:
        super().__init__()
        self._keys_to, self._first = keys_to, ""
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._said = PlainLabel(name=tr("Message"))
        self._said.setWordWrap(True)
        self._said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.button = QPushButton(tr("Close"))
        self.button.setAccessibleName(tr("Close the message"))
        self.button.clicked.connect(self._close)
        row = QHBoxLayout(self)
        row.addWidget(self._said, 1)
        row.addWidget(self.button)
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
