"""A long list of recordings in the page: one answer shown alone, a name looked for, an order."""

import csv
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import harness
import pytest
import the_page
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from the_page import DEMO, arrived, open_page, press, serious, text_of

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

CLIPS = {"call 10": "loud-and-fast", "call 9": "plain", "Call 2": "lively", "anna": "whispered", "berta": "plain"}
ADDED = [*CLIPS, "broken"]


@pytest.fixture
def files(driver: Any, address: str, tmp_path: Path) -> Any:
    """Open Files with two angry calls, two unsure ones, another angry one and what is no recording."""
    paths = [Path(shutil.copy(DEMO / f"{clip}.flac", tmp_path / f"{name}.flac")) for name, clip in CLIPS.items()]
    (tmp_path / "broken.flac").write_text("no sound at all")
    open_page(driver, address, "files")
    driver.find_element("id", "files-input").send_keys("\n".join(map(str, paths)))
    harness.wait_for(driver, "document.querySelectorAll('#file-list .with-dot').length === 5")
    assert not driver.find_element("id", "files-find").is_displayed()  # of few
    driver.find_element("id", "files-input").send_keys(str(tmp_path / "broken.flac"))
    harness.wait_for(driver, "document.querySelector('#file-list .problem')")
    wait_for_list(driver, ADDED)
    return driver


def shown(driver: Any) -> list[str]:
    names = driver.find_elements("css selector", "#file-list li:not([hidden]) .file-name")
    return [name.text.removesuffix(".flac") for name in names]


def wait_for_list(driver: Any, names: list[str]) -> None:
    rows = "[...document.querySelectorAll('#file-list li:not([hidden]) .file-name')]"
    harness.wait_for(driver, f"{rows}.map((it) => it.textContent.replace('.flac', '')).join() === '{','.join(names)}'")


def choose(driver: Any, element_id: str, text: str) -> None:
    Select(driver.find_element("id", element_id)).select_by_visible_text(text)


def test_one_answer_is_shown_alone_and_what_is_saved_is_all(files: Any, folder: Path) -> None:
    offered = [option.text for option in Select(files.find_element("id", "files-show")).options]
    assert offered == ["All", "Angry (3)", "Unsure (2)", "Can't be used (1)"]
    the_page.listen_in(files)
    choose(files, "files-show", "Angry (3)")
    assert shown(files) == ["call 10", "call 9", "berta"]
    assert the_page.read_out(files) == ["3 of 6 shown."]
    files.find_element("id", "files-search").send_keys("CALL")
    assert shown(files) == ["call 10", "call 9"]
    assert text_of(files, "files-shown") == "2 of 6 shown; the buttons above are about all"
    choose(files, "files-show", "All")
    assert shown(files) == ["call 10", "call 9", "Call 2"]
    press(files, "files-save")
    table = list(csv.DictReader(StringIO(arrived(folder / "answers.csv").read_text("utf-8"))))
    assert [row["path"] for row in table] == [f"{name}.flac" for name in ADDED]


def test_the_list_is_sorted_and_shown_as_it_was_added_again(files: Any) -> None:
    choose(files, "files-sort", "by name")
    assert shown(files) == ["anna", "berta", "broken", "Call 2", "call 9", "call 10"]
    choose(files, "files-sort", "by emotion")
    assert shown(files) == ["call 10", "call 9", "berta", "Call 2", "anna", "broken"]
    choose(files, "files-sort", "least sure first")
    assert shown(files) == ["anna", "Call 2", "call 10", "call 9", "berta", "broken"]
    choose(files, "files-sort", "most sure first")
    assert shown(files) == ["call 9", "berta", "call 10", "Call 2", "anna", "broken"]
    choose(files, "files-sort", "as added")
    assert shown(files) == ADDED


def test_what_waits_is_shown_beside_the_answer_that_is_looked_for(files: Any, tmp_path: Path) -> None:
    choose(files, "files-sort", "by name")
    choose(files, "files-show", "Unsure (2)")
    files.execute_script("window.fetch = () => new Promise(() => undefined)")  # the next model never comes
    Select(files.find_element("id", "place")).select_by_value("server")
    more = [str(tmp_path / f"{name}.flac") for name in ("berta", "anna")]
    files.find_element("id", "files-input").send_keys("\n".join(more))
    wait_for_list(files, ["anna", "Call 2", "berta", "anna"])
    files.execute_script("document.querySelector('#file-list li:nth-last-child(2) button').focus()")
    files.execute_script("document.getElementById('files-go').click()")
    wait_for_list(files, ["anna", "berta", "Call 2"])  # the row that has the keyboard stays
    assert files.switch_to.active_element.text.startswith("berta.flac")
    choose(files, "files-show", "Not answered (2)")
    assert shown(files) == ["anna", "berta"]


def test_the_keyboard_stays_in_the_rows_that_are_shown(files: Any) -> None:
    choose(files, "files-show", "Angry (3)")
    first = files.find_element("css selector", "#file-list button[aria-label='Remove call 9.flac']")
    first.send_keys(Keys.ENTER)
    assert files.switch_to.active_element.get_attribute("aria-label") == "Show berta.flac"  # not that of "Call 2"
    harness.wait_for(files, "document.getElementById('files-find').hidden")  # few again, all are shown
    assert shown(files) == [name for name in ADDED if name != "call 9"]
    last = files.find_elements("css selector", "#file-list button[aria-label^='Remove ']")[-1]
    last.send_keys(Keys.ENTER)
    before_it = [name for name in ADDED if name != "call 9"][-2]
    assert files.switch_to.active_element.get_attribute("aria-label").endswith(f" {before_it}.flac")  # not the top


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_controls_of_a_long_list_are_for_everybody(files: Any, scheme: str) -> None:
    try:
        the_page.resize(files, 360, 900, scheme)
        files.find_element("id", "files-search").send_keys("call")
        harness.wait_for(files, "document.documentElement.scrollWidth <= 360")
        assert serious(files) == []
    finally:
        the_page.resize(files, 1280, 900)
