"""Text as text: what comes from files, bundles and other people is never read as markup, and loads nothing."""

from html import escape
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QTextBrowser


class PlainLabel(QLabel):
    """A label that shows its text as it is; a name may stand there in place of markup."""

    def __init__(self, text: str = "", name: str = "", wraps: bool = False) -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wraps)
        if name:
            self.setAccessibleName(name)


class ElidedLabel(PlainLabel):
    """A label that takes the room there is; what doesn't fit is in its tip."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.full = ""

    def show_text(self, text: str) -> None:
        """Show a text, or as much of it as fits."""
        self.full = text
        self.setToolTip(tip(text) if text else "")
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Fit the text into the new width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        self.setText(self.fontMetrics().elidedText(self.full, Qt.TextElideMode.ElideRight, self.width()))


class CardBrowser(QTextBrowser):
    """Markdown of somebody's bundle; pictures and links in it are not followed."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)

    def loadResource(self, kind: int, name: Any) -> Any:  # noqa: N802
        """Load nothing."""
        return None


def tip(text: str) -> str:
    """Return a tool tip that shows a text as it is."""
    return f"<qt>{escape(text)}</qt>"
