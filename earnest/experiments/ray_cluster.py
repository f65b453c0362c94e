"""A Ray cluster for one command: one that is there already, or one on this machine.

A module of its own, without PyTorch: `earnest batch` joins a cluster, too.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from earnest.errors import EarnestError, MissingExtraError, first_line

STORE_BYTES = 100 * 2**20  # of a cluster that is started for one command; Ray takes a third of the memory else


@contextmanager
def ray_cluster(jobs: int, address: str | None) -> Iterator[Any]:
    """Join the cluster at ``address``, or start one of ``jobs`` cores on this machine that ends with the command."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--engine ray", "ray") from None
    own: dict[str, Any] = {"num_cpus": jobs, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    options = {"log_to_driver": False, "logging_level": logging.ERROR, **({} if address else own)}
    try:
        ray.init(address or "local", **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise EarnestError(f"Ray at {address or 'this machine'}: {first_line(error)}. Check --address.") from error
    try:
        yield ray
    finally:
        ray.shutdown()
