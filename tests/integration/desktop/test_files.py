"""Files, folders and pictures are opened, answered, sorted, filtered and exported; what fails is a row."""

import json
import shutil
import threading
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from csv_tables import rows_of
from desktop_hands import press

import earnest
from earnest.runtime.timeline import FORMATS, written
from earnest.testing.sounds import write_voice


def test_a_folder_is_answered_as_the_library_does(opened: Any, voices: Path, bundle: Path) -> None:
    driver = opened(voices)
    driver.answered()
    found = [entry.prediction for entry in driver.window.files.model.entries]
    model = earnest.load(bundle)
    expected = [model.predict(path) for path in sorted(voices.iterdir())]
    assert [row.emotion for row in found] == [row.emotion for row in expected]
    for row, other in zip(found, expected, strict=True):
        assert row.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_files_are_dropped_and_pasted(opened: Any, voices: Path) -> None:
    from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
    from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication

    driver = opened()
    first, second = sorted(voices.iterdir())[:2]
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(first))])
    left, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entering = QDragEnterEvent(QPointF(5, 5).toPoint(), Qt.DropAction.CopyAction, data, left, keys)
    driver.window.dragEnterEvent(entering)
    assert entering.isAccepted()
    driver.window.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, left, keys))
    driver.answered()
    QGuiApplication.clipboard().setText(str(second))
    press(driver.window.focusWidget(), "Ctrl+V")  # where the keys are at the start
    driver.until(lambda: len(driver.window.files.model.entries) == 2)
    driver.answered()
    assert "waiting" not in driver.labels()


@pytest.mark.parametrize("form", ['"{0}"', "'{0}'", "{1}"])
def test_a_path_is_pasted_as_other_programs_copy_it(opened: Any, tmp_path: Path, form: str) -> None:
    from PySide6.QtGui import QGuiApplication

    driver = opened()
    path = tmp_path / "my call.wav"
    QGuiApplication.clipboard().setText(form.format(path, path.as_uri()))
    press(driver.window.focusWidget(), "Ctrl+V")
    driver.until(lambda: driver.window.files.model.entries)
    assert driver.window.files.model.entries[0].path == str(path)


def test_a_name_that_a_mac_wrote_is_found(opened: Any, voices: Path) -> None:
    driver = opened(voices, voices / unicodedata.normalize("NFD", "Müller.wav"))
    driver.answered()
    files = driver.window.files
    files.search.setText("müller")
    driver.until(lambda: files.filter.rowCount() == 1)


def test_when_a_file_is_taken_out_the_next_one_is_current(opened: Any, voices: Path) -> None:
    driver = opened(voices)
    driver.answered()
    files = driver.window.files
    paths = [entry.path for entry in files.model.entries]
    for taken, current in ((1, paths[2]), (4, paths[3])):
        files.choose(paths[taken])
        files.remove_chosen()
        assert (files.current, files.chosen(), driver.window.recording.path) == (current, [current], current)
    files.table.selectAll()
    files.remove_chosen()
    assert (files.current, driver.window.recording.path) == ("", "")


def test_paste_opens_files_also_after_a_message_was_closed(opened: Any, voices: Path) -> None:
    from PySide6.QtGui import QGuiApplication

    driver = opened()
    window = driver.window
    window.tell("Something is wrong.")
    window.notice.button.setFocus()
    press(window.notice.button, "Space")
    assert not window.notice.isVisible()
    QGuiApplication.clipboard().setText(str(min(voices.iterdir())))
    press(window.focusWidget(), "Ctrl+V")
    driver.until(lambda: len(window.files.model.entries) == 1)
    driver.answered()


def test_chosen_rows_are_copied_whole(opened: Any, voices: Path) -> None:
    from PySide6.QtGui import QGuiApplication

    driver = opened(voices)
    driver.answered()
    table = driver.window.files.table
    press(table, "Home")
    press(table, "Shift+Down")
    press(table, "Ctrl+C")
    rows = [line.split("\t") for line in QGuiApplication.clipboard().text().splitlines()]
    assert [(row[0], row[3]) for row in rows] == [("voice-0.wav", "1 s"), ("voice-1.wav", "1.5 s")]
    assert {row[-1] for row in rows} == {str(voices)}


def test_copied_rows_are_no_formulas_and_keep_their_columns(opened: Any, voices: Path, tmp_path: Path) -> None:
    from PySide6.QtGui import QGuiApplication

    (folder := tmp_path / "=1+1").mkdir()
    strange = ("=1+1.wav", "@SUM(1)\t+2.wav", "new\nline.wav")
    for name in strange:
        shutil.copyfile(min(voices.iterdir()), folder / name)
    driver = opened(folder)
    driver.answered()
    table = driver.window.files.table
    press(table, "Ctrl+A")
    press(table, "Ctrl+C")
    rows = [line.split("\t") for line in QGuiApplication.clipboard().text().split("\n")]
    assert [len(row) for row in rows] == [driver.window.files.table.model().columnCount()] * len(strange)
    assert not [cell for row in rows for cell in row if cell[:1] in "=+-@" and cell]
    assert any(row[0] == "'=1+1.wav" for row in rows)


def test_a_broken_file_is_a_row_with_its_error(opened: Any, voices: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF no sound at all")
    driver = opened(broken, voices, tmp_path / "missing.wav")
    driver.answered()
    assert driver.labels()[0] == driver.labels()[-1] == "error"
    assert "error" not in driver.labels()[1:-1]
    driver.window.files.choose(str(broken))
    assert driver.window.answer.about.text() == "broken.wav"
    assert driver.window.answer.meaning.text().startswith("no sound")
    assert "2 could not be read" in driver.window.files.state.text()


def test_an_empty_folder_is_said(opened: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    driver = opened(tmp_path / "empty")
    driver.until(driver.window.notice.isVisible)
    assert "no recordings in this folder" in driver.window.notice.text()


def test_an_empty_folder_keeps_nothing_else_from_being_opened(opened: Any, voices: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    driver = opened(tmp_path / "empty", voices)
    driver.answered()
    assert len(driver.labels()) == 5
    assert "no recordings in this folder" in driver.window.notice.text()


def test_a_folder_that_is_a_link_is_told(voices: Path, tmp_path: Path) -> None:
    from earnest.apps.desktop.files import found_files

    (tmp_path / "link").symlink_to(voices)
    entries, problems = found_files([str(tmp_path)])
    assert not entries
    assert "A folder is a link, which is not followed: link." in problems[-1]


def test_what_is_left_out_of_a_folder_begins_in_the_language_of_the_window(
    voices: Path, tmp_path: Path, qapp: Any
) -> None:
    from earnest.apps.desktop.files import found_files
    from earnest.apps.desktop.texts import install

    (tmp_path / "link").symlink_to(voices)
    (tmp_path / "call.ulaw").write_bytes(b"sound")
    shutil.copyfile(min(voices.iterdir()), tmp_path / ".hidden.wav")
    try:
        install("de")
        problem = found_files([str(tmp_path)])[1][-1].removeprefix(f"{tmp_path}: ")
    finally:
        install("en")
    begins = (
        "Verknüpfungen auf Ordner werden nicht verfolgt. (A folder is a link",
        ") Dateien ohne Kopf können nicht gelesen werden. (1 file without a header",
        ") Aufnahmen, die versteckt sind oder in Ordnern von Programmen liegen, werden ausgelassen. (1 recording",
    )
    places = [problem.find(begin) for begin in begins]
    assert places == sorted(places)
    assert places[0] == 0
    english = found_files([str(tmp_path)])[1][-1]
    assert english.startswith(f"{tmp_path}: A folder is a link")


def test_the_table_is_sorted_filtered_and_searched_with_mouse_and_keys(opened: Any, voices: Path, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    driver = opened(voices)
    driver.answered()
    files = driver.window.files
    header = files.table.horizontalHeader()
    for _ in range(2):  # by length, then the other way round
        where = header.sectionViewportPosition(3) + 20
        qtbot.mouseClick(
            header.viewport(), Qt.MouseButton.LeftButton, pos=header.viewport().rect().topLeft() + _at(where)
        )
    names = [files.filter.index(row, 0).data() for row in range(files.filter.rowCount())]
    assert names in (sorted(names), sorted(names, reverse=True))
    before = names
    qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=header.viewport().rect().topLeft() + _at(where))
    assert [files.filter.index(row, 0).data() for row in range(files.filter.rowCount())] == before[::-1]
    qtbot.keyClick(driver.window, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    driver.until(files.search.hasFocus)
    qtbot.keyClicks(files.search, "voice-3")
    driver.until(lambda: files.filter.rowCount() == 1)
    files.search.clear()
    label = driver.labels()[0]
    files.labels.setCurrentIndex(files.labels.findData(label))
    driver.until(lambda: files.filter.rowCount() == driver.labels().count(label))
    assert files.labels.currentText().endswith(f"({driver.labels().count(label)})")


def _at(x: int) -> Any:
    from PySide6.QtCore import QPoint

    return QPoint(x, 8)


def test_cancelled_files_can_be_answered_again(
    opened: Any, held: tuple[threading.Event, threading.Event], voices: Path
) -> None:
    driver = opened()
    driver.until(lambda: driver.window._listening)
    driver.window.files.add([_entry(path) for path in sorted(voices.iterdir())])
    driver.window.files.cancel()
    held[1].set()
    driver.answered()
    assert driver.labels() == 5 * ["cancelled"]
    driver.window.files.retry()
    driver.answered()
    assert not {"cancelled", "waiting", "hearing", "error"} & set(driver.labels())


def _entry(path: Path) -> Any:
    from earnest.apps.desktop.files import Entry

    return Entry(str(path), path.stat().st_size)


def test_answers_are_exported_in_every_format(opened: Any, voices: Path, tmp_path: Path) -> None:
    driver = opened(voices)
    driver.answered()
    window = driver.window
    for name in ("rows.csv", "rows.jsonl", "rows.parquet"):
        window.export_rows(str(tmp_path / name))
        driver.until((tmp_path / name).exists)
    assert len(rows_of(tmp_path / "rows.csv")) == 5
    paths = [json.loads(line)["path"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert paths == sorted(map(str, voices.iterdir()))
    window.files.table.clearSelection()
    from earnest.apps.desktop.export import TIMELINES

    for form, suffix in TIMELINES.items():
        window.export_timelines(str(tmp_path / form), form)
        driver.until(lambda form=form, suffix=suffix: len(list((tmp_path / form).glob(f"voice-*{suffix}"))) == 5)
        expected = "".join(written(window.files.model.entries[0].timeline, form, tmp_path / form))
        assert (tmp_path / form / f"voice-0{suffix}").read_text() == expected
    assert set(TIMELINES) == set(FORMATS)


def test_an_export_that_cant_be_written_is_said(opened: Any, voices: Path, tmp_path: Path) -> None:
    driver = opened(voices)
    driver.answered()
    (tmp_path / "file").write_text("not a folder")
    driver.window.export_rows(str(tmp_path / "file" / "rows.csv"))
    driver.until(driver.window.notice.isVisible)
    assert "file" in driver.window.notice.text()


@pytest.mark.parametrize("seconds", [2.0, 7.0])  # heard at once, and in windows
def test_a_recording_and_the_picture_of_its_spectrogram_have_one_answer(
    opened: Any, tmp_path: Path, seconds: float
) -> None:
    driver = opened(write_voice(tmp_path / "voice.wav", seconds))
    driver.answered()
    window = driver.window
    window.tabs.setCurrentWidget(window.picture)
    driver.until(lambda: window.picture.picture is not None)
    picture = tmp_path / "seen.png"
    window.save_picture(str(picture))
    driver.until(picture.exists)
    window.open_paths([str(picture)])
    driver.until(lambda: len(window.files.model.entries) == 2)
    driver.answered()
    sound, seen = (entry.prediction for entry in window.files.model.entries)
    assert (seen.status, seen.emotion) == (sound.status, sound.emotion)
    assert len(window.picture._edges) == (0 if seconds < 4 else 4)
    assert np.allclose(list(seen.probabilities.values()), list(sound.probabilities.values()), atol=1e-3)


def test_a_bundle_that_fails_leaves_the_one_before(opened: Any, voices: Path, tmp_path: Path, bundle: Path) -> None:
    driver = opened(voices)
    driver.answered()
    broken = tmp_path / "broken-bundle"
    broken.mkdir()
    (broken / "bundle.json").write_text("{}")
    driver.window.models.choose_bundle(str(broken))
    driver.until(driver.window.notice.isVisible)
    assert "bundle.json" in driver.window.notice.text()
    assert driver.window._listening.predictor.info.name == "stand-in"
    assert "error" not in driver.labels()
