"""One recording: what is drawn, selected, zoomed and played, with mouse, wheel and keys; and the microphone."""

import sys
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import soundfile
from desktop_hands import click, press
from desktop_sound_card import sound_card
from patience import PATIENCE_S

from earnest.corpora.annotations import Annotation
from earnest.errors import EarnestError
from earnest.files.writing import lock_descriptor
from earnest.testing.sounds import voice, write_voice


@pytest.fixture
def long_voice(tmp_path: Path) -> Path:
    """Return a recording of two stretches of speech."""
    parts = [voice(6, seed=1), np.zeros(16_000, np.float32), voice(6, level=0.4, seed=2)]
    soundfile.write(tmp_path / "long.wav", np.concatenate(parts), 16_000)
    return tmp_path / "long.wav"


def place(window: Any, seconds: float) -> Any:
    """Return the pixel of the waveform that stands for a time."""
    from PySide6.QtCore import QPointF

    views = window.recording.views
    box = views._wave.getViewBox()
    return views._canvas.mapFromScene(box.mapViewToScene(QPointF(seconds, 0.0)))


def drag(driver: Any, start_s: float, end_s: float) -> None:
    """Drag over the waveform with the left button."""
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest

    target = driver.window.recording.views._canvas.viewport()
    first, last = place(driver.window, start_s), place(driver.window, end_s)
    QTest.mousePress(target, Qt.MouseButton.LeftButton, pos=first)
    for share in (0.3, 0.6, 1.0):
        step = QPoint(round(first.x() + share * (last.x() - first.x())), first.y())
        QTest.mouseMove(target, step)
        driver.bot.wait(40)
    QTest.mouseRelease(target, Qt.MouseButton.LeftButton, pos=last)


def test_a_stretch_that_is_dragged_over_gets_its_own_answer(opened: Any, long_voice: Path) -> None:
    driver = opened(long_voice)
    driver.answered()
    driver.drawn()
    window = driver.window
    whole = window.answer.about.text()
    drag(driver, 8.0, 11.0)
    driver.until(lambda: "Selection" in window.answer.about.text())
    start_s, end_s = window.recording.views.selection
    assert (start_s, end_s) == pytest.approx((8.0, 11.0), abs=0.1)
    samples = window.recording.samples
    expected = window._listening.predict((samples.part(start_s, end_s), 16_000))
    # What was selected on the way may be answered first.
    driver.until(lambda: window.answer.emotion.text().startswith(expected.emotion or expected.status))
    window.recording.views.select(0, 0)
    driver.until(lambda: window.answer.about.text() == whole)


@pytest.mark.parametrize("language", ["en", "de"])
def test_names_of_axes_do_not_lie_over_each_other_in_a_low_window(language: str, opened: Any, voices: Path) -> None:
    from PySide6.QtWidgets import QApplication

    driver = opened(voices, language=language)
    views = driver.window.recording.views
    labels = [plot.getAxis("left").label for plot in views._plots()]
    driver.window.show()
    for height, n_shown in ((400, 4), (330, 1), (290, 1), (250, 1), (160, 0)):
        views.setFixedHeight(height)
        QApplication.processEvents()
        shown = [label.sceneBoundingRect() for label in labels if label.isVisible()]
        assert len(shown) >= n_shown
        assert all(above.bottom() <= below.top() + 8 for above, below in pairwise(shown))  # empty margins


def test_wheel_and_keys_zoom_and_move(opened: Any, long_voice: Path, qtbot: Any) -> None:
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication

    driver = opened(long_voice)
    driver.answered()
    driver.drawn()
    views = driver.window.recording.views
    assert views.visible_s == pytest.approx((0, 13), abs=0.01)
    target, where = views._canvas.viewport(), place(driver.window, 8.0)
    wheel = QWheelEvent(
        where, target.mapToGlobal(where), QPoint(), QPoint(0, 360), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(target, wheel)
    first, last = views.visible_s
    assert last - first == pytest.approx(13 * 0.8**3, abs=0.1)
    assert first < 8 < last
    qtbot.keyClick(driver.window, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    assert views.visible_s == pytest.approx((0, 13), abs=0.01)
    views._canvas.setFocus()
    driver.until(views._canvas.hasFocus)
    qtbot.keyClick(views._canvas, Qt.Key.Key_Right)
    assert views.cursor_s == pytest.approx(0.5)
    for _ in range(4):
        qtbot.keyClick(views._canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert views.selection == pytest.approx((0.5, 1.5))


def test_spans_and_probabilities_are_drawn_where_they_were_heard(opened: Any, long_voice: Path) -> None:
    driver = opened(long_voice)
    driver.answered()
    driver.drawn()
    views, timeline = driver.window.recording.views, driver.window.files.model.entries[0].timeline
    assert list(views._bars.opts["x0"]) == [span.start_s for span in timeline.entries()]
    curves = views._shares.listDataItems()
    assert len(curves) == len(timeline.classes)
    times, shares = curves[0].getData()
    name = timeline.classes[0]
    assert set(np.round(shares, 6)) == {round(window.probabilities[name], 6) for window in timeline.windows}
    assert (times.min(), times.max()) == (timeline.windows[0].start_s, timeline.windows[-1].end_s)


def test_no_curve_of_probability_crosses_a_pause(opened: Any, tmp_path: Path) -> None:
    parts = [voice(1.5, seed=1), np.zeros(32_000, np.float32), voice(1.5, seed=2)]
    soundfile.write(tmp_path / "pause.wav", np.concatenate(parts), 16_000)
    driver = opened(tmp_path / "pause.wav")
    driver.answered()
    driver.drawn()
    first, second = driver.window.files.model.entries[0].timeline.segments
    curve = driver.window.recording.views._shares.listDataItems()[0]
    times, connected = curve.getData()[0], curve.opts["connect"]
    after, before = times[1:] >= second.start_s, times[:-1] <= first.end_s
    assert (after & before).any()
    assert not connected[:-1][after & before].any()
    assert connected[:-1][~(after & before)].all()


def test_times_of_a_recording_of_hours_are_round_whole_and_told_apart(opened: Any, long_voice: Path) -> None:
    driver = opened(long_voice)
    driver.answered()
    driver.drawn()
    window = driver.window
    axis = window.recording.views._shares.getAxis("bottom")
    assert axis.tickSpacing(0, 7_200, 730) == [(1_200, 0)]
    assert axis.tickStrings([1_200, 2_400, 3_600], 1, 1_200) == ["0:20:00", "0:40:00", "1:00:00"]
    assert axis.tickStrings([3_600.5, 3_601], 1, 0.5) == ["1:00:00.50", "1:00:01.00"]
    assert axis.tickStrings([0.5, 1], 1, 0.5) == ["0.5 s", "1 s"]
    table, header = window.parts.table, window.parts.table.horizontalHeader()
    window.tabs.setCurrentWidget(window.parts)
    window.annotations.change(window.files.current, (), (Annotation(0, 1, "sad"), Annotation(1, 7_199, "happy")), "")
    assert table.model().index(1, 1).data() == "1:59:59.00"
    assert all(table.sizeHintForColumn(column) <= header.sectionSize(column) for column in (0, 1))


def test_names_of_emotions_lie_within_their_spans_and_colours_are_those_of_the_table(
    opened: Any, long_voice: Path
) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QColor

    driver = opened(long_voice)
    driver.answered()
    driver.drawn()
    window, views = driver.window, driver.window.recording.views
    edges = [0.0, 0.4, 1.1, 1.5, 4.0, 12.0]
    emotions = ("happy", "disgust", "sad", "surprised", "contempt")  # the last two are of no class of this model
    spans = [Annotation(*times, name) for times, name in zip(pairwise(edges), emotions, strict=True)]
    window.annotations.change(window.files.current, (), tuple(spans), "")
    for width in (1200, 700, 1200):
        window.resize(width, 600)
        driver.bot.wait(100)  # until sizes are handed down
        driver.until(lambda: not views._settle.isActive())
        box = views._emotions.getViewBox()
        pixels = box.width() / (views.visible_s[1] - views.visible_s[0])
        texts = [item.textItem for item in views._names]
        shown = {
            text.toPlainText(): text.document().idealWidth() - 2 * text.document().documentMargin() for text in texts
        }
        lengths = {one.emotion: (one.end_s - one.start_s) * pixels for one in spans}
        assert "contempt" in shown
        assert all(needed <= lengths[name] for name, needed in shown.items())
        assert all(length < 100 for name, length in lengths.items() if name not in shown)
    table = window.parts.model
    cells = [table.index(row, 2).data(Qt.ItemDataRole.DecorationRole) for row in range(len(spans))]
    assert [QColor(brush.color()) for brush in views._bars.opts["brushes"]] == cells
    assert len({colour.name() for colour in cells}) == len(spans)


def test_cursor_and_zoom_stay_where_they_are_when_the_answer_comes(
    opened: Any, held: tuple[threading.Event, threading.Event], long_voice: Path
) -> None:
    driver = opened(long_voice)
    driver.drawn()
    recording, views = driver.window.recording, driver.window.recording.views
    views.click(9.0)
    views.zoom(0.25)
    seen = views.visible_s
    held[1].set()
    driver.answered()
    driver.until(lambda: driver.window.parts.model.parts)
    assert (views.cursor_s, views.visible_s) == (pytest.approx(9.0), pytest.approx(seen))
    driver.window.parts.relabel("sad")
    assert views.cursor_s == pytest.approx(9.0)
    driver.window.parts.step(1)  # here a person chooses a part
    start_s = driver.window.parts.model.parts[1].start_s
    assert views.cursor_s == pytest.approx(start_s)
    assert recording.place.text().startswith(f"{start_s:.1f}")


def test_speakers_of_a_diarisation_file_have_lanes(opened: Any, long_voice: Path, tmp_path: Path) -> None:
    lines = "SPEAKER long 1 0.0 6.5 <NA> <NA> anna <NA> <NA>\nSPEAKER long 1 6.5 6.5 <NA> <NA> ben <NA> <NA>\n"
    (tmp_path / "long.rttm").write_text(lines)
    driver = opened(long_voice)
    driver.answered()
    driver.window.open_turns(str(tmp_path / "long.rttm"))
    driver.until(lambda: {part.speaker for part in driver.window.parts.model.parts} == {"anna", "ben"})
    assert len(set(driver.window.recording.views._bars.opts["y0"])) == 2


def test_speakers_of_a_transcript_have_lanes_and_words_without_speakers_change_nothing(
    opened: Any, long_voice: Path, tmp_path: Path
) -> None:
    cues = "1\n00:00:00,000 --> 00:00:06,500\n[anna]: Hello\n\n2\n00:00:06,500 --> 00:00:13,000\n[ben]: Hello\n"
    (tmp_path / "long.srt").write_text(cues)
    (tmp_path / "words.srt").write_text(cues.replace("[anna]: ", "").replace("[ben]: ", ""))
    driver = opened(long_voice)
    driver.answered()
    driver.window.open_turns(str(tmp_path / "long.srt"))
    driver.until(lambda: {part.speaker for part in driver.window.parts.model.parts} == {"anna", "ben"})
    driver.window.open_turns(str(tmp_path / "words.srt"))
    driver.until(lambda: driver.window.notice.text() == "The file names no speakers.")
    assert {part.speaker for part in driver.window.parts.model.parts} == {"anna", "ben"}


def test_a_diarisation_file_names_the_speakers_of_a_corrected_recording_and_that_is_undone(
    opened: Any, long_voice: Path, tmp_path: Path
) -> None:
    (tmp_path / "long.rttm").write_text("SPEAKER long 1 0.0 6.5 <NA> <NA> anna <NA> <NA>\n")
    driver = opened(long_voice)
    driver.answered()
    driver.until(lambda: driver.window.parts.model.parts)
    driver.window.parts.choose(0)
    driver.window.parts.relabel("angry")
    corrected = driver.window.parts.model.parts
    driver.window.open_turns(str(tmp_path / "long.rttm"))
    driver.until(lambda: "anna" in {part.speaker for part in driver.window.parts.model.parts})
    assert [part.emotion for part in driver.window.parts.model.parts] == [part.emotion for part in corrected]
    driver.window.annotations.undo_stack.undo()
    assert driver.window.parts.model.parts == corrected


@pytest.mark.usefixtures("qapp")
def test_times_of_a_long_recording_are_minutes_and_hours() -> None:
    from earnest.apps.desktop.texts import moment

    assert moment(7.5, 59.9) == "7.50 s"
    assert moment(7.5, 60.0) == "0:07.50"
    assert moment(59.999, 75.0) == "1:00.00"
    assert moment(3605.41, 7200.0) == "1:00:05.41"


def test_a_selection_is_played_and_looped(opened: Any, long_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = sound_card(np.zeros(1, np.float32))
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    driver = opened(long_voice)
    driver.answered()
    driver.drawn()
    recording = driver.window.recording
    recording.views.select(1.0, 1.5)
    recording.toggle()
    driver.until(lambda: not recording.player.is_playing and not card.sounding)
    played = np.concatenate(card.played)[:, 0]
    expected = recording.samples.values[16_000:24_000]
    assert np.array_equal(played[:8_000], expected)
    assert not played[8_000:].any()
    assert recording.views.cursor_s == pytest.approx(1.5, abs=0.11)
    card.played.clear()
    recording.loop.setChecked(True)
    recording.toggle()
    driver.until(lambda: len(card.played) > 12)
    recording.toggle()
    played = np.concatenate(card.played)[:, 0]
    assert np.array_equal(played[8_000:16_000], expected)


def test_keys_and_the_mouse_play_stop_and_loop(opened: Any, long_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = sound_card(np.zeros(1, np.float32))
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    driver = opened(long_voice)
    driver.drawn()
    recording = driver.window.recording
    recording.views._canvas.setFocus()
    press(driver.window, "Ctrl+L")
    assert recording.loop.isChecked()  # so it plays until it is stopped
    press(recording.views._canvas, "Space")
    driver.until(lambda: card.played and recording.views.cursor_s > 0.1)
    press(driver.window, "Ctrl+Space")
    assert not recording.player.is_playing
    click(recording.play)
    assert recording.play.text() == "Stop"
    click(recording.play)
    assert not recording.player.is_playing


def test_without_loudspeaker_playing_says_so(opened: Any, long_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sound_card(None))
    driver = opened(long_voice)
    driver.drawn()
    driver.window.recording.toggle()
    driver.until(driver.window.notice.isVisible)
    assert "no loudspeaker" in driver.window.notice.text()
    assert not driver.window.recording.player.is_playing


def test_the_microphone_is_answered_live_and_kept(
    opened: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot: Any
) -> None:
    from PySide6.QtCore import Qt

    sound = voice(8, seed=3)
    monkeypatch.setitem(sys.modules, "sounddevice", sound_card(sound))
    driver = opened()
    window = driver.window
    driver.until(lambda: window._listening)
    window.tabs.setCurrentWidget(window.record)
    driver.until(lambda: window.record.devices.count() == 2)
    qtbot.mouseClick(window.record.button, Qt.MouseButton.LeftButton)
    driver.until(lambda: window.record.spans.count() or any(bar.value() for bar, _ in window.record._bars.values()))
    driver.until(lambda: window.microphone._state[0] > 2)  # seconds that were heard
    qtbot.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    driver.until(lambda: window.files.model.entries)
    driver.answered()
    path = window.files.model.entries[0].path
    assert Path(path).parent == tmp_path / "kept" / "recordings"
    kept, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == 16_000
    n_kept = min(len(kept), len(sound))  # silence follows
    assert np.abs(kept[:n_kept] - sound[:n_kept]).max() < 1e-4
    assert window.files.current == path


def test_recordings_that_begin_in_one_second_are_files_of_their_own(
    qapp: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from earnest.apps.desktop import recorder
    from earnest.apps.desktop.analysis import Listening
    from earnest.files.writing import held_file
    from earnest.runtime.predictor import Predictor

    monkeypatch.setattr(recorder, "time", SimpleNamespace(strftime=lambda _: "recording-20260102-030405"))
    monkeypatch.setattr(recorder, "microphone", lambda *_: nullcontext([heard.pop()]))
    heard, listening = [voice(1, seed=seed) for seed in range(3)], Listening(Predictor.load(bundle))
    with held_file(tmp_path / "recording-20260102-030405-2.wav"):  # another window records, too
        kept = [recorder.Microphone()._listened(listening, tmp_path, None) for _ in range(3)]
    names = "recording-20260102-030405.wav", "recording-20260102-030405-3.wav", "recording-20260102-030405-4.wav"
    assert kept == [(str(tmp_path / name), "") for name in names]
    for (path, _), seed in zip(kept, (2, 1, 0), strict=True):
        np.testing.assert_allclose(soundfile.read(path, dtype="float32")[0], voice(1, seed=seed), atol=1e-4)


def test_what_was_recorded_before_a_failure_is_kept(
    qapp: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from earnest.apps.desktop import recorder
    from earnest.apps.desktop.analysis import Listening
    from earnest.runtime.predictor import Predictor

    sound = voice(2, seed=1)

    def heard() -> Iterator[Any]:
        yield sound
        raise EarnestError("The microphone is gone.")

    monkeypatch.setattr(recorder, "microphone", lambda *_: nullcontext(heard()))
    path, problem = recorder.Microphone()._listened(Listening(Predictor.load(bundle)), tmp_path, None)
    assert problem == "The microphone is gone."
    np.testing.assert_allclose(soundfile.read(path, dtype="float32")[0], sound, atol=1e-4)
    with pytest.raises(EarnestError, match="The microphone is gone"):  # before anything was heard
        monkeypatch.setattr(recorder, "microphone", lambda *_: nullcontext(map(fail, [0])))
        recorder.Microphone()._listened(Listening(Predictor.load(bundle)), tmp_path, None)
    assert [str(one) for one in tmp_path.glob("*.wav")] == [path]


def test_a_recording_that_a_kill_cut_off_is_opened_at_the_next_start(opened: Any, tmp_path: Path) -> None:
    from earnest.apps.desktop import recorder

    folder, sound = tmp_path / "kept" / "recordings", voice(2, seed=1)
    folder.mkdir(parents=True)
    with recorder._sound_file(folder / "whole.wav") as file:
        file.write(sound)
        cut_off = (folder / "whole.wav").read_bytes()  # its header tells no length yet
    (folder / "whole.wav").unlink()
    names = [f"recording-20260102-03040{number}.wav" for number in range(3)]
    for name, data in zip(names, (cut_off, cut_off[: recorder.HEADER_BYTES], cut_off), strict=True):
        (folder / f".partial-{name}").write_bytes(data)
        (folder / f"{name}.lock").touch()
    with (folder / f"{names[2]}.lock").open("r+b") as lock:
        lock_descriptor(lock.fileno())  # another window records
        driver = opened()
        driver.window.open_recovered()
        driver.until(lambda: driver.window.files.model.entries)
        driver.answered()
    assert driver.window.notice.text() == f"This recording was cut off, and is kept: {names[0]}"
    assert [entry.path for entry in driver.window.files.model.entries] == [str(folder / names[0])]
    np.testing.assert_allclose(soundfile.read(folder / names[0], dtype="float32")[0], sound, atol=1e-4)
    assert {path.name for path in folder.iterdir()} == {names[0], f".partial-{names[2]}", f"{names[2]}.lock"}


def test_what_is_recorded_when_the_window_is_closed_is_among_the_recent_files(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earnest.apps.desktop.preferences import Preferences

    monkeypatch.setitem(sys.modules, "sounddevice", sound_card(voice(8, seed=3)))
    driver = opened()
    window = driver.window
    driver.until(lambda: window._listening)
    window.toggle_recording()
    driver.until(lambda: window.microphone._state[0] > 1)
    window.close()
    (path,) = window.preferences.recordings.glob("*.wav")
    assert Preferences(window.preferences.folder).recent == [str(path)]


def fail(_: object) -> None:
    raise EarnestError("The microphone is gone.")


def test_a_microphone_that_is_plugged_in_later_is_listed_and_the_chosen_one_stays_chosen(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = sound_card(voice(8, seed=3))
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    monkeypatch.setattr("earnest.audio.feed._opened", WeakSet())  # another test's window may have left a stream open
    driver = opened()
    window, devices = driver.window, driver.window.record.devices
    driver.until(lambda: window._listening)
    window.tabs.setCurrentWidget(window.record)
    driver.until(lambda: devices.count() == 2)
    devices.setCurrentIndex(1)
    card.plugged.insert(0, "Headset")  # so that the other one has another number
    window.record.toggle()
    driver.until(lambda: window.microphone._state[0] > 1)
    window.record.find_microphones()  # breaks nothing that records
    driver.until(lambda: window.microphone._state[0] > 2)
    window.record.toggle()
    driver.until(lambda: devices.count() == 3)
    assert devices.currentText() == devices.currentData() == "Made-up microphone, ALSA"
    window.record._list([(0, "Headset, ALSA"), (3, "USB, ALSA"), (4, "USB, ALSA")])
    assert [devices.itemData(row) for row in range(4)] == ["", "Headset, ALSA", "3", "4"]


def test_what_is_said_of_a_recording_that_is_begun_too_early_is_gone_once_the_model_is_loaded(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earnest.apps.desktop.models import ModelChoice

    may_load, load = threading.Event(), ModelChoice.load

    def late(choice: ModelChoice) -> Any:
        assert may_load.wait(PATIENCE_S)
        return load(choice)

    monkeypatch.setattr(ModelChoice, "load", late)
    monkeypatch.setitem(sys.modules, "sounddevice", sound_card(voice(1, seed=3)))
    driver = opened()
    window = driver.window
    window.toggle_recording()
    assert window.statusBar().currentMessage() == "The model is still loading. Try again in a moment."
    may_load.set()
    driver.until(lambda: window.statusBar().currentMessage().endswith("is ready."))
    assert window.notice.isHidden() and not window.microphone.is_on


def test_without_microphone_it_says_so(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", sound_card(None))
    driver = opened()
    window = driver.window
    driver.until(lambda: window._listening)
    window.toggle_recording()
    driver.until(window.notice.isVisible)
    assert "There is no microphone" in window.notice.text()
    driver.until(lambda: not window.microphone.is_on)
    assert not window.files.model.entries


def test_a_picture_of_many_hours_is_thinned(tmp_path: Path, qapp: Any) -> None:
    from earnest.apps.desktop.player import Samples

    samples = Samples.read(str(write_voice(tmp_path / "a.wav", 30)))
    times, values = samples.outline(0, 30)
    assert len(times) == len(values) <= 3_200
    whole = samples.part(0, 30)
    assert values.max() == pytest.approx(whole.max(), abs=1e-4)
    assert samples.decibels(0, 30).shape[0] == samples.decibels(3, 4).shape[0] == 64


def test_the_spectrogram_of_a_long_recording_shows_its_sound_and_not_the_pauses_between(
    tmp_path: Path, qapp: Any
) -> None:
    from earnest.apps.desktop.player import RATE_HZ, Samples

    at_s = np.arange(120 * RATE_HZ) / RATE_HZ
    words = 0.5 * np.sin(2 * np.pi * 440 * at_s) * (at_s % 0.4 < 0.05) * (at_s < 60)  # and then a minute of silence
    soundfile.write(tmp_path / "a.wav", words, RATE_HZ)
    columns = Samples.read(str(tmp_path / "a.wav")).decibels(0, 120).max(axis=0)
    assert columns[:127].min() > -20
    assert columns[130:].max() == -80


@pytest.mark.parametrize(("language", "said"), [("en", "2.5 s"), ("de", "2,5 s")])
def test_lost_sound_is_told(opened: Any, language: str, said: str) -> None:
    from earnest.apps.desktop.texts import install
    from earnest.runtime.prediction import Gap

    window = opened().window
    install(language)
    try:
        window.record._take(Gap(1.0, 3.5))
        assert said in window.record.problem.text()
    finally:
        install("en")
