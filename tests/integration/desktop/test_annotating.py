"""Labels by hand: corrected, undone, kept through a kill, saved, compared, learnt from."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from desktop_hands import press
from patience import PATIENCE_S

from earnest.audio.deadline import check_deadline
from earnest.corpora.annotations import Annotation, AnnotationJournal
from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.corpora.own import Refused
from earnest.errors import EarnestError
from earnest.runtime.prediction import Prediction, Span
from earnest.runtime.timeline import Timeline


@pytest.fixture
def annotating(opened: Any, voices: Path) -> Any:
    """Return a window that shows the parts of the first of five recordings."""
    driver = opened(voices)
    driver.answered()
    driver.window.tabs.setCurrentWidget(driver.window.parts)
    driver.until(lambda: driver.window.parts.model.parts)
    return driver


def test_a_label_is_corrected_by_key_undone_and_redone(annotating: Any, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window, control = annotating.window, Qt.KeyboardModifier.ControlModifier
    before = window.parts.model.parts
    other = 1 if before[0].emotion == "neutral" else 0
    qtbot.keyClick(window, Qt.Key.Key_1 if other == 0 else Qt.Key.Key_2, control)
    corrected = window.parts.model.parts[0]
    assert (corrected.emotion, corrected.by_hand) == (("neutral", "happy")[other], True)
    assert window.recording.views._spans[0].emotion == corrected.emotion
    qtbot.keyClick(window, Qt.Key.Key_Z, control)
    assert window.parts.model.parts == before
    qtbot.keyClick(window, Qt.Key.Key_Z, control | Qt.KeyboardModifier.ShiftModifier)
    assert window.parts.model.parts[0] == corrected


def test_a_recording_whose_parts_are_all_deleted_has_none_until_that_is_undone(annotating: Any, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window, control = annotating.window, Qt.KeyboardModifier.ControlModifier
    before = window.parts.model.parts
    for _ in before:
        window.parts.choose(0)
        window.parts.delete()
    assert window.parts.model.parts == ()
    assert list(window.annotations.by_recording.values()) == [()]
    for _ in before:
        qtbot.keyClick(window, Qt.Key.Key_Z, control)
    assert window.parts.model.parts == before
    assert window.annotations.by_recording == {}


def test_a_speaker_is_typed_and_a_selection_becomes_a_part(annotating: Any, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window = annotating.window
    annotating.drawn()
    window.parts.choose(0)
    window.parts.speaker.setFocus()
    qtbot.keyClicks(window.parts.speaker, "Anna")
    qtbot.keyClick(window.parts.speaker, Qt.Key.Key_Return)
    assert window.parts.model.parts[0].speaker == "Anna"
    window.recording.views.select(0.2, 0.5)
    window.parts.emotions.setCurrentText("sad")
    qtbot.keyClick(window, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert Annotation(0.2, 0.5, "sad", "Anna", True) in window.parts.model.parts
    ends = [(part.start_s, part.end_s) for part in window.parts.model.parts]
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ends))


def test_a_word_that_is_typed_for_a_selection_is_of_no_other_part_where_the_button_is_clicked(
    annotating: Any, qtbot: Any
) -> None:
    from PySide6.QtCore import Qt

    window = annotating.window
    annotating.drawn()
    window.parts.choose(0)
    first, last_s = window.parts.model.parts[0], window.recording.views.duration_s
    window.recording.views.select(last_s - 0.2, last_s)
    window.parts.emotions.typing.setFocus()
    window.parts.emotions.typing.selectAll()
    qtbot.keyClicks(window.parts.emotions.typing, "weary")
    qtbot.mouseClick(window.parts.buttons[1], Qt.MouseButton.LeftButton)
    assert window.parts.model.parts[0].emotion == first.emotion
    assert window.parts.model.parts[-1].emotion == "weary"


def test_what_is_named_after_a_selection_became_a_part_is_that_part(annotating: Any, qtbot: Any) -> None:
    from PySide6.QtCore import Qt

    window, control = annotating.window, Qt.KeyboardModifier.ControlModifier
    annotating.drawn()
    window.parts.choose(0)
    first = window.parts.model.parts[0]
    last_s = window.recording.views.duration_s
    window.recording.views.select(last_s - 0.2, last_s)
    qtbot.keyClick(window, Qt.Key.Key_D, control)
    new = window.parts.model.parts[-1]
    assert new.start_s == pytest.approx(last_s - 0.2, abs=0.001)
    other = 1 if new.emotion == "neutral" else 0
    qtbot.keyClick(window, Qt.Key.Key_1 if other == 0 else Qt.Key.Key_2, control)
    assert window.parts.model.parts[-1].emotion == ("neutral", "happy")[other]
    assert window.parts.model.parts[0].emotion == first.emotion


def test_in_german_an_unsure_part_gives_no_class_of_that_name(opened: Any, voices: Path) -> None:
    driver = opened(voices, language="de")
    driver.answered()
    driver.until(lambda: driver.window.parts.model.parts)
    driver.drawn()
    window = driver.window
    window.parts.relabel("unsure")
    assert window.parts.emotions.currentText() == "unsicher"
    window.recording.views.select(0.2, 0.5)
    window.parts.add_selection()
    assert Annotation(0.2, 0.5, "unsure", "", True) in window.parts.model.parts


def test_a_window_that_is_opened_again_has_the_corrections(annotating: Any, opened: Any, voices: Path) -> None:
    annotating.window.parts.relabel("sad")
    annotating.window.close()
    second = opened(voices)
    second.answered()
    assert second.window.parts.model.parts[0].emotion == "sad"
    assert second.window.parts.model.parts[0].by_hand


KILLED = """
import sys
from pathlib import Path
from earnest.apps.desktop.start import application, open_window
app = application()
window = open_window([sys.argv[2]], Path(sys.argv[1]), sys.argv[3], "en")
while not (window.files.model.entries and not window.files.analysis.is_busy and window.parts.model.parts):
    app.processEvents()
for emotion in ("angry", "sad", "happy"):
    window.parts.relabel(emotion)
    print(emotion, flush=True)
while True:
    app.processEvents()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_kill_loses_no_correction(qapp: Any, voices: Path, bundle: Path, tmp_path: Path) -> None:
    voice = min(voices.iterdir())
    words = [sys.executable, "-c", KILLED, str(tmp_path), str(voice), str(bundle)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(3)]
        os.kill(process.pid, signal.SIGKILL)
    assert said == ["angry", "sad", "happy"]
    kept = AnnotationJournal(tmp_path / "corrections.jsonl").read()
    assert [part.emotion for part in kept[str(voice)]][:1] == ["happy"]


def test_annotations_are_saved_as_manifest_elan_and_textgrid(annotating: Any, tmp_path: Path) -> None:
    window = annotating.window
    window.parts.relabel("sad")
    window.parts.choose(0)
    window.parts.speaker.setText("Anna")
    window.parts.speaker.setModified(True)
    window.parts.speaker.editingFinished.emit()
    manifest = tmp_path / "annotations.csv"
    window.export_annotations(str(manifest), "manifest")
    annotating.until(manifest.exists)
    (row,) = read_manifest(manifest)  # what the model alone said is left out
    part = window.parts.model.parts[0]
    assert (row.emotion, row.speaker, row.start_s, row.end_s) == ("sad", "Anna", part.start_s, part.end_s)
    for form, suffix in (("eaf", ".eaf"), ("textgrid", ".TextGrid")):
        window.export_annotations(str(tmp_path / form), form)
        path = tmp_path / form / f"voice-0{suffix}"
        annotating.until(path.exists)
        text = path.read_text()
        assert "sad" in text
        assert "Anna" in text
        assert "speaker" in text


def test_what_the_model_alone_said_keeps_its_confidence_where_a_part_is_cut(qapp: Any) -> None:
    from earnest.apps.desktop.annotations import annotated_timeline, with_part

    spans = (Span(1.0, 2.0, "sad", 0.3), Span(2.0, 9.0, "unsure", 0.25))
    heard = Timeline(Prediction("a.wav", "ok", 9.0, 8.0), spans)
    models = tuple(Annotation(span.start_s, span.end_s, span.emotion) for span in spans)
    parts = with_part(models, Annotation(4.0, 5.0, "happy", by_hand=True))
    assert [span.confidence for span in annotated_timeline(heard, parts).spans] == [0.3, 0.25, 1.0, 0.25]
    # An earlier model said what this one does not say.
    others = tuple(Annotation(start_s, start_s + 1, "angry") for start_s in (0.0, 1.0, 8.5))
    assert [span.confidence for span in annotated_timeline(heard, others).spans] == [0.0, 0.0, 0.0]


def test_a_second_annotator_is_compared(annotating: Any, tmp_path: Path, voices: Path) -> None:
    window = annotating.window
    for name in sorted(voices.iterdir()):
        window.files.choose(str(name))
        window.parts.relabel("sad" if name.stem[-1] in "01" else "happy")
    window.export_annotations(str(tmp_path / "first.csv"), "manifest")
    annotating.until((tmp_path / "first.csv").exists)
    rows = read_manifest(tmp_path / "first.csv")
    from dataclasses import replace

    write_manifest([replace(rows[0], emotion="angry"), *rows[1:]], tmp_path / "second.csv")
    window.compare(str(tmp_path / "second.csv"))
    annotating.until(lambda: hasattr(window, "agreement"))
    assert "kappa" in window.agreement.summary.text()
    assert [window.agreement.table.item(0, column).text() for column in (3, 4, 5)] == ["sad", "angry", "differs"]
    window.agreement.close()


def test_learning_is_from_what_was_labelled_by_hand_and_its_bundle_answers(
    annotating: Any, monkeypatch: pytest.MonkeyPatch, bundle: Path, voices: Path
) -> None:
    import earnest

    window = annotating.window
    given: list[Any] = []

    def learn(source: Path, output: Path, jobs: int) -> Any:
        given.extend(read_manifest(source))
        return learned(bundle, ("happy",), Refused("voice-0.wav", "'sad' has 1 of the 3 recordings needed"))

    monkeypatch.setattr(earnest, "learn", learn, raising=False)
    window.learn()
    annotating.until(window.notice.isVisible)
    assert "two or more" in window.notice.text()
    for name, emotion in zip(sorted(voices.iterdir())[:2], ("sad", "happy"), strict=True):
        window.files.choose(str(name))
        window.parts.relabel(emotion)
    window.learn()
    annotating.until(lambda: given)
    assert {row.emotion for row in given} == {"sad", "happy"}
    annotating.until(lambda: not window.learning.is_on)
    assert window.models.choice.model == str(bundle)
    told = window.notice.text().splitlines()
    assert told[0].startswith("my-model-1 has learnt from 9 labels.") and "58% of them right" in told[0]
    assert told[1:] == [
        "Left out: 1 ('sad' has 1 of the 3 recordings needed).",
        "It never says what has too few labels: sad.",
    ]
    annotating.answered()


def learned(path: Path, classes: tuple[str, ...], *refused: Refused) -> Any:
    """Return what `earnest.learn` says of a model, as far as the window asks."""
    results = tuple(SimpleNamespace(name=name) for name in classes)
    facts = {"n": 9, "wa": 0.58, "classes": results, "refused": refused, "n_refused": len(refused)}
    return SimpleNamespace(path=path, name="my-model-1", **facts)


def test_a_model_that_was_learnt_while_the_window_closed_is_whole_and_told_at_the_next_start(
    annotating: Any, monkeypatch: pytest.MonkeyPatch, voices: Path, opened: Any
) -> None:
    import earnest

    window, begun = annotating.window, threading.Event()

    def learn(source: Path, output: Path, jobs: int) -> Any:
        begun.set()
        while window.background._open:
            time.sleep(0.01)
        check_deadline()  # as decoding does: what it raises would leave recordings out
        return learned(output, ("sad", "happy"))

    monkeypatch.setattr(earnest, "learn", learn, raising=False)
    for name, emotion in zip(sorted(voices.iterdir())[:2], ("sad", "happy"), strict=True):
        window.files.choose(str(name))
        window.parts.relabel(emotion)
    window.learn()
    assert begun.wait(PATIENCE_S)
    window.close()
    again = opened(voices, folder=window.preferences.folder).window
    again.open_recovered()
    assert str(window.preferences.folder / "models" / "my-model-1") in again.notice.text()
    again.tell("something else")
    assert "does not answer yet" in again.notice.text()
    assert not again.learning.told_late()


def typed(bot: Any, field: Any, text: str) -> None:
    """Type a text into a field, over what is there."""
    field.setFocus()
    field.selectAll()
    bot.keyClicks(field, text)


def test_what_is_typed_is_taken_over_when_a_key_does_something_else(annotating: Any, qtbot: Any) -> None:
    window = annotating.window
    first = window.files.current
    typed(qtbot, window.parts.speaker, "Anna")
    press(window, "Alt+Down")
    assert window.annotations.by_recording[first][0].speaker == "Anna"
    assert window.parts.speaker.text() == ""
    typed(qtbot, window.parts.speaker, "Ben")
    press(window, "Ctrl+3")
    assert (window.parts.model.parts[0].emotion, window.parts.model.parts[0].speaker) == ("sad", "Ben")
    typed(qtbot, window.parts.emotions.typing, "jealous")
    press(window, "Ctrl+Return")
    assert (window.parts.model.parts[0].emotion, window.parts.model.parts[0].by_hand) == ("jealous", True)
    second = window.files.current
    typed(qtbot, window.parts.speaker, "Carl")
    window.close()
    assert AnnotationJournal(window.preferences.folder / "corrections.jsonl").read()[second][0].speaker == "Carl"


def test_undo_and_redo_are_the_windows_where_a_field_has_nothing_to_undo(annotating: Any, qtbot: Any) -> None:
    window, field = annotating.window, annotating.window.parts.emotions.typing
    before = window.parts.model.parts[0].emotion
    typed(qtbot, field, "calm")
    press(field, "Ctrl+Z")  # of the letters
    assert field.text() != "calm" and not window.annotations.undo_stack.canUndo()
    typed(qtbot, field, "calm")
    press(field, "Return")
    assert window.parts.model.parts[0].emotion == "calm"
    press(field, "Ctrl+Z")
    assert window.parts.model.parts[0].emotion == before
    press(field, "Ctrl+Shift+Z")
    assert window.parts.model.parts[0].emotion == "calm"


@pytest.mark.parametrize("word", ["bored", "jealous", "Angry"])
def test_a_word_of_ones_own_stays_as_it_is_typed(annotating: Any, qtbot: Any, word: str) -> None:
    from PySide6.QtWidgets import QApplication

    window = annotating.window
    typed(qtbot, window.parts.emotions.typing, word)
    assert window.parts.emotions.typing.text() == word
    press(window.parts.emotions.typing, "Return")
    assert window.parts.model.parts[0].emotion == (word if word != "Angry" else "angry")  # that one is known
    typed(qtbot, window.parts.emotions.typing, "ang")
    press(window, "Ctrl+2")
    assert window.parts.model.parts[0].emotion == "happy"
    assert QApplication.activePopupWidget() is None  # where what is known stood


def test_arrow_keys_go_on_from_the_emotion_that_is_shown(annotating: Any) -> None:
    parts = annotating.window.parts
    parts.relabel("sad")
    parts.emotions.setFocus()
    press(parts.emotions, "Up")
    assert parts.model.parts[0].emotion == "happy"


def test_the_wheel_changes_no_emotion_and_no_model(annotating: Any) -> None:
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication, QComboBox

    window = annotating.window
    before = window.parts.model.parts
    fields = window.findChildren(QComboBox)
    chosen = [field.currentText() for field in fields]
    for field in fields:
        where = QPointF(field.rect().center())
        wheel = QWheelEvent(
            where, field.mapToGlobal(where), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(field, wheel)
        assert field.focusPolicy() == Qt.FocusPolicy.StrongFocus
    assert len(fields) == 5
    assert [field.currentText() for field in fields] == chosen
    assert window.parts.model.parts == before


def test_chosen_parts_stay_chosen_when_they_are_named(qapp: Any, tmp_path: Path) -> None:
    from earnest.apps.desktop.annotations import AnnotationPanel, Annotations

    panel = AnnotationPanel(annotations := Annotations(tmp_path / "corrections.jsonl"))
    annotations.changed.connect(lambda path: panel.show_parts(path, annotations.of(path, None)))
    panel.show_parts("a.wav", tuple(Annotation(float(start), start + 1.0, "sad") for start in range(3)))
    panel.table.selectAll()
    panel.relabel("angry")
    panel.speaker.setText("Anna")
    panel.speaker.setModified(True)
    panel.confirm()
    assert {(part.emotion, part.speaker) for part in panel.model.parts} == {("angry", "Anna")}


def test_undo_and_redo_show_the_recording_that_they_change(annotating: Any) -> None:
    window = annotating.window
    first = window.files.current
    window.parts.relabel("sad")
    for keys in ("Ctrl+Z", "Ctrl+Shift+Z"):
        press(window, "Alt+Down")
        window.files.search.setText("voice-1")
        annotating.until(lambda: window.files.filter.rowCount() == 1)
        press(window, keys)
        annotating.until(lambda: window.files.current == first)
    assert window.parts.model.parts[0].emotion == "sad"


SECOND = """
import sys
from pathlib import Path
from earnest.apps.desktop.start import application, open_window
app = application()
window = open_window([sys.argv[2]], Path(sys.argv[1]), sys.argv[3], "en")
while not (window.files.model.entries and not window.files.analysis.is_busy and window.parts.model.parts):
    app.processEvents()
window.parts.relabel("angry")
print(window.notice.text())
window.close()
"""


def test_a_second_window_on_the_folder_leaves_the_corrections_of_the_first(
    annotating: Any, voices: Path, bundle: Path
) -> None:
    window = annotating.window
    window.parts.relabel("sad")
    words = [sys.executable, "-c", SECOND, str(window.preferences.folder), str(min(voices.iterdir())), str(bundle)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "This correction is not saved" in done.stdout, done.stderr
    assert f"is being written by process {os.getpid()}" in done.stdout
    kept = AnnotationJournal(window.preferences.folder / "corrections.jsonl").read()
    assert [part.emotion for part in kept[window.files.current]][:1] == ["sad"]


@contextmanager
def held_elsewhere(path: Path) -> Iterator[None]:
    raise EarnestError(f"{path} is being written by process 1.")
    yield


def test_corrections_are_saved_once_the_window_that_held_the_journal_has_ended(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earnest.apps.desktop import annotations as module

    place = tmp_path / "corrections.jsonl"
    sad = (Annotation(0.0, 1.0, "sad", ""),)
    annotations, told = module.Annotations(place), list[str]()
    annotations.failed.connect(told.append)
    with monkeypatch.context() as other:
        other.setattr(module, "held_file", held_elsewhere)
        annotations.recover()
        annotations.put("a.wav", sad)
        AnnotationJournal(place).write("b.wav", sad)  # the other window
    assert "is not saved" in told[0]
    annotations.put("c.wav", sad)
    assert len(told) == 1
    kept = AnnotationJournal(place).read()
    assert kept == annotations.by_recording == dict.fromkeys(("a.wav", "b.wav", "c.wav"), sad)
    annotations.close()


def test_learning_that_is_at_work_is_not_begun_again(annotating: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from earnest.apps.desktop import learning as module

    begun: list[Any] = []
    may_go_on = threading.Event()

    def learn(*given: Any) -> Path:
        begun.append(given)
        assert may_go_on.wait(PATIENCE_S)
        raise EarnestError("Nothing to learn from.")

    monkeypatch.setattr(module, "learn_from", learn)
    window = annotating.window
    window.parts.learning.setFocus()
    press(window.parts.learning, "Space")
    assert not window.parts.learning.isEnabled()
    assert window.files.table.hasFocus()  # not the field to search, which would take Ctrl+V
    window.learn()
    may_go_on.set()
    annotating.until(window.parts.learning.isEnabled)
    assert len(begun) == 1


def test_an_unsure_part_is_no_label_until_its_emotion_is_named(annotating: Any) -> None:
    window = annotating.window
    window.parts.relabel("unsure")
    assert "Labels by hand: 0, in recordings: 0" in window.parts.count.text()
    window.parts.confirm()
    assert "Name one first" in window.notice.text()
    window.parts.relabel("sad")
    assert "Labels by hand: 1, in recordings: 1" in window.parts.count.text()


def test_a_journal_that_cant_be_written_is_said(annotating: Any) -> None:
    window = annotating.window
    (window.preferences.folder / "corrections.jsonl").mkdir()
    window.parts.relabel("sad")
    annotating.until(window.notice.isVisible)
    assert "not saved" in window.notice.text()


def test_words_of_an_own_model_are_confirmed(qapp: Any, tmp_path: Path) -> None:
    from earnest.apps.desktop.annotations import AnnotationPanel, Annotations

    panel = AnnotationPanel(annotations := Annotations(tmp_path / "corrections.jsonl"))
    panel.show_parts("a.wav", (Annotation(0.0, 1.0, "stressed"), Annotation(1.0, 2.0, "unsure")))
    panel.table.selectAll()
    panel.confirm()
    assert [part.by_hand for part in annotations.of("a.wav", None)] == [True, False]
