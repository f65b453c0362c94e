"""What a model keeps for each length of sound that it heard: a server hears new lengths as long as it runs.

    python benchmarks/memory_of_lengths.py --lengths 1500
    python benchmarks/memory_of_lengths.py --backend openvino --lengths 600

Hears noise of 1 to 4 s, each length once, and prints after each sixth of them the MiB that malloc has given out (Linux
with glibc) and those that the process holds. ``PYTHONPATH`` chooses another version of the package; seed 0.
"""

import argparse
import ctypes
import sys
from pathlib import Path

import numpy as np

from earnest.runtime.predictor import Predictor

MIB = 2**20
PAGE_BYTES = 4096
SHORTEST, LONGEST = 16_000, 64_000  # samples


class Malloc(ctypes.Structure):
    """What glibc's ``mallinfo2`` returns; the number 7 is how many bytes are in use."""

    _fields_ = tuple((f"number_{place}", ctypes.c_size_t) for place in range(10))


def told(n_heard: int) -> str:
    """Return a line about the memory of this process."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = Malloc
    n_pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return f"{n_heard:5} lengths: {mallinfo().number_7 / MIB:7.2f} in use, {n_pages * PAGE_BYTES / MIB:7.1f} held\n"


def main() -> None:
    """Hear and tell."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--model", default="small")
    asked.add_argument("--backend", choices=("onnxruntime", "openvino"), default="onnxruntime")
    asked.add_argument("--lengths", type=int, default=1500)
    given = asked.parse_args()
    graph = Predictor.load(given.model, backend=given.backend).graph
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, LONGEST).astype(np.float32)
    graph.run([noise])
    sys.stdout.write(told(0))
    lengths = rng.permutation(np.arange(SHORTEST, LONGEST))[: given.lengths]
    for number, length in enumerate(lengths, 1):
        graph.run([noise[:length]])
        if number % max(given.lengths // 6, 1) == 0:
            sys.stdout.write(told(number))


if __name__ == "__main__":
    main()
