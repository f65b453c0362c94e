"""Metrics for Prometheus in ``/metrics``, and logs as one JSON object a line: nothing of a recording or a person."""

import json
import logging
import math
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from earnest.files.writing import is_running

_log = logging.getLogger("earnest.server")
UVICORN, SELDOM_S = "uvicorn.error", 60.0  # whose warnings, and seconds from one to the next like it
NO_FILE_LEFT = "socket.accept() out of system resource"  # asyncio says so 2048 times a second, with a traceback
QUIET = "uvicorn.streams"  # what would be told of each stream in the words of uvicorn, with address and query
_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, and what was passed as ``extra``; of an exception its class and place."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; an exception's words are left out, they may quote what somebody sent."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _KNOWN}
        if record.exc_info and record.exc_info[0]:
            frames = traceback.extract_tb(record.exc_info[2])
            line["exception"] = record.exc_info[0].__name__
            line["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(
            line, default=str
        )  # in ASCII: nothing in a line reaches a terminal as a command or reorders it


class Seldom(logging.Filter):
    """Passes the first of uvicorn's warnings of each kind, then one a minute, with the number of those left out.

    Uvicorn warns once for each request that it refuses by itself, and asyncio tells again and again that no file is
    left for a connection: a flood of either would fill the disk.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, int], tuple[float, int]] = {}  # line of code → when one passed, how many since

    def filter(self, record: logging.LogRecord) -> bool:
        """Limit the rate of a log line; the next one that passes has the number of skipped ones as ``left_out``."""
        is_refusal = record.levelno == logging.WARNING and record.name == UVICORN
        if not is_refusal and not str(record.msg).startswith(NO_FILE_LEFT):
            return True
        place, now = (record.pathname, record.lineno), time.monotonic()
        last, left_out = self._told.get(place, (-math.inf, 0))
        if now - last < SELDOM_S:
            self._told[place] = last, left_out + 1
            return False
        self._told[place] = now, 0
        if left_out:
            record.left_out = left_out
        return True


def log_config(level: str) -> Mapping[str, Any]:
    """Return the configuration of `logging`: all to standard error; uvicorn's list of requests has addresses: off."""
    quiet = {"handlers": [], "propagate": False, "level": "CRITICAL"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "filters": {"seldom": {"()": Seldom}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["seldom"]}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "earnest": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
            "uvicorn.access": quiet,
            QUIET: {"level": "WARNING"},
        },
    }


FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Kind of counter → room for its values in a worker's file: for all that routes, methods and statuses can be together.
FILE_BYTES = {"counter": 512 * 1024, "histogram": 128 * 1024, "gauge_livesum": 64 * 1024}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one process; none of them tells anything about a person or a recording."""

    def __init__(self) -> None:
        if folder := os.environ.get(FOLDER):
            _reserve(Path(folder))
        own = self._own = CollectorRegistry()
        self.requests = Counter("earnest_requests_total", "Answers", ["route", "method", "status"], registry=own)
        self.seconds = Histogram(
            "earnest_request_seconds", "From the first byte to the answer", ["route"], buckets=SECONDS, registry=own
        )
        self.recordings = Counter("earnest_recordings_total", "Recordings answered", ["status"], registry=own)
        self.not_kept = Counter("earnest_answers_not_kept_total", "For which --keep had no room", registry=own)
        self.heard = Counter("earnest_audio_seconds_total", "Sound heard", ["route"], registry=own)
        self.under_way = Gauge(
            "earnest_requests_under_way", "Taken on, not answered", multiprocess_mode="livesum", registry=own
        )
        self.waiting = Gauge("earnest_requests_waiting", "For a thread", multiprocess_mode="livesum", registry=own)
        self.streams = Gauge("earnest_streams_open", "Streams", multiprocess_mode="livesum", registry=own)
        self.ended = Counter("earnest_streams_ended_total", "Streams that were open", ["reason"], registry=own)
        forget_dead_processes()

    def text(self) -> bytes:
        """Return the text format of Prometheus."""
        if FOLDER not in os.environ:
            return generate_latest(self._own)
        registry = CollectorRegistry()
        _Together(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _reserve(folder: Path) -> None:
    """Write the files of this worker's counters, full of zeros; without room for them its numbers are in no sum.

    They are mapped into memory: with holes, a disk that is full later would end the worker (SIGBUS).
    """
    files = {folder / f"{kind}_{os.getpid()}.db": n_bytes for kind, n_bytes in FILE_BYTES.items()}
    try:
        for path, n_bytes in files.items():
            if not path.exists():
                path.write_bytes(bytes(n_bytes))
    except OSError as error:
        for path in files:
            path.unlink(missing_ok=True)
        _log.warning("a worker is missing in /metrics: no room for its counters", extra={"why": error.strerror})
        values.ValueClass = values.MutexValue


class _Together(MultiProcessCollector):
    """All processes together, without the empty file of one that is about to start, or was killed as it did."""

    def collect(self) -> Iterable[Metric]:
        """Add up what the processes wrote."""
        files = [str(path) for path in Path(os.environ[FOLDER]).glob("*.db") if _n_bytes(path)]
        found: Iterable[Metric] = self.merge(files)  # type: ignore[no-untyped-call]
        return found


def _n_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def forget_dead_processes() -> None:
    """Remove the gauges of killed processes from the sums; their counters stay, without room for more."""
    folder = os.environ.get(FOLDER)
    for path in Path(folder).glob("*.db") if folder else ():
        number = path.stem.rpartition("_")[2]
        if number.isdecimal() and not is_running(int(number)):
            mark_process_dead(int(number))  # type: ignore[no-untyped-call]
            with suppress(FileNotFoundError), path.open("r+b") as file:
                file.truncate(int.from_bytes(file.read(4), sys.byteorder))  # its first number: the bytes in use
