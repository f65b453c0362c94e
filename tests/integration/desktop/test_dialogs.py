"""Questions that the window asks: each is opened from its menu, key or button, and answered in Qt's file dialog."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from desktop_hands import answering, choose, click, press

import earnest
from earnest.corpora.manifest import read_manifest


@pytest.fixture
def driver(opened: Any, voices: Path) -> Any:
    """Return a window whose files have their answers."""
    found = opened(voices)
    found.answered()
    return found


def test_recordings_and_folders_are_opened(opened: Any, voices: Path, qtbot: Any) -> None:
    driver = opened()
    files = driver.window.files.model
    title = answering(driver.window, min(voices.iterdir()))
    choose(qtbot, driver.window, "File", "Open recordings")
    driver.until(lambda: len(files.entries) == 1)
    assert title() == "Open recordings"
    answering(driver.window, voices)
    press(driver.window, "Ctrl+Shift+O")
    driver.until(lambda: len(files.entries) == 5)
    driver.answered()


def test_answers_and_timelines_are_exported_of_the_chosen_files(driver: Any, qtbot: Any, tmp_path: Path) -> None:
    window = driver.window
    window.files.table.setFocus()
    press(window.files.table, "Home")
    press(window.files.table, "Shift+Down")
    assert len(window.files.chosen()) == 2
    rows = tmp_path / "rows.jsonl"
    answering(window, rows)
    press(window, "Ctrl+E")
    driver.until(rows.exists)
    assert [json.loads(line)["path"] for line in rows.read_text().splitlines()] == window.files.chosen()
    folder = tmp_path / "timelines"
    folder.mkdir()
    answering(window, folder)
    choose(qtbot, window, "File", "Export timelines", "srt")
    expected = {Path(path).with_suffix(".srt").name for path in window.files.chosen()}
    driver.until(lambda: expected <= {path.name for path in folder.iterdir()})


def test_each_channel_of_a_call_becomes_a_file_that_is_answered(
    opened: Any, voices: Path, bundle: Path, qtbot: Any, tmp_path: Path
) -> None:
    voice, rate_hz = soundfile.read(min(voices.iterdir()), dtype="int16")
    silence = np.zeros_like(voice)
    call = np.stack([np.concatenate([voice, silence]), np.concatenate([silence, voice])], axis=1)
    soundfile.write(tmp_path / "call.wav", call, rate_hz)
    driver = opened(tmp_path / "call.wav")
    driver.answered()
    window = driver.window
    assert "take turns, like two sides of a call" in window.answer.meaning.text()
    answering(window, tmp_path)
    choose(qtbot, window, "File", "Save each channel")
    driver.until(lambda: len(window.files.model.entries) == 3)
    driver.answered()
    model = earnest.load(bundle)
    for number, entry in enumerate(window.files.model.entries[1:], start=1):
        assert entry.path == str(tmp_path / f"call-{number}.wav")
        assert np.array_equal(soundfile.read(entry.path, dtype="int16")[0], call[:, number - 1])
        expected = model.predict(earnest.Channel(tmp_path / "call.wav", number))
        assert (entry.prediction.quality, entry.prediction.probabilities) == (expected.quality, expected.probabilities)


def test_where_channels_cancel_each_other_the_window_says_how_each_is_opened(
    opened: Any, voices: Path, tmp_path: Path
) -> None:
    voice, rate_hz = soundfile.read(min(voices.iterdir()), dtype="float32")
    soundfile.write(tmp_path / "cancelling.wav", np.stack([voice, -voice], axis=1), rate_hz)
    driver = opened(tmp_path / "cancelling.wav")
    driver.answered()
    assert driver.labels() == ["error"]
    assert driver.window.answer.meaning.text().endswith(
        "“Save each channel as a file” in the menu File opens each by itself."
    )
    driver.window.export_channels(driver.window.files.current, str(tmp_path))
    driver.until(lambda: len(driver.window.files.model.entries) == 3)
    driver.answered()
    assert "error" not in driver.labels()[1:]


def test_channels_of_a_recording_replace_no_file(opened: Any, voices: Path, tmp_path: Path) -> None:
    driver = opened(voices)
    driver.answered()
    window = driver.window
    window.export_channels(window.files.current, str(tmp_path))
    driver.until(lambda: window.notice.text() == "voice-0.wav has one channel only.")
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, (8_000, 2)), 8_000)
    (tmp_path / "noise-2.wav").write_bytes(b"mine")
    window.export_channels(str(tmp_path / "noise.wav"), str(tmp_path))
    driver.until(lambda: window.notice.text().endswith("noise-2.wav is there already. Choose another folder."))
    assert (tmp_path / "noise-2.wav").read_bytes() == b"mine"
    assert not (tmp_path / "noise-1.wav").exists()


def test_speakers_come_from_a_diarisation_file(driver: Any, qtbot: Any, tmp_path: Path) -> None:
    window = driver.window
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 0.0 9.0 <NA> <NA> ben <NA> <NA>\n")
    answering(window, tmp_path / "a.rttm")
    choose(qtbot, window, "File", "Speakers from")
    driver.until(lambda: {part.speaker for part in window.parts.model.parts} == {"ben"})


def test_a_diarisation_file_without_a_recording_is_told(opened: Any, tmp_path: Path) -> None:
    driver = opened()
    driver.window.open_turns(str(tmp_path / "a.rttm"))
    assert driver.window.notice.text() == "Choose a recording in the table first."


def test_annotations_are_saved_and_compared(driver: Any, qtbot: Any, tmp_path: Path) -> None:
    window = driver.window
    window.tabs.setCurrentWidget(window.parts)
    press(window, "Ctrl+3")
    answering(window, tmp_path / "first.csv")
    press(window, "Ctrl+S")
    driver.until((tmp_path / "first.csv").exists)
    assert [row.emotion for row in read_manifest(tmp_path / "first.csv")] == ["sad"]
    for entry, suffix in (("Save for ELAN", ".eaf"), ("Save as TextGrid", ".TextGrid")):
        answering(window, tmp_path)
        choose(qtbot, window, "Annotate", entry)
        driver.until(tmp_path.joinpath(f"voice-0{suffix}").exists)
    answering(window, tmp_path / "first.csv")
    click(window.parts.buttons[4])
    driver.until(lambda: hasattr(window, "agreement"))
    assert "agree on 100.0%" in window.agreement.summary.text()
    press(window.agreement, "Esc")
    assert not window.agreement.isVisible()


def test_the_picture_of_a_spectrogram_is_saved(driver: Any, tmp_path: Path) -> None:
    window = driver.window
    window.tabs.setCurrentWidget(window.picture)
    driver.until(lambda: window.picture.picture)
    answering(window, tmp_path / "seen.png")
    click(window.picture.button)
    driver.until((tmp_path / "seen.png").exists)


def test_a_picture_of_another_recording_is_not_saved(driver: Any, tmp_path: Path, qtbot: Any) -> None:
    window = driver.window
    window.tabs.setCurrentWidget(window.picture)
    driver.until(lambda: window.picture.picture)
    window.tabs.setCurrentWidget(window.answer)
    window.files.choose(next(entry.path for entry in window.files.model.entries if entry.path != window.picture.path))
    answering(window, tmp_path / "other.png")
    choose(qtbot, window, "File", "Save picture")
    assert "There is no picture" in window.notice.text()
    driver.until(lambda: window.picture.picture and window.picture.path == window.files.current)


def test_without_a_picture_it_says_so(opened: Any, qtbot: Any) -> None:
    driver = opened()
    choose(qtbot, driver.window, "File", "Save picture")
    assert "There is no picture" in driver.window.notice.text()
    assert driver.window.notice.isVisible()
    assert not driver.window.picture._plot.getAxis("left").isVisible()  # of nothing, its numbers would mean nothing
