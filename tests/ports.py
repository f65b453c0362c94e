"""Ports for servers that tests start as processes of their own."""

import random
import socket
from contextlib import suppress

_DRAW = random.SystemRandom()  # processes of tests choose at the same time


def free_port() -> int:
    """Return a port that nobody listens at, below those that the system gives to connections meanwhile."""
    while True:
        port = _DRAW.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
