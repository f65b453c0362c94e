"""Classes of one's own, learnt in the page: counted, scored, answered at once, downloaded, and the same in Python."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import soundfile
import the_page
from the_page import DEMO, arrived, choose_file, drop, go, listen_for, open_page, press, text_of, wait_live

import earnest

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

RATE_HZ = 16_000
N_TAKES = 5
CLASSES = ("schläft fast", "wide awake")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for each of two classes, parts of synthetic clips; names begin with who "speaks"."""
    root = tmp_path_factory.mktemp("own") / "recordings"
    rng = np.random.default_rng(0)
    for label, name in zip(CLASSES, ("plain", "lively"), strict=True):
        (root / label).mkdir(parents=True)
        speech, rate_hz = soundfile.read(DEMO / f"{name}.flac", dtype="float32")
        assert rate_hz == RATE_HZ
        for take in range(N_TAKES):
            start = round(0.1 * take * RATE_HZ)
            part = speech[start : start + round(1.6 * RATE_HZ)] * rng.uniform(0.7, 1)
            soundfile.write(root / label / f"{'ab'[take % 2]}{take}.wav", part, RATE_HZ)
    return root


def learnt(driver: Any) -> None:
    """Press Learn, and wait until the model answers."""
    press(driver, "learn-start")
    harness.wait_for(driver, "!document.getElementById('learnt').hidden || document.querySelector('#learn-problem *')")
    assert text_of(driver, "learn-problem") == ""
    harness.wait_for(driver, "document.getElementById('learn-status').textContent.startsWith('Learnt')")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")


def downloaded(driver: Any, folder: Path, name: str) -> Path:
    """Press Download; return the bundle's folder, unpacked."""
    press(driver, "learn-download")
    with zipfile.ZipFile(arrived(folder / f"{name}.zip")) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked" / name


def probabilities_in_page(driver: Any, path: Path, folder: Path) -> dict[str, float]:
    """Answer about a file under Files, and return what the page saves of it."""
    go(driver, "files")
    choose_file(driver, path)
    driver.find_element("css selector", "#file-list li:last-child button[aria-pressed]").click()
    press(driver, "clip-export")
    saved = arrived(folder / f"{path.stem}.json")
    found = json.loads(saved.read_text("utf-8"))["probabilities"]
    saved.unlink()
    return dict(found)


def test_a_folder_for_each_class_is_learnt_and_the_download_answers_the_same_in_python(
    driver: Any, address: str, recordings: Path, folder: Path, tmp_path: Path
) -> None:
    open_page(driver, address, "learn")
    assert not driver.find_element("id", "learn-start").is_enabled()
    (recordings / "notes.txt").write_text("no sound at all")
    drop(driver, "learn-drop", recordings)
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 2")
    assert "10 recordings, 2 classes" in text_of(driver, "learn-count")
    assert text_of(driver, "learn-left-out") == "1 file that is no recording was left out."
    before = the_page.posts_and_streams(address)
    learnt(driver)
    told = text_of(driver, "learnt-result")
    assert "NOT speaker-independent" in told
    assert "5 folds of recordings" in told
    by_command = earnest.learn(recordings, tmp_path / "mine", model="small", report=False)
    for label, score in (("(WA)", by_command.wa), ("(UA)", by_command.ua_over_folds)):
        assert float(told.partition(label)[2].partition(" ±")[0]) == pytest.approx(100 * score, abs=0.051)
    for width in (1280, 360):
        the_page.resize(driver, width, 900)
        harness.wait_for(driver, f"document.documentElement.scrollWidth <= {width}")
        assert the_page.serious(driver) == []
    the_page.resize(driver, 1280, 900)

    mine, same = earnest.load(downloaded(driver, folder, "mine")), earnest.load(tmp_path / "mine")
    assert mine.info.classes == same.info.classes == CLASSES
    assert mine.info.temperature == pytest.approx(same.info.temperature, rel=1e-3)
    for path in (recordings / label / "a0.wav" for label in CLASSES):
        expected = mine.predict(path).probabilities
        assert probabilities_in_page(driver, path, folder) == pytest.approx(expected, abs=1e-4)
        assert same.predict(path).probabilities == pytest.approx(expected, abs=1e-4)
    go(driver, "live")
    listen_for(driver, 1)
    press(driver, "live-start")
    wait_live(driver, "idle")
    assert all(label in text_of(driver, "live-windows") for label in CLASSES)

    go(driver, "learn")
    driver.find_element("id", "learn-open").send_keys(shutil.make_archive(str(folder / "by command"), "zip", tmp_path))
    harness.wait_for(driver, "document.getElementById('model').selectedOptions[0].text === 'by command (learnt here)'")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    expected = same.predict(path).probabilities
    assert probabilities_in_page(driver, path, folder) == pytest.approx(expected, abs=1e-4)
    assert the_page.posts_and_streams(address) == before  # nothing left the browser
    assert [one for one in harness.complaints(driver) if "favicon" not in one] == []


def test_classes_are_named_by_speaker_recorded_and_a_downloaded_model_is_opened_again(
    driver: Any, address: str, recordings: Path, folder: Path
) -> None:
    open_page(driver, address, "learn")
    driver.find_element("id", "learn-folder").send_keys(str(recordings))
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 2")
    open_page(driver, address, "learn")
    add(driver, [recordings / CLASSES[0] / "a0.wav"], "", "")
    assert "Which class are these recordings?" in text_of(driver, "learn-problem")
    for label in CLASSES:
        for speaker in "ab":
            add(driver, sorted((recordings / label).glob(f"{speaker}*.wav")), label, speaker)
    assert len(driver.find_elements("css selector", "#learn-groups li")) == 4
    fill(driver, "learn-class", CLASSES[1])
    fill(driver, "learn-speaker", "c")
    press(driver, "learn-record")  # 3 s of the microphone's loop are speech wherever it begins, 2 s not always
    the_page.recorded(driver, 3)
    press(driver, "learn-record")
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 5")
    fill(driver, "learn-name", "by speaker")
    learnt(driver)
    assert "each of 3 speakers left out once" in text_of(driver, "learnt-result")
    assert "NOT" not in text_of(driver, "learnt-result")
    assert earnest.load(downloaded(driver, folder, "by speaker")).info.results[0].speaker_independent

    open_page(driver, address, "learn")  # anew: nothing is kept
    assert "learnt here" not in text_of(driver, "model")
    driver.find_element("id", "learn-open").send_keys(str(folder / "by speaker.zip"))
    harness.wait_for(driver, "document.getElementById('model').selectedOptions[0].text === 'by speaker (learnt here)'")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert set(probabilities_in_page(driver, recordings / CLASSES[0] / "b1.wav", folder)) == set(CLASSES)
    go(driver, "learn")
    driver.find_element("id", "learn-open").send_keys(str(folder / "microphone.wav"))
    harness.wait_for(driver, "document.querySelector('#learn-problem .problem')")
    assert "not a zip file" in text_of(driver, "learn-problem")


def test_a_model_that_is_opened_or_can_not_be_learnt_takes_no_others_place(
    driver: Any, address: str, recordings: Path, folder: Path, tmp_path: Path
) -> None:
    open_page(driver, address, "learn")
    drop(driver, "learn-drop", recordings)
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 2")
    fill(driver, "learn-name", "one")
    learnt(driver)
    one = downloaded(driver, folder, "one")
    fill(driver, "learn-name", "two")
    learnt(driver)
    driver.find_element("id", "learn-open").send_keys(str(folder / "one.zip"))
    answers(driver, "one")
    assert "“two”" in text_of(driver, "learnt-title")  # and it is what is downloaded there
    assert earnest.load(downloaded(driver, folder, "two")).info.name == "two"

    (one / "model.onnx").write_bytes(b"no network")
    driver.find_element("id", "learn-open").send_keys(shutil.make_archive(str(tmp_path / "bad"), "zip", one))
    harness.wait_for(driver, "document.querySelector('#learn-problem .problem')")
    assert "sha256" in text_of(driver, "learn-problem")
    assert text_of(driver, "learn-status") == ""
    answers(driver, "one")

    for label in ("x", "y"):
        (tmp_path / "silent" / label).mkdir(parents=True)
        for take in range(3):
            soundfile.write(tmp_path / "silent" / label / f"{take}.wav", np.full(RATE_HZ, 0.01 * take), RATE_HZ)
    for _ in CLASSES:
        driver.find_element("css selector", "#learn-groups button").click()
    drop(driver, "learn-drop", tmp_path / "silent")
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 2")
    press(driver, "learn-start")
    harness.wait_for(driver, "document.querySelector('#learn-problem .problem')")
    assert "at least two classes" in text_of(driver, "learn-problem")
    answers(driver, "one")


def answers(driver: Any, name: str) -> None:
    """Wait until a model that was learnt answers: the choice above says so, and what is behind it."""
    chosen = f"document.getElementById('model').selectedOptions[0].text === '{name} (learnt here)'"
    harness.wait_for(driver, f"{chosen} && document.documentElement.dataset.engine === 'ready'")
    assert f"{name} 1, browser" in text_of(driver, "debug-versions")


def test_a_speaker_who_is_being_typed_stays_when_a_model_is_ready(driver: Any, address: str, recordings: Path) -> None:
    open_page(driver, address, "learn")
    drop(driver, "learn-drop", recordings)
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 2")
    who = driver.find_element("css selector", "#learn-groups input")
    who.send_keys("an")
    driver.execute_script("document.getElementById('model').dispatchEvent(new Event('change'))")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    who.send_keys("na")
    assert who.get_attribute("value") == "anna"


def add(driver: Any, paths: list[Path], label: str, speaker: str) -> None:
    """Choose recordings of one class and one speaker."""
    fill(driver, "learn-class", label)
    fill(driver, "learn-speaker", speaker)
    before = text_of(driver, "learn-count")
    driver.find_element("id", "learn-files").send_keys("\n".join(map(str, paths)))
    changed = "document.getElementById('learn-count').textContent.replaceAll('\u00a0', ' ') !== " + json.dumps(before)
    harness.wait_for(driver, f"document.querySelector('#learn-problem .problem') || {changed}")


def fill(driver: Any, element_id: str, text: str) -> None:
    element = driver.find_element("id", element_id)
    element.clear()
    element.send_keys(text)


def test_while_a_recording_is_spoken_the_title_and_the_navigation_say_so_in_every_view(
    driver: Any, address: str
) -> None:
    dot = "return getComputedStyle(document.querySelector(\"nav a[href='#/learn']\"), '::after').content"
    open_page(driver, address, "learn")
    assert (driver.title, driver.execute_script(dot)) == ("Learn – earnest", "none")
    fill(driver, "learn-class", "tired")
    press(driver, "learn-record")
    go(driver, "files")
    assert (driver.title, driver.execute_script(dot)) == ("● Files – earnest", '""')
    go(driver, "learn")
    press(driver, "learn-record")
    harness.wait_for(driver, "document.title === 'Learn – earnest'")
    assert driver.execute_script(dot) == "none"


def test_the_browser_asks_before_what_was_spoken_or_learnt_is_lost_and_only_then(
    driver: Any, address: str, recordings: Path, folder: Path
) -> None:
    leaves = "return window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    open_page(driver, address, "learn")
    drop(driver, "learn-drop", recordings)
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 2")
    assert driver.execute_script(leaves)  # the files are still there
    fill(driver, "learn-class", "tired")
    press(driver, "learn-record")
    assert not driver.execute_script(leaves)
    the_page.recorded(driver, 1)
    press(driver, "learn-record")
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 3")
    assert not driver.execute_script(leaves)
    driver.find_element("css selector", "#learn-groups li:last-child button").click()
    assert driver.execute_script(leaves)
    press(driver, "learn-start")
    assert not driver.execute_script(leaves)
    harness.wait_for(driver, "document.getElementById('learn-status').textContent.startsWith('Learnt')")
    assert not driver.execute_script(leaves)
    press(driver, "learn-download")
    arrived(folder / "mine.zip").unlink()
    assert driver.execute_script(leaves)
    press(driver, "learn-record")
    the_page.recorded(driver, 1)
    press(driver, "learn-record")
    harness.wait_for(driver, "document.querySelectorAll('#learn-groups li').length === 3")
    press(driver, "learn-download")  # the older model, which has not learnt from it
    arrived(folder / "mine.zip").unlink()
    assert not driver.execute_script(leaves)


def test_nothing_is_read_out_into_a_recording(driver: Any, address: str) -> None:
    open_page(driver, address, "learn")
    the_page.listen_in(driver)
    fill(driver, "learn-class", "tired")
    press(driver, "learn-record")
    the_page.recorded(driver, 1)
    assert the_page.read_out(driver) == ["Recording “tired”"]
    press(driver, "learn-record")
    harness.wait_for(driver, "document.getElementById('learn-count').textContent.startsWith('1')")
    (said,) = the_page.read_out(driver)
    assert said.startswith("1 recording, 1 class.")


def test_a_recording_ends_when_the_microphone_is_unplugged(driver: Any, address: str) -> None:
    open_page(driver, address, "learn")
    driver.execute_script("""
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => (window.media = await open(wanted));
    """)
    fill(driver, "learn-class", "tired")
    press(driver, "learn-record")
    the_page.recorded(driver, 1)
    driver.execute_script("media.getTracks()[0].dispatchEvent(new Event('ended'))")
    harness.wait_for(driver, "document.getElementById('learn-groups').textContent.includes('1 recording')")
    assert text_of(driver, "learn-record") == "Record one"
