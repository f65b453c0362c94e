"""What survives the window: settings, recent files, and the folder for recordings and corrections."""

from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths

MOST_RECENT = 12
SCHEMES = ("system", "light", "dark")


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
        """Write what changed."""
        self._values.sync()
