"""The model: its card, its classes, another bundle, the backend, a speaker's profile; and what is told of an answer."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desktop_hands import answering, choose, click, press
from patience import PATIENCE_S
from stand_in import CLASSES, cuttable_model, write_adapting, write_bundle, write_hearing

import earnest
from earnest.errors import EarnestError
from earnest.runtime.prediction import Prediction, VocalBurst
from earnest.runtime.profile import Profile

CORPUS = {"name": "ravdess", "licence": "CC-BY-NC-SA-4.0", "n_utterances": 1, "n_speakers": 1, "hours": 0.1}
RAVDESS: dict[str, Any] = {"licence": "unspecified", "training_corpora": [CORPUS]}


@pytest.fixture(scope="module")
def adapting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that adapts to a speaker after half a second."""
    folder = tmp_path_factory.mktemp("adapting") / "bundle"
    return write_adapting(folder, least_speech_s=0.5, model=cuttable_model())


def test_another_bundle_is_chosen_with_its_card_and_classes(
    opened: Any, voices: Path, tmp_path: Path, qtbot: Any
) -> None:
    from PySide6.QtWidgets import QPushButton

    driver = opened(voices)
    driver.answered()
    other = write_bundle(
        tmp_path / "other", cuttable_model(), {"card.md": b"# The other one\n\nMade up."}, name="other", **RAVDESS
    )
    window, panel = driver.window, driver.window.models
    window.tabs.setCurrentWidget(panel)
    answering(window, other)
    click(next(one for one in panel.findChildren(QPushButton) if one.text() == "Other bundle …"))
    driver.until(lambda: window._listening.predictor.info.name == "other")
    assert panel.card.toPlainText().startswith("The other one")
    assert ", ".join(CLASSES) in panel.summary.text()
    assert "non-commercial use only: unspecified" in panel.summary.text()
    driver.answered()
    assert {entry.prediction.model for entry in window.files.model.entries} == {"other"}


def test_where_most_is_neutral_a_model_without_that_class_says_what_to_switch_off(opened: Any, tmp_path: Path) -> None:
    from earnest.apps.desktop.models import ModelChoice

    other = write_bundle(tmp_path / "other", cuttable_model(), classes=["asks", *CLASSES[1:]])
    with pytest.raises(EarnestError, match="switch “Most of it is neutral” off"):
        ModelChoice(str(other), is_mostly_neutral=True).load()


def test_the_model_that_was_chosen_last_answers_though_the_one_before_loads_longer(
    opened: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earnest.apps.desktop.models import ModelChoice

    slow, quick = (write_bundle(tmp_path / name, cuttable_model(), name=name) for name in ("slow", "quick"))
    may_go_on, load = threading.Event(), ModelChoice.load

    def held(choice: Any) -> Any:
        assert choice.model != str(slow) or may_go_on.wait(PATIENCE_S)
        return load(choice)

    monkeypatch.setattr(ModelChoice, "load", held)
    driver = opened()
    window = driver.window
    driver.until(lambda: window._listening)
    for chosen in (slow, quick):
        window.models.choose_bundle(str(chosen))
    driver.until(lambda: window._listening.predictor.info.name == "quick")
    may_go_on.set()
    window.background._pool.shutdown()  # now it has come
    driver.bot.wait(1)
    assert window._listening.predictor.info.name == "quick"
    assert window.models.summary.text().startswith("quick")


def test_where_the_kept_bundle_is_gone_at_the_start_the_default_answers(opened: Any, tmp_path: Path) -> None:
    driver = opened(model=tmp_path / "gone")
    driver.until(lambda: driver.window._listening)
    assert driver.window._listening.predictor.info.name == "base"
    assert "base answers instead." in driver.window.notice.text()


def test_openvino_answers_as_onnxruntime_does(opened: Any, voices: Path) -> None:
    pytest.importorskip("openvino")
    driver = opened(voices)
    driver.answered()
    window, panel = driver.window, driver.window.models
    before = [entry.prediction.probabilities for entry in window.files.model.entries]
    window.tabs.setCurrentWidget(panel)
    panel.backends.setFocus()
    press(panel.backends, "End")
    assert panel.backends.currentText() == "openvino"
    driver.until(lambda: "OpenVino" in type(window._listening.predictor.graph._engine).__name__)
    driver.answered()
    for entry, expected in zip(window.files.model.entries, before, strict=True):
        assert dict(entry.prediction.probabilities) == pytest.approx(dict(expected), abs=1e-4)
    assert window.preferences.text("backend") == "openvino"


def test_a_profile_that_can_not_be_made_is_told_and_nothing_says_it_is_at_work(opened: Any, voices: Path) -> None:
    driver = opened(voices)
    driver.answered()
    driver.window.make_profile(str(voices / "speaker.json"))
    driver.until(lambda: not driver.window.notice.isHidden())
    assert "can't adapt to a speaker" in driver.window.notice.text()
    assert driver.window.statusBar().currentMessage() == ""


def test_a_profile_is_made_of_the_chosen_files_used_chosen_again_and_given_up(
    opened: Any, voices: Path, adapting: Path, tmp_path: Path, qtbot: Any
) -> None:
    from PySide6.QtWidgets import QPushButton

    driver = opened(voices, model=adapting)
    driver.answered()
    window, panel = driver.window, driver.window.models
    plain = [dict(entry.prediction.probabilities) for entry in window.files.model.entries]
    window.files.table.setFocus()
    press(window.files.table, "Ctrl+A")
    made = tmp_path / "anna.json"
    answering(window, made)
    choose(qtbot, window, "File", "Profile of the chosen")
    driver.until(lambda: window._listening.profile is not None)
    recordings = sorted(voices.iterdir())
    library = earnest.load(adapting)
    assert Profile.read(made).to_json() == library.profile(recordings).to_json()
    driver.answered()
    adapted = [entry.prediction for entry in window.files.model.entries]
    assert all(one.adapted for one in adapted)
    assert [dict(one.probabilities) for one in adapted] != plain
    window.files.choose(str(recordings[0]))
    weight = f"{adapted[0].adaptation_weight:.2f}"
    assert ("Adaptation weight", weight) in shown_facts(window.answer)
    window.tabs.setCurrentWidget(panel)
    buttons = {one.accessibleName(): one for one in panel.findChildren(QPushButton)}
    click(buttons["No profile"])
    driver.until(lambda: window._listening.profile is None)
    driver.answered()
    assert [dict(entry.prediction.probabilities) for entry in window.files.model.entries] == plain
    answering(window, made)
    click(buttons["Choose a profile"])
    driver.until(lambda: window._listening.profile is not None)
    assert panel.profile.text() == "anna.json"
    assert window.preferences.text("profile") == str(made)


def test_a_profile_is_made_without_files_that_cant_be_read(
    opened: Any, voices: Path, adapting: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.wav").touch()
    driver = opened(voices, tmp_path / "empty.wav", model=adapting)
    driver.answered()
    window = driver.window
    window.files.table.selectAll()
    window.make_profile(str(tmp_path / "anna.json"))
    driver.until(lambda: window._listening.profile is not None)
    assert window.notice.text().startswith("Left out of the profile:\n")
    assert "empty.wav: empty, no bytes at all." in window.notice.text()
    expected = earnest.load(adapting).profile(sorted(voices.iterdir()))
    assert Profile.read(tmp_path / "anna.json").to_json() == expected.to_json()


def test_another_model_answers_without_the_profile_of_the_one_before(
    opened: Any, voices: Path, adapting: Path, tmp_path: Path
) -> None:
    earnest.load(adapting).profile(sorted(voices.iterdir())).write(tmp_path / "anna.json")
    driver = opened(voices, model=adapting)
    driver.answered()
    window, panel = driver.window, driver.window.models
    panel.use_profile(str(tmp_path / "anna.json"))
    driver.until(lambda: window._listening.profile is not None)
    window.tabs.setCurrentWidget(panel)
    panel.bundles.setFocus()
    before = window._listening
    panel.bundles.activated.emit(panel.bundles.currentIndex())  # the same one again
    driver.until(lambda: window._listening is not before)
    assert window._listening.profile is not None
    press(panel.bundles, "Home")
    driver.until(lambda: window._listening.profile is None)
    assert panel.profile.text() == "none"
    assert window.notice.isHidden()


def test_a_profile_of_nothing_and_of_a_model_that_cant_adapt_is_refused(opened: Any, voices: Path) -> None:
    driver = opened()
    driver.until(lambda: driver.window._listening)
    driver.window.make_profile("nowhere.json")
    assert "Choose recordings of one speaker" in driver.window.notice.text()
    driver.window.open_paths([str(min(voices.iterdir()))])
    driver.answered()
    driver.window.make_profile("nowhere.json")
    driver.until(lambda: "can't adapt" in driver.window.notice.text())


def test_sound_of_other_kinds_is_named_as_the_library_names_it(opened: Any, voices: Path, tmp_path: Path) -> None:
    hearing = write_hearing(tmp_path / "hearing", out_of_domain_from=0.1)
    driver = opened(voices, model=hearing)
    driver.answered()
    library = earnest.load(hearing)
    for path, entry in zip(sorted(voices.iterdir()), driver.window.files.model.entries, strict=True):
        expected = library.predict(path)
        assert (entry.prediction.status, entry.prediction.quality) == (expected.status, expected.quality)
        assert entry.prediction.vocal_bursts == expected.vocal_bursts


def shown_facts(panel: Any) -> list[tuple[str, str]]:
    """Return the rows below the bars."""
    form = panel._facts
    rows = [[form.itemAt(row, role).widget().text() for role in (form.ItemRole.LabelRole, form.ItemRole.FieldRole)]
            for row in range(form.rowCount())]  # fmt: skip
    return [(name, value) for name, value in rows]


def test_an_answer_is_told_with_all_that_is_known_of_it(qapp: Any, qtbot: Any) -> None:
    from PySide6.QtWidgets import QProgressBar

    from earnest.apps.desktop.answer import AnswerPanel

    panel = AnswerPanel()
    qtbot.addWidget(panel)
    info = earnest.load("base").info
    shares = dict(zip(info.classes, (0.05, 0.02, 0.73, 0.1, 0.05, 0.05), strict=True))
    answer = Prediction(
        "a/talk.wav", "ok", 12.5, 9.25, "sad", 0.73, shares, -0.4, quality=("clipped", "out-of-domain"),
        adapted=True, adaptation_weight=0.5, shares={"sad": 0.8, "neutral": 0.2},
        vocal_bursts=(VocalBurst(1.0, 2.5, "laughter", 0.9),), model="base",
    )  # fmt: skip
    panel.show_prediction(answer, info)
    assert (panel.about.text(), panel.emotion.text()) == ("talk.wav", "sad, 73%")
    assert "about that share is right" in panel.meaning.text()
    bars = panel.findChildren(QProgressBar)
    assert [bar.value() for bar in bars] == [50, 20, 730, 100, 50, 50]
    assert bars[2].accessibleName() == "Probability of sad: 73%"
    told = dict(shown_facts(panel))
    assert told["Quality"] == "clipped, out-of-domain"
    assert told["Vocal bursts"] == "(laughter) 1.0–2.5 s"
    assert told["Adaptation weight"] == "0.50"
    assert told["Shares"] == "sad 80%, neutral 20%"
    panel.show_prediction(Prediction("a/b.wav", "unsure", 2.0, 2.0, None, 0.4, shares), info)
    assert panel.emotion.text() == "unsure"
    assert panel.meaning.text().startswith("The likeliest: sad 73%")
    parts = {"unsure": 0.6, "sad": 0.4}
    panel.show_prediction(Prediction("a/b.wav", "unsure", 9.0, 9.0, None, 0.4, shares, shares=parts), info)
    assert panel.meaning.text() == "Less than half of the speech could be answered: sad 40%."
    talk = Prediction("a/b.wav", "mixed", 30.0, 20.0, None, 0.4, shares, shares={"sad": 0.6, "neutral": 0.4})
    panel.show_prediction(talk, info)
    assert "“Most of it is neutral”" in panel.meaning.text()
    for asked, answer in ((("neutral=0.6",), talk), ((), replace(talk, speech_s=5.0))):
        panel.show_prediction(answer, info, "", asked)
        assert panel.meaning.text() == "Several emotions over time; none holds most of the speech."
    panel.show_prediction(Prediction("a/b.wav", "error", error="a/b.wav: no sound."), info)
    assert panel.meaning.text() == "no sound."
