"""Logs as one JSON object a line: what was asked and how it ended, nothing of a recording or a person."""

import json
import logging
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

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


def log_config(level: str) -> Mapping[str, Any]:
    """Return the configuration of `logging`: all to standard error; uvicorn's list of requests has addresses: off."""
    quiet = {"handlers": [], "propagate": False, "level": "CRITICAL"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "earnest": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
            "uvicorn.access": quiet,
            QUIET: {"level": "WARNING"},
        },
    }
