"""A server for tests: in a thread on a free port, or as an application without a socket."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from stand_in import write_bundle
from starlette.testclient import TestClient

from earnest.apps.server import engine
from earnest.apps.server.app import create_app
from earnest.apps.server.process import Address, config_of
from earnest.apps.server.settings import Limits, Settings
from earnest.audio.io import AudioStream
from earnest.audio.source import Source
from earnest.runtime.decoders import Decoders, start_decoders
from earnest.runtime.picture import Picture

TEST_HOST = "testserver"  # what Starlette and Schemathesis say in the header Host


def settings_for(folder: Path, limits: dict[str, Any] | None = None, **changes: Any) -> Settings:
    """Return settings with the made-up bundle."""
    bundle = folder / "bundle"
    if not bundle.exists():
        write_bundle(bundle)
    return Settings(models=(str(bundle),), limits=Limits(**(limits or {})), **changes)


@contextmanager
def application(settings: Settings) -> Iterator[TestClient]:
    """Give a client that calls the application itself."""
    settings = replace(settings, host_names=(*settings.host_names, TEST_HOST))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """Give the address of a server as `earnest serve` sets it up."""
    logger = logging.getLogger("earnest")
    level = logger.level
    server = uvicorn.Server(config_of(settings, Address("127.0.0.1", 0), 1, "critical"))  # sets up logging
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
    logger.setLevel(level)  # what other tests say must be heard


@dataclass(frozen=True)
class _Lent:
    """Decoders that outlive the server that has them."""

    lender: Decoders

    def open_audio(self, source: Source, max_seconds: float) -> AbstractContextManager[AudioStream]:
        return self.lender.open_audio(source, max_seconds)

    def kept_open(self) -> AbstractContextManager[None]:
        return self.lender.kept_open()

    def read_picture(self, source: Source) -> Picture:
        return self.lender.read_picture(source)

    def close(self) -> None: ...


@contextmanager
def lent_decoders() -> Iterator[None]:
    """Let all servers with as many jobs decode in the same processes: three starts take two seconds."""
    started: dict[tuple[int, int], Decoders] = {}

    def lent(size: int, spares: int = 0) -> Decoders:
        if (size, spares) not in started:
            started[size, spares] = start_decoders(size, spares)
        return _Lent(started[size, spares])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "start_decoders", lent)
        yield
    for decoders in started.values():
        decoders.close()


@pytest.fixture(scope="module")
def decoders_start_once() -> Iterator[None]:
    """Lend decoders to the servers of one file."""
    with lent_decoders():
        yield
