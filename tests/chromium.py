"""Headless Chromium for tests, or the reason why there is none."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


def why_not() -> str:
    """Say what is missing, "" for nothing."""
    if not find_spec("selenium"):
        return "the Python package selenium is not installed"
    missing = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"{' and '.join(missing)} not installed (scripts/system_packages.sh)" if missing else ""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser that logs its console and its requests."""
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Any, page: Path, width: int = 1280, scheme: str = "light") -> None:
    """Open a file as a reader would who has a window of that width and prefers light or dark."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preference = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
    driver.get(page.resolve().as_uri())


def requested(driver: Any) -> set[str]:
    """Return the addresses asked for since the last call, without the content of ``data:``."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = (m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent")
    return {url.partition(",")[0] if url.startswith("data:") else url for url in asked}
