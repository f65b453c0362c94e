"""Worker processes that never outlive the command that started them.

A module of its own, without PyTorch: a worker is watched before it has loaded anything, which takes seconds.
"""

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_PR_SET_PDEATHSIG = 1


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
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent.pid:  # it ended before it could be watched
            os._exit(1)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    parent.join()
    os._exit(1)
