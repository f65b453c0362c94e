"""Start: the application, its language, its window."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QTimer, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from earnest.apps.desktop.preferences import Preferences
from earnest.apps.desktop.style import set_scheme, window_icon
from earnest.apps.desktop.texts import install
from earnest.apps.desktop.window import DesktopWindow

SWITCH_S = 0.0005


def application() -> QApplication:
    """Return the process' application; it is made where there is none."""
    found = QApplication.instance()
    made = found if isinstance(found, QApplication) else QApplication(sys.argv[:1])
    # Qt asks Python for each cell that it draws; each time a busy thread may hold Python for so long.
    sys.setswitchinterval(SWITCH_S)
    made.setApplicationName("earnest")
    made.setDesktopFileName("earnest")
    made.setStyle("Fusion")
    made.setWindowIcon(window_icon())
    return made


def open_window(
    paths: Sequence[str], folder: Path | None = None, model: str | None = None, language: str | None = None
) -> DesktopWindow:
    """Return a window that is shown, and opens files.

    Parameters
    ----------
    folder : where settings, recordings and corrections are; None for the system's place
    model : bundle; None for the one that was used last
    language : "de", "en" or "system"; None for what was set
    """
    application()
    preferences = Preferences(folder)
    install(language or preferences.text("language", "system"))
    set_scheme(preferences.text("scheme", "system"))
    window = DesktopWindow(preferences, model)
    window.show()
    window.open_paths(paths)
    return window


def run(paths: Sequence[str], folder: Path | None, model: str | None, language: str | None, quiet: bool) -> int:
    """Open the window, and return when it is closed; ``quiet`` leaves out what Qt tells on a terminal."""
    if quiet:
        qInstallMessageHandler(lambda *_: None)
    made = application()
    window = open_window(paths, folder, model, language)
    signal.signal(signal.SIGINT, lambda *_: window.close())
    ticking = QTimer(interval=200)  # so that Python sees Ctrl-C
    ticking.timeout.connect(lambda: None)
    ticking.start()
    return made.exec()
