"""The page, when a person lets the server answer: streams, files, pictures, and the same numbers as in the browser."""

import re
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import soundfile
import the_page
from command_line import earnest_cli
from patience import wait_for
from serving import listening
from stand_in import stand_in_model, write_bundle
from the_page import DEMO, choose_file, listen_for, open_page, press, rows_of, text_of, wait_live

from earnest.apps.server.settings import Limits, Settings
from earnest.bundle import SOUNDS
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import voice

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

CLIPS = sorted(DEMO.glob("*.flac"))


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
    assert "can't decode it" in text_of(driver, "file-list")
    before = the_page.posts_and_streams(address)
    driver.find_element("xpath", "//button[text()='Send it to the server']").click()
    harness.wait_for(driver, "document.querySelector('#file-list .with-dot')")
    wait_for(lambda: the_page.posts_and_streams(address) != before)
    assert "on the server" in text_of(driver, "clip-place")


def test_while_a_server_answers_a_file_no_share_is_told_that_nobody_knows(driver: Any, address: str) -> None:
    open_page(driver, address, "files", place="server")
    driver.execute_script("window.fetch = () => new Promise(() => undefined)")
    driver.find_element("id", "files-input").send_keys(str(CLIPS[0]))
    harness.wait_for(driver, "document.querySelector('#file-list progress')")
    assert "at work …" in text_of(driver, "file-list")
    assert driver.find_element("css selector", "#file-list progress").get_dom_attribute("value") is None


def test_who_looks_closer_sees_the_pauses_of_a_long_recording(driver: Any, address: str) -> None:
    timeline = Predictor.load("small").timeline(CLIPS[0]).to_dict()
    shares = timeline["probabilities"]
    told = [{"start_s": float(start), "end_s": start + 2.0, "probabilities": shares} for start in range(0, 1740, 4)]
    open_page(driver, address, "files", place="server")
    long = {**timeline, "duration_s": 1740.0, "windows": told, "spans": [], "segments": []}
    driver.execute_script("const [long] = arguments; window.fetch = async () => Response.json(long);", long)
    choose_file(driver, CLIPS[0])
    for _ in range(6):
        press(driver, "clip-closer")
    column = """
        const canvas = document.querySelector("#clip-timeline canvas");
        const scale = canvas.width / canvas.clientWidth;
        const x = 46 + arguments[0] / (1740 / 64) * (canvas.clientWidth - 46 - 12);
        return canvas.getContext("2d").getImageData(x * scale, (canvas.clientHeight - 60) * scale, 1, 1).data[3];
    """
    wait_for(lambda: [driver.execute_script(column, second) for second in (1, 3, 5, 7, 9)] == [255, 0, 255, 0, 255])


def test_who_looks_closer_sees_the_samples_there_not_the_whole_recordings_outline(
    driver: Any, address: str, folder: Path
) -> None:
    pulses = np.tile([0.9, -0.9], 19_200) * np.tile(np.repeat([1, 0], 240), 80)  # 5 ms of tone, 5 ms of silence
    soundfile.write(folder / "pulses.wav", np.concatenate([pulses, the_page.joined(CLIPS, 59.2)]), 48_000)
    open_page(driver, address, "files")
    choose_file(driver, folder / "pulses.wav")
    heights = """
        const canvas = document.querySelector("#clip-timeline canvas");
        const scale = canvas.width / canvas.clientWidth;
        const x = (ms) => 46 + ms / 1000 / (60 / 64) * (canvas.clientWidth - 46 - 12);
        const ink = (ms) => canvas.getContext("2d").getImageData(x(ms) * scale, 55 * scale, 1, 1).data[3];
        return arguments[0].map((ms) => ink(ms) === 255); // less where speech is marked
    """
    for _ in range(6):
        press(driver, "clip-closer")
    wait_for(lambda: driver.execute_script(heights, [102.5, 107.5, 112.5, 117.5]) == [True, False] * 2)


def test_probabilities_are_drawn_where_they_were_heard(driver: Any, address: str) -> None:
    (lively,) = [clip for clip in CLIPS if clip.stem == "lively"]
    timeline = Predictor.load("small").timeline(lively)
    open_page(driver, address, "files")
    choose_file(driver, lively)
    ink = """
        const canvas = document.querySelector("#clip-timeline canvas");
        const scale = canvas.width / canvas.clientWidth;
        const x = 46 + arguments[0] * (canvas.clientWidth - 46 - 12);
        return canvas.getContext("2d").getImageData(x * scale, (canvas.clientHeight - 60) * scale, 1, 1).data[3];
    """
    assert timeline.duration_s
    assert driver.execute_script("return devicePixelRatio") == 1
    canvas = driver.find_element("css selector", "#clip-timeline canvas")
    assert canvas.get_property("width") >= 2 * canvas.get_property("clientWidth")  # sharp also where somebody zooms in
    shares = [(timeline.windows[-1].end_s + more_s) / timeline.duration_s for more_s in (-0.04, 0.04)]
    wait_for(lambda: [driver.execute_script(ink, share) for share in shares] == [255, 0])


def test_where_the_server_answers_its_own_limits_hold(driver: Any, address: str, folder: Path) -> None:
    (folder / "recorded.webm").write_bytes(the_page.as_recorded_by_a_browser(40 * 60))
    open_page(driver, address, "files", place="server")
    assert text_of(driver, "files-most") == "up to 60 minutes, 67.1 MB"
    choose_file(driver, folder / "recorded.webm")
    assert "No speech" in text_of(driver, "file-list")
    assert driver.find_element("id", "clip-audio").is_displayed()
    small = Limits(timeline_s=600, body_bytes=100_000)
    with listening(Settings(models=("small",), limits=small)) as other:
        open_page(driver, other, "files", place="server")
        assert text_of(driver, "files-most") == "up to 10 minutes, 0.1 MB"
        choose_file(driver, folder / "recorded.webm")
        assert "longer than 10 minutes, the most that this server takes" in text_of(driver, "file-list")
        soundfile.write(folder / "large.wav", np.zeros(2 * 48_000), 48_000)
        choose_file(driver, folder / "large.wav")
        assert "large.wav has 0.2 MB, and this server takes 0.1 MB." in text_of(driver, "file-list")
        assert the_page.posts_and_streams(other) == []
        open_page(driver, other, "files")
        choose_file(driver, folder / "recorded.webm")
        assert "longer than 30 minutes" in text_of(driver, "file-list")
        assert "Send it to the server" not in text_of(driver, "file-list")  # which takes less
    open_page(driver, address, "files")
    assert text_of(driver, "files-most") == "up to 30 minutes"


def test_a_recording_that_takes_the_server_too_long_leaves_the_others_their_turn(driver: Any) -> None:
    with listening(Settings(models=("small",), limits=Limits(request_s=0.001))) as slow:
        open_page(driver, slow, "files", place="server")
        driver.find_element("id", "files-input").send_keys(f"{CLIPS[0]}\n{CLIPS[1]}")
        harness.wait_for(driver, "document.querySelectorAll('#file-list .problem').length === 2")
        assert "cancelled" not in text_of(driver, "file-list")
        assert "no answer within 0.001 s" in text_of(driver, "file-list")


def test_the_page_says_whether_its_server_stores_recordings(driver: Any, address: str, folder: Path) -> None:
    open_page(driver, address, place="server")
    assert text_of(driver, "engine-status").endswith("which stores nothing.")
    (folder / "unknown.wav").write_bytes(bytes([1]) * 99)
    with listening(Settings(models=("small",), keep=folder)) as keeping:
        open_page(driver, keeping, place="server")
        assert text_of(driver, "engine-status").endswith("which stores files and their answers.")
        open_page(driver, keeping, "files")
        choose_file(driver, folder / "unknown.wav")
        assert "Send it to the server, which stores it" in text_of(driver, "file-list")


def test_affect_is_told_where_the_model_knows_it_and_gender_where_somebody_asks_too(driver: Any, folder: Path) -> None:
    bundle = write_bundle(folder / "more", stand_in_model(extra_outputs=True))
    with listening(Settings(models=(str(bundle),))) as address:
        open_page(driver, address, place="server")
        listen_for(driver, 1)
        press(driver, "live-start")
        wait_live(driver, "idle")
        assert text_of(driver, "live-affect").startswith("valence ")
        assert text_of(driver, "live-gender") == ""  # until somebody asks
        press(driver, "settings-title")
        press(driver, "ask-gender")
        assert re.fullmatch("(fe)?male, [> ]*[0-9]+ %", text_of(driver, "live-gender"))
        press(driver, "ask-gender")
        assert text_of(driver, "live-gender") == ""


def test_vocal_bursts_are_in_the_picture_its_legend_and_the_table(driver: Any, folder: Path) -> None:
    model = stand_in_model(extra_outputs=True, sound=True)  # which knows laughter by its loudness
    bundle = write_bundle(folder / "gated", model, sounds=SOUNDS, abstain_below=0.2)
    pause = np.zeros(16_000, np.float32)
    sounds = [voice(2.5, level=0.25), pause, voice(2.5, level=0.8)]
    soundfile.write(folder / "laughter.wav", np.concatenate(sounds), 16_000, subtype="FLOAT")
    (burst,) = Predictor.load(bundle).predict(folder / "laughter.wav").vocal_bursts
    told = f"vocal burst: {burst.kind}"
    with listening(Settings(models=(str(bundle),))) as address:
        open_page(driver, address, "files", place="server")
        choose_file(driver, folder / "laughter.wav")
        rows = rows_of(driver, "clip-spans")
        assert len(rows) > 1
        assert rows[-1][:2] == [f"{burst.start_s:.1f} s – {burst.end_s:.1f} s", told]
        label = driver.find_element("id", "clip-timeline").get_attribute("aria-label")
        assert f"{told} from {burst.start_s:.1f} to {burst.end_s:.1f} seconds" in label
        assert driver.find_element("id", "clip-legend").text.endswith("vocal burst")
        choose_file(driver, DEMO / "plain.flac")
        driver.find_element("css selector", "#file-list li:last-child button").click()
        assert "vocal burst" not in driver.find_element("id", "clip-legend").text


def test_live_tells_a_vocal_burst_in_place_of_an_emotion(driver: Any, folder: Path) -> None:
    named = {"speech": "laughter", "no-speech": "sigh", "laughter": "speech", "sigh": "no-speech"}
    bundle = write_bundle(  # which takes speech for laughter
        folder / "laughing",
        stand_in_model(extra_outputs=True, sound=True),
        sounds=[named.get(name, name) for name in SOUNDS],
    )
    with listening(Settings(models=(str(bundle),))) as address:
        open_page(driver, address, place="server")
        press(driver, "live-start")
        wait_live(driver, "listening")
        harness.wait_for(driver, "document.getElementById('live-emotion').textContent === 'Vocal burst'")
        press(driver, "live-start")
        wait_live(driver, "idle")
        assert text_of(driver, "live-emotion") == "Vocal burst"
        label = driver.find_element("id", "live-timeline").get_attribute("aria-label")
        assert "vocal burst: " in label


def test_a_picture_of_a_spectrogram_is_answered_by_the_server(driver: Any, address: str, folder: Path) -> None:
    predictor = Predictor.load("small")
    picture = folder / "spectrogram.png"
    earnest_cli("spectrogram", DEMO / "lively.flac", "--model", "small", "--output", picture)
    open_page(driver, address, "files", place="server")
    choose_file(driver, picture)
    expected = predictor.predict(picture)
    shown = driver.find_element("css selector", "#clip-bars .most").text
    assert shown.split()[0] == expected.top(1)[0][0]
    assert text_of(driver, "clip-answer") == (expected.emotion or expected.status).capitalize()
    assert not driver.find_element("id", "clip-picture").is_displayed()


def test_browser_and_server_agree_about_the_clips_by_the_chosen_model(driver: Any) -> None:
    harness.build_page()
    with listening(Settings(models=("base", "small"))) as address:
        open_page(driver, address, "debug", model="small")
        press(driver, "debug-parity")
        told = harness.wait_for(driver, "document.getElementById('debug-result').textContent")
        assert told.startswith("Model “small”")
        assert float(told.rstrip(".").rpartition(" ")[2]) < 1e-3
        assert len(driver.find_elements("css selector", "#debug-clips table")) == len(CLIPS)
