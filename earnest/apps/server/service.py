"""The service that the routes of one application share, and who may come in: keys, how much at a time, and tickets.

Tickets are for streams from browsers, whose WebSockets can't send keys. ``POST /v1/tickets`` with a key gives one, ``WS
/v1/stream?ticket=…`` takes it, once and for some seconds; so an address in a log or a history opens nothing. A ticket
holds the number of its key and a signature that is made with all keys, so that every worker, and every replica with the
same keys, takes it.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import signal
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import Gauge
from starlette.requests import HTTPConnection

from earnest.apps.server.body import BodyBudget, Share
from earnest.apps.server.engine import ModelThreads
from earnest.apps.server.formats import ProblemError
from earnest.apps.server.front_door import network_of
from earnest.apps.server.keeping import Keeper
from earnest.apps.server.metrics import Metrics
from earnest.apps.server.settings import Settings
from earnest.errors import EarnestError
from earnest.files.reading import read_text
from earnest.runtime.prediction import Prediction

_log = logging.getLogger("earnest.server")
ENDING = "ending"  # the name of `Service.ending` in the lifespan's state
_HEAD = struct.Struct("!HQ16s")  # number of the key, end in ms since 1970, chance
SHORTEST_KEY = 16  # letters, as the help of `earnest serve` says; secrets.token_urlsafe(12) has as many
_CLOCKS_APART_S = 5.0  # of replicas on several machines
_SIGNATURE_BYTES = 16  # with 26 of the head 42: 56 letters of Base64, without padding


class Tickets:
    """Gives tickets out and takes them, each once.

    Parameters
    ----------
    api_keys : SHA-256 of each key, in hexadecimal; their order doesn't matter
    lasts_s : seconds from giving to taking
    folder : where workers of one machine tell each other which ones were taken; None where there is one process
    """

    def __init__(self, api_keys: Sequence[str], lasts_s: float, folder: Path | None = None) -> None:
        self.lasts_s, self._folder = lasts_s, folder
        self._taken: dict[str, float] = {}  # name of a ticket → its end, in the order of taking
        self.sign_with(api_keys)
        if folder:
            folder.mkdir(exist_ok=True)

    def sign_with(self, api_keys: Sequence[str]) -> None:
        """Give and take tickets of these keys from now on; one that was taken stays so."""
        self._keys = sorted(api_keys)
        if not self._keys:
            self._secret = secrets.token_bytes()
            return
        # Slowly, so that short keys can't be tried out: each try takes 16 MiB, 128 · n · r bytes.
        salt = b"earnest: tickets for streams"
        self._secret = hashlib.scrypt("".join(self._keys).encode(), salt=salt, n=2**14, r=8, p=1)

    def give(self, client: str) -> str:
        """Return a ticket for who sent this key, or for anybody where no keys are asked for."""
        number = self._keys.index(client) if self._keys else 0
        head = _HEAD.pack(number, int(1000 * (time.time() + self.lasts_s)), secrets.token_bytes(16))
        return base64.urlsafe_b64encode(head + self._signature(head)).decode().rstrip("=")

    def take(self, ticket: str) -> str:
        """Return the key that a ticket stands for.

        Raises `ProblemError` when it is none of ours, too old, or was taken before.
        """
        refused = ProblemError(
            "key-needed", "This ticket is not valid, or was used. Ask POST /v1/tickets for another one."
        )
        try:
            given = base64.b64decode(ticket + "=" * (-len(ticket) % 4), altchars=b"-_", validate=True)
            head, signature = given[: _HEAD.size], given[_HEAD.size :]
            number, end_ms = map(int, _HEAD.unpack(head)[:2])
        except (ValueError, struct.error):
            raise refused from None
        is_in_time = 0 < end_ms / 1000 - time.time() <= self.lasts_s + _CLOCKS_APART_S
        if not hmac.compare_digest(signature, self._signature(head)) or not is_in_time:
            raise refused
        if not self._is_first(head.hex(), end_ms / 1000):
            raise refused
        # Who signs has the same keys, sorted alike: the number is one of them.
        return self._keys[number]

    def _signature(self, head: bytes) -> bytes:
        return hmac.digest(self._secret, head, "sha256")[:_SIGNATURE_BYTES]

    def _is_first(self, name: str, end: float) -> bool:
        """Note that a ticket is taken; the file system lets one worker alone be the first."""
        self._forget()
        if name in self._taken:
            return False
        self._taken[name] = end
        if self._folder is None:
            return True
        try:
            (self._folder / name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def _forget(self) -> None:
        """Forget those that are too old by now; the first are the oldest, but for the seconds that a ticket lasts."""
        before = time.time() - self.lasts_s
        while self._taken and (oldest := next(iter(self._taken.items())))[1] < before:
            del self._taken[oldest[0]]
            if self._folder:
                with suppress(FileNotFoundError):
                    (self._folder / oldest[0]).unlink()


def digest_of_key(key: str) -> str:
    """Return the digest kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()


def keys_in(path: Path) -> tuple[str, ...]:
    """Return digests of the keys in a file, one a line; empty lines and those that start with # are left out.

    Raises `EarnestError` when it can't be read, holds none, or a line is no key.
    """
    lines = enumerate(map(str.strip, read_text(path, what="list of keys").splitlines()), 1)
    keys = [_checked_key(line, f"{path}, line {number}") for number, line in lines if line and line[0] != "#"]
    if not keys:
        raise EarnestError(f"{path}: holds no key. Write one key on each line, or leave --api-keys out.")
    return tuple(map(digest_of_key, keys))


def renewed_keys(path: Path) -> tuple[str, ...] | None:
    """Return the keys in the file that is read at SIGHUP, None where it can't be read: those of before then stay."""
    try:
        return keys_in(path)
    except EarnestError as error:
        _log.warning("keys not read again, those of before stay", extra={"why": str(error)})
        return None


def _checked_key(key: str, where: str) -> str:
    """Refuse what clients could not send or others could guess; a message never shows it."""
    if not key.isascii() or any(not letter.isprintable() or letter.isspace() for letter in key):
        told = "a key holds letters, digits and signs of ASCII without spaces. Write one key on each line."
        raise EarnestError(f"{where}: {told}")
    if len(key) < SHORTEST_KEY:
        told = f"this key has {len(key)} letters, expected {SHORTEST_KEY} or more"
        raise EarnestError(
            f"{where}: {told}. Make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return key


class Gate:
    """Counts what is under way, in all and by client; used by the event loop only.

    Parameters
    ----------
    most_of_client, gauge : None where another gate bounds each client, tells the count in the statistics
    """

    def __init__(self, what: str, most: int, most_of_client: int | None = None, gauge: Gauge | None = None) -> None:
        self._what, self._most, self._most_of_client, self._gauge = what, most, most_of_client, gauge
        self._by_client: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Number of requests inside."""
        return self._by_client.total()

    @property
    def is_full(self) -> bool:
        """Whether the next one would be refused."""
        return self.count >= self._most

    def refuse_when_full(self) -> None:
        """Raise a `ProblemError` where the next one would be refused, whoever sends it."""
        if self.is_full:
            raise ProblemError(
                "overloaded", f"{self._most} {self._what} are running, which is the limit. Try again soon."
            )

    @contextmanager
    def inside(self, client: str) -> Iterator[None]:
        """Let one in until the block ends, or raise a `ProblemError`."""
        if self._most_of_client is not None and self._by_client.get(client, 0) >= self._most_of_client:
            raise ProblemError(
                "too-many", f"{self._most_of_client} {self._what} of one client at a time. Wait for their answers."
            )
        self.refuse_when_full()
        self._by_client[client] += 1
        try:
            with self._gauge.track_inprogress() if self._gauge else nullcontext():
                yield
        finally:
            self._by_client[client] -= 1
            if not self._by_client[client]:  # else every address that ever asked would stay
                del self._by_client[client]


@dataclass
class Service:
    """Settings, models, statistics, and who is inside.

    Attributes
    ----------
    ending : set once the process is about to end; whoever speaks HTTP or WebSocket finds it in the lifespan's state
    """

    settings: Settings
    engine: ModelThreads
    metrics: Metrics
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        limits, metrics = self.settings.limits, self.metrics
        self.api_keys = self.settings.api_keys
        self._arriving = Gate("requests", limits.connections, limits.client_requests, metrics.under_way)
        self.requests = Gate("requests", limits.requests)
        self.streams = Gate("streams", limits.streams, limits.client_streams, metrics.streams)
        self.budget = BodyBudget(limits)
        self.tickets = Tickets(self.api_keys, limits.ticket_s, self.settings.shared)
        self.keeper = Keeper(self.settings.keep, limits, metrics.not_kept)

    def client(self, connection: HTTPConnection, ticket: str | None = None) -> str:
        """Return a client's identity: its key where keys are asked for, else its address, of IPv6 the network /64.

        Raises `ProblemError` when a key is needed and missing or wrong; all keys are compared, each in constant time.

        Parameters
        ----------
        ticket : takes the place of a key
        """
        if not self.api_keys:
            return network_of(connection.client.host) if connection.client else ""
        if ticket is not None:
            return self.tickets.take(ticket)
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        given = digest_of_key(token.strip() if scheme.lower() == "bearer" else connection.headers.get("x-api-key", ""))
        # Not any(): it ends at the first that fits, and its time would tell which.
        if not sum(hmac.compare_digest(given, key) for key in self.api_keys):
            raise ProblemError("key-needed", "Send a valid key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.")
        return given

    @contextmanager
    def arriving(self, client: str) -> Iterator[Share]:
        """Let a request in whose body is read now; `requests` lets it in once more when the body has come.

        So bodies that come slowly, of however many clients, take no place of those that have come.
        """
        with self._arriving.inside(client), self.budget.share(client) as share:
            self.requests.refuse_when_full()
            yield share

    def hang_up(self) -> None:
        """Answer SIGHUP: ask for the keys that stand in their file now; where there is no file, end as at SIGTERM."""
        if self.settings.keys_file is None:
            signal.raise_signal(signal.SIGTERM)
        elif keys := renewed_keys(self.settings.keys_file):
            self.api_keys = keys
            self.tickets.sign_with(keys)
            _log.info("keys read again", extra={"keys": len(keys)})

    def refuse_when_ending(self) -> None:
        """Raise a `ProblemError` once the process is about to end."""
        if self.ending.is_set():
            raise ProblemError(
                "ending", "This process is stopping. Send the request again: another process answers it."
            )

    def count(self, route: str, predictions: Sequence[Prediction]) -> None:
        """Take answers into the statistics."""
        for prediction in predictions:
            self.metrics.recordings.labels(prediction.status).inc()
            self.metrics.heard.labels(route).inc(prediction.duration_s or 0.0)
