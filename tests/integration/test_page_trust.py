"""In Chromium: pages of strangers can't ask, and the page itself can where a key is wanted."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import harness
import pytest
import soundfile
import the_page
from serving import listening
from the_page import DEMO, OTHER_HOST, RATE_HZ, choose_file, go, listen_for, press, text_of, wait_live

from attacks import web
from earnest.apps.server.service import digest_of_key
from earnest.apps.server.settings import Settings

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

KEY = "of-this-visit"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    soundfile.write(folder / "microphone.wav", the_page.joined([DEMO / "lively.flac"], 20), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[Any]:
    harness.build_page()
    with the_page.browser(folder / "microphone.wav") as driver:
        the_page.resize(driver, 1280, 900)
        yield driver


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    """Serve to who has the key."""
    with listening(Settings(models=("small",), api_keys=(digest_of_key(KEY),))) as address:
        yield address


def refused_by(address: str) -> set[str]:
    """Return what the server counted of requests and streams that could do something, and their status."""
    return {line.rpartition(" ")[0] for line in the_page.posts_and_streams(address)}


@pytest.mark.parametrize("name", ["127.0.0.1", OTHER_HOST])
def test_a_page_of_a_stranger_can_post_nothing_and_open_no_stream(driver: Any, folder: Path, name: str) -> None:
    kept = folder / f"kept-{name}"
    kept.mkdir()
    (folder / "evil").mkdir(exist_ok=True)
    with listening(Settings(models=("small",), keep=kept)) as address, harness.served(evil=folder / "evil") as root:
        (folder / "evil" / "index.html").write_text(web.evil_page(address), encoding="utf-8")
        driver.get(f"{root.replace('127.0.0.1', name)}/evil/index.html")
        harness.wait_for(driver, "document.title === 'done'")
        driver.get(f"{root.replace('127.0.0.1', name)}/evil/index.html#form")
        driver.refresh()
        harness.wait_for(driver, "document.body.textContent.includes('foreign-origin')")  # where the form led
        counted = refused_by(address)
    assert {line.partition('status="')[2][:3] for line in counted} == {"403"}
    assert {line.partition('method="')[2].partition('"')[0] for line in counted} == {"POST", "WEBSOCKET"}
    assert not list(kept.glob("*.audio"))


def test_a_name_that_points_here_opens_nothing(driver: Any) -> None:
    with listening(Settings(models=("small",))) as address:
        driver.get(f"{address.replace('127.0.0.1', OTHER_HOST)}/")
        assert "urn:earnest:problem:foreign-host" in driver.find_element("tag name", "body").text
        asked = "fetch('/v1/models').then((answer) => answer.status)"
        assert harness.awaited(driver, asked) == 421


def open_with(driver: Any, address: str, fragment: str) -> None:
    """Open the page as if for the first time in this tab."""
    driver.get(f"{address}/site.json")
    driver.execute_script("sessionStorage.clear(); localStorage.setItem('earnest.place', 'server')")
    driver.get(f"{address}/{fragment}")


def test_the_address_with_a_token_opens_files_and_streams(driver: Any, locked: str) -> None:
    open_with(driver, locked, f"#token={KEY}")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert KEY not in driver.current_url
    assert "server" in text_of(driver, "engine-status")
    the_page.traffic(driver)
    go(driver, "files")
    choose_file(driver, DEMO / "plain.flac")
    assert text_of(driver, "clip-title") == "plain.flac"
    for _ in range(2):  # each stream has a ticket of its own
        go(driver, "live")
        listen_for(driver, 1)
        press(driver, "live-start")
        wait_live(driver, "idle")
    asked = the_page.traffic(driver)
    tickets = [parse_qs(urlsplit(url).query)["ticket"][0] for method, url in asked if method == "WEBSOCKET"]
    assert len(set(tickets)) == len(tickets) == 2
    assert not [url for _, url in asked if KEY in url]
    driver.refresh()  # the tab remembers
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert "server" in text_of(driver, "engine-status")


def test_without_a_token_the_page_answers_in_the_browser_only(driver: Any, locked: str) -> None:
    open_with(driver, locked, "")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert not driver.find_element("id", "place-field").is_displayed()
    assert text_of(driver, "engine-status") == "Ready. No sound leaves this device."


def test_a_wrong_token_is_explained_and_another_one_can_be_opened(driver: Any, locked: str) -> None:
    open_with(driver, locked, "#token=of-yesterday%")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'failed'")
    assert "needs a key" in text_of(driver, "engine-problem")
    driver.get(f"{locked}/#token={KEY}")  # in the same tab, where only the fragment changes
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert "server" in text_of(driver, "engine-status")
