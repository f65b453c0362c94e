"""Worker processes that never outlive the command that started them.

A module of its own, without PyTorch: a worker is watched before it has loaded anything, which takes seconds.
"""

import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

from earnest.audio.confinement import die_with_parent


def packed_call(function: Callable[..., object], *arguments: object) -> bytes:
    """Return a call for `enter_worker`."""
    return pickle.dumps((function, arguments))


def enter_worker(call: bytes) -> None:
    """Begin a worker process: end it with its parent, and only then load what ``call`` needs."""
    end_with_parent()
    function, arguments = pickle.loads(call)
    function(*arguments)


def end_with_parent() -> None:
    """Let this worker process not outlive its parent, which may be killed at any moment, also before this."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    die_with_parent(parent.pid)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
