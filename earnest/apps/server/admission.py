"""Who may come in: keys, tickets, and how much at a time."""

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import Gauge
from starlette.requests import HTTPConnection

from earnest.apps.server.problems import ProblemError
from earnest.apps.server.tickets import Tickets


def digest_of(key: str) -> str:
    """Return what is kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()


def client_of(connection: HTTPConnection, api_keys: Sequence[str], tickets: Tickets, ticket: str | None = None) -> str:
    """Return what tells one client from another: its key where keys are asked for, else its address.

    Parameters
    ----------
    ticket : takes the place of a key

    Raises
    ------
    ProblemError
        When a key is needed and missing or wrong; all keys are compared, each in constant time.
    """
    if not api_keys:
        return connection.client.host if connection.client else ""
    if ticket is not None:
        return tickets.take(ticket)
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    given = digest_of(token.strip() if scheme.lower() == "bearer" else connection.headers.get("x-api-key", ""))
    if not sum(hmac.compare_digest(given, key) for key in api_keys):
        raise ProblemError("key-needed", "Send a valid key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.")
    return given


class Gate:
    """Counts what is under way, in all and by client; used by the event loop only."""

    def __init__(self, what: str, most: int, most_of_client: int, gauge: Gauge) -> None:
        self._what, self._most, self._most_of_client, self._gauge = what, most, most_of_client, gauge
        self._by_client: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many are inside."""
        return self._by_client.total()

    @property
    def is_full(self) -> bool:
        """Whether the next one would be refused."""
        return self.count >= self._most

    @contextmanager
    def inside(self, client: str) -> Iterator[None]:
        """Let one in until the block ends, or raise a `ProblemError`."""
        if self._by_client.get(client, 0) >= self._most_of_client:
            raise ProblemError(
                "too-many", f"{self._most_of_client} {self._what} of one client at a time. Wait for answers."
            )
        if self.is_full:
            raise ProblemError("overloaded", f"{self._most} {self._what} are under way. Try again soon.")
        self._by_client[client] += 1
        try:
            with self._gauge.track_inprogress():
                yield
        finally:
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
