"""How much memory this process has in use, as glibc counts it: not what it holds, which has holes."""

import ctypes
import sys
from collections.abc import Callable, Iterable

IS_TOLD = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")


class _Malloc(ctypes.Structure):
    """What ``mallinfo2`` returns; the number 7 is how many bytes are in use."""

    _fields_ = tuple((f"number_{place}", ctypes.c_size_t) for place in range(10))


def bytes_in_use() -> int:
    """Return what malloc has given out; what Python keeps in small objects is not in it."""
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _Malloc
    return int(mallinfo().number_7)


def kept_by_each(act: Callable[[int], object], tries: Iterable[range]) -> float:
    """Return the bytes in use that each call leaves behind: of several tries the least.

    Other threads of the process may take memory meanwhile: one try without them is enough.
    """

    def kept(numbers: range) -> float:
        before = bytes_in_use()
        for number in numbers:
            act(number)
        return (bytes_in_use() - before) / len(numbers)

    return min(map(kept, tries))
