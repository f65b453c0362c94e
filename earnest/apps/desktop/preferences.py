"""Preferences kept after the window: settings, colours, recent files, the folder for recordings and corrections."""

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPalette
from PySide6.QtWidgets import QApplication

MOST_RECENT = 12
ICON = Path(__file__).parent / "icon.svg"
INK = {"light": "#1a1a1a", "dark": "#ececec"}
GREYS = {
    "light": {"Window": "#f4f4f5", "Base": "#ffffff", "AlternateBase": "#f0f0f2", "Button": "#ebebed"},
    "dark": {"Window": "#242427", "Base": "#1b1b1d", "AlternateBase": "#29292c", "Button": "#333338"},
}


class Preferences:
    """Settings in one folder, as an INI file that people can read."""

    def __init__(self, folder: Path | None = None) -> None:
        place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppDataLocation)
        self.folder = folder or Path(place)
        self._values = QSettings(str(self.folder / "desktop.ini"), QSettings.Format.IniFormat)

    @property
    def recordings(self) -> Path:
        """Where what was recorded is kept."""
        return self.folder / "recordings"

    def text(self, name: str, default: str = "") -> str:
        """Return a setting."""
        return str(self._values.value(name, default))

    def set_text(self, name: str, value: str) -> None:
        """Keep a setting."""
        self._values.setValue(name, value)

    def flag(self, name: str) -> bool:
        """Return a setting that is on or off."""
        return self.text(name) == "on"

    def set_flag(self, name: str, on: bool) -> None:
        """Keep a setting that is on or off."""
        self.set_text(name, "on" if on else "off")

    def shape(self, name: str) -> QByteArray:
        """Return how a window or a splitter was left; empty for never."""
        value = self._values.value(f"shape/{name}", QByteArray())
        return value if isinstance(value, QByteArray) else QByteArray()

    def set_shape(self, name: str, value: QByteArray) -> None:
        """Keep how a window or a splitter is left."""
        self._values.setValue(f"shape/{name}", value)

    @property
    def recent(self) -> list[str]:
        """Files and folders that were opened, the last one first."""
        value = self._values.value("recent", [])
        listed = [value] if isinstance(value, str) else value  # of one, INI files know no list
        return [str(path) for path in listed] if isinstance(listed, list) else []

    def opened(self, path: str) -> None:
        """Note that a file or folder was opened."""
        self._values.setValue("recent", [path, *(one for one in self.recent if one != path)][:MOST_RECENT])

    def save(self) -> None:
        """Write changed preferences to disk."""
        self._values.sync()


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
