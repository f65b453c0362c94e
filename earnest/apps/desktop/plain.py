"""Text as text: what comes from files, bundles and other people is never read as markup, and loads nothing."""

from html import escape
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QTextBrowser


class PlainLabel(QLabel):
    """A label that shows its text as it is; a name may stand there in place of markup."""

    def __init__(self, text: str = "", name: str = "", wraps: bool = False) -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wraps)
        if name:
            self.setAccessibleName(name)


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
