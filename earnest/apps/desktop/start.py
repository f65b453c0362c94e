"""Start: the application, its language, its window."""

import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QTimer, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from earnest.apps.desktop.preferences import Preferences, set_scheme, window_icon
from earnest.apps.desktop.texts import install
from earnest.apps.desktop.window import DesktopWindow
from earnest.errors import EarnestError
from earnest.runtime.prediction import Prediction

SWITCH_S = 0.0005


def application() -> QApplication:
    """Return the process' application; it is made where there is none."""
    found = QApplication.instance()
    if isinstance(found, QApplication):
        return found
    made = QApplication(sys.argv[:1])
    # Qt asks Python for each cell that it draws; each time a busy thread may hold Python for so long.
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()  # what is loaded stays: no collection walks through it while somebody waits
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
    window.files.table.setFocus()  # a field to type in would take Ctrl+V
    window.open_paths(paths)
    return window


def run(
    paths: Sequence[str],
    folder: Path | None,
    model: str | None,
    language: str | None,
    quiet: bool = False,
    until_answered: bool = False,
) -> list[Prediction]:
    """Open the window, and return when it is closed, with the answers of its files.

    Parameters
    ----------
    quiet : whether what Qt tells on a terminal is left out
    until_answered : whether the window closes when all files have their answers, or the model can't be loaded
    """
    if quiet:
        qInstallMessageHandler(lambda *_: None)
    made = application()
    window = open_window(paths, folder, model, language)
    if not until_answered:
        window.open_recovered()
    signal.signal(signal.SIGINT, lambda *_: window.close())

    def tick() -> None:  # so that Python sees Ctrl-C
        if until_answered and window.is_settled:
            window.close()

    ticking = QTimer(interval=200)
    ticking.timeout.connect(tick)
    ticking.start()
    made.exec()
    if until_answered and not window.files.model.entries:
        raise EarnestError(window.notice.text())
    return [entry.prediction for entry in window.files.model.entries if until_answered and entry.prediction]
