"""Whatever goes wrong with microphone, model, server or file, the page says in plain words what to do."""

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import soundfile
import the_page
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from serving import listening
from stand_in import write_bundle
from the_page import (
    DEMO,
    OTHER_HOST,
    arrived,
    choose_file,
    drop,
    go,
    listen_for,
    open_page,
    press,
    rows_of,
    text_of,
    wait_live,
)

from earnest.apps.server.settings import Limits, Settings
from earnest.audio.io import decode
from earnest.errors import AudioError

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[Any]:
    with the_page.browser(folder / "microphone.wav", without=["--use-fake-ui-for-media-stream"]) as driver:
        the_page.resize(driver, 1280, 900)
        yield driver


@pytest.fixture(autouse=True)
def allowed(driver: Any, address: str) -> None:
    """Let the page have the microphone, as somebody would who is asked."""
    permit(driver, address, "granted")


def permit(driver: Any, address: str, setting: str) -> None:
    permission = {"permission": {"name": "microphone"}, "origin": address, "setting": setting}
    driver.execute_cdp_cmd("Browser.setPermission", permission)


def problem(driver: Any, element_id: str) -> str:
    """Wait for a problem and return its words; it must be read out, and be in view when its button was."""
    harness.wait_for(driver, f"document.querySelector('#{element_id} .problem')")
    place = driver.find_element("id", element_id)
    assert place.get_attribute("role") == "alert"
    assert place.is_displayed()
    return str(place.text)


def test_a_recording_without_speech_is_no_problem_also_as_the_first_one(
    driver: Any, address: str, folder: Path
) -> None:
    soundfile.write(folder / "silence.wav", np.zeros(32_000), 16_000)
    open_page(driver, address, "files")
    choose_file(driver, folder / "silence.wav")
    assert "No speech" in text_of(driver, "file-list")
    assert text_of(driver, "clip-answer") == "No speech"
    empty = ["clip-picture", "clip-tables"]
    assert not any(driver.find_element("id", one).is_displayed() for one in empty)
    driver.find_element("css selector", "#clip-keep button").click()
    go(driver, "recordings")
    harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
    driver.find_element("css selector", "#recordings-list button").click()
    assert driver.find_element("id", "kept-name").is_displayed()
    empty = ["kept-timeline", "kept-summary", "kept-tables"]
    assert not any(driver.find_element("id", one).is_displayed() for one in empty)
    go(driver, "files")
    choose_file(driver, DEMO / "plain.flac")
    driver.find_element("css selector", "#file-list li:last-child button").click()
    assert driver.find_element("id", "clip-picture").is_displayed()


def test_where_the_browser_stores_nothing_no_reload_is_advised_that_would_lose_the_result(
    driver: Any, address: str
) -> None:
    open_page(driver, address, "files")
    driver.execute_script(
        "IDBObjectStore.prototype.put = () => { throw new DOMException('It is full.', 'QuotaExceededError') }"
    )
    choose_file(driver, DEMO / "plain.flac")
    driver.find_element("css selector", "#clip-keep button").click()
    harness.wait_for(driver, "document.querySelector('#clip-keep [role=status]').textContent")
    said = text_of(driver, "clip-keep")
    assert "keeps nothing" in said
    assert "(QuotaExceededError: It is full)" in said
    assert "Reload" not in said


def test_where_a_new_name_is_not_stored_no_reload_is_advised_either(driver: Any, address: str) -> None:
    open_page(driver, address, "files")
    choose_file(driver, DEMO / "plain.flac")
    driver.find_element("css selector", "#clip-keep button").click()
    go(driver, "recordings")
    harness.wait_for(driver, "document.querySelector('#recordings-list button')").click()
    driver.execute_script("IDBObjectStore.prototype.put = () => { throw new Error() }")
    driver.find_element("id", "kept-name").send_keys("longer", Keys.TAB)
    harness.wait_for(driver, "document.getElementById('recordings-problem').textContent.includes('keeps nothing')")


def test_where_the_browser_stores_nothing_a_live_result_is_saved_as_a_file_as_the_page_advises(
    driver: Any, address: str, folder: Path
) -> None:
    open_page(driver, address)
    driver.execute_script(
        "IDBObjectStore.prototype.put = () => { throw new DOMException('It is full.', 'QuotaExceededError') }"
    )
    listen_for(driver, 2)
    press(driver, "live-start")
    wait_live(driver, "idle")
    driver.find_element("css selector", "#live-keep button").click()
    harness.wait_for(driver, "document.querySelector('#live-keep [role=status]').textContent")
    assert "Under Live and Files, “Save” writes a result to a file" in text_of(driver, "live-keep")
    assert text_of(driver, "live-format") == text_of(driver, "clip-format")
    press(driver, "live-export")
    path = arrived(folder / "Microphone*.json")
    saved = json.loads(path.read_text("utf-8"))
    path.unlink()
    assert saved["path"].startswith("Microphone, ")
    times = [f"{window['start_s']:.1f} s – {window['end_s']:.1f} s" for window in saved["windows"]]
    assert times == [row[0] for row in rows_of(driver, "live-windows")]


def starts_and_stops_without_a_problem(driver: Any) -> None:
    press(driver, "live-start")
    wait_live(driver, "listening")
    assert text_of(driver, "live-problem") == ""
    press(driver, "live-start")
    wait_live(driver, "idle")


def test_a_refused_microphone_is_explained_and_works_when_it_is_allowed(driver: Any, address: str) -> None:
    open_page(driver, address)
    permit(driver, address, "denied")
    press(driver, "live-start")
    assert "may not use the microphone" in problem(driver, "live-problem")
    assert "then try again" in text_of(driver, "live-problem")
    assert text_of(driver, "live-said") == ""  # "Opening the microphone …" is over
    permit(driver, address, "granted")
    starts_and_stops_without_a_problem(driver)


def test_without_a_microphone_the_page_says_so(address: str) -> None:
    devices = ["--use-fake-device-for-media-stream"]
    with the_page.browser(None, "--disable-audio-input", without=devices) as driver:
        open_page(driver, address)
        press(driver, "live-start")
        assert "no microphone" in problem(driver, "live-problem")


def test_a_microphone_that_is_unplugged_is_told_and_what_was_heard_stays(driver: Any, address: str) -> None:
    open_page(driver, address)
    driver.execute_script(
        "const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = async (asked) => (window.media = await open(asked))"
    )
    listen_for(driver, 1)
    driver.execute_script("media.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert "The microphone was unplugged" in problem(driver, "live-problem")
    wait_live(driver, "idle")
    assert text_of(driver, "live-state") == "It stopped early; until then"
    starts_and_stops_without_a_problem(driver)
    assert text_of(driver, "live-state") == "All in all"


def test_where_the_browser_stops_its_sound_live_no_longer_says_that_it_listens_and_goes_on(
    driver: Any, address: str
) -> None:
    open_page(driver, address)
    driver.execute_script("""
        const { prototype } = AudioContext;
        window.resume = prototype.resume;
        window.sound = new Promise((made) => {
          prototype.resume = function () { made(this); return resume.call(this); };
        });
    """)
    listen_for(driver, 1)
    driver.execute_script("AudioContext.prototype.resume = () => new Promise(() => undefined)")  # as in a call
    driver.execute_script("sound.then((context) => context.suspend())")
    wait_live(driver, "interrupted")
    assert "stopped its sound" in text_of(driver, "live-state")
    assert driver.find_element("id", "live-level").get_property("value") == 0
    assert driver.title == "Live – earnest"
    assert "stopped its sound" in text_of(driver, "live-said")  # which is read out
    driver.execute_script("AudioContext.prototype.resume = resume")
    the_page.listen_in(driver)
    press(driver, "live-pause")
    wait_live(driver, "listening")
    assert the_page.read_out(driver)[0] == "Listening …"  # and then, perhaps, what was heard by now
    driver.execute_script("sound.then((context) => context.suspend())")  # for a moment
    n_heard = len(rows_of(driver, "live-windows"))
    harness.wait_for(driver, f"document.querySelectorAll('#live-windows tbody tr').length > {n_heard}")
    wait_live(driver, "listening")
    press(driver, "live-start")
    wait_live(driver, "idle")
    assert text_of(driver, "live-said").startswith(f"All in all: {text_of(driver, 'live-emotion')}")
    assert driver.find_element("id", "live-said").get_attribute("role") == "status"


def test_what_was_not_heard_while_the_device_slept_is_told(driver: Any, address: str) -> None:
    open_page(driver, address)
    listen_for(driver, 1)
    press(driver, "live-pause")
    wait_live(driver, "paused")
    driver.execute_script("const now = Date.now; window.later = 20_000; Date.now = () => now() + window.later")
    press(driver, "live-pause")
    wait_live(driver, "listening")
    n_heard = len(rows_of(driver, "live-windows"))
    harness.wait_for(driver, f"document.querySelectorAll('#live-windows tbody tr').length > {n_heard}")
    driver.execute_script("window.later += 20_000")
    harness.wait_for(driver, "/About 2\\d\\ss were/.test(document.getElementById('live-problem').textContent)")
    assert "not heard" in problem(driver, "live-problem")  # and not 40 s: a pause is no sleep
    press(driver, "live-start")
    wait_live(driver, "idle")


def test_on_an_insecure_address_the_page_says_so_and_the_server_still_answers(driver: Any, address: str) -> None:
    driver.get(address.replace("127.0.0.1", OTHER_HOST))
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert "server" in text_of(driver, "engine-status")  # browsers check no sha256 here
    press(driver, "live-start")
    assert "only on https: and on localhost" in problem(driver, "live-problem")
    go(driver, "files")
    choose_file(driver, DEMO / "plain.flac")
    assert "plain.flac" in text_of(driver, "clip-title")
    driver.find_element("css selector", "#place option[value=browser]").click()
    assert "can't check the model on this address" in problem(driver, "engine-problem")


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_server_that_stops_ends_listening_with_advice_and_keeps_what_was_heard(driver: Any, is_paused: bool) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(listening(Settings(models=("small",))))
        open_page(driver, address, place="server")
        permit(driver, address, "granted")
        listen_for(driver, 1)
        if is_paused:
            press(driver, "live-pause")
            wait_live(driver, "paused")
        stack.close()
        assert "The server doesn't answer" in problem(driver, "live-problem")
        assert "In this browser" in text_of(driver, "live-problem")
        wait_live(driver, "idle")
        assert text_of(driver, "live-state").startswith("It stopped early")
        assert driver.find_elements("css selector", "#live-windows tbody tr")
    press(driver, "live-start")
    assert "The server doesn't answer" in problem(driver, "live-problem")


def test_what_was_heard_until_a_server_was_gone_is_summed_up_kept_and_handed_on(driver: Any, folder: Path) -> None:
    with ExitStack() as stack:
        address = stack.enter_context(listening(Settings(models=("small",), limits=Limits(stream_s=8))))
        open_page(driver, address, place="server")
        permit(driver, address, "granted")
        press(driver, "live-start")
        assert "A stream may last 8 s" in problem(driver, "live-problem")
        wait_live(driver, "idle")
        heard = rows_of(driver, "live-windows")
        assert heard
        assert text_of(driver, "live-state") == "It stopped early; until then"
        assert driver.find_element("id", "live-summary").is_displayed()
        stack.close()
        driver.find_element("css selector", "#live-keep button").click()
        go(driver, "recordings")
        harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
        driver.find_element("css selector", "#recordings-list button[aria-label^='Export Microphone']").click()
        exported = arrived(folder / "Microphone*.json")
        assert len(json.loads(exported.read_text("utf-8"))["timeline"]["windows"]) == len(heard)


def test_files_that_a_lost_server_left_unanswered_are_answered_after_one_press_and_taken_out_by_another(
    driver: Any, folder: Path
) -> None:
    other = write_bundle(folder / "other")
    with listening(Settings(models=("small", str(other)))) as address:
        open_page(driver, address, "files", place="server")
        driver.execute_script("""
            window.sent = window.fetch;
            const gone = () => Promise.reject(new TypeError("Failed to fetch"));
            window.fetch = (url, request) => (String(url).startsWith("v1/predict") ? gone() : sent(url, request));
        """)
        files = driver.find_element("id", "files-input")
        files.send_keys("\n".join(str(DEMO / f"{name}.flac") for name in ("lively", "plain", "whispered")))
        harness.wait_for(driver, "document.getElementById('files-go').textContent === 'Try again'")
        assert text_of(driver, "file-list").count("The server doesn't answer") == 1
        assert text_of(driver, "file-list").count("not answered") == 2  # nobody cancelled them
        driver.execute_script("window.fetch = sent")
        press(driver, "files-go")
        harness.wait_for(driver, "document.querySelectorAll('#file-list .with-dot').length === 3")
        assert text_of(driver, "files-count") == "3 of 3 recordings answered"
        Select(driver.find_element("id", "model")).select_by_index(1)
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
        choose_file(driver, DEMO / "lively.flac")
        (name,) = {option.text for option in Select(driver.find_element("id", "model")).options} - {"small"}
        assert text_of(driver, "files-count").endswith(f", by several models: {', '.join(sorted([name, 'small']))}")
        models = "[...document.querySelectorAll('#file-list .faint')].map((it) => it.textContent.split(', ')[1])"
        assert driver.execute_script(f"return {models}") == ["small", "small", "small", name]
        press(driver, "files-save")
        table = list(csv.DictReader(StringIO(arrived(folder / "answers.csv").read_text("utf-8"))))
        assert [(row["path"], row["model"]) for row in table][2:] == [
            ("whispered.flac", "small"),
            ("lively.flac", name),
        ]
        again = driver.find_element("id", "files-go")
        assert again.text == "Answer again"
        ActionChains(driver).double_click(again).perform()  # of which the second finds "Cancel all"
        harness.wait_for(driver, "document.getElementById('files-count').textContent === '4 of 4 recordings answered'")
        assert driver.execute_script(f"return {models}") == [name] * 4
        assert text_of(driver, "clip-facts").endswith(f"Model: {name}.")
        driver.execute_script("""
            window.titles = 0;
            new MutationObserver(() => titles++).observe(document.getElementById("clip-title"), { childList: true });
        """)
        press(driver, "files-remove")
        goes_on = driver.find_element("css selector", "#sure button[value=delete]")
        assert goes_on.text == "Remove all"  # and not "Delete": the files stay where they are
        goes_on.click()
        harness.wait_for(driver, "!document.querySelector('#file-list li')")
        assert driver.execute_script("return titles") == 0  # of hundreds, to show each in turn would take minutes
        assert driver.execute_script("return document.activeElement.id") == "files-input"
        assert not driver.find_element("id", "files-all").is_displayed()


NO_RECORDINGS = {
    "text.wav": (b"no sound at all", "Not a recording but text."),
    "report.pdf": (b"%PDF-1.7\n" + bytes(9), "Not a recording but a PDF document."),
    "photo.jpg": (b"\xff\xd8\xff\xe0" + bytes(99), "Not a recording but a JPEG picture."),
    "photo.webp": (b"RIFF....WEBP" + bytes(99), "Not a recording but a picture."),
    "empty.wav": (b"", "The file is empty."),
    "picture.png": (b"\x89PNG\r\n\x1a\n", "A picture. Of pictures, only those of “earnest spectrogram” are answered"),
    "zeros.wav": (bytes(999), "Not a recording but a file that begins with zeros"),
    "noise.wav": (bytes([1]) * 999, "This browser can't decode it, or there is no sound in it."),
}
MAY_BE_FOR_SERVERS = ("picture.png", "noise.wav")


@pytest.mark.parametrize("place", ["browser", "server"])
def test_files_that_are_no_recordings_are_explained_and_known_ones_are_never_sent(
    driver: Any, address: str, folder: Path, place: str
) -> None:
    before = the_page.posts_and_streams(address)
    open_page(driver, address, "files", place=place)
    for name, (content, expected) in NO_RECORDINGS.items():
        if place == "server" and name in MAY_BE_FOR_SERVERS:
            continue
        (folder / name).write_bytes(content)
        choose_file(driver, folder / name)
        row = driver.find_element("css selector", "#file-list li:last-child").text
        assert f"This file can't be used. {expected}" in row
        assert ("Send it to the server" in row) == (name in MAY_BE_FOR_SERVERS)
    assert the_page.posts_and_streams(address) == before
    choose_file(driver, DEMO / "plain.flac")  # and the next one is answered
    assert text_of(driver, "clip-title") == "plain.flac"


def test_a_recording_that_is_cut_off_or_joined_has_the_error_that_predict_gives_it(
    driver: Any, address: str, folder: Path
) -> None:
    open_page(driver, address, "files")
    sound, rate_hz = soundfile.read(DEMO / "lively.flac")
    for name, n_copies, share in (("cut.wav", 1, 0.6), ("cut.mp3", 1, 0.6), ("cut.ogg", 1, 0.6), ("joined.ogg", 2, 1)):
        path = folder / name
        soundfile.write(path, sound, rate_hz)
        path.write_bytes((n_copies * path.read_bytes())[: int(share * n_copies * path.stat().st_size)])
        with pytest.raises(AudioError) as error:
            decode(path)
        choose_file(driver, path)
        row = driver.find_element("css selector", "#file-list li:last-child")
        told = str(error.value).removeprefix(f"{path}: ")  # the row has the name already
        assert f"This file can't be used. {told[0].upper()}{told[1:]}" in row.text
        assert "server" not in row.text  # which would say the same


def test_a_recording_without_a_length_that_is_too_long_is_told_so_before_it_is_decoded(
    driver: Any, address: str, folder: Path
) -> None:
    (folder / "recorded.webm").write_bytes(the_page.as_recorded_by_a_browser(40 * 60))
    open_page(driver, address, "files")
    choose_file(driver, folder / "recorded.webm")
    assert "longer than 30 minutes. Cut it" in text_of(driver, "file-list")
    driver.find_element("xpath", "//button[text()='Send it to the server']").click()  # which takes an hour
    harness.wait_for(driver, "document.querySelector('#file-list .with-dot')")
    assert "on the server" in text_of(driver, "clip-place")
    (folder / "short.webm").write_bytes(the_page.as_recorded_by_a_browser(2))
    choose_file(driver, folder / "short.webm")
    assert "No speech" in text_of(driver, "file-list")


@pytest.mark.parametrize("way", ["dropped", "chosen"])
def test_of_a_folder_the_recordings_are_answered(driver: Any, address: str, tmp_path: Path, way: str) -> None:
    def give(path: Path) -> None:
        if way == "dropped":
            drop(driver, "drop", path)
        else:
            driver.find_element("id", "files-folder").send_keys(str(path))

    (tmp_path / "calls" / "anna").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "anna/face.jpg", ".DS_Store"):
        (tmp_path / "calls" / name).write_text("no sound at all")
    shutil.copy(DEMO / "lively.flac", tmp_path / "calls")
    shutil.copy(DEMO / "plain.flac", tmp_path / "calls" / "anna")
    open_page(driver, address, "files")
    assert driver.find_element("id", "files-folder").accessible_name == "Choose a folder"
    give(tmp_path / "calls")
    harness.wait_for(driver, "document.querySelectorAll('#file-list .with-dot').length === 2")
    names = [one.text for one in driver.find_elements("css selector", "#file-list .file-name")]
    assert names == ["anna/plain.flac", "calls/lively.flac"]
    assert text_of(driver, "files-left-out") == "2 files that are no recordings were left out."
    shutil.copy(tmp_path / "calls" / "notes.txt", tmp_path / "empty")
    give(tmp_path / "empty")
    assert "There are no recordings in it" in problem(driver, "files-problem")
    choose_file(driver, DEMO / "plain.flac")
    assert text_of(driver, "files-problem") == text_of(driver, "files-left-out") == ""


def test_a_browser_that_has_no_folders_offers_none(driver: Any, address: str) -> None:
    open_page(driver, address, "files")
    assert driver.find_element("id", "files-folder-field").is_displayed()
    assert "only lets this page read" in driver.find_element("id", "files-folder-field").text
    without = {"source": "delete HTMLInputElement.prototype.webkitdirectory"}
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", without)
    driver.refresh()
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert not driver.find_element("id", "files-folder-field").is_displayed()
    go(driver, "learn")
    assert not driver.find_element("id", "learn-drop").is_displayed()
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_file_that_is_dropped_beside_its_place_does_not_replace_the_page(driver: Any, address: str) -> None:
    open_page(driver, address, "live")
    script = "const it = new DragEvent(arguments[0], { bubbles: true, cancelable: true });"
    for kind in ("dragover", "drop"):
        prevented = f"{script} document.getElementById('live-hero').dispatchEvent(it); return it.defaultPrevented"
        assert driver.execute_script(prevented, kind)


@pytest.fixture(scope="module")
def site(address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page as any file host has it."""
    return harness.site(tmp_path_factory.mktemp("host"))


def test_from_a_file_host_it_answers_in_the_browser_and_offers_no_server(driver: Any, site: Path) -> None:
    with harness.served(site=site) as root:
        driver.get(f"{root}/site/index.html#/debug")
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
        assert not driver.find_element("id", "place-field").is_displayed()
        assert not driver.find_element("id", "debug-parity").is_displayed()
        driver.find_element("css selector", "#debug-clips button").click()
        harness.wait_for(driver, "document.querySelector('#debug-clips table')")


@pytest.mark.parametrize(("n_lost", "end"), [(1, "ready"), (2, "failed")])
def test_what_could_not_be_fetched_is_asked_for_once_more(driver: Any, address: str, n_lost: int, end: str) -> None:
    script = f"""
        const Own = Worker;
        window.nStarted = 0;
        window.Worker = class extends Own {{
          constructor(url, options) {{ super(nStarted++ < {n_lost} ? "lost.js" : url, options); }}
        }};
    """
    driver.get("about:blank")  # an address with another view alone would load nothing
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    driver.get(address)
    harness.wait_for(driver, f"document.documentElement.dataset.engine === '{end}'")
    assert driver.execute_script("return nStarted") == 2
    assert ("can't be loaded" in text_of(driver, "engine-problem")) == (end == "failed")
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_a_missing_model_is_explained_and_tried_again_and_another_one_can_be_chosen(driver: Any, site: Path) -> None:
    base = site / "models" / "base"
    gone = base.rename(site / "gone")
    with harness.served(site=site) as root:
        driver.get(f"{root}/site/index.html")
        told = problem(driver, "engine-problem")
        assert "The model can't be loaded" in told
        assert "404" in told
        assert not driver.find_element("id", "live-start").is_enabled()
        assert "can't be loaded" in text_of(driver, "live-state")
        the_page.listen_in(driver)
        driver.find_element("css selector", "#engine-problem button").click()
        assert driver.switch_to.active_element == driver.find_element("id", "main")
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'failed'")
        assert the_page.read_out(driver)[0] == "Loading the model …"
        driver.find_element("css selector", "#model option[value=small]").click()
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
        assert the_page.read_out(driver) == ["Loading the model …", "Ready. No sound leaves this device."]
        assert text_of(driver, "engine-problem") == ""
        assert driver.find_element("id", "live-start").is_enabled()
        assert text_of(driver, "live-state") == "Press Start, and speak"
        driver.find_element("css selector", "#model option[value=base]").click()
        problem(driver, "engine-problem")
        gone.rename(base)
        driver.execute_script("document.getElementById('model').focus(); window.dispatchEvent(new Event('online'))")
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
        assert driver.switch_to.active_element == driver.find_element("id", "model")  # nobody pressed anything
