"""Addresses beyond this machine, through fsspec: what they are, and patience with servers that are busy."""

import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

from earnest.errors import EarnestError, MissingExtraError, first_line, printable

T = TypeVar("T")
PROTOCOLS = ("s3", "gs", "gcs", "az", "abfs", "hdfs", "webhdfs", "https", "http")
_IN_EXTRA = frozenset({"s3", "https", "http"})
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 6, 0.5, 20.0  # about half a minute, beyond what s3fs tries by itself
# What no second try changes.
_CERTAIN = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_log = logging.getLogger(__name__)


def is_url(text: str) -> bool:
    """Whether a word is an address of another machine's file, and no path of this one."""
    return "://" in text


def filesystem_of(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it.

    Raises
    ------
    EarnestError
        For other protocols than `PROTOCOLS`, for several in one address, and for passwords in it, which would stand in
        every table.
    MissingExtraError
        Where the package is not installed that knows the protocol.
    """
    protocol, _, rest = url.partition("://")
    if protocol not in PROTOCOLS:
        raise EarnestError(f"{url}: no address that can be read. It may begin with {', '.join(PROTOCOLS)}.")
    try:
        has_password = urlsplit(url).password is not None
    except ValueError:
        raise EarnestError(f"{url}: no address that can be read.") from None
    if "::" in rest or has_password:
        raise EarnestError(f"{protocol}://…: holds a password or a second address. Give credentials by environment.")
    try:
        from fsspec.core import url_to_fs

        with explained(url):
            system, path = url_to_fs(url)
    except ImportError as error:
        if protocol in _IN_EXTRA:
            raise MissingExtraError(f"{protocol}://", "cloud") from None
        raise EarnestError(f"{url}: needs another package. {first_line(error)}.") from None
    return system, str(path)


def url_of(system: Any, path: str) -> str:
    """Return the whole address of a path."""
    return str(system.unstrip_protocol(path))


def patiently(act: Callable[[], T], what: str) -> T:
    """Do what asks another machine, again where it is busy or the network fails, with longer and longer waits.

    Raises
    ------
    OSError
        Of `_CERTAIN` at once, others after `TRIES`.
    """
    wait_s = FIRST_WAIT_S
    for left in reversed(range(TRIES)):
        try:
            with _as_os_errors():
                return act()
        except OSError as error:
            if left == 0 or isinstance(error, _CERTAIN):
                raise
            _log.info("%s: %s. It is tried again.", printable(what), printable(first_line(error)))
        time.sleep(wait_s * random.uniform(0.5, 1.0))  # so that many workers don't come back at once
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    raise AssertionError("unreachable")


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what another machine's answers mean into words."""
    try:
        with _as_os_errors():
            yield
    except FileNotFoundError:
        raise EarnestError(f"{url}: isn't there. Check the address.") from None
    except PermissionError as error:
        why = first_line(error)
        raise EarnestError(f"{url}: the server refuses ({why}). Check credentials and what they allow.") from error
    except OSError as error:
        raise EarnestError(f"{url}: can't be reached ({first_line(error)}). Give the same command again.") from error


@contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise what the clients of clouds raise as the `OSError` that it is."""
    try:
        yield
    except _client_errors() as error:
        raise _kind_of(error)(first_line(error)) from error


def _kind_of(error: Exception) -> type[OSError]:
    status = getattr(error, "status", None)  # of HTTP
    if status in (404, 410):
        return FileNotFoundError
    return PermissionError if status in (401, 403) or "Credential" in type(error).__name__ else OSError


def _client_errors() -> tuple[type[Exception], ...]:
    """Return the errors of clients that were imported and are no `OSError`."""
    botocore, aiohttp = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
    found: list[type[Exception]] = []
    if botocore:
        found += [botocore.BotoCoreError, botocore.ClientError]
    if aiohttp:
        found += [aiohttp.ClientError]
    return tuple(found)
