"""Beside speaking: samples to press, gender where it is asked for, fewer classes, answers of other kinds."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import harness
import pytest
import soundfile
import the_page
from serving import listening
from stand_in import stand_in_adaptation, stand_in_model, write_bundle
from the_page import DEMO, RATE_HZ, arrived, choose_file, go, listen_for, open_page, press, rows_of, text_of, wait_live
from wire import wired

from earnest.apps.server import page
from earnest.apps.server.settings import Settings
from earnest.bundle import ADAPTATION, SHIPPED, sha256_of
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

CALLS = """
    window.calls = [];
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, transfer) {
      calls.push([message.method, JSON.stringify(message.args.filter((arg) => !ArrayBuffer.isView(arg)))]);
      return post.call(this, message, transfer);
    };
"""


def sample(driver: Any, view: str, title: str) -> None:
    driver.find_element("xpath", f"//div[@id='{view}-samples']/button[text()='{title}']").click()


def saved(folder: Path, driver: Any, name: str) -> dict[str, Any]:
    """Save the shown recording as JSON and return what is inside."""
    press(driver, "clip-export")
    path = arrived(folder / name)
    text = path.read_text("utf-8")
    path.unlink()
    return dict(json.loads(text))


def test_a_sample_answers_in_place_and_is_called_synthetic(driver: Any, address: str) -> None:
    model = Predictor.load("small")
    timeline = model.timeline(DEMO / "plain.flac")
    for view in ("live", "files"):
        open_page(driver, address, view)
        assert "Synthetic speech" in text_of(driver, f"{view}-samples")
        sample(driver, view, "plain")
        rows = {"live": "live-windows", "files": "clip-windows"}[view]
        harness.wait_for(driver, f"document.querySelectorAll('#{rows} tbody tr').length")
        assert len(rows_of(driver, rows)) == len(timeline.windows)
    assert text_of(driver, "clip-title") == "plain.flac"
    sample(driver, "files", "loud and fast")  # in place of the one before
    harness.wait_for(driver, "document.getElementById('clip-title').textContent === 'loud-and-fast.flac'")
    sample(driver, "files", "plain")
    harness.wait_for(driver, "document.getElementById('clip-title').textContent === 'plain.flac'")
    assert len(driver.find_elements("css selector", "#file-list li")) == 2


def test_a_sample_under_live_says_what_it_is_and_can_be_heard(driver: Any, address: str) -> None:
    open_page(driver, address)
    sample(driver, "live", "slow and low")
    harness.wait_for(driver, "!document.getElementById('live-sample').hidden")
    assert text_of(driver, "live-state") == "The sample “slow and low”, synthetic speech"
    harness.wait_for(driver, "document.getElementById('live-sample').duration > 1")
    listen_for(driver, 1)  # and then the microphone
    assert not driver.find_element("id", "live-sample").is_displayed()
    press(driver, "live-start")
    wait_live(driver, "idle")
    assert text_of(driver, "live-state") == "All in all"


def test_gender_is_in_no_file_unless_it_was_asked_for(driver: Any, folder: Path) -> None:
    bundle = write_bundle(folder / "more", stand_in_model(extra_outputs=True))
    with listening(Settings(models=(str(bundle),))) as address:
        open_page(driver, address, "files", place="server")
        choose_file(driver, DEMO / "lively.flac")
        assert text_of(driver, "clip-gender") == ""
        assert saved(folder, driver, "lively.json")["gender"] is None
        driver.find_element("css selector", "#clip-keep button").click()
        harness.wait_for(driver, "document.getElementById('clip-keep').textContent.includes('Kept')")

        press(driver, "settings-title")
        press(driver, "ask-gender")
        assert re.fullmatch("Gender: (fe)?male, [> ]*[0-9]+ %.", text_of(driver, "clip-gender"))
        assert set(saved(folder, driver, "lively.json")["gender"]) == {"female", "male"}

        go(driver, "recordings")  # where it was kept before somebody asked
        harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
        driver.find_element("css selector", "button[aria-label='Export lively.flac']").click()
        exported = arrived(folder / "lively.flac.json")
        assert json.loads(exported.read_text("utf-8"))["timeline"]["gender"] is None
        open_page(driver, address, "files", place="server")
        assert driver.find_element("id", "ask-gender").is_selected()  # remembered
        driver.execute_script("localStorage.removeItem('earnest.gender')")


def adapting_small(folder: Path) -> Path:
    """Write a folder of shipped bundles: `small`, with an adaptation network."""
    shutil.copytree(SHIPPED / "small", folder / "small")
    values = json.loads((folder / "small" / "bundle.json").read_text("utf-8"))
    network = stand_in_adaptation(len(values["classes"]))
    (folder / "small" / ADAPTATION).write_bytes(network)
    values["adaptation"] = {"file": ADAPTATION, "least_speech_s": 1.0}
    values["files"][ADAPTATION] = sha256_of(network)
    (folder / "small" / "bundle.json").write_text(json.dumps(values), "utf-8")
    return folder


def choose_adaptation(driver: Any, value: str) -> Any:
    choice = driver.find_element("css selector", f"#adaptation input[value='{value}']")
    choice.click()
    return choice


def test_the_page_adapts_to_what_was_heard_and_to_a_profile_of_what_it_can_read(
    driver: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = adapting_small(folder / "shipped")
    monkeypatch.setattr(page, "SHIPPED", shipped)
    soundfile.write(folder / "long.wav", the_page.joined([DEMO / "lively.flac", DEMO / "plain.flac"], 12), RATE_HZ)
    model, made = Predictor.load(shipped / "small"), folder / "speaker.json"
    with listening(Settings(models=(str(shipped / "small"),))) as address:
        for place in ("browser", "server"):
            open_page(driver, address, "files", place=place)
            press(driver, "settings-title")
            choose_file(driver, folder / "long.wav")
            assert "adapted" not in text_of(driver, "clip-facts")
            choose_adaptation(driver, "auto")
            choose_file(driver, folder / "long.wav")
            rows = [row.text for row in driver.find_elements("css selector", "#file-list li")]
            assert ["small, adapted to this speaker" in row for row in rows] == [False, True]
            driver.find_element("css selector", "#file-list li:last-child button").click()
            assert "adapted to this speaker" in text_of(driver, "clip-facts")
            if place == "browser":
                names = "\n".join(str(DEMO / f"{name}.flac") for name in ("lively", "plain", "loud-and-fast"))
                (folder / "text.wav").write_text("no sound at all")
                assert driver.find_element("id", "profile-make").accessible_name == "Make one from recordings"
                driver.find_element("id", "profile-make").send_keys(f"{names}\n{folder / 'text.wav'}")
            else:
                assert not driver.find_element("id", "profile-make-field").is_displayed()
                driver.find_element("id", "profile-open").send_keys(str(made))
            harness.wait_for(driver, "document.getElementById('profile-status').textContent.startsWith('A profile of')")
            assert ("left out: text.wav." in text_of(driver, "profile-status")) == (place == "browser")
            assert choose_adaptation(driver, "profile").is_selected()
            choose_file(driver, DEMO / "lively.flac")
            driver.find_element("css selector", "#file-list button[aria-label='Show lively.flac']").click()
            assert "adapted to this speaker" in text_of(driver, "clip-facts")
            if place == "browser":
                Profile.read(arrived(made)).check(model.info)
            (folder / "wrong.json").write_text("{}")
            driver.find_element("id", "profile-open").send_keys(str(folder / "wrong.json"))
            harness.wait_for(driver, "document.getElementById('profile-status').textContent.includes('Make it again')")
            assert driver.find_element("css selector", "#adaptation input[value='profile']").is_selected()


def test_fewer_classes_are_passed_on_and_two_stay(driver: Any, address: str) -> None:
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": CALLS})
    classes = list(Predictor.load("small").info.classes)
    with wired(address) as wire:
        for place in ("browser", "server"):
            open_page(driver, wire.address, "files", place=place)
            choose_file(driver, DEMO / "plain.flac")
            assert not any(classes[0] in call for call in asked_of(driver, wire.received, place))
            press(driver, "settings-title")
            for name in classes[2:]:
                driver.find_element("css selector", f"#classes input[value={name}]").click()
            left = driver.find_elements("css selector", "#classes input:checked")
            assert [box.get_attribute("value") for box in left] == classes[:2]
            assert not any(box.is_enabled() for box in left)
            assert text_of(driver, "settings-title") == f"Settings (among 2 of {len(classes)} classes)"
            choose_file(driver, DEMO / "plain.flac")
            told = '","'.join(classes[:2]) if place == "browser" else "%2C".join(classes[:2])
            assert told in asked_of(driver, wire.received, place)[-1]
            rows = [row.text for row in driver.find_elements("css selector", "#file-list li")]
            assert [f"small, among 2 of {len(classes)} classes" in row for row in rows] == [False, True]
            driver.find_element("css selector", "#file-list li:last-child button").click()
            assert len(rows_of(driver, "clip-windows")[0]) == 3  # when, and two classes
            go(driver, "debug")
            driver.find_element("css selector", "#debug-clips button").click()
            harness.wait_for(driver, "document.querySelector('#debug-clips table')")
            probabilities = [float(row[1]) for row in rows_of(driver, "debug-clips")]
            assert sum(probabilities) == pytest.approx(1, abs=1e-5)
            assert len(probabilities) == 2
            go(driver, "live")
            listen_for(driver, 1)
            press(driver, "live-start")
            wait_live(driver, "idle")
            assert {len(row) for row in rows_of(driver, "live-windows")} == {3}
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.parametrize("place", ["browser", "server"])
def test_speech_that_is_mostly_neutral_is_answered_as_such(driver: Any, address: str, folder: Path, place: str) -> None:
    open_page(driver, address, "files", place=place)
    press(driver, "settings-title")
    driver.find_element("id", "mostly-neutral").click()
    assert text_of(driver, "settings-title") == "Settings (expecting mostly neutral)"
    choose_file(driver, DEMO / "plain.flac")
    assert "small, expecting mostly neutral" in driver.find_element("css selector", "#file-list li:last-child").text
    expected = Predictor.load("small").predict(DEMO / "plain.flac", classes="neutral=0.6").probabilities
    assert saved(folder, driver, "plain.json")["probabilities"] == pytest.approx(expected, abs=2e-4)
    for name in ("neutral", "happy"):  # without neutral there is nothing to ask
        driver.find_element("css selector", f"#classes input[value={name}]").click()
    assert not driver.find_element("id", "mostly-neutral").is_displayed()


def asked_of(driver: Any, received: list[tuple[str, int]], place: str) -> list[str]:
    """Return what streams of the worker, or recordings on the server, were asked for."""
    if place == "server":
        return [path for path, _ in received if path.startswith("/v1/predict")]
    return [args for method, args in driver.execute_script("return window.calls") if method == "stream"]


def test_answers_of_other_kinds_have_their_words(driver: Any, address: str, folder: Path) -> None:
    timeline = Predictor.load("small").timeline(DEMO / "lively.flac").to_dict()
    spans = [{"start_s": 0.0, "end_s": 1.0, "emotion": "unsure", "confidence": 0.4}]
    burst = {"start_s": 1.0, "end_s": 2.0, "kind": "laughter", "confidence": 0.97}
    kinds = {
        "mixed": {
            "status": "mixed",
            "emotion": None,
            "shares": {"happy": 0.5, "sad": 0.3, "unsure": 0.2},
            "spans": spans,
        },
        "burst": {"status": "vocal-burst", "emotion": None, "vocal_bursts": [burst]},
        "unsure": {"status": "unsure", "emotion": None},
    }
    open_page(driver, address, "recordings")
    for name, changes in kinds.items():
        head = {"format": "earnest-recording", "version": 1, "name": name, "created": "2026-01-02T03:04:05Z"}
        (folder / f"{name}.json").write_text(json.dumps({**head, "timeline": {**timeline, **changes}}))
        driver.find_element("id", "import").send_keys(str(folder / f"{name}.json"))
        harness.wait_for(driver, f"document.querySelector(`button[aria-label='Open {name}']`)")
    told = {row[0]: row[3] for row in rows_of(driver, "recordings-list")}
    assert told["mixed"] == "Mixed: several emotions"
    assert told["burst"] == "Vocal burst: laughter"
    assert told["unsure"].startswith("Unsure: ")
    driver.find_element("css selector", "button[aria-label='Open mixed']").click()
    assert [row[1] for row in rows_of(driver, "kept-spans")] == ["unsure"]
    go(driver, "compare")
    harness.wait_for(driver, f"document.querySelectorAll('#compare-choices label').length >= {len(kinds)}")
    for name in kinds:
        driver.find_element("xpath", f"//fieldset[@id='compare-choices']/label[contains(., '{name} ')]").click()
    cards = {
        card.text.split(" ")[0]: card.text for card in driver.find_elements("css selector", "#compare-cards article")
    }
    assert "several emotions: happy 50 %, sad 30 %" in cards["mixed"]
    bars = driver.find_elements("css selector", "#compare-cards ul[aria-label='Share of the spoken time'] .name")
    assert [bar.text for bar in bars] == ["happy", "sad", "unsure"]
    assert "laughter, > 95 %" in cards["burst"]
