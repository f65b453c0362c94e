"""A window for each test, without a screen unless one is asked for; skipped where Qt's libraries are absent."""

import gc
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S
from stand_in import CUTTABLE_FRONT_END, cuttable_model, write_bundle

from earnest.testing.sounds import write_voice

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # QT_QPA_PLATFORM=xcb xvfb-run pytest … draws on a display


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests as those that open windows."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def qapp() -> Any:
    """Return the application of this process."""
    reason = "Qt or its libraries are not installed: pip install 'earnest[desktop]', and see docs/desktop.md"
    pytest.importorskip("pytestqt.qtbot", reason=reason, exc_type=ImportError)
    pytest.importorskip("PySide6.QtWidgets", reason=reason, exc_type=ImportError)
    from PySide6.QtCore import QCoreApplication, Qt
    from pytestqt.qt_compat import qt_api

    from earnest.apps.desktop.start import application

    qt_api.set_qt_api("pyside6")
    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)  # Qt's own are alike everywhere
    return application()


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> Any:
    """Return pytest-qt's robot, without its plugin, which would load Qt into every process of tests."""
    from pytestqt.qtbot import QtBot

    return QtBot(request)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that answers quickly, also about pictures."""
    return write_bundle(tmp_path_factory.mktemp("model"), cuttable_model(), front_end=CUTTABLE_FRONT_END)


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with five recordings."""
    folder = tmp_path_factory.mktemp("voices")
    for number in range(5):
        write_voice(folder / f"voice-{number}.wav", 1.0 + number / 2, seed=number)
    return folder


class Driver:
    """A window, and waiting for what it does in threads."""

    def __init__(self, window: Any, qtbot: Any) -> None:
        self.window, self.bot = window, qtbot

    def until(self, holds: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Let the window work until something holds."""
        self.bot.waitUntil(lambda: bool(holds()), timeout=round(1000 * seconds))

    def answered(self) -> None:
        """Wait until every file has its answer."""
        files = self.window.files
        self.until(lambda: files.model.entries and not files.analysis.is_busy and self.window._listening)

    def drawn(self) -> None:
        """Wait until the current recording is decoded."""
        self.until(lambda: self.window.recording.samples is not None)
        self.until(lambda: not self.window.recording.views._settle.isActive())  # axes are where they will be

    def labels(self) -> list[str]:
        """Return what is said of each file, in the order in which they were opened."""
        return [entry.label for entry in self.window.files.model.entries]


@pytest.fixture
def opened(qtbot: Any, bundle: Path, tmp_path: Path) -> Iterator[Callable[..., Driver]]:
    """Return what opens a window on files; it is closed after the test."""
    from earnest.apps.desktop.start import open_window

    windows = []

    def open_on(*paths: Path, model: Path = bundle, folder: Path = tmp_path / "kept", language: str = "en") -> Driver:
        window = open_window([str(path) for path in paths], folder, str(model), language)
        windows.append(window)
        window.activateWindow()
        qtbot.waitUntil(window.isVisible, timeout=round(1000 * PATIENCE_S))
        return Driver(window, qtbot)

    yield open_on
    for window in windows:
        window.close()
        window.deleteLater()
    qtbot.wait(10)
    windows.clear()
    gc.collect()


@pytest.fixture
def held(opened: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold every answer; return what is set when one is asked for, and what lets them go on."""
    from earnest.apps.desktop.analysis import Listening

    asked, may_go_on, answer = threading.Event(), threading.Event(), Listening.timeline

    def held_answer(*args: Any) -> Any:
        asked.set()
        assert may_go_on.wait(PATIENCE_S)
        return answer(*args)

    monkeypatch.setattr(Listening, "timeline", held_answer)
    yield asked, may_go_on
    may_go_on.set()  # before its window is closed
