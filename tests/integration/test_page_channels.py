"""A call with a speaker in each channel, in the page: its words, each channel by itself, channels that cancel."""

from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import soundfile
import the_page
from the_page import DEMO, choose_file, go, open_page, rows_of, text_of

from earnest.audio.source import Channel
from earnest.runtime.predictor import Predictor

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

TURNS = "Its channels take turns, like two sides of a call: the answer is about their mean."


@pytest.fixture(scope="module")
def call(folder: Path) -> Path:
    """Write a call: one speaker in the left channel, then the other one in the right channel."""
    (left, rate_hz), (right, _) = (soundfile.read(DEMO / f"{name}.flac") for name in ("lively", "slow-and-low"))
    silence = (np.zeros_like(left), np.zeros_like(right))
    sound = np.stack([np.concatenate([left, silence[1]]), np.concatenate([silence[0], right])], axis=1)
    soundfile.write(folder / "call.wav", sound, rate_hz)
    return folder / "call.wav"


def names(driver: Any) -> list[str]:
    return [one.text for one in driver.find_elements("css selector", "#file-list .file-name")]


def press_text(driver: Any, place: str, text: str) -> None:
    driver.find_element("xpath", f"//*[@id='{place}']//button[text()='{text}']").click()


@pytest.mark.parametrize("place", ["browser", "server"])
def test_each_channel_of_a_call_is_answered_by_itself_as_predict_does(
    driver: Any, address: str, call: Path, place: str
) -> None:
    model = Predictor.load("small")
    open_page(driver, address, "files", place=place)
    choose_file(driver, call)
    assert text_of(driver, "clip-quality") == TURNS
    for number in (2, 1):
        press_text(driver, "file-list", "Show")
        press_text(driver, "clip-channels", f"Channel {number}")
        harness.wait_for(driver, f"document.getElementById('clip-title').textContent === 'call.wav#{number}'")
        assert driver.switch_to.active_element.get_attribute("id") == "clip-title"
        assert text_of(driver, "clip-quality") == ""
        assert not driver.find_element("id", "clip-channels").is_displayed()
        spans = [row[:2] for row in rows_of(driver, "clip-spans")]
        expected = model.timeline(Channel(call, number)).spans
        assert spans == [[f"{one.start_s:.1f} s – {one.end_s:.1f} s", one.emotion] for one in expected]
    assert names(driver) == ["call.wav", "call.wav#1", "call.wav#2"]


def test_a_channel_that_was_asked_for_twice_is_one_row(driver: Any, address: str, call: Path) -> None:
    open_page(driver, address, "files")
    choose_file(driver, call)
    for _ in range(2):
        press_text(driver, "file-list", "Show")
        press_text(driver, "clip-channels", "Channel 1")
        harness.wait_for(driver, "document.getElementById('clip-title').textContent === 'call.wav#1'")
    assert names(driver) == ["call.wav", "call.wav#1"]


def test_where_channels_cancel_each_other_a_button_hears_one(driver: Any, address: str, folder: Path) -> None:
    sound, rate_hz = soundfile.read(DEMO / "lively.flac")
    soundfile.write(folder / "opposite.wav", np.stack([sound, -sound], axis=1), rate_hz)
    open_page(driver, address, "files")
    choose_file(driver, folder / "opposite.wav")
    told = text_of(driver, "file-list")
    assert "cancel each other" in told
    assert "decode(" not in told  # of the package for programs
    press_text(driver, "file-list", "Hear channel 1")
    harness.wait_for(driver, "document.getElementById('clip-title').textContent === 'opposite.wav#1'")
    assert names(driver) == ["opposite.wav", "opposite.wav#1"]


def test_a_recordings_quality_is_told_wherever_its_answer_is(driver: Any, address: str, call: Path) -> None:
    open_page(driver, address, "files")
    choose_file(driver, call)
    driver.find_element("css selector", "#clip-keep button").click()
    harness.wait_for(driver, "document.getElementById('clip-keep').textContent.includes('Kept')")
    go(driver, "compare")
    harness.wait_for(driver, "document.querySelector('#compare-cards .note')")
    assert text_of(driver, "compare-cards").count(TURNS) == 1
    go(driver, "recordings")
    harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
    press_text(driver, "recordings-list", "Open")
    assert text_of(driver, "kept-quality") == TURNS


def test_kept_is_said_of_the_recording_that_was_kept_alone(driver: Any, address: str) -> None:
    open_page(driver, address, "files")
    choose_file(driver, DEMO / "plain.flac")
    driver.find_element("css selector", "#clip-keep button").click()
    harness.wait_for(driver, "document.getElementById('clip-keep').textContent.includes('Kept')")
    choose_file(driver, DEMO / "lively.flac")
    driver.find_element("css selector", "#file-list li:last-child button").click()
    assert text_of(driver, "clip-title") == "lively.flac"
    assert text_of(driver, "clip-keep") == "Keep the result"
