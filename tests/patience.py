"""How long tests wait for what other threads and processes do: longer than the slowest machine takes."""

import time
from collections.abc import Callable

PATIENCE_S = 120.0  # no test is slower for it: it waits no longer than it must


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
