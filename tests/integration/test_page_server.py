"""The page, when a person lets the server answer: streams, files, pictures, and the same numbers as in the browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
import soundfile
import the_page
from command_line import earnest_cli
from serving import listening
from stand_in import stand_in_model, write_bundle
from the_page import DEMO, RATE_HZ, choose_file, listen_for, open_page, press, text_of, wait_live

from earnest.apps.server.settings import Settings
from earnest.runtime.predictor import Predictor

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

CLIPS = sorted(DEMO.glob("*.flac"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    soundfile.write(folder / "microphone.wav", the_page.joined([DEMO / "lively.flac"], 20), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[Any]:
    with the_page.browser(folder / "microphone.wav") as driver:
        the_page.resize(driver, 1280, 900)
        yield driver


def test_the_server_answers_about_streams_and_files_it_alone_can_decode(
    driver: Any, address: str, folder: Path
) -> None:
    open_page(driver, address, place="server")
    assert "server" in text_of(driver, "engine-status")
    listen_for(driver, 2)
    press(driver, "live-start")
    wait_live(driver, "idle")
    assert text_of(driver, "live-state") == "All in all"
    open_page(driver, address, "files")
    waveform, rate_hz = soundfile.read(DEMO / "lively.flac")
    soundfile.write(folder / "clip.au", waveform, rate_hz)  # which Chromium can't decode
    choose_file(driver, folder / "clip.au")
    assert "can't decode" in text_of(driver, "file-list")
    before = the_page.posts_and_streams(address)
    driver.find_element("xpath", "//button[text()='Send it to the server']").click()
    harness.wait_for(driver, "document.querySelector('#file-list .with-dot')")
    assert the_page.posts_and_streams(address) != before
    assert "on the server" in text_of(driver, "clip-place")


def test_gender_and_affect_are_told_where_the_model_knows_them(driver: Any, folder: Path) -> None:
    bundle = write_bundle(folder / "more", stand_in_model(extra_outputs=True))
    with listening(Settings(models=(str(bundle),))) as address:
        open_page(driver, address, place="server")
        listen_for(driver, 1)
        press(driver, "live-start")
        wait_live(driver, "idle")
        assert text_of(driver, "live-gender").startswith("female ")
        assert text_of(driver, "live-affect").startswith("valence ")


def test_a_picture_of_a_spectrogram_is_answered_by_the_server(driver: Any, address: str, folder: Path) -> None:
    predictor = Predictor.load("small")
    picture = folder / "spectrogram.png"
    earnest_cli("spectrogram", DEMO / "lively.flac", "--model", "small", "--output", picture)
    open_page(driver, address, "files", place="server")
    choose_file(driver, picture)
    expected = predictor.predict(picture)
    shown = driver.find_element("css selector", "#clip-bars .most").text
    assert shown.split()[0] == expected.emotion
    assert not driver.find_element("id", "clip-picture").is_displayed()


def test_browser_and_server_agree_about_the_clips(driver: Any, address: str) -> None:
    open_page(driver, address, "debug")
    press(driver, "debug-parity")
    told = harness.wait_for(driver, "document.getElementById('debug-result').textContent")
    assert float(told.rstrip(".").rpartition(" ")[2]) < 1e-3
    assert len(driver.find_elements("css selector", "#debug-clips table")) == len(CLIPS)
