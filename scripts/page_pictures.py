"""Take the pictures of docs/page.md: the page in headless Chromium, whose microphone plays acted speech.

EARNEST_DATA=… PYTHONPATH=tests:web/bench python scripts/page_pictures.py

The recordings are RAVDESS's, which the model was not trained on. Of each emotion one is taken that the model gets
right, so that a picture shows several; how often it is right is in docs/results.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import harness
import numpy as np
import soundfile
import the_page
from PIL import Image
from serving import listening
from the_page import OTHER_HOST, RATE_HZ, choose_file, go, listen_for, open_page, press, resize, wait_live

from earnest.apps.server.settings import Settings
from earnest.audio.io import decode
from earnest.corpora.base import CORPORA
from earnest.runtime.predictor import Predictor

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "page"
MODEL = "base"
ACTORS = ("11", "12", "19", "20")
ORDER = ("neutral", "happy", "angry", "sad", "fearful", "disgust")
EDGE_S = 0.7  # of silence before and after, in these recordings
DESK, TALL, PHONE, SMALL = (1280, 1120), (1280, 1240), (390, 844), (900, 430)

SETTINGS = Settings(models=(MODEL, "small"), host_names=(OTHER_HOST,))


def right_clips(data: Path) -> list[Path]:
    """Return recordings of some speakers, one of each emotion in turn, that the model gets right."""
    predictor = Predictor.load(MODEL)
    utterances = [row for row in CORPORA.get("ravdess")().read(data / "ravdess") if row.speaker.endswith(ACTORS)]
    found: list[Path] = []
    for actor in ACTORS:
        for emotion in ORDER:
            rows = [row for row in utterances if row.emotion == emotion and row.speaker.endswith(actor)]
            found += [Path(row.path) for row in rows if predictor.predict(row.path).emotion == emotion][:1]
    return found


def speech(paths: list[Path], seconds: float, folder: Path, name: str) -> Path:
    """Write recordings without their silent edges, one after the other."""
    cut = []
    for number, path in enumerate(paths):
        recording = decode(path)
        edge = round(EDGE_S * recording.sample_rate_hz)
        cut.append(folder / f"{name}-{number}.wav")
        soundfile.write(cut[-1], recording.waveform[edge:-edge], recording.sample_rate_hz)
    written = folder / f"{name}.wav"
    soundfile.write(written, the_page.joined(cut, seconds, pause_s=0.25), RATE_HZ)
    return written


def take(driver: Any, name: str) -> None:
    """Save what is seen, in few colours."""
    path = FOLDER / f"{name}.png"
    driver.execute_async_script("setTimeout(arguments[0], 400)")
    driver.save_screenshot(str(path))
    Image.open(path).convert("RGB").quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)


def live(driver: Any, address: str) -> None:
    """The live view while somebody speaks, and after."""
    resize(driver, *DESK)
    open_page(driver, address, model=MODEL)
    listen_for(driver, 8)
    harness.wait_for(driver, "!/Unsure/.test(document.getElementById('live-emotion').textContent)")
    take(driver, "live")
    resize(driver, *DESK, "dark")
    take(driver, "live-dark")
    resize(driver, *PHONE)
    take(driver, "live-phone")
    resize(driver, *PHONE, "dark")
    take(driver, "live-phone-dark")
    resize(driver, *TALL)
    press(driver, "live-start")
    wait_live(driver, "idle")
    driver.find_element("css selector", "#live-keep button").click()
    take(driver, "summary")


def files(driver: Any, recording: Path) -> None:
    """Two minutes of several emotions."""
    go(driver, "files")
    choose_file(driver, recording)
    for size, scheme, name in ((TALL, "light", "files"), (TALL, "dark", "files-dark"), (PHONE, "light", "files-phone")):
        resize(driver, *size, scheme)
        if size == PHONE:
            driver.execute_script("document.getElementById('clip').scrollIntoView()")
        take(driver, name)


def others(driver: Any) -> None:
    """Compare, recordings, debug and the model's card."""
    resize(driver, *TALL)
    go(driver, "compare")
    press(driver, "compare-samples")
    harness.wait_for(driver, "document.querySelectorAll('#compare-cards article').length >= 6")
    driver.find_element("css selector", "#compare-choices input").click()  # without the long one
    take(driver, "compare")
    go(driver, "recordings")
    driver.find_element("css selector", "#recordings-list button").click()
    take(driver, "recordings")
    resize(driver, *DESK)
    go(driver, "debug")
    press(driver, "debug-parity")
    harness.wait_for(driver, "document.getElementById('debug-result').textContent")
    take(driver, "debug")
    press(driver, "about-model")
    take(driver, "card")
    driver.execute_script("document.getElementById('card').close()")


def learning(driver: Any, address: str, data: Path) -> None:
    """Two classes that the model doesn't have, of four speakers, learnt in the page."""
    resize(driver, *DESK)
    open_page(driver, address, "learn", MODEL)
    rows = CORPORA.get("ravdess")().read(data / "ravdess")
    rows = [row for row in rows if row.emotion in ("calm", "surprised") and row.speaker.endswith(ACTORS)]
    for emotion, speaker in sorted({(row.emotion, row.speaker) for row in rows}):
        for element, text in (("learn-class", emotion), ("learn-speaker", speaker)):
            driver.find_element("id", element).clear()
            driver.find_element("id", element).send_keys(text)
        paths = [str(row.path) for row in rows if (row.emotion, row.speaker) == (emotion, speaker)]
        driver.find_element("id", "learn-files").send_keys("\n".join(paths))
        name = f"Remove {emotion} by {speaker}"
        harness.wait_for(driver, f"document.querySelector('#learn-groups button[aria-label=\"{name}\"]')")
    press(driver, "learn-start")
    harness.wait_for(driver, "!document.getElementById('learnt').hidden", 300)
    harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
    for size, name in ((DESK, "learn"), (PHONE, "learn-phone")):
        resize(driver, size[0], driver.execute_script("return document.getElementById('learnt').offsetHeight") + 100)
        driver.execute_script("document.getElementById('learnt').scrollIntoView()")
        take(driver, name)


@contextmanager
def seen(driver: Any, view: str, name: str) -> Iterator[None]:
    """Take a picture of a problem, when the block has made it happen."""
    resize(driver, *SMALL)
    yield
    harness.wait_for(driver, f"document.querySelector('#{view} .problem, #engine-problem .problem')")
    driver.execute_script(
        "const box = document.querySelector('main .problem'); scrollTo(0, box.getBoundingClientRect().top - 90)"
    )
    take(driver, f"problem-{name}")


def problems(driver: Any, address: str, folder: Path) -> None:
    """Draw the page's error messages, one after the other."""
    permission = {"permission": {"name": "microphone"}, "origin": address, "setting": "denied"}
    driver.execute_cdp_cmd("Browser.setPermission", permission)
    open_page(driver, address)
    with seen(driver, "live", "refused"):
        press(driver, "live-start")
    open_page(driver, address, "files")
    (folder / "notes.wav").write_text("no sound at all")
    with seen(driver, "files", "file"):
        choose_file(driver, folder / "notes.wav")
    with seen(driver, "live", "insecure"):
        driver.get(address.replace("127.0.0.1", OTHER_HOST))
        harness.wait_for(driver, "document.documentElement.dataset.engine === 'ready'")
        press(driver, "live-start")
    with ExitStack() as stack:
        other = stack.enter_context(listening(Settings(models=("small",))))
        driver.execute_cdp_cmd("Browser.setPermission", {**permission, "origin": other, "setting": "granted"})
        open_page(driver, other, place="server")
        with seen(driver, "live", "server-gone"):
            listen_for(driver, 2)
            stack.close()
    with tempfile.TemporaryDirectory() as host:
        site = harness.site(Path(host))
        (site / "models" / "base" / "model.onnx").unlink()
        with harness.served(site=site) as root, seen(driver, "live", "no-model"):
            driver.get(f"{root}/site/index.html")


def main() -> None:
    """Take all of them."""
    data = Path(os.environ["EARNEST_DATA"])
    FOLDER.mkdir(exist_ok=True)
    harness.build_page()
    clips = right_clips(data)
    order = np.random.default_rng(1).permutation(len(clips))
    with tempfile.TemporaryDirectory() as name, listening(SETTINGS) as address:
        folder = Path(name)
        spoken = speech([clips[index] for index in order[:8]], 40, folder, "microphone")
        two_minutes = speech([clips[index] for index in order], 120, folder, "interview")
        with the_page.browser(spoken, "--hide-scrollbars") as driver:
            live(driver, address)
            files(driver, two_minutes)
            others(driver)
            learning(driver, address, data)
        with the_page.browser(spoken, "--hide-scrollbars", without=["--use-fake-ui-for-media-stream"]) as driver:
            problems(driver, address, folder)
        devices = ["--use-fake-device-for-media-stream"]
        with the_page.browser(None, "--disable-audio-input", "--hide-scrollbars", without=devices) as driver:
            open_page(driver, address)
            with seen(driver, "live", "no-microphone"):
                press(driver, "live-start")


if __name__ == "__main__":
    main()
