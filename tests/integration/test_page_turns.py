"""The page when things happen at the same time: another place is chosen, a button is pressed twice, a clip plays."""

from collections.abc import Iterator
from typing import Any

import harness
import pytest
import the_page
from selenium.webdriver.common.action_chains import ActionChains
from the_page import DEMO, choose_file, go, listen_for, open_page, press, rows_of, text_of, wait_live

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

SLOW_SERVER = """
    [window.n_told, window.held] = [0, new Promise((resolve) => { window.let_go = resolve; })];
    const fetched = window.fetch;
    window.fetch = async (address, ...more) => {
      const isHeld = String(address).includes("v1/models");
      if (isHeld) await held;
      const answer = await fetched(address, ...more);
      if (isHeld) n_told++;
      return answer;
    };
"""
SLOW_MICROPHONE = """
    [window.streams, window.held] = [[], new Promise((resolve) => { window.let_go = resolve; })];
    const asked = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      await held;
      streams.push(await asked(wanted));
      return streams.at(-1);
    };
"""
FRAMES = """
    window.frames_asked = 0;
    const ask = window.requestAnimationFrame;
    window.requestAnimationFrame = (work) => { window.frames_asked++; return ask(work); };
"""


@pytest.fixture
def with_script(driver: Any) -> Iterator[Any]:
    """Return what makes a script run before those of the pages that are opened next."""
    added = []

    def add(source: str) -> None:
        added.append(driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source}))

    yield add
    for one in added:
        driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", one)
    driver.get("about:blank")


def choose_place(driver: Any, place: str) -> None:
    driver.find_element("css selector", f"#place option[value={place}]").click()


def test_a_place_that_was_left_before_it_was_ready_gets_no_sound(driver: Any, address: str, with_script: Any) -> None:
    with_script(SLOW_SERVER)
    open_page(driver, address, "files")
    before = the_page.posts_and_streams(address)
    choose_place(driver, "server")
    choose_place(driver, "browser")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    driver.execute_script("let_go()")
    harness.wait_for(driver, "n_told > 0")
    assert "leaves this device" in text_of(driver, "engine-status")
    choose_file(driver, DEMO / "plain.flac")
    assert "in this browser" in text_of(driver, "clip-place")
    assert the_page.posts_and_streams(address) == before


def test_a_place_that_is_left_while_the_microphone_is_asked_for_gets_no_sound(
    driver: Any, address: str, with_script: Any
) -> None:
    with_script(SLOW_MICROPHONE)
    open_page(driver, address, place="server")
    before = the_page.posts_and_streams(address)
    press(driver, "live-start")
    choose_place(driver, "browser")
    driver.execute_script("let_go()")
    harness.wait_for(driver, "document.querySelector('#live-problem .problem')")
    assert "Start again" in text_of(driver, "live-problem") or "Try again" in text_of(driver, "live-problem")
    harness.wait_for(driver, "streams.every((one) => one.getTracks().every((track) => track.readyState === 'ended'))")
    assert the_page.posts_and_streams(address) == before


def test_when_another_place_or_model_is_chosen_live_says_that_it_ended_and_what_was_heard_can_be_kept(
    driver: Any, address: str
) -> None:
    open_page(driver, address)
    listen_for(driver, 1)
    choose_place(driver, "server")
    wait_live(driver, "idle")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert text_of(driver, "live-problem").startswith("Listening ended: another model or place was chosen")
    assert text_of(driver, "live-state") == "It stopped early; until then"
    assert driver.find_element("id", "live-keep").is_displayed()


def test_when_a_recording_is_removed_the_next_one_has_the_keyboard(driver: Any, address: str) -> None:
    open_page(driver, address, "files")
    for name in ("plain", "lively"):
        choose_file(driver, DEMO / f"{name}.flac")
    for left in ("Show lively.flac", None):
        driver.find_element("css selector", "#file-list button[aria-label^='Remove']").click()
        focused = driver.switch_to.active_element
        assert (focused.get_attribute("aria-label"), focused.tag_name) == (left, "button" if left else "input")


def kept(driver: Any, address: str, *names: str) -> None:
    """Keep what is answered about clips, and open the first one under Recordings."""
    open_page(driver, address, "files")
    for name in names:
        choose_file(driver, DEMO / f"{name}.flac")
        driver.find_element("css selector", f"#file-list button[aria-label='Show {name}.flac']").click()
        driver.find_element("css selector", "#clip-keep button").click()
        harness.wait_for(driver, "document.querySelector('#clip-keep a')")
    go(driver, "recordings")
    opener = f"#recordings-list button[aria-label='Open {names[0]}.flac']"
    harness.wait_for(driver, f'document.querySelector("{opener}")')
    driver.find_element("css selector", opener).click()


def test_a_button_of_the_list_is_pressed_while_a_name_is_taken_over(driver: Any, address: str) -> None:
    kept(driver, address, "plain", "lively")
    driver.find_element("id", "kept-name").send_keys(" of Anna")
    other = driver.find_element("css selector", "#recordings-list button[aria-label='Open lively.flac']")
    driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", other)
    ActionChains(driver).move_to_element(other).click_and_hold().perform()
    harness.wait_for(driver, "document.querySelector(\"#recordings-list [aria-label='Export plain.flac of Anna']\")")
    ActionChains(driver).release().perform()
    assert text_of(driver, "kept-title") == "lively.flac"
    assert "plain.flac of Anna" in [name for name, *_ in rows_of(driver, "recordings-list")]


def test_what_is_deleted_in_another_tab_is_closed_and_comes_back_by_no_name(driver: Any, address: str) -> None:
    kept(driver, address, "whispered")
    here = driver.current_window_handle
    driver.switch_to.new_window("tab")
    open_page(driver, address, "recordings")
    harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
    driver.find_element("css selector", "#recordings-list button[aria-label='Delete whispered.flac']").click()
    driver.find_element("css selector", "#sure button[value=delete]").click()
    harness.wait_for(driver, "!document.querySelector(\"#recordings-list [aria-label='Open whispered.flac']\")")
    driver.close()
    driver.switch_to.window(here)
    harness.wait_for(driver, "document.getElementById('kept').hidden")


def test_record_pressed_twice_leaves_no_microphone_on(driver: Any, address: str, with_script: Any) -> None:
    with_script(SLOW_MICROPHONE)
    open_page(driver, address, "learn")
    driver.find_element("id", "learn-class").send_keys("happy")
    press(driver, "learn-record")
    press(driver, "learn-record")  # ends what has not begun yet
    driver.execute_script("let_go()")
    harness.wait_for(driver, "window.streams.length === 1")
    harness.wait_for(driver, "streams[0].getTracks()[0].readyState === 'ended'")


def test_a_recording_has_the_class_that_was_typed_when_it_began(driver: Any, address: str) -> None:
    open_page(driver, address, "learn")
    driver.find_element("id", "learn-class").send_keys("happy")
    press(driver, "learn-record")
    the_page.recorded(driver, 1)
    driver.find_element("id", "learn-class").clear()
    press(driver, "learn-record")
    harness.wait_for(driver, "document.querySelector('#learn-groups li')")
    assert text_of(driver, "learn-groups").startswith("happy1 recording")
    assert text_of(driver, "learn-problem") == ""


def test_a_clip_that_plays_asks_for_one_frame_at_a_time(driver: Any, address: str, with_script: Any) -> None:
    with_script(FRAMES)
    open_page(driver, address, "files")
    choose_file(driver, DEMO / "plain.flac")
    driver.execute_script(
        "document.getElementById('clip-audio').loop = true; document.getElementById('clip-audio').play()"
    )
    counted = """
        new Promise((resolve) => {
          const before = frames_asked;
          setTimeout(() => resolve(frames_asked - before), 1000);
        })
    """
    first = harness.awaited(driver, counted)
    harness.awaited(driver, "new Promise((resolve) => setTimeout(resolve, 4000))")  # of `timeupdate` four a second
    assert harness.awaited(driver, counted) < 2 * max(first, 60)
    driver.execute_script("document.getElementById('clip-audio').pause()")
