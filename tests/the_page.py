"""What tests and pictures of the page share: a browser whose microphone plays a recording, and steps in it."""

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import harness
import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from patience import PATIENCE_S, wait_for

VIEWS = ("live", "files", "compare", "recordings", "learn", "debug")
DEMO = Path(__file__).resolve().parents[1] / "earnest" / "demo"
RATE_HZ = 48_000
AXE = harness.WEB / "node_modules" / "axe-core" / "axe.min.js"
# What runs for seconds only isn't compiled twice: that took a tenth of the processor's time of most tests of the page.
COMPILED_ONCE = "--js-flags=--wasm-tiering-budget=300000000"
OTHER_HOST = "not-secure.test"  # resolves to this machine, and is no secure context over http


def why_not() -> str:
    """Say what is missing, "" for nothing."""
    from importlib.util import find_spec

    if not find_spec("selenium"):
        return "the Python package selenium is not installed"
    missing = harness.missing_tools("node", "npm", "chromium", "chromedriver")
    return f"{' and '.join(missing)} not installed" if missing else ""


def joined(paths: Sequence[Path], seconds: float, pause_s: float = 0.5) -> npt.NDArray[np.float32]:
    """Return recordings one after the other, over and over, until the time is full; at 48 kHz."""
    parts: list[npt.NDArray[np.float32]] = []
    n_samples, number = 0, 0
    while n_samples < seconds * RATE_HZ:
        waveform, rate_hz = soundfile.read(paths[number % len(paths)], dtype="float32", always_2d=True)
        parts += [soxr.resample(waveform.mean(1), rate_hz, RATE_HZ), np.zeros(round(pause_s * RATE_HZ), np.float32)]
        n_samples += len(parts[-2]) + len(parts[-1])
        number += 1
    return np.concatenate(parts)[: round(seconds * RATE_HZ)].astype(np.float32)


@contextmanager
def browser(microphone: Path | None, *flags: str, without: Sequence[str] = ()) -> Iterator[Any]:
    """Start Chromium; what it saves goes into the folder of the recording."""
    rules = f"--host-resolver-rules=MAP {OTHER_HOST} 127.0.0.1"
    with harness.chromium(microphone, rules, COMPILED_ONCE, *flags, without=without) as driver:
        if microphone:
            folder = {"behavior": "allow", "downloadPath": str(microphone.parent)}
            driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
        yield driver


def resize(driver: Any, width: int, height: int, scheme: str = "light") -> None:
    """Look as somebody does who has a window of that size and prefers light or dark."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preference = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})


def open_page(driver: Any, address: str, view: str = "live", model: str = "small", place: str = "browser") -> None:
    """Open a view with a model that is ready."""
    driver.get(f"{address}/site.json")  # of the same origin, so that choices can be set before the page starts
    driver.execute_script(
        "localStorage.setItem('earnest.model', arguments[0]); localStorage.setItem('earnest.place', arguments[1])",
        model,
        place,
    )
    driver.get_log("browser")  # no icon for a bare JSON file
    driver.get(f"{address}/#/{view}")
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")


def go(driver: Any, view: str) -> None:
    """Go to a view by its link."""
    driver.find_element("css selector", f"nav a[href='#/{view}']").click()
    harness.wait_for(driver, f"!document.getElementById('{view}').hidden")


def press(driver: Any, element_id: str) -> None:
    """Press a button by its id."""
    driver.find_element("id", element_id).click()


def text_of(driver: Any, element_id: str) -> str:
    """Return the text of an element, also of one that is folded away; a no-break space is a space."""
    text = driver.execute_script("return document.getElementById(arguments[0]).textContent", element_id)
    return str(text).replace("\xa0", " ")


def rows_of(driver: Any, element_id: str) -> list[list[str]]:
    """Return the cells of a table's body; a no-break space is a space."""
    rows = "[...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
    script = f"return {rows}.map((row) => [...row.cells].map((cell) => cell.textContent.replaceAll('\\u00a0', ' ')))"
    return list(driver.execute_script(script, element_id))


def wait_live(driver: Any, state: str) -> None:
    """Wait until the live view is in a state: idle, listening, paused."""
    harness.wait_for(driver, f"document.documentElement.dataset.live === '{state}'")


def listen_for(driver: Any, n_windows: int) -> None:
    """Start listening, and wait for that many answers."""
    press(driver, "live-start")
    wait_live(driver, "listening")
    harness.wait_for(driver, f"document.querySelectorAll('#live-windows tbody tr').length >= {n_windows}")


def recorded(driver: Any, seconds: int) -> None:
    """Wait until Learn has recorded for so many seconds, or more: a slow machine doesn't see each."""
    harness.wait_for(driver, f"parseInt(document.getElementById('learn-seconds').textContent) >= {seconds}")


def listen_in(driver: Any) -> None:
    """Note from here on what a screen reader reads out by itself."""
    driver.execute_script("""
        window.readOut = [];
        new MutationObserver((changes) => {
          const elements = changes.map(({ target }) => (target instanceof Element ? target : target.parentElement));
          const places = new Set(elements.map((it) => it?.closest("[role=status], [role=alert]")));
          for (const it of places) if (it?.checkVisibility() && it.textContent) readOut.push(it.textContent);
        }).observe(document.body, { subtree: true, childList: true, characterData: true });
    """)


def read_out(driver: Any) -> list[str]:
    """Return what was read out since the last call, except that all is loaded; a no-break space is a space."""
    texts = [str(text).replace("\xa0", " ") for text in driver.execute_script("return readOut.splice(0)")]
    return [text for text in texts if not text.startswith("Loaded: ")]


def choose_file(driver: Any, path: Path, seconds: float = PATIENCE_S) -> None:
    """Hand a file to the Files view and wait for its answer."""
    n_before = len(driver.find_elements("css selector", "#file-list li"))
    driver.find_element("id", "files-input").send_keys(str(path))
    answered = f"document.querySelector('#file-list li:nth-child({n_before + 1}) :is(.with-dot, .problem)')"
    harness.wait_for(driver, answered, seconds)


def cancel_at_work(driver: Any, place: str = "#file-list") -> None:
    """Cancel the file in ``place`` as soon as some of it was answered; in the page, which no test is too slow for."""
    driver.execute_script(
        """
        const [place] = arguments;
        const watching = setInterval(() => {
          const isCancel = (one) => one.textContent === "Cancel";
          if (!(document.querySelector(`${place} progress`)?.value > 0)) return;
          [...document.querySelectorAll(`${place} button`)].find(isCancel).click();
          clearInterval(watching);
        }, 5);
        """,
        place,
    )


def drop(driver: Any, element_id: str, path: Path) -> None:
    """Drag a file or a folder from elsewhere over an element, and let it go there."""
    place = driver.find_element("id", element_id).rect
    at = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2}
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "data": data, **at})


def as_recorded_by_a_browser(seconds: int) -> bytes:
    """Return WebM that names no length; of its silence only the first and the last second are there."""
    import av

    written = BytesIO()
    with av.open(written, "w", format="webm", options={"live": "1"}) as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        for number in range(50):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), "s16", "mono")
            frame.sample_rate = 48_000
            frame.pts = 1920 * number + (48_000 * (seconds - 2) if number >= 25 else 0)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return written.getvalue()


def arrived(path: Path) -> Path:
    """Wait for a file that the browser saves, and return it; its name may be a pattern for one file."""

    def whole() -> list[Path]:  # the browser makes an empty one first
        return [one for one in path.parent.glob(path.name) if one.stat().st_size]

    wait_for(whole)
    (found,) = whole()
    return found


def serious(driver: Any) -> list[str]:
    """Return what axe calls more than minor, with the places."""
    if not driver.execute_script("return Boolean(window.axe)"):
        driver.execute_script(AXE.read_text("utf-8"))
    found = harness.awaited(driver, "axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [
        f"{item['id']}: {[node['html'][:120] for node in item['nodes']]}" for item in found if item["impact"] != "minor"
    ]


def traffic(driver: Any) -> list[tuple[str, str]]:
    """Return method and address of all requests and streams that the page opened since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [m["params"]["request"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    streams = [("WEBSOCKET", m["params"]["url"]) for m in messages if m["method"] == "Network.webSocketCreated"]
    return [(request["method"], request["url"]) for request in sent] + streams


def posts_and_streams(address: str) -> list[str]:
    """Return what the server counted of requests that could carry sound, workers of the page included."""
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if 'method="POST"' in line or 'method="WEBSOCKET"' in line]
