"""A folder for a server's bundle, a recording, a bundle that adapts to speakers, and a server that has it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import application, decoders_start_once
from stand_in import write_adapting
from starlette.testclient import TestClient

import earnest
from earnest.apps.server.settings import Settings
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import write_voice

__all__ = ["decoders_start_once"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def sound(folder: Path) -> bytes:
    return write_voice(folder / "clip.wav").read_bytes()


@pytest.fixture(scope="module")
def adapting(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return earnest.load(write_adapting(tmp_path_factory.mktemp("adapting") / "bundle"))


@pytest.fixture(scope="module")
def adapting_client(adapting: Predictor) -> Iterator[TestClient]:
    with application(Settings(models=(str(adapting._bundles[0].folder),))) as client:
        yield client
