"""The menus, keys and buttons that move through files, a recording and its parts, pressed one by one."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile
from desktop_hands import choose, click, press
from patience import PATIENCE_S

from earnest.testing.sounds import voice


@pytest.fixture
def driver(opened: Any, voices: Path) -> Any:
    """Return a window whose files have their answers, and whose first recording is drawn."""
    found = opened(voices)
    found.answered()
    found.drawn()
    return found


def test_keys_go_from_file_to_file_and_take_them_out(driver: Any) -> None:
    window, paths = driver.window, [entry.path for entry in driver.window.files.model.entries]
    press(window, "Alt+Down")
    press(window, "Alt+Down")
    press(window, "Alt+Up")
    assert window.files.current == paths[1]
    press(window, "Ctrl+Del")
    assert [entry.path for entry in window.files.model.entries] == [paths[0], *paths[2:]]
    assert Path(paths[1]).exists()


def test_work_is_cancelled_and_begun_again_by_key_and_says_how_far_it_is(
    opened: Any, held: tuple[threading.Event, threading.Event], voices: Path
) -> None:
    from earnest.apps.desktop.files import Entry

    asked, may_go_on = held
    driver = opened()
    driver.until(lambda: driver.window._listening)
    files = driver.window.files
    files.add([Entry(str(path), path.stat().st_size) for path in sorted(voices.iterdir())])
    assert "5 left" in files.state.text()
    assert files.progress.isVisible() and files.progress.maximum() == 5
    assert asked.wait(PATIENCE_S)
    press(driver.window, "Ctrl+.")
    files.analysis.deliver()
    assert driver.labels() == 5 * ["cancelled"]  # also the one that is heard until its thread notices
    may_go_on.set()
    driver.until(lambda: not files.progress.isVisible())
    driver.answered()
    assert driver.labels() == 5 * ["cancelled"]
    press(driver.window, "F5")
    driver.answered()
    assert not {"cancelled", "waiting", "hearing"} & set(driver.labels())


def test_a_file_that_is_taken_out_leaves_the_one_that_is_heard_and_the_others_waiting(
    opened: Any, held: tuple[threading.Event, threading.Event], voices: Path
) -> None:
    asked, may_go_on = held
    driver = opened(voices)
    files = driver.window.files
    driver.until(asked.is_set)
    heard = files.analysis._running
    files.choose(next(entry.path for entry in files.model.entries if entry.path != heard))
    files.remove_chosen()
    assert files.analysis._running == heard and files.analysis.n_waiting == 4
    files.choose(heard)
    files.remove_chosen()
    may_go_on.set()
    driver.answered()
    assert len(driver.labels()) == 3 and not {"cancelled", "waiting", "hearing"} & set(driver.labels())


def test_time_left_follows_from_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from earnest.apps.desktop import files

    now = [100.0]
    monkeypatch.setattr(files, "time", SimpleNamespace(monotonic=lambda: now[0]))
    left = files.TimeLeft()
    assert left.seconds(1_000) is None
    now[0] += 10
    left.finish(250)
    assert left.seconds(750) == pytest.approx(30)
    now[0] += 20  # of one that takes long
    assert left.seconds(750) == pytest.approx(10)
    now[0] += 20
    assert left.seconds(750) is None
    left.drop()  # it was removed, or its answer is not wanted
    assert left.seconds(250) == pytest.approx(10)
    now[0] += 10
    left.finish(250)
    assert left.seconds(250) == pytest.approx(10)


def test_time_left_is_of_what_waits_and_not_of_what_was_removed(
    opened: Any, held: tuple[threading.Event, threading.Event], voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, _ = held
    files = (driver := opened(voices)).window.files
    driver.until(asked.is_set)
    files.analysis.deliver()
    sizes: list[int] = []
    monkeypatch.setattr(files._left, "seconds", sizes.append)
    files._count()
    total = sum(entry.n_bytes for entry in files.model.entries)
    files.choose(files.model.entries[-1].path)
    gone = files.model.entries[-1].n_bytes
    files.remove_chosen()
    assert (sizes[0], sizes[-1]) == (total, total - gone)


def test_one_emotion_alone_is_shown_by_keys(driver: Any) -> None:
    files = driver.window.files
    files.labels.setFocus()
    press(files.labels, "Down")
    shown = str(files.labels.currentData())
    driver.until(lambda: files.filter.rowCount() == driver.labels().count(shown))


def test_every_sound_format_is_opened(opened: Any, tmp_path: Path) -> None:
    endings = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff")
    for ending in endings:
        form = {"format": "OGG", "subtype": "OPUS"} if ending == ".opus" else {}
        soundfile.write(tmp_path / f"voice{ending}", voice(1.5, seed=1), 16_000, **form)
    driver = opened(tmp_path)
    driver.answered()
    assert len(driver.labels()) == len(endings)
    assert "error" not in driver.labels()


def test_keys_and_buttons_zoom_and_move_the_cursor(driver: Any) -> None:
    window, views = driver.window, driver.window.recording.views
    whole = views.visible_s
    for key, factor in (("Ctrl++", 0.5), ("Ctrl+-", 1.0), ("Ctrl++", 0.5)):
        press(window, key)
        assert views.visible_s[1] - views.visible_s[0] == pytest.approx(factor * whole[1], abs=0.02)
    press(window, "Ctrl+0")
    assert views.visible_s == pytest.approx(whole)
    views._canvas.setFocus()
    press(views._canvas, "End")
    assert views.cursor_s == pytest.approx(views.duration_s)
    press(views._canvas, "Home")
    press(views._canvas, "Shift+Right")
    assert views.selection == pytest.approx((0.0, 0.25))
    press(window, "Ctrl+J")
    assert views.visible_s == pytest.approx((0.0, 0.25), abs=0.01)
    press(window, "Esc")
    assert views.selection == (0.0, 0.0)


def test_parts_are_confirmed_walked_through_deleted_and_chosen_with_the_mouse(
    opened: Any, tmp_path: Path, qtbot: Any
) -> None:
    import numpy as np
    from PySide6.QtCore import QPointF, Qt

    pause = np.zeros(16_000, np.float32)
    parts = [voice(4, seed=1), pause, voice(4, level=0.4, seed=2)]
    soundfile.write(tmp_path / "talk.wav", np.concatenate(parts), 16_000)
    driver = opened(tmp_path / "talk.wav")
    driver.answered()
    driver.drawn()
    window, table = driver.window, driver.window.parts
    window.tabs.setCurrentWidget(table)
    n_parts = len(table.model.parts)
    assert n_parts >= 2
    press(window, "Ctrl+Down")
    press(window, "Ctrl+Return")
    assert [part.by_hand for part in table.model.parts[:2]] == [False, True]
    press(window, "Ctrl+Up")
    assert table.table.currentIndex().row() == 0
    click(table.buttons[0])
    assert table.model.parts[0].by_hand
    views = window.recording.views
    last = table.model.parts[-1]
    inside = QPointF((last.start_s + last.end_s) / 2, 0.0)
    where = views._canvas.mapFromScene(views._emotions.getViewBox().mapViewToScene(inside))
    for act in (qtbot.mouseDClick, qtbot.mouseRelease):  # the former ends with the second press
        act(views._canvas.viewport(), Qt.MouseButton.LeftButton, pos=where)
    driver.until(lambda: table.table.currentIndex().row() == n_parts - 1)
    press(window, "Ctrl+Backspace")
    assert len(table.model.parts) == n_parts - 1
    table.emotions.setFocus()
    press(table.emotions, "Down")
    press(table.emotions, "Return")
    click(table.buttons[2])
    press(window, "Ctrl+Z")
    assert "in recordings: 1" in table.count.text()


def test_colours_language_keys_and_licences_are_in_the_menus(driver: Any, qtbot: Any) -> None:
    from PySide6.QtWidgets import QAbstractButton

    window = driver.window
    choose(qtbot, window, "View", "Colours", "Dark")
    driver.until(lambda: window.palette().window().color().lightness() < 80)
    choose(qtbot, window, "View", "Colours", "Light")
    driver.until(lambda: window.palette().window().color().lightness() > 180)
    choose(qtbot, window, "View", "Language", "Deutsch")
    assert window.preferences.text("language") == "de"
    assert "when you start the application again" in window.notice.text()
    press(window, "F1")
    table = window.keys.table.model()
    keys = {table.index(row, 0).data(): table.index(row, 1).data() for row in range(table.rowCount())}
    assert keys["Ctrl+O"] == "Open recordings …"
    press(window.keys, "Esc")
    choose(qtbot, window, "Help", "About")
    assert "Apache-2.0" in window.box.text()
    details = next(one for one in window.box.findChildren(QAbstractButton) if "Details" in one.text())
    click(details)
    told = window.box.detailedText().splitlines()
    assert "LGPL" in next(line for line in told if line.startswith("PySide6_Essentials"))
    assert any(line.startswith("pyqtgraph") and line.endswith("MIT") for line in told)
    press(window.box, "Esc")
    assert not window.box.isVisible()


def test_what_was_opened_before_is_in_a_menu(driver: Any, voices: Path, qtbot: Any) -> None:
    window = driver.window
    window.files.remove_chosen()
    choose(qtbot, window, "File", "Recent", str(voices))
    driver.until(lambda: len(window.files.model.entries) == 5)


def test_tab_leads_out_of_the_list_of_files(driver: Any) -> None:
    from PySide6.QtWidgets import QApplication

    window = driver.window
    window.files.table.setFocus()
    visited = set()
    for _ in range(40):
        press(QApplication.focusWidget(), "Tab")
        visited.add(QApplication.focusWidget())
    assert any(window.tabs.isAncestorOf(widget) for widget in visited)
