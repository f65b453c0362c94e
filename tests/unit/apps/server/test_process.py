"""The socket that several workers share."""

import os
import socket

import pytest
import uvicorn

from earnest.apps.server import process
from earnest.apps.server.metrics import FOLDER
from earnest.apps.server.settings import Settings


def test_what_connects_to_workers_sends_small_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []

    class Looked:
        def __init__(self, config: object, sockets: list[socket.socket]) -> None:
            self.listener = sockets[0]

        def run(self) -> None:
            self.listener.listen()
            with self.listener, socket.create_connection(self.listener.getsockname()):
                accepted, _ = self.listener.accept()
                with accepted:
                    found.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    quiet = uvicorn.Config("no:app", port=0, log_config=None)  # ours would set up logging for all later tests
    monkeypatch.setattr(process, "config_of", lambda *_: quiet)
    monkeypatch.setattr(process, "Supervisor", Looked)
    monkeypatch.setenv(FOLDER, os.environ.get(FOLDER, ""))
    process.serve(Settings(models=("small",)), process.Address("127.0.0.1", 0), workers=2)
    assert len(found) == 1 and found[0]
