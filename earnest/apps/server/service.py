"""The service that the routes of one application share."""

import asyncio
import logging
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from earnest.apps.server.admission import Gate, Tickets, client_of, renewed_keys
from earnest.apps.server.body import BodyBudget, Share
from earnest.apps.server.engine import ModelThreads
from earnest.apps.server.keeping import Keeper
from earnest.apps.server.metrics import Metrics
from earnest.apps.server.problems import ProblemError
from earnest.apps.server.settings import Settings
from earnest.runtime.prediction import Prediction

_log = logging.getLogger("earnest.server")
ENDING = "ending"  # the name of `Service.ending` in the lifespan's state


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
        """Return the client of a request, or raise a `ProblemError`."""
        return client_of(connection, self.api_keys, self.tickets, ticket)

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
