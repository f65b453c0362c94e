"""The page in Firefox and in WebKit, Safari's engine: the same answers, kept recordings, and no network needed."""

from collections.abc import Iterator
from pathlib import Path

import harness
import pytest
from other_browsers import BROWSERS, PREFERENCES, Browser, firefox, firefox_is_missing
from serving import listening
from the_page import DEMO

import earnest
from earnest.apps.server.settings import Settings

pytestmark = [pytest.mark.long, pytest.mark.skipif(harness.missing_tools("node", "npm") != [], reason="needs Node.js")]

CLIPS = ("whispered.flac", "lively.flac")


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    missing, start = BROWSERS[request.param]
    if missing():
        pytest.skip(missing())
    with start(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the page with the model that it chooses by itself."""
    harness.build_page()
    with listening(Settings()) as address:
        yield address


def opened(browser: Browser, address: str, view: str) -> None:
    """Open a view, and wait until the model is ready."""
    browser.get(f"{address}/#/{view}")
    harness.wait_for(browser, "document.documentElement.dataset.engine === 'ready'")


def text_of(browser: Browser, css: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)"
    return [str(text).replace("\xa0", " ") for text in browser.execute_script(script, css)]


def press(browser: Browser, css: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).click()", css)


def test_browser_and_server_agree(browser: Browser, address: str) -> None:
    opened(browser, address, "debug")
    press(browser, "#debug-parity")
    told = str(harness.wait_for(browser, "document.getElementById('debug-result').textContent"))
    assert told.startswith("Model “base”, 5 recordings")
    assert float(told.rstrip(".").rpartition(" ")[2]) < 1e-3


def test_files_are_answered_as_predict_does_and_kept_for_the_next_visit(browser: Browser, address: str) -> None:
    opened(browser, address, "files")
    browser.choose("files-input", [DEMO / name for name in CLIPS])
    harness.wait_for(browser, "document.querySelectorAll('#file-list li .with-dot').length === 2")
    answers = [earnest.load().predict(DEMO / name) for name in CLIPS]
    for row, name, expected in zip(text_of(browser, "#file-list li"), CLIPS, answers, strict=True):
        assert row.startswith(f"{name}{(expected.emotion or expected.status).capitalize()}")
    press(browser, "#file-list li button")
    assert answers[0].emotion and answers[0].confidence
    assert text_of(browser, "#clip-confidence") == [f"{answers[0].confidence:.0%} sure".replace("%", " %")]
    harness.wait_for(browser, "document.querySelector('#clip-keep button') !== null")
    press(browser, "#clip-keep button")
    harness.wait_for(browser, "document.getElementById('clip-keep').textContent.includes('Kept')")
    opened(browser, address, "recordings")
    harness.wait_for(browser, "document.querySelectorAll('#recordings tbody tr').length === 1")
    assert CLIPS[0] in text_of(browser, "#recordings tbody tr")[0]


@pytest.mark.skipif(firefox_is_missing() != "", reason="needs Firefox")
def test_where_all_cookies_are_blocked_firefox_answers_and_says_that_it_keeps_nothing(
    address: str, tmp_path: Path
) -> None:
    with firefox(tmp_path, {**PREFERENCES, "network.cookie.cookieBehavior": 2}) as browser:
        opened(browser, address, "files")
        press(browser, "#files-samples button")
        harness.wait_for(browser, "document.querySelector('#clip-keep button') !== null")
        press(browser, "#clip-keep button")
        harness.wait_for(browser, "document.getElementById('clip-keep').textContent.includes('keeps nothing')")
        assert text_of(browser, "#engine-problem") == [""]
        assert "keeps nothing" in text_of(browser, "#recordings-problem")[0]


def test_a_sample_is_answered_without_the_server_after_the_first_visit(browser: Browser) -> None:
    harness.build_page()
    with listening(Settings()) as address:
        opened(browser, address, "live")
        harness.wait_for(browser, "document.body.innerText.includes('works without a network')")
    browser.get(f"{address}/#/files")
    browser.reload()
    harness.wait_for(browser, "document.documentElement.dataset.engine === 'ready'")
    press(browser, "#files-samples button")
    harness.wait_for(browser, "document.querySelector('#file-list li .with-dot') !== null")
