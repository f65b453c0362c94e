"""How it looks: Qt's Fusion style, light or dark, and the icon."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPalette
from PySide6.QtWidgets import QApplication, QProgressBar

ICON = Path(__file__).parent / "icon.svg"
INK = {"light": "#1a1a1a", "dark": "#ececec"}
GREYS = {
    "light": {"Window": "#f4f4f5", "Base": "#ffffff", "AlternateBase": "#f0f0f2", "Button": "#ebebed"},
    "dark": {"Window": "#242427", "Base": "#1b1b1d", "AlternateBase": "#29292c", "Button": "#333338"},
}


def window_icon() -> QIcon:
    """Return the icon of the window and the launcher."""
    return QIcon(str(ICON))


def set_scheme(name: str) -> None:
    """Choose "light" or "dark"; "system" is what the desktop has."""
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        return
    schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    QGuiApplication.styleHints().setColorScheme(schemes.get(name, Qt.ColorScheme.Unknown))
    if name not in schemes:
        application.setPalette(QPalette())
        return
    palette = QPalette(QColor(GREYS[name]["Button"]), QColor(GREYS[name]["Window"]))
    for role, colour in GREYS[name].items():
        palette.setColor(getattr(QPalette.ColorRole, role), QColor(colour))
    ink, faint = QColor(INK[name]), QColor("#8a8f98")
    for place in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(place, ink)
        palette.setColor(QPalette.ColorGroup.Disabled, place, faint)
    palette.setColor(QPalette.ColorRole.PlaceholderText, faint)
    palette.setColor(QPalette.ColorRole.ToolTipBase, QColor(GREYS[name]["Base"]))
    palette.setColor(QPalette.ColorRole.ToolTipText, ink)
    palette.setColor(QPalette.ColorRole.Link, QColor("#4c9be8" if name == "dark" else "#0a58ca"))
    palette.setColor(QPalette.ColorRole.Highlight, QColor("#3b7dd8"))
    palette.setColor(QPalette.ColorRole.HighlightedText, QColor("white"))
    application.setPalette(palette)


def paint(bar: QProgressBar, colour: str) -> None:
    """Give a bar the colour of an emotion."""
    palette = bar.palette()
    palette.setColor(QPalette.ColorRole.Highlight, QColor(colour))
    bar.setPalette(palette)
