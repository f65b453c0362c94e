"""What `soak.py` reads in /proc of a server and its children, and what it makes of the numbers."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROC = Path("/proc")
MIB = 2**20
FLAT, RISES = "flat", "**rises**"
PAGE_BYTES = 4096


@dataclass(frozen=True)
class Sample:
    """The server and all its children at one moment; latencies are those of clips answered since the sample before.

    Attributes
    ----------
    rss_mib, server_mib : memory of all, and of all but what decodes, which comes and goes where decoders are killed
    """

    t_s: float
    rss_mib: float
    server_mib: float
    processes: int
    descriptors: int
    threads: int
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


def sampled(server: int, t_s: float, latencies_s: Sequence[float]) -> Sample:
    """Look at a server now."""
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
    p50, p99 = np.percentile(latencies_s, (50, 99)) * 1000 if latencies_s else (math.nan, math.nan)
    rss_mib, server_mib = (pages * PAGE_BYTES / MIB for pages in (rss, rss - of_decoders))
    return Sample(t_s, rss_mib, server_mib, processes, descriptors, threads, len(latencies_s), float(p50), float(p99))


@dataclass(frozen=True)
class Slope:
    """A straight line through what was measured after warming up (least squares).

    Attributes
    ----------
    per_hour : how steep
    error : its standard error, from what lies beside the line
    start : the line's value where it begins
    """

    per_hour: float
    error: float
    start: float

    def verdict(self, most_per_hour: float) -> str:
        """Say whether it rises more than this, as far as the measurement can tell."""
        if self.per_hour - 2 * self.error > most_per_hour:
            return RISES
        return FLAT if self.per_hour + 2 * self.error <= most_per_hour else "no rise to be told from scatter"


def slope_of(samples: Sequence[Sample], column: str, warm_up_s: float) -> Slope:
    """Fit one column over time; both lists start with the same sample."""
    warm = [sample for sample in samples if sample.t_s >= warm_up_s]
    pairs = [(sample.t_s / 3600, float(getattr(sample, column))) for sample in warm]
    hours, values = np.array([pair for pair in pairs if not math.isnan(pair[1])]).T
    centred = hours - hours.mean()
    spread = float((centred**2).sum())
    rise = float((centred * values).sum() / spread)
    beside = values - values.mean() - rise * centred
    error = math.sqrt(float((beside**2).sum()) / max(len(values) - 2, 1) / spread)
    return Slope(rise, error, float(values.mean() + rise * (hours[0] - hours.mean())))
