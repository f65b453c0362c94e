"""A file for each recording, whatever they are called, and over nothing that was there."""

from pathlib import Path
from typing import Any

import pytest
from desktop_hands import click

from earnest.runtime.predictor import Predictor


def test_recordings_of_one_name_have_files_of_their_own(opened: object) -> None:
    from earnest.apps.desktop.export import _places

    found = [place.name for place in _places(["x/a.wav", "y/a.wav", "z/a-2.wav", "z/A.wav"], Path("out"), ".csv")]
    assert found == ["a.csv", "a-2.csv", "a-2-2.csv", "A-3.csv"]


def test_a_name_without_an_ending_gets_that_of_its_kind(opened: object, tmp_path: Path, monkeypatch: Any) -> None:
    from earnest.apps.desktop import export

    def asked(name: str, kind: str) -> str:
        monkeypatch.setattr(export.QFileDialog, "getSaveFileName", lambda *_: (name and str(tmp_path / name), kind))
        place = export.place_to_write(None, "Save", "emotions.csv", "CSV (*.csv);;JSON lines (*.jsonl)")  # type: ignore[arg-type]
        return Path(place).name

    assert [asked("mine", "JSON lines (*.jsonl)"), asked("mine.csv", "JSON lines (*.jsonl)"), asked("mine", "")] == [
        "mine.jsonl",
        "mine.csv",
        "mine.csv",
    ]
    assert asked("calls 30.11.2026", "CSV (*.csv)") == "calls 30.11.2026.csv"
    (tmp_path / "mine.csv").touch()
    assert asked("mine", "CSV (*.csv)") == "mine"  # nobody agreed to replace mine.csv
    assert not asked("", "")


@pytest.mark.parametrize("what", ["timelines", "annotations"])
def test_files_that_are_there_are_replaced_only_where_that_is_wanted(
    opened: Any, voices: Path, tmp_path: Path, what: str
) -> None:
    from PySide6.QtWidgets import QAbstractButton

    driver = opened(voices)
    driver.answered()
    window = driver.window
    driver.until(lambda: window.parts.model.parts)
    window.parts.relabel("sad")
    mine = tmp_path / "voice-0.TextGrid"
    mine.write_text("mine")
    export = window.export_timelines if what == "timelines" else window.export_annotations
    for wanted in ("Cancel", "Replace"):
        export(str(tmp_path), "textgrid")
        driver.until(lambda: hasattr(window, "box") and window.box.isVisible())
        assert "there already: 1." in window.box.text()
        assert window.box.detailedText() == str(mine)
        assert mine.read_text() == "mine"
        click(next(one for one in window.box.findChildren(QAbstractButton) if one.text().replace("&", "") == wanted))
    driver.until(lambda: mine.read_text() != "mine")
    assert "sad" in mine.read_text() or what == "timelines"
    driver.until(lambda: "written" in window.statusBar().currentMessage())


def test_what_could_not_be_read_is_told_when_timelines_are_exported(
    opened: Any, voices: Path, bundle: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    picture = tmp_path / "voice.png"
    picture.write_bytes(Predictor.load(bundle).spectrogram(voices / "voice-0.wav").to_png())
    driver = opened(voices, broken, picture)
    driver.answered()
    driver.window.export_timelines(str(tmp_path / "out"), "srt")
    driver.until(driver.window.notice.isVisible)
    assert driver.window.notice.text() == "Left out, as they have no answer, or, as pictures, no times: 2"
    assert driver.window.statusBar().currentMessage().startswith("5 written")


def test_what_has_no_answer_is_told_when_a_table_is_exported(opened: Any, voices: Path, tmp_path: Path) -> None:
    driver = opened(voices)
    driver.answered()
    window = driver.window
    window.files.model.say([entry.path for entry in window.files.model.entries[:2]], "cancelled")
    window.files.cancel()
    assert window.files.state.text() == "5 files, 2 cancelled"
    window.export_rows(str(tmp_path / "rows.csv"))
    driver.until(window.notice.isVisible)
    assert window.notice.text() == "Left out, as they have no answer, or, as pictures, no times: 2"
    assert window.statusBar().currentMessage().startswith("3 written")
