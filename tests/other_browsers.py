"""Browsers of other makers than Chromium's: Firefox by WebDriver BiDi, and WebKit, the engine of Safari."""

import json
import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from socket import create_connection
from typing import Any, Protocol

import harness
from patience import wait_for
from ports import free_port

# A new profile asks its maker's hosts for updates, lists and experiments.
PREFERENCES: Mapping[str, Any] = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.systemAddon.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,none",
    "toolkit.telemetry.enabled": False,
}
MINI_BROWSERS = "/usr/lib/{machine}-linux-gnu/webkit2gtk-4.1/MiniBrowser"


class Browser(Protocol):
    """What the tests need of a browser; `harness.wait_for` takes it too."""

    def get(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""

    def reload(self) -> None:
        """Load the page anew, and wait until that is done."""

    def execute_script(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page, and return what it returns."""

    def choose(self, element_id: str, paths: Sequence[Path]) -> None:
        """Choose files in a field for files."""


def firefox_is_missing() -> str:
    """Say what is missing, "" for nothing."""
    return "" if _firefox_program() else "firefox-esr is not installed"


def _firefox_program() -> str | None:
    return shutil.which("firefox-esr") or shutil.which("firefox")


@contextmanager
def firefox(folder: Path, preferences: Mapping[str, Any] = PREFERENCES) -> Iterator[Browser]:
    """Start headless Firefox with a new profile in ``folder``; it speaks WebDriver BiDi itself, without geckodriver."""
    from websockets.sync.client import connect

    (folder / "user.js").write_text(
        "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items())
    )
    port = free_port()
    command = [str(_firefox_program()), "--headless", "--no-remote", "--profile", str(folder), "about:blank"]
    with subprocess.Popen(
        [*command, f"--remote-debugging-port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(lambda: _answers(port))
            with connect(f"ws://127.0.0.1:{port}/session", max_size=None) as socket:
                yield _Firefox(socket)
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with suppress(OSError), create_connection(("127.0.0.1", port)):
        return True
    return False


class _Firefox:
    """One tab; see https://www.w3.org/TR/webdriver-bidi/."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0
        self._call("session.new", capabilities={})
        self._tab = self._call("browsingContext.getTree")["contexts"][0]["context"]

    def get(self, url: str) -> None:
        self._call("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def reload(self) -> None:
        self._call("browsingContext.reload", context=self._tab, wait="complete")

    def execute_script(self, script: str, *arguments: Any) -> Any:
        inner = f"(function () {{ {script} }})(...{json.dumps(arguments)})"
        told = self._evaluated(f"JSON.stringify({inner} ?? null)")
        return json.loads(told["value"])

    def choose(self, element_id: str, paths: Sequence[Path]) -> None:
        element = {"sharedId": self._evaluated(f"document.getElementById('{element_id}')")["sharedId"]}
        self._call("input.setFiles", context=self._tab, element=element, files=list(map(str, paths)))

    def _evaluated(self, expression: str) -> dict[str, Any]:
        target = {"context": self._tab}
        told = self._call("script.evaluate", expression=expression, target=target, awaitPromise=False)
        assert told["type"] == "success", told
        return dict(told["result"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (told := json.loads(self._socket.recv())).get("id") != self._number:
            pass  # events
        assert told["type"] == "success", told
        return dict(told["result"])


def webkit_is_missing() -> str:
    """Say what is missing, "" for nothing."""
    missing = harness.missing_tools("WebKitWebDriver", "Xvfb")
    missing += [] if _mini_browser().exists() else ["MiniBrowser"]
    return f"{' and '.join(missing)} not installed (webkit2gtk-driver, xvfb)" if missing else ""


def _mini_browser() -> Path:
    return Path(MINI_BROWSERS.format(machine=platform.machine()))


@contextmanager
def webkit(folder: Path) -> Iterator[Browser]:
    """Start WebKitGTK's small browser on a screen of its own; as root it runs only without its sandbox."""
    from selenium import webdriver
    from selenium.webdriver.webkitgtk.service import Service

    options = webdriver.WebKitGTKOptions()
    options.binary_location = str(_mini_browser())
    options.add_argument("--automation")
    with _screen() as display:
        homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(folder))
        environment = {**os.environ, **homes, "DISPLAY": display, "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}
        service = Service(str(shutil.which("WebKitWebDriver")), env=environment)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Selenium's driver uses an old form of its own
            driver = webdriver.WebKitGTK(options=options, service=service)
        try:
            yield _WebKit(driver)
        finally:
            driver.quit()


@contextmanager
def _screen() -> Iterator[str]:
    """Give the name of a screen that nobody sees; the server chooses a free one."""
    ours, theirs = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[theirs],
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        try:
            with os.fdopen(ours) as told:
                yield f":{told.readline().strip()}"
        finally:
            process.terminate()


class _WebKit:
    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.get, self.reload, self.execute_script = driver.get, driver.refresh, driver.execute_script

    get: Callable[[str], None]
    reload: Callable[[], None]
    execute_script: Callable[..., Any]

    def choose(self, element_id: str, paths: Sequence[Path]) -> None:
        self._driver.find_element("id", element_id).send_keys("\n".join(map(str, paths)))


BROWSERS: Mapping[str, tuple[Callable[[], str], Callable[[Path], AbstractContextManager[Browser]]]] = {
    "firefox": (firefox_is_missing, firefox),
    "webkit": (webkit_is_missing, webkit),
}
