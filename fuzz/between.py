"""What processes of earnest tell each other: a decoder what it decoded, the owner of a lock who it is."""

import json
import os
import socket
from io import BytesIO
from pathlib import Path

from earnest.files.writing import held_file
from earnest.runtime.decoder_child import Kind, as_json, error_of, packed, read_message, values_of
from fuzz.readers import Reader


def readers_between() -> list[Reader]:
    """Return the readers of both."""
    return [
        Reader("decoder messages", "messages", _messages, _heard),
        Reader("owner of a lock", "file.csv.lock", _owners, _held, kind="json"),
    ]


def _messages() -> tuple[bytes, ...]:
    opened = as_json({"sample_rate_hz": 16_000, "n_channels": 1, "encoding": "WAV PCM_16"})
    error = as_json({"type": "AudioError", "told": "clip.wav: cut off."})
    texts = (Kind.OPENED, opened), (Kind.BLOCK, bytes(64)), (Kind.ERROR, error), (Kind.DONE, b"")
    return (b"".join(packed(kind, len(payload)) + payload for kind, payload in texts),)


def _heard(path: Path) -> None:
    with BytesIO(path.read_bytes()) as link:
        while True:  # until the error that the other side went away
            kind, payload = read_message(link)
            if kind is Kind.OPENED:
                values_of(payload)
            if kind is Kind.ERROR:
                error_of(payload)


def _owners() -> tuple[bytes, ...]:
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": "12:03", "command": "earnest predict"}
    return (json.dumps(owner).encode(), json.dumps({**owner, "host": "elsewhere"}).encode())


def _held(path: Path) -> None:
    with held_file(path.with_suffix("")):
        pass
