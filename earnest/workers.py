"""Worker processes that never outlive the command that started them, and Ray clusters for one command.

Of folds, of `earnest batch` and of `earnest serve`. Without PyTorch: a worker is watched before it has loaded anything,
which takes seconds.
"""

import logging
import multiprocessing
import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from earnest.audio.confinement import SIGKILL, die_with_parent
from earnest.errors import EarnestError, first_line, needs_extra

CONNECT_S = 10.0
STORE_BYTES = 100 * 2**20  # of a cluster that is started for one command; Ray takes a third of the memory else


def packed_call(function: Callable[..., object], *arguments: object) -> bytes:
    """Return a call for `enter_worker`."""
    return pickle.dumps((function, arguments))


def enter_worker(call: bytes) -> None:
    """Begin a worker process: end it with its parent, and only then load what ``call`` needs."""
    end_with_parent()
    function, arguments = pickle.loads(call)
    function(*arguments)


def end_with_parent(signal: int = SIGKILL) -> None:
    """Let this signal end this worker process with its parent, which may be killed at any moment, also before this."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    die_with_parent(parent.pid, signal)
    threading.Thread(target=_end_after, args=(parent, signal), daemon=True).start()


def _end_after(parent: Any, signal: int) -> None:
    parent.join()
    os.kill(os.getpid(), signal)


@contextmanager
def ray_cluster(jobs: int, address: str | None) -> Iterator[Any]:
    """Join the cluster at ``address``, or start one of ``jobs`` cores on this machine that ends with the command."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with needs_extra("--engine ray", "ray"):
        import ray
    own: dict[str, Any] = {"num_cpus": jobs, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    options = {"log_to_driver": False, "logging_level": logging.ERROR, **({} if address else own)}
    try:
        _require_listener(address or "")
        ray.init(address or "local", **options)
    except (OSError, RuntimeError, ValueError) as error:
        do = "Check --address." if address else "Leave out --engine ray, or make room for it."
        raise EarnestError(f"Ray at {address or 'this machine'}: {first_line(error)}. {do}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise `OSError` where nobody listens at HOST:PORT: Ray would ask for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
