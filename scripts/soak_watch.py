"""Measurements of `soak.py` in /proc, of a server and its children, and verdicts on them."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

PROC = Path("/proc")
MIB = 2**20
FLAT, RISES = "flat", "**rises**"
PAGE_BYTES = 4096
Z_95 = 1.96
_LEVELS = ("rss_mib", "server_mib", "processes", "descriptors", "threads")


@dataclass(frozen=True)
class Sample:
    """The server and all its children at some moments; latencies of the recordings answered since the sample before.

    Attributes
    ----------
    rss_mib, server_mib : memory of all, and of all but what decodes, which comes and goes where decoders are killed
    """

    t_s: float
    rss_mib: float
    server_mib: float
    processes: float
    descriptors: float
    threads: float
    n_clips: int
    p50_ms: float
    p99_ms: float


def children_of(pid: int) -> list[int]:
    """Return the processes that one has started, and that run."""
    found = []
    for task in (PROC / str(pid) / "task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text(encoding="ascii").split()]
        except OSError:
            continue
    return found


def tree_of(pid: int) -> Iterator[tuple[int, int]]:
    """Yield a process and all below it, each with its depth."""
    waiting = [(pid, 0)]
    while waiting:
        one, depth = waiting.pop()
        yield one, depth
        waiting += [(child, depth + 1) for child in children_of(one)]


def command_of(pid: int) -> str:
    """Return the words that a process was started with; none where it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def decoders_of(server: int) -> list[int]:
    """Return the children of those that answer: of the workers, where a supervisor has some, else of the server."""
    helpers = re.compile(r"resource_tracker|forkserver")
    below = [(pid, depth, command_of(pid)) for pid, depth in tree_of(server) if pid != server]
    is_supervisor = any("spawn_main" in command and depth == 1 for _, depth, command in below)
    deepest = 2 if is_supervisor else 1
    return [pid for pid, depth, command in below if depth == deepest and command and not helpers.search(command)]


def sampled(server: int, t_s: float) -> Sample:
    """Look at a server now; latencies are not known yet."""
    rss = of_decoders = processes = descriptors = threads = 0
    decoders = decoders_of(server)
    for pid, _ in tree_of(server):
        folder = PROC / str(pid)
        try:
            resident = int((folder / "statm").read_text(encoding="ascii").split()[1])
            n_threads = sum(1 for _ in (folder / "task").iterdir())
            n_open = sum(1 for _ in (folder / "fd").iterdir())
        except OSError:
            continue  # ended meanwhile
        rss, processes, threads = rss + resident, processes + 1, threads + n_threads
        of_decoders += resident if pid in decoders else 0
        descriptors += n_open
    rss_mib, server_mib = (pages * PAGE_BYTES / MIB for pages in (rss, rss - of_decoders))
    return Sample(t_s, rss_mib, server_mib, processes, descriptors, threads, 0, math.nan, math.nan)


def averaged(looks: Sequence[Sample], latencies_s: Sequence[float]) -> Sample:
    """Average several looks to one sample, at the time of the last one, with the recordings answered meanwhile."""
    means = {name: float(np.mean([getattr(look, name) for look in looks])) for name in _LEVELS}
    p50, p99 = map(float, np.percentile(latencies_s, (50, 99)) * 1000) if latencies_s else (math.nan, math.nan)
    return Sample(looks[-1].t_s, **means, n_clips=len(latencies_s), p50_ms=p50, p99_ms=p99)


@dataclass(frozen=True)
class Slope:
    """A straight line through what was measured (least squares).

    Attributes
    ----------
    per_hour : how steep
    error : its standard error, from what lies beside the line; larger where neighbours lie on the same side
    start : the line's value where it begins
    """

    per_hour: float
    error: float
    start: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of `per_hour`."""
        return self.per_hour - Z_95 * self.error, self.per_hour + Z_95 * self.error

    def verdict(self, most_per_hour: float) -> str:
        """Judge whether it rises more than this, as far as the measurement shows."""
        low, high = self.interval
        if low > most_per_hour:
            return RISES
        return FLAT if high <= most_per_hour else "not decided"


def slope_of(samples: Sequence[Sample], column: str, from_s: float) -> Slope:
    """Fit one column over time, from a moment on."""
    pairs = [(one.t_s / 3600, float(getattr(one, column))) for one in samples if one.t_s >= from_s]
    hours, values = np.array([pair for pair in pairs if not math.isnan(pair[1])]).T
    centred = hours - hours.mean()
    spread = float((centred**2).sum())
    rise = float((centred * values).sum() / spread)
    beside = values - values.mean() - rise * centred
    error = math.sqrt(float((beside**2).sum()) / max(len(values) - 2, 1) / spread)
    return Slope(rise, error * _inflation(beside), float(values.mean() + rise * (hours[0] - hours.mean())))


def _inflation(beside: npt.NDArray[np.float64]) -> float:
    """By how much errors grow because neighbours are alike: sqrt((1 + r) / (1 - r)), r their correlation if above 0."""
    power = float((beside**2).sum())
    alike = float((beside[1:] * beside[:-1]).sum()) / power if power > 0 else 0.0
    alike = min(max(alike, 0.0), 0.95)
    return math.sqrt((1 + alike) / (1 - alike))


def grown(samples: Sequence[Sample], column: str, warm_up_s: float) -> tuple[float, float]:
    """Return the medians of a column in the first and in the last third of what was measured after warming up."""
    warm = [float(getattr(one, column)) for one in samples if one.t_s >= warm_up_s]
    third = max(len(warm) // 3, 1)
    return float(np.nanmedian(warm[:third])), float(np.nanmedian(warm[-third:]))
