"""One visit is enough: few bytes, no file twice, and from then on without a network."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
import the_page
from the_page import DEMO, choose_file, go, listen_for, press, text_of, wait_live
from wire import Wire, wired

if reason := the_page.why_not():
    pytest.skip(reason, allow_module_level=True)

MOST_BYTES = 10e6  # 9.07 million when this was written
HEAD_BYTES = 1000  # of an answer without a body: "304 Not Modified"


@pytest.fixture
def wire(address: str) -> Iterator[Wire]:
    with wired(address) as wire:
        yield wire


@pytest.fixture(autouse=True)
def first_visit(driver: Any) -> Iterator[None]:
    """Let the browser know nothing of the page: each test's wire has an address of its own."""
    yield
    driver.get("about:blank")
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page as a file host has it; nobody changes it."""
    return harness.site(tmp_path_factory.mktemp("host"))


STARTS = """
    window.starts = [];
    setInterval(() => {
      const [start, told] = ["live-start", "live-state"].map((id) => document.getElementById(id));
      if (!told?.textContent) return;
      const now = [document.documentElement.dataset.engine, start.disabled, told.textContent];
      if (String(now) !== String(starts.at(-1))) starts.push(now);
    }, 10);
"""


def visit(driver: Any, address: str) -> None:
    """Open the page for the first time, and wait until it says that it is ready."""
    driver.get(f"{address}/")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    harness.wait_for(driver, "document.getElementById('offline').textContent")


def test_a_first_visit_takes_ten_megabytes_at_most_and_no_file_twice(driver: Any, wire: Wire) -> None:
    visit(driver, wire.address)
    assert text_of(driver, "model").startswith("base")
    bodies = [path for path, n_bytes in wire.received if n_bytes > HEAD_BYTES]
    assert sorted(bodies) == sorted(set(bodies))
    assert {"/models/base/model.onnx", "/models/silero_vad.onnx"} <= set(bodies)
    assert wire.n_bytes <= MOST_BYTES, sorted(wire.received, key=lambda item: -item[1])


def test_after_one_visit_it_opens_and_answers_without_a_network(driver: Any, wire: Wire) -> None:
    visit(driver, wire.address)
    wire.cut()
    driver.execute_cdp_cmd("Network.clearBrowserCache", {})  # what a browser may throw away at any time
    driver.refresh()
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    go(driver, "files")
    choose_file(driver, DEMO / "plain.flac")
    assert text_of(driver, "clip-title") == "plain.flac"
    assert text_of(driver, "clip-answer")
    go(driver, "live")
    listen_for(driver, 1)
    press(driver, "live-start")
    wait_live(driver, "idle")
    go(driver, "compare")
    press(driver, "compare-samples")  # the bundled clips too
    harness.wait_for(driver, "document.querySelectorAll('#compare-cards article').length >= 5")
    driver.get("about:blank")
    driver.get(f"{wire.address}/#/files")  # a view that somebody kept as a bookmark
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert driver.title.startswith("Files")


def test_no_network_is_promised_or_tried_for_a_model_that_could_not_be_loaded(driver: Any, wire: Wire) -> None:
    visit(driver, wire.address)
    driver.execute_script("""
        const post = ServiceWorker.prototype.postMessage;
        window.held = [];
        ServiceWorker.prototype.postMessage = function (...message) { held.push(() => post.apply(this, message)); };
        document.getElementById("model").dispatchEvent(new Event("change"));
    """)
    harness.wait_for(driver, "held.length")
    assert text_of(driver, "offline") == ""
    wire.cut()
    driver.find_element("css selector", "#model option[value=small]").click()
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'failed'")
    driver.execute_script("for (const send of held) send()")  # what is told of the older model comes late
    driver.refresh()
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    assert text_of(driver, "model").startswith("base")
    harness.wait_for(driver, "document.getElementById('offline').textContent")


def test_a_second_visit_asks_only_whether_something_changed(driver: Any, address: str) -> None:
    with wired(address) as wire:
        visit(driver, wire.address)
        n_first = len(wire.received)
        visit(driver, wire.address)
        assert [item for item in wire.received[n_first:] if item[1] > HEAD_BYTES] == []


def test_start_waits_for_the_model_and_says_so(driver: Any, wire: Wire) -> None:
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": STARTS})
    visit(driver, wire.address)
    harness.wait_for(driver, "starts.at(-1)[0] === 'ready'")
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
    starts = driver.execute_script("return window.starts")
    loading = [(is_disabled, told) for engine, is_disabled, told in starts if engine == "loading"]
    assert loading == [(True, "Start waits until the model is loaded …")]
    assert starts[-1] == ["ready", False, "Press Start, and speak"]


def test_from_a_file_host_one_visit_is_enough_too(driver: Any, address: str, site: Path) -> None:
    with harness.served(site=site) as root, wired(root) as wire:
        driver.get(f"{wire.address}/site/index.html")
        harness.wait_for(driver, "document.getElementById('offline').textContent")
        wire.cut()
        driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        driver.refresh()
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
        go(driver, "files")
        choose_file(driver, DEMO / "plain.flac")
        assert text_of(driver, "clip-title") == "plain.flac"


def test_files_for_a_file_host_lie_there_compressed_as_well(site: Path) -> None:
    for path in [*site.glob("*.wasm"), *site.glob("page-*.js"), *site.glob("models/*/model.onnx")]:
        assert gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes()) == path.read_bytes()
        assert path.with_name(f"{path.name}.br").stat().st_size < path.stat().st_size


def updated(site: Path) -> Path:
    """Make a page's folder that of the next version; return the page's script there."""
    (script,) = site.glob("page-*.js")
    newer = script.rename(site / "page-NEWERONE.js")
    for path in (site / "index.html", site / "sw.js"):
        text = re.sub("earnest-[0-9a-f]{16}", "earnest-newer", path.read_text("utf-8"))
        path.write_text(text.replace(script.name, newer.name), "utf-8")
    return newer


def test_a_new_version_takes_the_place_of_the_old_one(driver: Any, address: str, tmp_path: Path) -> None:
    site = harness.site(tmp_path)
    with harness.served(site=site) as root, wired(root) as wire:
        driver.get(f"{wire.address}/site/index.html")
        harness.wait_for(driver, "document.getElementById('offline').textContent")
        n_first = len(wire.received)
        newer = updated(site)
        driver.get("about:blank")
        driver.get(f"{wire.address}/site/index.html")
        harness.wait_for(driver, "document.getElementById('offline').textContent")
        assert driver.execute_script("return document.scripts[0].src").endswith(newer.name)
        harness.wait_for(driver, "caches.keys().then((names) => String(names) === 'earnest-newer')")
        again = [path for path, n_bytes in wire.received[n_first:] if n_bytes > HEAD_BYTES]
        assert sorted(again) == ["/site/", "/site/index.html", f"/site/{newer.name}", "/site/sw.js"]  # and no model
        wire.cut()
        driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        driver.refresh()
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
        assert driver.execute_script("return document.scripts[0].src").endswith(newer.name)


def test_a_page_that_stayed_open_through_an_update_says_what_to_do(driver: Any, address: str, tmp_path: Path) -> None:
    site = harness.site(tmp_path)
    with harness.served(site=site) as root:
        driver.get(f"{root}/site/index.html")
        harness.wait_for(driver, "document.getElementById('offline').textContent")
        updated(site)
        next(site.glob("earnest.worklet-*.js")).unlink()
        harness.awaited(driver, "caches.keys().then((all) => all.forEach((one) => caches.delete(one)))")
        driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        press(driver, "live-start")
        harness.wait_for(driver, "document.getElementById('live-problem').textContent.includes('reload this page')")


def test_a_browser_whose_storage_is_damaged_still_opens_the_page(driver: Any, address: str, tmp_path: Path) -> None:
    site = harness.site(tmp_path)
    with (site / "sw.js").open("a", encoding="utf-8") as worker:
        worker.write(
            "\nonmessage = ({ data }) => data === 'damage' && (caches.open = () => Promise.reject(new Error()));\n"
        )
    with harness.served(site=site) as root:
        driver.get(f"{root}/site/index.html")
        harness.wait_for(driver, "document.getElementById('offline').textContent")
        driver.execute_script("navigator.serviceWorker.controller.postMessage('damage')")
        driver.refresh()
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'", 30)
