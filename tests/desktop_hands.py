"""What a person does with mouse and keys: presses keys, chooses from menus, answers the questions of dialogs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from patience import PATIENCE_S


def press(widget: Any, keys: str) -> None:
    """Press keys in a widget, as people write them: "Ctrl+Shift+Z"."""
    from PySide6.QtGui import QKeySequence
    from PySide6.QtTest import QTest

    widget.window().activateWindow()  # without a window manager nobody else does after a dialog
    assert QTest.qWaitForWindowActive(widget.window(), round(1000 * PATIENCE_S))
    chord = QKeySequence(keys)[0]
    QTest.keyClick(widget, chord.key(), chord.keyboardModifiers())


def click(widget: Any) -> None:
    """Click on a button."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    assert widget.isEnabled() and widget.isVisible()
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def choose(bot: Any, window: Any, *names: str) -> None:
    """Click through the menus: the bar, an entry of it, an entry of that; names as they begin, without "&"."""
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QApplication

    while popup := QApplication.activePopupWidget():  # without a window manager the one before may still be open
        popup.close()
    window.menuBar().setActiveAction(None)
    place = window.menuBar()
    for name in names:
        action = next(one for one in place.actions() if one.text().replace("&", "").startswith(name))
        assert action.isEnabled() and action.isVisible()
        below = action.menu()
        bot.mouseClick(place, Qt.MouseButton.LeftButton, pos=place.actionGeometry(action).center())
        if below is None:
            return
        bot.waitUntil(below.isVisible, timeout=round(1000 * PATIENCE_S))
        place = below


def answering(window: Any, path: Path) -> Callable[[], Any]:
    """Put a path into the file dialog that will open, and press Return; return what tells the dialog's title.

    Qt's own dialog is asked, which looks alike everywhere.
    """
    from PySide6.QtCore import QTimer
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QApplication, QFileDialog, QLineEdit

    titles: list[str] = []
    timer = QTimer(window, interval=10)

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog) or not dialog.isVisible():
            return
        timer.stop()
        titles.append(dialog.windowTitle())
        assert QTest.qWaitForWindowActive(dialog, round(1000 * PATIENCE_S))
        field = dialog.findChild(QLineEdit, "fileNameEdit")
        field.setFocus()
        field.setText(str(path))  # typed letter by letter, it would offer names, in a popup that takes the key
        press(field, "Return")

    timer.timeout.connect(look)
    timer.start()
    return lambda: titles[0] if titles else None
