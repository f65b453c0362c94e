"""What tests and measurements share: recordings as tasks, answered by Node or by a page in headless Chromium."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from earnest.files.writing import held_folder

WEB = Path(__file__).resolve().parent.parent
PAGE = WEB.parent / "earnest" / "apps" / "web"
OLDEST_NODE = 20
LONGEST_BUILD_S = 600.0  # of another process that is at it
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


def missing_tools(*names: str) -> list[str]:
    """Return those of the programs that are not installed; Node must be of version 20 or later."""
    missing = [name for name in names if shutil.which(name) is None]
    if "node" in names and not missing:
        version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
        missing += ["node 20 or later"] if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE else []
    return missing


def build() -> None:
    """Install what the lock file names, where that has not been done, and build ``dist/``; one process at a time."""
    with held_folder(WEB, LONGEST_BUILD_S):
        _build()


def _build() -> None:
    installed = WEB / "node_modules" / ".package-lock.json"
    lock = WEB / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        npm("ci", "--ignore-scripts")
    sources = [*(WEB / "src").rglob("*"), WEB / "build.mjs", installed]
    if _newest(sources) > _newest([WEB / "dist" / "types" / "index.d.ts"]):
        npm("run", "build")


def build_page() -> None:
    """Build the page where its sources are newer, as `make` does; one process at a time."""
    with held_folder(WEB, LONGEST_BUILD_S):
        _build()
        subprocess.run(["sh", str(WEB.parent / "scripts" / "page.sh")], check=True, capture_output=True)


def site(folder: Path) -> Path:
    """Return a copy, in ``folder``, of the page as a file host has it: a test's own, whatever it does to it."""
    build_page()
    with held_folder(WEB, LONGEST_BUILD_S):
        earnest = PAGE.parent.parent
        sources = [*PAGE.iterdir(), *(earnest / "bundles").glob("*/*"), *(earnest / "demo").iterdir()]
        if _newest(sources) > _newest([WEB / "site" / "index.html"]):
            npm("exec", "--", "node", "build.mjs", "--site")
        return Path(shutil.copytree(WEB / "site", folder / "site"))


def _newest(paths: Sequence[Path]) -> float:
    """Return when the newest of some files was written; 0 where none is there."""
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def npm(*arguments: str) -> str:
    """Run npm in ``web/``, one process at a time; what it said is in the error when it fails."""
    command = ["npm", "--no-audit", "--no-fund", *arguments]
    with held_folder(WEB, LONGEST_BUILD_S):
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


@dataclass
class Tasks:
    """A folder of waveforms and of calls about them."""

    folder: Path

    def __post_init__(self) -> None:
        self._tasks: list[dict[str, Any]] = []

    def add(self, call: str, waveform: npt.ArrayLike, sample_rate_hz: int, **more: Any) -> None:
        """Add a call: "predict", "timeline", "stream" (with ``piece``) or "resample" (``piece``, ``toHz``)."""
        name = self.write(waveform)
        self._tasks.append({"call": call, "waveform": name, "sampleRateHz": sample_rate_hz, **more})

    def time(self, count: int) -> None:
        """Let Node take the milliseconds of ``count`` answers to the last waveform, in place of the answer."""
        self._tasks[-1] |= {"call": "latencies", "count": count}

    def add_answers(self, plain: npt.NDArray[np.floating], **more: Any) -> None:
        """Add plain answers, shape (windows, classes), to be heard by an adapter."""
        self._tasks.append({"call": "hear", "plain": self.write(plain), **more})

    def add_profile(self, names: Sequence[str]) -> None:
        """Add the profile of waveforms at 16 kHz that were written."""
        self._tasks.append({"call": "profile", "adapt": list(names)})

    def add_learning(self, examples: Sequence[Mapping[str, Any]], name: str, output: Path) -> None:
        """Add learning from recordings: their ``waveform`` as `write` named it, sampleRateHz, name, label, speaker."""
        task = {"call": "learn", "examples": list(examples), "options": {"name": name}, "output": str(output)}
        self._tasks.append(task)

    def write(self, values: npt.ArrayLike) -> str:
        """Write float32 values and return the file's name."""
        name = f"{len(list(self.folder.iterdir()))}.f32"
        (self.folder / name).write_bytes(np.asarray(values, "<f4").tobytes())
        return name

    def by_node(self, bundle: Path, voice_activity: Path | None = None) -> list[Any]:
        """Return Node's answers."""
        self.save()
        more = [str(voice_activity)] if voice_activity else []
        command = ["node", "bench/node.mjs", str(self.folder), str(bundle), *more]
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"node failed:\n{done.stderr}")
        return list(json.loads((self.folder / "answers.json").read_text("utf-8")))

    def save(self) -> None:
        """Write the list of tasks."""
        (self.folder / "tasks.json").write_text(json.dumps(self._tasks), encoding="utf-8")


class _Handler(SimpleHTTPRequestHandler):
    """Serves several folders, each under its first path component; ``index.html`` for a folder."""

    extensions_map: ClassVar = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, mounts: Mapping[str, Path], *args: Any, **kwargs: Any) -> None:
        self._mounts = mounts
        super().__init__(*args, **kwargs)

    def translate_path(self, path: str) -> str:
        first, _, rest = unquote(urlsplit(path).path).lstrip("/").partition("/")
        folder = self._mounts.get(first)
        found = (folder / rest).resolve() if folder else Path("/nonexistent")
        return str(found if folder and found.is_relative_to(folder.resolve()) else Path("/nonexistent"))

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(**mounts: Path) -> Iterator[str]:
    """Serve folders on this machine only and give the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, mounts))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium(microphone: Path | None = None, *flags: str, without: Sequence[str] = ()) -> Iterator[Any]:
    """Start headless Chromium; the microphone plays a WAV file, over and over. ``without`` are flags to leave out."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, *flags):
        if flag not in without:
            options.add_argument(flag)
    if microphone:
        options.add_argument(f"--use-file-for-fake-audio-capture={microphone}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(240)
    try:
        yield driver
    finally:
        driver.quit()


def awaited(driver: Any, expression: str, *arguments: Any) -> Any:
    """Return what a JavaScript promise gives; ``arguments`` are called a, b, c … in it; a rejection is raised."""
    names = ", ".join("abcdefgh"[: len(arguments)])
    script = f"""
        const done = arguments[arguments.length - 1];
        (async ({names}) => {expression})(...[...arguments].slice(0, -1)).then(
            (value) => done({{ value }}), (error) => done({{ failure: `${{error.name}}: ${{error.message}}` }}));
    """
    answer = driver.execute_async_script(script, *arguments)
    if "failure" in answer:
        raise RuntimeError(answer["failure"])
    return answer["value"]


def wait_for(driver: Any, expression: str, seconds: float = 120) -> Any:
    """Wait until a JavaScript expression is true, and return it."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, 0.05).until(lambda page: page.execute_script(f"return {expression}"))


def requested(driver: Any) -> Sequence[str]:
    """Return the addresses that the page asked for since the last call."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return [
        message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"
    ]


def complaints(driver: Any) -> list[str]:
    """Return the warnings and errors on the page's console since the last call."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]
