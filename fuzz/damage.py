"""Damages seeds from a random generator for some seconds and counts what leaves a reader that is no `EarnestError`."""

import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import chain, count
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any
from zlib import crc32

import numpy as np

from earnest.errors import EarnestError
from fuzz.mutations import damaged, extremes
from fuzz.readers import Reader

LONGEST_S = 20.0  # for one file, on a machine that does other things too
MOST_MIB = 512  # more than before
ROOT = Path(__file__).parents[1]


class Hang(BaseException):
    """A reader took longer than `LONGEST_S`; nothing catches it on its way."""


@dataclass
class Findings:
    """What came of it.

    Attributes
    ----------
    refused : files that were an `EarnestError`
    crashes : where and what → how often; ``examples`` are the bytes of the first
    """

    reader: str
    executions: int = 0
    refused: int = 0
    crashes: dict[str, int] = field(default_factory=dict)
    examples: dict[str, bytes] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; of examples how they begin."""
        return asdict(self) | {"examples": {name: repr(data[:80]) for name, data in self.examples.items()}}

    def note(self, error: BaseException, data: bytes) -> None:
        """Count one crash under the place in this project where it arose."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{Path(frame.filename).relative_to(ROOT)}:{frame.lineno}" for frame in frames if _is_ours(frame)]
        name = f"{type(error).__name__} at {places[-1] if places else 'an unknown place'}: {str(error)[:100]!r}"
        key = next((known for known in self.crashes if known.partition(": ")[0] == name.partition(": ")[0]), name)
        self.crashes[key] = self.crashes.get(key, 0) + 1
        self.examples.setdefault(key, data)


def damage(reader: Reader, seconds: float, seed: int, least: int = 0) -> Findings:
    """Read seeds, extremes and damaged seeds until time is up; ``least`` files of the last kind in any case."""
    rng = np.random.default_rng([seed, crc32(reader.name.encode())])
    seeds = reader.seeds()
    random = (damaged(seeds[number % len(seeds)], reader.kind, rng, seeds) for number in count())
    fixed = [*seeds, *extremes(reader.kind)]
    found, until = Findings(reader.name), monotonic() + seconds
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings(), _alarm():
        warnings.simplefilter("ignore")
        reader.beside(Path(name))
        for data in chain(fixed, random):
            _watched_call(reader, Path(name), data, found)
            if monotonic() > until and found.executions >= len(fixed) + least:
                return found
    return found


def one_call(reader: Reader, folder: Path, data: bytes, found: Findings) -> None:
    """Read one file and count what comes of it."""
    try:
        found.executions += 1
        reader.call(folder, data)
    except EarnestError as error:
        found.refused += 1
        if not str(error).replace("\n", "").isprintable():
            found.note(ValueError("a message with control characters").with_traceback(error.__traceback__), data)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        found.note(error, data)


def _watched_call(reader: Reader, folder: Path, data: bytes, found: Findings) -> None:
    """Do the same, and count what takes long or much memory."""
    before = _peak_mib(reset=True)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        one_call(reader, folder, data, found)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if (more := _peak_mib() - before) > MOST_MIB:
        found.note(MemoryError(f"{more} MiB"), data)


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"longer than {LONGEST_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


def _peak_mib(reset: bool = False) -> int:
    """Return the most memory since the last reset, where the system tells."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def _is_ours(frame: traceback.FrameSummary) -> bool:
    path = Path(frame.filename)
    return path.is_relative_to(ROOT / "earnest")
