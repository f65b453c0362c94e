"""Engines that compute a bundle's graph, onnxruntime or OpenVINO, behind one small surface; a graph's memory limit.

Graphs that do not ship have bounds; those that ship were measured. What such a graph computes while it is prepared
(constants that follow from constants) comes from malloc: for so long the process gets few more addresses; Linux only.
What onnxruntime computes while a graph runs comes from an arena that has an end, see
`earnest.runtime.onnxruntime_engine`; of OpenVINO's runs the sizes are added up before, see
`earnest.runtime.openvino_engine`.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from earnest.onnx.surgery import Part

Backend: TypeAlias = Literal["auto", "onnxruntime", "openvino"]
Provider: TypeAlias = Literal["cpu", "cuda", "gpu", "auto"]
"""What the backend computes on: cuda is onnxruntime's, gpu (Intel's) and auto are OpenVINO's."""
Hint: TypeAlias = Literal["latency", "throughput"]
"""What OpenVINO is tuned to: one recording as soon as possible, or many at once."""


class Session(Protocol):
    """A graph, or a part of it, ready to run; several threads may share it.

    Attributes
    ----------
    inputs : name → kind of number, such as "float32"
    outputs : name → size of the last axis, None where it varies
    facts : what the graph itself says, as far as it does: "classes", with commas between, and "sample_rate_hz"
    """

    inputs: Mapping[str, str]
    outputs: Mapping[str, int | None]
    facts: Mapping[str, str]

    def run(self, feeds: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
        """Return the outputs called ``names``."""


class Runner(Protocol):
    """Makes sessions of graphs.

    Attributes
    ----------
    name : for messages
    """

    name: str

    def open(self, data: bytes) -> Session:
        """Prepare a graph from the bytes of an ONNX file that was checked."""

    def errors(self) -> tuple[type[Exception], ...]:
        """Return all that it raises."""


class Engine(Runner, Protocol):
    """Makes sessions of one bundle's graph.

    Attributes
    ----------
    file : of the bundle that it reads
    """

    file: str

    def session(self, part: Part) -> Session:
        """Prepare the graph, or the part of it before or behind the spectrogram."""


MIB = 2**20
CORES = os.cpu_count() or 1
MOST_OF_ONE = 200 * MIB  # beyond what its file accounts for …
A_CORE = 48 * MIB  # … or this for each core, if more: all may run the graph at the same time
FILE_TIMES = 16  # weights of 8 bits become 32, and are kept in a second order for fast products
ADDRESSES_A_THREAD = 144 * MIB  # a stack, and malloc's reserve: addresses, not memory
PREPARING = threading.RLock()  # the bounds of this process are changed by one thread at a time


def most_of_one(n_bytes: int) -> int:
    """Return how many bytes a graph whose file has ``n_bytes`` may take while it runs."""
    # max(200 MiB, 48 MiB·cores) + 16·bytes of the file.
    return max(MOST_OF_ONE, CORES * A_CORE) + FILE_TIMES * n_bytes


@contextmanager
def few_addresses(n_bytes: int, threads: int) -> Iterator[None]:
    """Let this process take little more memory, counted as addresses, until the block ends.

    What other threads of the process take meanwhile counts, too.

    Parameters
    ----------
    n_bytes : size of the file of the graph that is prepared
    threads : how many it starts; 0 for all cores
    """
    if sys.platform != "linux":
        yield
        return
    import resource

    more = MOST_OF_ONE + FILE_TIMES * n_bytes + ((threads or CORES) - 1) * ADDRESSES_A_THREAD
    with PREPARING:
        n_pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        before, hardest = resource.getrlimit(resource.RLIMIT_AS)
        most = n_pages * resource.getpagesize() + more
        bounds = [most, *(bound for bound in (before, hardest) if bound != resource.RLIM_INFINITY)]
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hardest))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (before, hardest))
