"""The page is for everybody: keyboard alone, small screens, dark and light, and axe finds nothing serious."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
import soundfile
import the_page
from the_page import (
    DEMO,
    RATE_HZ,
    VIEWS,
    choose_file,
    go,
    listen_for,
    open_page,
    press,
    rows_of,
    serious,
    text_of,
    wait_live,
)

from earnest.runtime.predictor import Predictor

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

FOCUSED = """
    const it = document.activeElement;
    const [place, part] = it.matches(".whole input") ? [it.parentElement, "::before"] : [it];
    const style = getComputedStyle(place.matches("input[type=file]") ? place.parentElement : place, part);
    const isOutlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return [it.id || it.hash || it.className || it.tagName, isOutlined];
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    microphone = tmp_path_factory.mktemp("page") / "microphone.wav"
    soundfile.write(microphone, the_page.joined([DEMO / "lively.flac", DEMO / "plain.flac"], 20), RATE_HZ)
    with the_page.browser(microphone) as driver:
        yield driver


@pytest.fixture(scope="module")
def full(driver: Any, address: str) -> Any:
    """Open the page and fill every view; tests that open it anew stand below those that need it full."""
    the_page.resize(driver, 1280, 900)
    open_page(driver, address)
    listen_for(driver, 2)
    press(driver, "live-start")
    wait_live(driver, "idle")
    driver.find_element("css selector", "#live-keep button").click()
    harness.wait_for(driver, "document.getElementById('live-keep').textContent.includes('Kept')")
    go(driver, "files")
    choose_file(driver, DEMO / "lively.flac")
    go(driver, "compare")
    press(driver, "compare-samples")
    harness.wait_for(driver, "document.querySelectorAll('#compare-cards article').length >= 5")
    go(driver, "recordings")
    harness.wait_for(driver, "document.querySelector('#recordings-list tbody tr')")
    driver.find_element("css selector", "#recordings-list button").click()
    go(driver, "debug")
    driver.find_element("css selector", "#debug-clips button").click()
    harness.wait_for(driver, "document.querySelector('#debug-clips table')")
    return driver


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")])
def test_axe_finds_nothing_serious_and_nothing_sticks_out(full: Any, view: str, width: int, scheme: str) -> None:
    the_page.resize(full, width, 900, scheme)
    go(full, view)
    harness.wait_for(full, f"document.documentElement.scrollWidth <= {width}")  # plots follow a frame later
    assert serious(full) == []


def test_axe_finds_nothing_serious_in_the_settings(full: Any) -> None:
    the_page.resize(full, 320, 900, "light")
    press(full, "settings-title")
    try:
        assert full.find_element("css selector", "#classes input").is_displayed()
        assert serious(full) == []
        assert full.execute_script("return document.documentElement.scrollWidth") <= 320
    finally:
        press(full, "settings-title")


def test_on_the_smallest_screen_no_name_at_the_radar_is_cut_off(full: Any) -> None:
    go(full, "live")
    the_page.resize(full, 320, 900, "light")
    blank = """
        const [radar] = document.querySelectorAll("#live-summary canvas");
        if (radar.clientWidth > 320) return false;  // not drawn anew yet
        const sides = [0, radar.width - 2].map((x) => radar.getContext("2d").getImageData(x, 0, 2, radar.height));
        return sides.every(({ data }) => data.every((value) => value === 0));
    """
    harness.wait_for(full, f"(() => {{{blank}}})()")


def test_long_names_of_classes_leave_the_radar_its_size(full: Any, tmp_path: Path) -> None:
    timeline = Predictor.load("small").timeline(DEMO / "lively.flac").to_json()
    for name in Predictor.load("small").info.classes:
        timeline = timeline.replace(f'"{name}"', f'"{name}, as somebody is who speaks about it"')
    kept = {"format": "earnest-recording", "version": 1, "name": "Long", "created": "2026-01-01T00:00:00Z"}
    (tmp_path / "long.json").write_text(json.dumps({**kept, "timeline": json.loads(timeline)}), "utf-8")
    the_page.resize(full, 360, 900, "light")
    go(full, "recordings")
    full.find_element("id", "import").send_keys(str(tmp_path / "long.json"))
    harness.wait_for(full, "document.querySelector('#recordings-list button[aria-label=\"Open Long\"]')").click()
    axis = """
        const [radar] = document.querySelectorAll("#kept-summary canvas");
        const { width, height } = radar;
        return radar.getContext("2d").getImageData(width / 2 - 1, 0.3 * height, 2, 1).data.some((value) => value > 0);
    """
    harness.wait_for(full, f"(() => {{{axis}}})()")
    full.find_element("css selector", "button[aria-label='Delete Long']").click()
    full.find_element("css selector", "#sure button[value=delete]").click()
    harness.wait_for(full, "!document.querySelector('[aria-label=\"Delete Long\"]')")


def test_a_page_that_is_translated_to_arabic_is_as_wide_as_the_screen_and_unpleasant_stays_left(full: Any) -> None:
    the_page.resize(full, 360, 640)
    full.execute_script("document.documentElement.dir = 'rtl'")
    try:
        for view in VIEWS:
            go(full, view)
            harness.wait_for(full, "document.documentElement.scrollWidth <= 360")
        go(full, "live")
        ends = "[...document.querySelectorAll('#live-barometer .ends span')].map((it) => it.getBoundingClientRect().x)"
        unpleasant, pleasant = full.execute_script(f"return {ends}")
        assert unpleasant < pleasant
    finally:
        full.execute_script("document.documentElement.dir = ''")


@pytest.mark.parametrize("table", ["clip-spans", "recordings-list"])
def test_on_a_phone_the_buttons_of_a_row_are_in_view(full: Any, table: str) -> None:
    the_page.resize(full, 360, 640)
    go(full, "files" if table == "clip-spans" else "recordings")
    edges = "[...document.querySelectorAll(`#${arguments[0]} button`)].map((it) => it.getBoundingClientRect().right)"
    right = full.execute_script(f"return {edges}", table)
    assert right
    assert max(right) <= 360


@pytest.mark.parametrize(("view", "legend"), [("live", "live"), ("files", "clip"), ("compare", "compare")])
def test_the_colours_of_a_picture_are_named_below_it(full: Any, view: str, legend: str) -> None:
    go(full, view)
    names = full.execute_script(
        "return document.getElementById(arguments[0]).innerText.split('\\n')", f"{legend}-legend"
    )
    assert set(Predictor.load("small").info.classes) <= set(names)


def test_listening_begins_and_ends_by_one_key_and_is_told_in_every_view(full: Any) -> None:
    go(full, "live")
    full.execute_script("document.getElementById('live-start').focus()")
    full.switch_to.active_element.send_keys(" ")
    wait_live(full, "listening")
    harness.wait_for(full, "document.activeElement.id === 'live-start'")
    go(full, "files")
    assert full.title == "● Files – earnest"
    go(full, "live")
    full.execute_script("document.getElementById('live-start').focus()")
    full.switch_to.active_element.send_keys(" ")
    wait_live(full, "idle")
    harness.wait_for(full, "document.activeElement.id === 'live-start'")
    assert full.title == "Live – earnest"


def test_compare_draws_nothing_anew_where_what_it_shows_is_the_same(full: Any) -> None:
    go(full, "compare")
    drawn = full.find_elements("css selector", "#compare-rows canvas")
    go(full, "files")
    go(full, "compare")
    harness.wait_for(full, "document.activeElement.id === 'compare-title'")
    full.execute_async_script("setTimeout(arguments[0], 300)")
    assert full.find_elements("css selector", "#compare-rows canvas") == drawn


def test_the_choices_to_compare_have_a_name(full: Any) -> None:
    go(full, "compare")
    assert text_of(full, "compare-choices").startswith("Recordings, up to six")


def test_what_was_spoken_is_kept_with_the_time_in_its_name(full: Any) -> None:
    assert [row[0].partition(", ")[0] for row in rows_of(full, "recordings-list")] == ["Microphone"]


def test_bars_and_the_view_that_is_open_are_seen_in_the_few_colours_of_high_contrast(full: Any) -> None:
    go(full, "files")
    the_page.resize(full, 1280, 900, "light")
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    seen = [("#clip-bars .fill", "backgroundColor"), ("#file-list .dot", "backgroundColor")]
    before = [full.execute_script(style, *one) for one in seen]
    full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "forced-colors", "value": "active"}]})
    try:
        assert [full.execute_script(style, *one) for one in seen] == before
        assert full.execute_script(style, "nav a[aria-current]", "outlineStyle") == "solid"
    finally:
        full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("look", ["spaced", "twice as large"])
def test_on_the_smallest_screen_wide_spacing_and_large_letters_fit(full: Any, look: str) -> None:
    spacing = "* { letter-spacing: 0.12em !important; word-spacing: 0.16em !important; line-height: 1.5 !important }"
    the_page.resize(full, 320, 640)
    press(full, "settings-title")
    if look == "spaced":
        sheet = "const it = new CSSStyleSheet(); it.replaceSync(arguments[0]); document.adoptedStyleSheets = [it]"
        full.execute_script(sheet, spacing)
    else:
        full.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 32}})
        assert full.execute_script("return getComputedStyle(document.body).fontSize") == "32px"
    try:
        for view in VIEWS:
            go(full, view)
            harness.wait_for(full, "document.documentElement.scrollWidth <= 320")
    finally:
        full.execute_script("document.adoptedStyleSheets = []")
        full.execute_cdp_cmd("Page.setFontSizes", {"fontSizes": {"standard": 16}})
        press(full, "settings-title")


def test_on_paper_the_whole_picture_is_there_and_bars_have_their_colours(full: Any) -> None:
    the_page.resize(full, 1280, 900)
    go(full, "files")
    # Of a sheet, for which no script draws the picture anew.
    measured = """
        document.body.style.width = "600px";
        const place = document.getElementById("clip-timeline");
        const drawn = place.querySelector("canvas");
        const bar = getComputedStyle(document.querySelector("#clip-bars .fill"));
        const found = [place.clientWidth, drawn.getBoundingClientRect().width, bar.printColorAdjust];
        document.body.style.width = "";
        return found;
    """
    full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        place, drawn, colours = full.execute_script(measured)
    finally:
        full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert drawn == place
    assert colours == "exact"


@pytest.mark.parametrize("view", ["live", "files", "compare", "recordings"])
def test_on_paper_there_is_nothing_to_press(full: Any, view: str) -> None:
    go(full, view)
    hands = "nav, button, .button, audio, .drop, main select, #settings, #clip-spans th:last-child"
    seen = f"[...document.querySelectorAll('{hands}')].filter((it) => it.checkVisibility())"
    full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert full.execute_script(f"return {seen}.map((it) => it.id || it.textContent)") == []
    finally:
        full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_paper_is_white_for_those_who_see_the_page_dark_and_tables_are_whole(full: Any) -> None:
    the_page.resize(full, 1280, 900, "dark")
    go(full, "files")
    full.execute_script("document.addEventListener('colours', () => window.drawnAnew = true, { once: true })")
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [dark]})
    try:
        style = "const { color, backgroundColor } = getComputedStyle(document.documentElement);"
        printed = full.execute_script(f"{style} return [color, backgroundColor]")
        assert full.execute_script("return getComputedStyle(document.getElementById('clip-spans')).maxHeight") == "none"
        harness.wait_for(full, "window.drawnAnew")  # pictures too
    finally:
        full.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    the_page.resize(full, 1280, 900)
    assert full.execute_script(f"{style} return [color, backgroundColor]") == printed


def test_axe_finds_nothing_serious_in_the_model_card(full: Any) -> None:
    the_page.resize(full, 1280, 900, "light")
    press(full, "about-model")
    try:
        assert full.execute_script("return document.getElementById('card').open")
        assert "Trained on" in text_of(full, "card-content")
        assert serious(full) == []
    finally:
        full.execute_script("document.getElementById('card').close()")


def test_how_recordings_ended_is_read_out_once(driver: Any, address: str, tmp_path: Path) -> None:
    bad = tmp_path / "text.wav"
    bad.write_text("no sound at all")
    open_page(driver, address, "files")
    the_page.listen_in(driver)
    choose_file(driver, DEMO / "lively.flac")
    answer = driver.find_element("css selector", "#file-list .with-dot").text
    assert the_page.read_out(driver) == [f"lively.flac: {answer}"]
    choose_file(driver, bad)
    (said,) = the_page.read_out(driver)
    assert said.startswith("text.wav: This file can't be used. ")
    choose_file(driver, bad)
    assert the_page.read_out(driver) == [said]  # in the same words once more
    driver.find_element("id", "files-input").send_keys(f"{bad}\n{DEMO / 'plain.flac'}\n{bad}")
    harness.wait_for(driver, "document.querySelectorAll('#file-list .problem').length === 4")
    assert the_page.read_out(driver) == ["1 recording answered, 2 can't be used."]
    assert text_of(driver, "files-count") == "2 of 6 recordings answered, 4 can't be used"
    go(driver, "compare")
    press(driver, "compare-samples")
    harness.wait_for(driver, "document.getElementById('compare-said').textContent.includes('added')")
    assert the_page.read_out(driver) == ["Hearing the samples …", "3 samples added."]


def test_how_a_recording_ended_is_read_out_when_the_next_one_is_cancelled(
    driver: Any, address: str, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.wav", the_page.joined([DEMO / "plain.flac"], 120), RATE_HZ)
    open_page(driver, address, "files")
    the_page.listen_in(driver)
    the_page.cancel_at_work(driver, "#file-list li:last-child")
    driver.find_element("id", "files-input").send_keys(f"{DEMO / 'lively.flac'}\n{tmp_path / 'long.wav'}")
    harness.wait_for(driver, "document.getElementById('file-list').textContent.includes('cancelled')")
    answer = driver.find_element("css selector", "#file-list .with-dot").text
    assert the_page.read_out(driver) == [f"lively.flac: {answer}"]


def test_a_finger_scrolls_the_page_over_a_picture_and_moves_the_picture_sideways(driver: Any, address: str) -> None:
    drawn = "document.querySelector('#clip-timeline canvas').toDataURL()"
    the_page.resize(driver, 360, 740)
    driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        open_page(driver, address, "files")
        choose_file(driver, DEMO / "lively.flac")
        swipe(driver, "clip-timeline", 0, -200)
        harness.wait_for(driver, "scrollY - before > 100")
        at_rest(driver)
        press(driver, "clip-closer")
        driver.execute_script(f"window.drawn = () => {drawn}; window.first = drawn()")
        swipe(driver, "clip-timeline", -100, 0)
        harness.wait_for(driver, "drawn() !== first")
        assert abs(at_rest(driver) - driver.execute_script("return before")) < 10
    finally:
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def swipe(driver: Any, element_id: str, x_px: int, y_px: int) -> None:
    """Go so far with a finger, from the middle of an element; `before` in the page is how far down it was."""
    to_the_middle = 'document.getElementById(arguments[0]).scrollIntoView({ block: "center" })'
    driver.execute_script(to_the_middle, element_id)
    driver.execute_script("window.before = arguments[0]", at_rest(driver))
    x, y = driver.execute_script(
        """
        const { x, y, width, height } = document.getElementById(arguments[0]).getBoundingClientRect();
        return [x + width / 2, y + height / 2];
        """,
        element_id,
    )
    touch = "Input.dispatchTouchEvent"
    driver.execute_cdp_cmd(touch, {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 11):
        at = {"x": x + x_px * step / 10, "y": y + y_px * step / 10}
        driver.execute_cdp_cmd(touch, {"type": "touchMove", "touchPoints": [at]})
    driver.execute_cdp_cmd(touch, {"type": "touchEnd", "touchPoints": []})


def at_rest(driver: Any) -> float:
    """Return how far down the page is, once it has stopped for 0.3 s: a flick's last pixels come late."""
    while True:
        before = driver.execute_script("return scrollY")
        driver.execute_async_script("setTimeout(arguments[0], 300)")
        if (now := driver.execute_script("return scrollY")) == before:
            return float(now)


@pytest.mark.parametrize(("width", "height"), [(844, 390), (667, 375), (390, 664)])
def test_on_a_phone_held_either_way_start_is_in_view(driver: Any, address: str, width: int, height: int) -> None:
    the_page.resize(driver, width, height)
    open_page(driver, address)
    assert driver.execute_script("return document.getElementById('live-start').getBoundingClientRect().bottom") < height


def test_the_colours_follow_the_system_until_the_switch_says_otherwise(driver: Any, address: str) -> None:
    the_page.resize(driver, 1280, 900, "dark")
    open_page(driver, address)
    ground = "return getComputedStyle(document.documentElement).backgroundColor"
    dark = driver.execute_script(ground)
    the_page.resize(driver, 1280, 900, "light")
    light = driver.execute_script(ground)
    assert light != dark
    press(driver, "settings-title")
    press(driver, "theme")
    assert driver.execute_script(ground) == dark
    open_page(driver, address)  # and it is remembered
    assert driver.execute_script(ground) == dark
    press(driver, "settings-title")
    press(driver, "theme")
    assert driver.execute_script(ground) == light
    press(driver, "theme")


def test_a_very_long_name_makes_nothing_wider_than_the_screen(driver: Any, address: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(DEMO / "plain.flac", tmp_path / f"{'long' * 50}.flac"))
    the_page.resize(driver, 360, 900)
    open_page(driver, address, "files")
    choose_file(driver, path)
    driver.find_element("css selector", "#clip-keep button").click()
    harness.wait_for(driver, "document.getElementById('clip-keep').textContent.includes('Kept')")
    for view in ("files", "compare", "recordings"):
        go(driver, view)
        harness.wait_for(driver, "document.documentElement.scrollWidth <= 360")
    driver.find_element("css selector", "button[aria-label^='Open long']").click()
    assert driver.execute_script("return document.documentElement.scrollWidth") <= 360
    driver.find_element("css selector", "button[aria-label^='Delete long']").click()
    assert driver.execute_script("const it = document.getElementById('sure'); return it.scrollWidth <= it.clientWidth")
    driver.find_element("css selector", "#sure button[value=delete]").click()


def test_a_row_that_has_the_keyboard_keeps_it_when_its_recording_is_answered(driver: Any, address: str) -> None:
    the_page.resize(driver, 1280, 900)
    open_page(driver, address, "files")
    driver.execute_script("""
        new MutationObserver((_, observer) => {  // in the page, which no test is too slow for
          document.querySelector("#file-list button").focus();
          window.focused = document.activeElement.textContent;
          observer.disconnect();
        }).observe(document.getElementById("file-list"), { childList: true });
    """)
    choose_file(driver, DEMO / "lively.flac")
    assert driver.execute_script("return window.focused") == "Cancel"  # which is gone with the work
    assert driver.switch_to.active_element == driver.find_element("css selector", "#file-list li")


def test_everything_can_be_done_with_the_keyboard_alone(driver: Any, address: str) -> None:
    from selenium.webdriver.common.keys import Keys

    the_page.resize(driver, 1280, 900)
    open_page(driver, address)
    keys = Typist(driver)
    assert keys.tab() == "skip"
    walked = [keys.tab() for _ in VIEWS]
    assert walked == [f"#/{view}" for view in VIEWS]
    keys.until("live-start", Keys.SPACE)
    wait_live(driver, "listening")
    harness.wait_for(driver, "document.querySelectorAll('#live-windows tbody tr').length >= 1")
    keys.until("live-pause", Keys.ENTER)
    wait_live(driver, "paused")
    keys.press(Keys.ENTER)
    wait_live(driver, "listening")
    keys.back("live-start", Keys.ENTER)
    wait_live(driver, "idle")
    keys.press(Keys.ESCAPE)
    keys.back("about-model", Keys.ENTER)
    assert driver.execute_script("return document.getElementById('card').open")
    keys.press(Keys.ESCAPE)
    harness.wait_for(driver, "!document.getElementById('card').open")
    keys.back("#/files", Keys.ENTER)
    harness.wait_for(driver, "document.activeElement.id === 'files-title'")
    assert [keys.tab(), keys.tab()] == ["files-input", "files-folder"]
    keys.back("#/compare", Keys.ENTER)
    harness.wait_for(driver, "document.activeElement.id === 'compare-title'")
    keys.until("compare-samples", Keys.ENTER)
    harness.wait_for(driver, "document.querySelectorAll('#compare-cards article').length >= 5")
    boxes = driver.find_elements("css selector", "#compare-choices input:checked")
    keys.back("INPUT", Keys.SPACE)
    changed = driver.find_elements("css selector", "#compare-choices input:checked")
    assert abs(len(changed) - len(boxes)) == 1  # one that was kept is not chosen by itself, the others are
    assert keys.without_outline == []


class Typist:
    """Walks through the page by Tab, and notes what shows no focus."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.without_outline: list[str] = []

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains, Keys

        chain = ActionChains(self._driver)
        if keys[0] == Keys.SHIFT:
            chain.key_down(Keys.SHIFT).send_keys(keys[1]).key_up(Keys.SHIFT).perform()
        else:
            chain.send_keys(*keys).perform()

    def tab(self, *before: str) -> str:
        from selenium.webdriver import Keys

        self.press(*before, Keys.TAB)
        name, is_outlined = self._driver.execute_script(FOCUSED)
        if not is_outlined and name != "BODY":
            self.without_outline.append(name)
        return str(name)

    def until(self, name: str, key: str) -> None:
        """Tab to an element and press a key there."""
        self._walk(name)
        self.press(key)

    def back(self, name: str, key: str) -> None:
        from selenium.webdriver import Keys

        self._walk(name, Keys.SHIFT)
        self.press(key)

    def _walk(self, name: str, *before: str) -> None:
        seen: list[str] = []
        while not seen or seen[-1] != name:
            assert len(seen) < 60, seen
            seen.append(self.tab(*before))
