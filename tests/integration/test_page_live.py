"""The page in real headless Chromium, whose microphone plays a recording: Python's numbers, and nothing leaves it."""

import base64
import json
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pytest
import soundfile
import the_page
from patience import PATIENCE_S
from selenium.webdriver.common.keys import Keys
from the_page import (
    DEMO,
    RATE_HZ,
    VIEWS,
    arrived,
    choose_file,
    go,
    listen_for,
    open_page,
    press,
    rows_of,
    text_of,
    wait_live,
)

from earnest.apps.server.page import PAGE
from earnest.runtime.prediction import Prediction, Span, Window
from earnest.runtime.predictor import Predictor
from earnest.runtime.windows import Windowing

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

CLIPS = sorted(DEMO.glob("*.flac"))
LIVELY = [DEMO / "lively.flac", DEMO / "plain.flac", DEMO / "loud-and-fast.flac"]
SOUGHT = """
    const audio = document.getElementById("clip-audio");
    window.sought = [];
    audio.addEventListener("seeking", () => sought.push(audio.currentTime));
"""
LIT = """
    [window.lit, window.asked] = [0, 0];
    navigator.wakeLock.request = async () => {
      [lit, asked] = [lit + 1, asked + 1];
      return { release: async () => { lit -= 1 } };
    };
"""
SEEN = """
    window.seen = [];
    const words = ["live-state", "live-confidence", "live-emotion"];
    const text = (id) => document.getElementById(id).textContent;
    new MutationObserver(() => {
      const n_windows = document.querySelectorAll("#live-windows tbody tr").length;
      seen.push([document.documentElement.dataset.live, n_windows, ...words.map(text)]);
    }).observe(document.documentElement, { subtree: true, childList: true, characterData: true, attributes: true });
"""
IN_PLACE_OF_SAMPLES = """
    const [bytes, asked] = [Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0)), window.fetch];
    window.fetch = async (what, ...more) => (/^clips/.test(what) ? new Response(bytes) : asked(what, ...more));
"""
HEARD = """
    window.heard = { rate: 0, parts: [] };
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, transfer) {
      if (message.method === "stream") heard.rate = message.args[0];
      if (message.method === "accept") heard.parts.push(message.args[1].slice());
      return post.call(this, message, transfer);
    };
"""
SAID = """
    const bytes = new Uint8Array(await new Blob(heard.parts).arrayBuffer());
    let text = "";
    for (let start = 0; start < bytes.length; start += 8192) {
      text += String.fromCharCode(...bytes.subarray(start, start + 8192));
    }
    return [heard.rate, btoa(text)];
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    soundfile.write(folder / "microphone.wav", the_page.joined(LIVELY, 30), RATE_HZ)
    soundfile.write(folder / "two minutes.wav", the_page.joined(CLIPS, 120), RATE_HZ)
    return folder


@pytest.fixture(autouse=True)
def a_desk(driver: Any) -> None:
    the_page.resize(driver, 1280, 900)


def test_the_live_view_shows_pythons_labels_and_probabilities(driver: Any, address: str) -> None:
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": HEARD})
    open_page(driver, address)
    listen_for(driver, 3)
    assert text_of(driver, "live-emotion") not in ("", "–")
    assert float(text_of(driver, "live-delay").removesuffix(" s")) > 0
    press(driver, "live-start")
    wait_live(driver, "idle")
    rate_hz, said = driver.execute_script(f"return (async () => {{{SAID}}})()")
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    waveform = np.frombuffer(base64.b64decode(said), "<f4")

    model = Predictor.load("small")
    stream = model.stream(rate_hz, Windowing())
    events = [*stream.accept_waveform(waveform), *stream.finish()]
    windows = [event for event in events if isinstance(event, Window)]
    rows = rows_of(driver, "live-windows")
    assert len(rows) >= 3
    assert [row[0] for row in rows] == [f"{window.start_s:.1f} s – {window.end_s:.1f} s" for window in windows]
    for row, window in zip(rows, windows, strict=True):
        expected = [min(share, 0.95) for share in window.probabilities.values()]  # nothing surer is told
        found = [float(cell.removeprefix("> ").removesuffix(" %")) / 100 for cell in row[1:]]
        # Shown to a tenth of a per cent, and resampled by another filter: up to 1.4e-3 on a hundred real clips
        # (docs/results/browser).
        assert found == pytest.approx(expected, abs=2.5e-3)
    # Where the loop began, nobody knows: where a window lies between two answers within that error, either is right.
    if any(is_close(window, model.info.abstain_below) for window in windows):
        return
    assert text_of(driver, "live-emotion") == headline(stream.prediction("microphone"))
    spans = [event for event in events if isinstance(event, Span)]
    label = driver.find_element("id", "live-timeline").get_attribute("aria-label")
    assert all(f"{span.emotion} from {span.start_s:.1f} to {span.end_s:.1f} seconds" in label for span in spans[:12])
    assert [row[1] for row in rows_of(driver, "live-spans")] == [span.emotion for span in spans]


def is_close(window: Window, abstain_below: float) -> bool:
    """Whether another resampler may give a window another label."""
    first, second = sorted(window.probabilities.values(), reverse=True)[:2]
    return min(first - second, abs(first - abstain_below)) < 5e-3


def headline(answer: Prediction) -> str:
    """Return what the page says in large letters."""
    return (answer.emotion or answer.status.replace("-", " ")).capitalize()


def test_until_a_window_is_full_the_page_says_that_it_listens(driver: Any, address: str) -> None:
    open_page(driver, address)
    driver.execute_script(SEEN)
    listen_for(driver, 1)
    seen = [tuple(one) for one in driver.execute_script("return seen")]
    before = [one[2:] for one in seen if one[:2] == ("listening", 0)]
    assert ("Listening …", "The first answer needs 4 seconds of sound.", "–") in before
    assert {emotion for _, _, emotion in before} == {"–"}
    assert text_of(driver, "live-emotion") != "–"
    press(driver, "live-start")
    wait_live(driver, "idle")


def test_the_screen_stays_on_while_the_page_listens_or_answers_a_file(driver: Any, address: str) -> None:
    def lit(n_locks: int, n_asked: int) -> None:
        harness.wait_for(driver, f"lit === {n_locks} && asked === {n_asked}")

    open_page(driver, address)
    driver.execute_script(LIT)
    listen_for(driver, 1)
    lit(1, 1)
    press(driver, "live-pause")
    lit(0, 1)
    press(driver, "live-pause")
    lit(1, 2)
    press(driver, "live-start")
    wait_live(driver, "idle")
    lit(0, 2)
    go(driver, "files")
    choose_file(driver, DEMO / "lively.flac")
    lit(0, 3)


def test_the_browser_asks_before_the_page_is_left_while_it_listens_and_only_then(driver: Any, address: str) -> None:
    leave = "const it = new Event('beforeunload', { cancelable: true }); window.dispatchEvent(it);"
    open_page(driver, address)
    assert not driver.execute_script(f"{leave} return it.defaultPrevented")
    press(driver, "live-start")
    wait_live(driver, "listening")
    assert driver.execute_script(f"{leave} return it.defaultPrevented")
    press(driver, "live-start")
    wait_live(driver, "idle")
    assert not driver.execute_script(f"{leave} return it.defaultPrevented")


@pytest.mark.parametrize("way", ["keep", "save", "delete"])
def test_a_long_result_that_is_neither_kept_nor_saved_goes_only_where_somebody_says_so(
    driver: Any, address: str, folder: Path, way: str
) -> None:
    leave = "return !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    sure = "document.getElementById('sure').open"
    path = folder / "long.flac"
    soundfile.write(path, the_page.joined(LIVELY, 40), RATE_HZ)
    open_page(driver, address)
    driver.execute_script(IN_PLACE_OF_SAMPLES, base64.b64encode(path.read_bytes()).decode())
    sample = driver.find_element("css selector", "#live-samples button")
    name = sample.text.replace(" ", "-")
    sample.click()
    harness.wait_for(driver, "document.getElementById('live-result').checkVisibility()")
    wait_live(driver, "idle")
    heard = rows_of(driver, "live-windows")
    assert driver.execute_script(leave)
    for asks in (driver.find_element("id", "live-start"), driver.find_element("id", "live-clear"), sample):
        asks.click()
        harness.wait_for(driver, sure)
        driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        harness.wait_for(driver, f"!{sure}")
        assert rows_of(driver, "live-windows") == heard
    if way == "save":
        press(driver, "live-export")
        arrived(folder / f"{name}.json")
    else:
        press(driver, "live-clear")
        driver.find_element("css selector", f"#sure button[value={way}]").click()
    harness.wait_for(driver, "window.dispatchEvent(new Event('beforeunload', { cancelable: true }))")
    assert rows_of(driver, "live-windows") == ([] if way == "delete" else heard)
    press(driver, "live-clear")  # what is safe goes without a question
    assert rows_of(driver, "live-windows") == []
    if way == "keep":
        go(driver, "recordings")
        harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
        button(driver, f"Delete {name}.flac").click()
        driver.find_element("css selector", "#sure button[value=delete]").click()
        harness.wait_for(driver, "!document.querySelector('#recordings-list tbody tr')")


def test_after_a_long_time_every_window_and_span_is_in_a_table(driver: Any, address: str, folder: Path) -> None:
    path = folder / "long.flac"
    soundfile.write(path, the_page.joined(LIVELY, 90), RATE_HZ)
    open_page(driver, address)
    driver.execute_script(IN_PLACE_OF_SAMPLES, base64.b64encode(path.read_bytes()).decode())
    driver.find_element("css selector", "#live-samples button").click()
    harness.wait_for(driver, "document.getElementById('live-result').checkVisibility()")
    expected = Predictor.load("small").timeline(path)
    assert len(rows_of(driver, "live-windows")) == len(expected.windows) > 20
    assert [row[1] for row in rows_of(driver, "live-spans")] == [span.emotion for span in expected.spans]
    press(driver, "live-clear")
    driver.find_element("css selector", "#sure button[value=delete]").click()
    harness.wait_for(driver, "!document.querySelector('#live-spans tbody tr')")


def test_what_the_browser_translated_stays_until_there_is_something_new(driver: Any, address: str) -> None:
    open_page(driver, address)
    listen_for(driver, 1)
    driver.execute_script("""
        const [place, seen] = [document.getElementById("live-state"), []];
        [window.original, window.written] = [place.textContent, seen];
        place.innerHTML = "<font>Sie klingen</font>";
        new MutationObserver(() => seen.push(place.textContent)).observe(place, { childList: true });
    """)
    n_heard = len(rows_of(driver, "live-windows"))
    harness.wait_for(driver, f"document.querySelectorAll('#live-windows tbody tr').length > {n_heard}")
    assert driver.execute_script("return written[0] !== original")
    press(driver, "live-start")
    wait_live(driver, "idle")


def test_unsure_is_said_of_the_model_not_of_who_speaks(driver: Any, address: str) -> None:
    open_page(driver, address)
    driver.execute_script(SEEN)
    listen_for(driver, 1)
    harness.wait_for(driver, "seen.some(([, , state]) => state === 'You sound' || state === 'The model is')")
    press(driver, "live-start")
    wait_live(driver, "idle")
    told = {(state, emotion == "Unsure") for _, _, state, _, emotion in driver.execute_script("return seen")}
    assert ("You sound", True) not in told
    assert ("The model is", False) not in told
    assert ("The model is", True) in told  # "small" is unsure about "lively"


def test_a_file_is_answered_as_predict_does(driver: Any, address: str, folder: Path) -> None:
    model = Predictor.load("small")
    open_page(driver, address, "files")
    seen = []
    for path in (*CLIPS, folder / "two minutes.wav"):
        choose_file(driver, path)
        driver.find_element("css selector", "#file-list li:last-child button").click()
        expected = model.predict(path)
        assert text_of(driver, "clip-title") == path.name
        assert text_of(driver, "clip-answer") == headline(expected)
        shares = expected.shares if expected.shares and len(expected.shares) > 1 else expected.probabilities
        bars = driver.find_elements("css selector", "#clip-bars .name")
        assert [bar.text for bar in bars] == list(shares)
        seen.append(len(expected.shares or {}) > 1)
    assert {*seen} == {True, False}


def test_nothing_but_known_files_is_asked_for_and_no_sound_leaves(driver: Any, address: str) -> None:
    open_page(driver, address)
    the_page.traffic(driver)
    before = the_page.posts_and_streams(address)
    listen_for(driver, 1)
    press(driver, "live-start")
    wait_live(driver, "idle")
    go(driver, "files")
    choose_file(driver, CLIPS[0])
    go(driver, "compare")
    press(driver, "compare-samples")
    harness.wait_for(driver, "document.querySelectorAll('#compare-cards article').length >= 5")
    asked = [(method, url) for method, url in the_page.traffic(driver) if not url.startswith(("blob:", "data:"))]
    (worklet,) = PAGE.glob("earnest.worklet-*.js")
    known = {f"{address}/{name}" for name in (worklet.name, *(f"clips/{path.name}" for path in CLIPS))}
    assert {method for method, _ in asked} == {"GET"}
    assert {url for _, url in asked} <= known
    assert the_page.posts_and_streams(address) == before
    assert harness.complaints(driver) == []


def test_a_two_minute_recording_is_shown_played_and_saved_as_python_does(
    driver: Any, address: str, folder: Path
) -> None:
    open_page(driver, address, "files")
    choose_file(driver, folder / "two minutes.wav")
    expected = Predictor.load("small").timeline(folder / "two minutes.wav")  # as `earnest timeline` does
    assert len({span.emotion for span in expected.spans}) > 1
    rows = rows_of(driver, "clip-spans")
    assert [row[1] for row in rows] == [span.emotion for span in expected.spans]
    assert "2:00.0" in text_of(driver, "clip-facts")

    press(driver, "clip-closer")
    picture = driver.find_element("id", "clip-timeline")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    driver.execute_script(SOUGHT)
    picture.click()  # in the middle of the first half
    assert harness.wait_for(driver, "sought[0]") == pytest.approx(30, abs=3)
    driver.find_elements("css selector", "#clip-spans tbody button")[2].click()
    assert harness.wait_for(driver, "sought[1]") == pytest.approx(expected.spans[2].start_s, abs=0.1)

    driver.execute_script("document.getElementById('clip-format').value = 'srt'")
    press(driver, "clip-export")
    assert arrived(folder / "two minutes.srt").read_text("utf-8") == expected.to_srt()
    assert harness.complaints(driver) == []


def test_every_window_of_a_long_recording_is_in_the_table(driver: Any, address: str, folder: Path) -> None:
    sound = the_page.joined([DEMO / "lively.flac", DEMO / "plain.flac"], 900, pause_s=0)
    soundfile.write(folder / "quarter-of-an-hour.flac", sound, RATE_HZ)
    open_page(driver, address, "files")
    choose_file(driver, folder / "quarter-of-an-hour.flac", seconds=3 * PATIENCE_S)
    heard = [row[0] for row in rows_of(driver, "clip-windows")]
    assert len(heard) > 500
    assert heard[-1].partition(" – ")[2].startswith(("14:5", "15:0"))


def test_work_on_a_file_can_be_cancelled_and_the_next_one_goes_on(driver: Any, address: str, folder: Path) -> None:
    open_page(driver, address, "files")
    the_page.cancel_at_work(driver)
    driver.find_element("id", "files-input").send_keys(f"{folder / 'two minutes.wav'}\n{CLIPS[0]}")
    harness.wait_for(driver, "document.querySelector('#file-list li:last-child .with-dot')")
    first, second = (item.text for item in driver.find_elements("css selector", "#file-list li"))
    assert "cancelled" in first
    assert "Show" in second


def test_a_double_click_on_cancel_takes_no_recording_out_of_the_list(driver: Any, address: str, folder: Path) -> None:
    from selenium.webdriver import ActionChains

    open_page(driver, address, "files")
    driver.find_element("id", "files-input").send_keys(f"{folder / 'two minutes.wav'}\n{CLIPS[0]}")
    cancel = "#file-list li:last-child button"  # and, when it was pressed, Remove
    ActionChains(driver).double_click(driver.find_element("css selector", cancel)).perform()
    assert "cancelled" in driver.find_element("css selector", "#file-list li:last-child").text
    driver.find_element("css selector", cancel).click()
    assert len(driver.find_elements("css selector", "#file-list li")) == 1


def test_the_browser_asks_before_the_page_is_left_while_files_wait_for_an_answer(
    driver: Any, address: str, folder: Path
) -> None:
    leaves = "return window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    open_page(driver, address, "files")
    driver.find_element("id", "files-input").send_keys(f"{folder / 'two minutes.wav'}\n{CLIPS[0]}")
    assert not driver.execute_script(leaves)
    harness.wait_for(driver, "document.querySelectorAll('#file-list .with-dot').length === 2")
    assert driver.execute_script(leaves)


def test_a_recording_is_kept_named_opened_again_handed_on_and_deleted(driver: Any, address: str, folder: Path) -> None:
    open_page(driver, address, "files")
    choose_file(driver, DEMO / "lively.flac")
    driver.find_element("css selector", "#clip-keep button").click()
    harness.wait_for(driver, "document.getElementById('clip-keep').textContent.includes('Kept')")
    driver.find_element("css selector", "#clip-keep button").click()  # once more, and it is one recording
    open_page(driver, address, "recordings")  # a new visit
    harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
    assert len(rows_of(driver, "recordings-list")) == 1
    button(driver, "Open lively.flac").click()
    name = driver.find_element("id", "kept-name")
    name.clear()
    assert name.get_property("value") == "lively.flac"  # a recording has a name
    name.send_keys(Keys.CONTROL, "a", Keys.NULL, "Tuesday\n")
    harness.wait_for(driver, "document.querySelector('#recordings-list th[scope=row]').textContent === 'Tuesday'")
    button(driver, "Export Tuesday").click()
    exported = arrived(folder / "Tuesday.json")
    kept = json.loads(exported.read_text("utf-8"))
    expected = Predictor.load("small").timeline(DEMO / "lively.flac")
    assert [span["emotion"] for span in kept["timeline"]["spans"]] == [span.emotion for span in expected.spans]
    assert not set(kept["timeline"]) & {"peaks", "waveform", "url"}

    button(driver, "Delete Tuesday").click()
    assert driver.switch_to.active_element.text == "Keep it"  # where a key that is held down does no harm
    driver.find_element("css selector", "#sure button[value=delete]").click()
    harness.wait_for(driver, "!document.querySelector('#recordings-list tbody tr')")
    driver.find_element("id", "import").send_keys(str(exported))
    harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
    assert "Tuesday" in rows_of(driver, "recordings-list")[0][0]
    (folder / "wrong.json").write_text(json.dumps({**kept, "version": 9}))
    driver.find_element("id", "import").send_keys(str(folder / "wrong.json"))
    assert "version 1" in harness.wait_for(driver, "document.getElementById('recordings-problem').textContent")
    assert len(rows_of(driver, "recordings-list")) == 1


def test_what_is_kept_in_one_tab_is_listed_in_another(driver: Any, address: str) -> None:
    open_page(driver, address, "recordings")
    first = driver.current_window_handle
    driver.switch_to.new_window("tab")
    open_page(driver, address, "files")
    choose_file(driver, DEMO / "plain.flac")
    driver.find_element("css selector", "#clip-keep button").click()
    harness.wait_for(driver, "document.getElementById('clip-keep').textContent.includes('Kept')")
    driver.close()
    driver.switch_to.window(first)
    listed = "[...document.querySelectorAll('#recordings-list th')].some((one) => one.textContent === 'plain.flac')"
    harness.wait_for(driver, listed)


def button(driver: Any, name: str) -> Any:
    return driver.find_element("css selector", f"button[aria-label='{name}']")


def test_every_view_is_titled_and_marked_in_the_navigation(driver: Any, address: str) -> None:
    open_page(driver, address, VIEWS[-1])
    for view in VIEWS:
        go(driver, view)
        harness.wait_for(driver, f"document.title === '{view.capitalize()} – earnest'")
        current = driver.find_elements("css selector", "nav a[aria-current=page]")
        assert [link.text for link in current] == [view.capitalize()]
        harness.wait_for(driver, f"document.activeElement.id === '{view}-title'")
