"""The window: what it remembers, its languages and colours, names for screen readers, and how it starts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from earnest.apps.cli.main import cli
from earnest.audio.io import decode
from earnest.errors import AudioError, MissingExtraError
from earnest.labels import EMOTIONS
from earnest.runtime.prediction import Prediction
from earnest.testing.sounds import voice, write_voice

ROOT = Path(__file__).parents[3]


def test_what_is_named_from_a_folder_is_found_again_from_another(
    opened: Any, voices: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from earnest.apps.desktop.start import open_window

    monkeypatch.chdir(voices)
    first = opened(Path("voice-0.wav"), model=Path(os.path.relpath(bundle)))
    first.answered()
    first.until(lambda: first.window.parts.model.parts)
    first.window.parts.relabel("angry")
    kept = first.window.preferences.folder
    first.window.close()
    monkeypatch.chdir(tmp_path)
    again = open_window([str(voices / "voice-0.wav")], kept)
    try:
        first.until(lambda: again._listening and again.parts.model.parts)
        assert again.parts.model.parts[0].emotion == "angry"
        assert again.preferences.recent == [str(voices / "voice-0.wav")]
    finally:
        again.close()


def test_settings_and_recent_files_survive(opened: Any, voices: Path) -> None:
    first = opened(voices)
    first.answered()
    first.window.models.tells.click()
    first.until(lambda: first.window._listening.options.abstain_below == 0)
    first.window.models.neutral.click()
    first.until(lambda: first.window._listening.options.classes == ("neutral=0.6",))
    first.answered()
    first.window.set_scheme("dark")
    first.window.close()
    from earnest.apps.desktop.start import open_window

    again = open_window([], first.window.preferences.folder)
    try:
        assert again.models.choice == first.window.models.choice
        assert again.models.choice.tells_unsure and again.models.choice.is_mostly_neutral
        assert again.preferences.recent == [str(voices)]
        assert again.palette().window().color().lightness() < 80
        again.fill_recent()
        again.recent.actions()[0].trigger()
        first.until(lambda: len(again.files.model.entries) == 5)
    finally:
        again.set_scheme("light")
        again.close()


def test_every_control_has_a_name_for_screen_readers(opened: Any, voices: Path) -> None:
    from PySide6.QtGui import QAccessible
    from PySide6.QtWidgets import (
        QAbstractButton,
        QAbstractItemView,
        QComboBox,
        QLabel,
        QLineEdit,
        QProgressBar,
        QTextEdit,
    )

    driver = opened(voices)
    driver.answered()
    controls = (QAbstractButton, QAbstractItemView, QComboBox, QLineEdit, QProgressBar, QTextEdit)
    inside = ("QComboBox", "QTabBar", "QHeaderView", "QTableView", "TypingField", "QSplitter")  # parts of others
    nameless = [
        (type(widget).__name__, widget.objectName(), type(widget.parent()).__name__)
        for kind in controls
        for widget in driver.window.findChildren(kind)
        if widget.window() is driver.window
        and not (widget.accessibleName() or (isinstance(widget, QAbstractButton) and widget.text()))
        and type(widget.parent()).__name__ not in inside
        and not widget.objectName().startswith("qt_")
        and not type(widget).__name__.startswith(("QHeaderView", "QComboBoxListView", "QComboBoxPrivate"))
    ]
    assert nameless == []
    fields = [field for field in driver.window.findChildren(QComboBox) if field.window() is driver.window]
    told = [QAccessible.queryAccessibleInterface(field).text(QAccessible.Text.Description) for field in fields]
    assert told == [field.accessibleName() for field in fields]  # on Linux their name is their value
    named = {label.buddy() for label in driver.window.findChildren(QLabel)}
    assert {driver.window.models.bundles, driver.window.models.backends, driver.window.parts.emotions} <= named


def test_why_a_file_has_no_answer_begins_in_the_language_of_the_window(tmp_path: Path, qapp: Any) -> None:
    from earnest.apps.desktop.answer import short_error
    from earnest.apps.desktop.texts import install

    whole = write_voice(tmp_path / "long.wav").read_bytes()
    for name, data in (
        ("empty.wav", b""),
        ("cut.wav", whole[: len(whole) // 2]),
        ("text.wav", b"no sound"),
        ("odd.wav", bytes(range(200, 250))),
        ("archive.wav", b"PK\x03\x04" + bytes(60)),
        ("joined.wav", whole + whole),
    ):
        (tmp_path / name).write_bytes(data)
    soundfile.write(tmp_path / "cancelling.wav", np.outer(voice(1.0), (1, -1)), 16_000)
    begins = {
        "missing.wav": "Diese Datei gibt es nicht. (no such file.",
        "empty.wav": "Die Datei ist leer. (empty, no bytes",
        "long.wav": "Die Aufnahme ist zu lang. (",
        "cut.wav": "Die Datei ist beschädigt oder abgeschnitten. (cut off",
        "text.wav": "Das ist keine Aufnahme. (no sound but text",
        "odd.wav": "Das ist keine Aufnahme. (not a recording",
        "archive.wav": "Das ist keine Aufnahme. (a ZIP archive",
        "cancelling.wav": "Die Kanäle löschen einander aus. (its 2 channels",
        "joined.wav": "Die Datei enthält mehrere Aufnahmen. (several recordings in one",
    }
    try:
        for name, begin in begins.items():
            path = str(tmp_path / name)
            with pytest.raises(AudioError) as found:
                decode(path, 0.5 if name == "long.wav" else 100.0)
            row = Prediction(path, "error", error=str(found.value))
            install("de")
            assert short_error(row).startswith(begin), (short_error(row), begin)
            install("en")
            assert f"{path}: {short_error(row)}" == str(found.value)
        install("de")
        needs = MissingExtraError("a.m4a: sound in .m4a files", "media")
        assert short_error(Prediction("a.m4a", "error", error=str(needs))).startswith("Für diese Art von Datei")
        assert short_error(Prediction("a.wav", "error", error="a.wav: something else.")) == "something else."
    finally:
        install("en")


def test_what_is_wrong_with_models_microphones_and_disks_begins_in_the_language_of_the_window(
    opened: Any, voices: Path, tmp_path: Path
) -> None:
    from earnest.apps.desktop.texts import explained, install

    window = (driver := opened(voices, language="de")).window
    try:
        driver.answered()
        window.models.choose_bundle(str(tmp_path / "gone"))
        driver.until(window.notice.isVisible)
        assert window.notice.text().startswith("Dieses Modell gibt es nicht. (There is no bundle")
        window.export_rows("/proc/no-such-place/rows.csv")
        driver.until(lambda: window.notice.text().startswith("Dort kann nicht geschrieben werden. ("))
        (empty := tmp_path / "empty.wav").write_bytes(b"")
        window.open_paths([str(empty)])
        driver.until(lambda: window.files.model.of(str(empty)))
        window.files.choose(str(empty))
        driver.until(lambda: window.recording.title.full.startswith("empty.wav: Die Datei ist leer. (empty"))
        stopped = "The microphone stopped: no sound comes any more. Is it still connected?"
        assert explained(stopped) == f"Das Mikrofon liefert keinen Ton mehr. ({stopped})"
        window.show_keys()
        table = window.keys.table.model()
        keys = {table.index(row, 0).data(): table.index(row, 1).data() for row in range(table.rowCount())}
        assert keys["Leertaste"].startswith("Abspielen") and "Umschalt+Links, Umschalt+Rechts" in keys
        assert not {*"123456789"} & {*keys.values()}  # of emotions that this model has not
        assert window.keys.height() < 500 and "" not in keys
        window.keys.close()
        window.tabs.setCurrentWidget(window.picture)
        axis = window.picture._plot.getAxis("bottom")
        assert axis.tickStrings([0.5], 1, 0.5) == ["0,5"]
    finally:
        install("en")


def test_the_window_speaks_german(opened: Any, voices: Path, qapp: Any) -> None:
    from PySide6.QtCore import QTranslator

    from earnest.apps.desktop.files import CONFIDENCE, LENGTH
    from earnest.apps.desktop.texts import install, word

    driver = opened(voices, language="de")
    try:
        driver.answered()
        assert [menu.text().replace("&", "") for menu in driver.window.menuBar().actions()][:2] == [
            "Datei",
            "Bearbeiten",
        ]
        assert driver.window.files.state.text() == "5 Dateien"
        assert word("angry") == "wütend"
        assert all(word(name) != name for name in EMOTIONS if name not in ("neutral",))
        assert word("my own emotion") == "my own emotion"
        table = driver.window.files.model
        shown = [table.index(row, LENGTH).data() for row in range(table.rowCount())]
        assert {"1,5 s", "2,5 s"} <= set(shown)
        assert table.index(0, CONFIDENCE).data().endswith("\N{NO-BREAK SPACE}%")
    finally:
        install("en")
    assert word("angry") == "angry"
    assert not qapp.findChildren(QTranslator)


@pytest.mark.parametrize("language", ["en", "de"])
def test_an_access_key_is_one_entry_of_a_menu_and_one_menu_or_button_of_a_tab(language: str, opened: Any) -> None:
    from PySide6.QtGui import QKeySequence
    from PySide6.QtWidgets import QAbstractButton, QMenu

    from earnest.apps.desktop.texts import install

    window = opened(language=language).window
    try:
        bar = [menu.text() for menu in window.menuBar().actions()]
        groups = [[entry.text() for entry in menu.actions()] for menu in window.findChildren(QMenu)]
        for number in range(window.tabs.count()):
            window.tabs.setCurrentIndex(number)
            groups.append(
                bar + [button.text() for button in window.findChildren(QAbstractButton) if button.isVisible()]
            )
        keys = [[key for text in group if (key := QKeySequence.mnemonic(text).toString())] for group in groups]
        assert [group for group in keys if len({*group}) < len(group)] == []
        assert sum(map(len, keys)) > 60
    finally:
        install("en")


def test_a_german_window_fits_800_pixels_also_while_it_works_on_hours(opened: Any, voices: Path) -> None:
    from earnest.apps.desktop.texts import install

    driver = opened(voices, language="de")
    try:
        driver.answered()
        window = driver.window
        window.recording.place.setText("1:00:00,00 / 3:00:00,00   [0:00:07,50 – 0:00:09,00]")
        window.files.progress.show()
        window.files.stop.show()
        driver.bot.wait(50)  # until all is laid out
        assert window.minimumSizeHint().width() <= 800
    finally:
        install("en")


@pytest.mark.parametrize("language", ["en", "de"])
def test_of_800_pixels_the_list_has_enough_for_names_emotions_and_confidences(
    opened: Any, voices: Path, language: str
) -> None:
    from earnest.apps.desktop.files import CONFIDENCE, EMOTION, FILE, WIDTHS
    from earnest.apps.desktop.texts import install

    driver = opened(voices, language=language)
    try:
        driver.answered()
        window, table = driver.window, driver.window.files.table
        header = table.horizontalHeader()
        for place in range(window.tabs.count()):
            window.tabs.setCurrentIndex(place)
            window.resize(800, 600)
            driver.bot.wait(50)  # until all is laid out
            assert window.width() == 800
            seen = [header.sectionSize(column) for column in (FILE, EMOTION, CONFIDENCE)]
            assert sum(seen) <= table.viewport().width()
            assert seen[0] >= 100
        window.resize(1280, 600)
        driver.until(lambda: header.sectionSize(FILE) == WIDTHS[FILE])
    finally:
        install("en")


def test_every_text_is_translated_and_compiled(qapp: Any) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "desktop_texts.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_answers_files_as_predict_does_and_ends(
    qapp: Any, voices: Path, bundle: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "broken.wav").write_bytes(b"no sound")
    (more / ".hidden.wav").write_bytes(b"left out, which both tell")
    words = [str(voices), str(more), "--model", str(bundle)]
    command = [sys.executable, "-m", "earnest"]
    shown = [*command, "desktop", *words, "--folder", str(tmp_path / "kept"), "--until-answered", "-q"]
    done = subprocess.run(shown, capture_output=True, text=True, timeout=300, check=False)
    told = subprocess.run([*command, "predict", *words, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == told.returncode == 3, done.stderr
    for line, other in zip(done.stdout.splitlines(), told.stdout.splitlines(), strict=True):
        row, expected = json.loads(line), json.loads(other)
        assert row.pop("probabilities") == pytest.approx(expected.pop("probabilities"), abs=2e-6)
        assert {name: row[name] for name in ("path", "status", "emotion", "error")} == {
            name: expected[name] for name in ("path", "status", "emotion", "error")
        }
    assert (tmp_path / "kept" / "desktop.ini").exists()


def test_without_a_display_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform != "linux":
        pytest.skip("only Linux has no display")
    done = CliRunner().invoke(cli, ["desktop"])
    assert "There is no display here" in str(done.exception)


def test_without_the_extra_it_is_named_even_where_there_is_no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in sys.modules if name.startswith("earnest.apps.desktop.start")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PySide6.QtCore", None)
    done = CliRunner().invoke(cli, ["desktop"])
    assert "earnest[desktop]" in str(done.exception)


def test_help_loads_no_qt() -> None:
    code = "import sys; from earnest.apps.cli.main import cli; cli(['desktop', '--help'], standalone_mode=False); "
    code += "print('PySide6' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


def test_markup_of_strangers_is_shown_as_text(opened: Any, tmp_path: Path) -> None:
    from PySide6.QtCore import Qt
    from PySide6.QtWidgets import QLabel

    name = tmp_path / "<img src='x'><b>a.wav"
    name.write_bytes(b"no sound")
    driver = opened(name)
    driver.answered()
    window = driver.window
    labels = [label for label in window.findChildren(QLabel) if "<" in label.text()]
    assert {label.textFormat() for label in labels} == {Qt.TextFormat.PlainText}
    assert window.answer.about.text() == name.name
    tip = window.files.filter.index(0, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "&lt;img" in tip
    assert window.models.card.loadResource(2, "file:///etc/hostname") is None
