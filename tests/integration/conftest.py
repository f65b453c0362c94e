"""One made-up corpus, one training and one export for all tests of this folder, and a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import pytest
import soundfile
import the_page
from command_line import earnest_cli
from few_steps import adaptation_is_learnt_in_few_steps
from made_up_corpus import Trained, recipe_text, write_corpus
from serving import lent_decoders, listening
from the_page import OTHER_HOST
from traced_once import (
    adaptation_networks_are_traced_once,
    equal_networks_are_traced_once,
    front_ends_are_traced_once,
)

from earnest.apps.server.settings import Settings

__all__ = [
    "adaptation_is_learnt_in_few_steps",
    "adaptation_networks_are_traced_once",
    "equal_networks_are_traced_once",
    "front_ends_are_traced_once",
]


@pytest.fixture(scope="session", autouse=True)
def decoders_are_lent() -> Iterator[None]:
    """Start decoders once for all servers that run in the process of the tests."""
    with lent_decoders():
        yield


@pytest.fixture(scope="session")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the manifest of the made-up corpus."""
    return write_corpus(tmp_path_factory.mktemp("made-up"))


@pytest.fixture(scope="session")
def trained(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    made = Trained(folder / "recipe.toml", made_up, folder / "run", folder / "bundle")
    made.recipe.write_text(recipe_text(epochs=16), encoding="utf-8")
    earnest_cli("train", made.recipe, "--data", made.data, "--output", made.run)
    earnest_cli("export", made.run, "--output", made.bundle, "--licence", "CC0-1.0", "--notes", "Made-up voices.")
    return made


@pytest.fixture(scope="session")
def built() -> None:
    """Build the browser package as the lock file says."""
    if missing := harness.missing_tools("node", "npm"):
        pytest.skip(f"{' and '.join(missing)} not installed")
    harness.build()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the page with "small" to the tests of one file."""
    harness.build_page()
    with listening(Settings(models=("small",), host_names=(OTHER_HOST,))) as address:
        yield address


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a recording for the microphone, where the browser saves things."""
    folder = tmp_path_factory.mktemp("page")
    soundfile.write(folder / "microphone.wav", the_page.joined([the_page.DEMO / "lively.flac"], 20), the_page.RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[Any]:
    """Start a browser for the tests of one file."""
    with the_page.browser(folder / "microphone.wav") as driver:
        the_page.resize(driver, 1280, 900)
        yield driver
