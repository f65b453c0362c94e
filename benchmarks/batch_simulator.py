"""How long a batch run takes on many workers: a queue of shards, nodes that fail, nodes that are slow.

    python benchmarks/batch_simulator.py measured OUTPUT --workers 2 --start 4     # beside a run that was measured
    python benchmarks/batch_simulator.py curve --second 20 --png docs/explanation/scale.png

Each worker takes the next shard when it is free, as `earnest batch` does. A node fails after a time with an exponential
distribution; its shard is lost, and done again by whoever is free next; the node comes back and loads the model again.
"""

import argparse
import heapq
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HOUR_S = 3600.0
HOURS = 1_000_000  # of sound
WORKERS = (1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Conditions:
    """What nodes do beyond answering.

    Attributes
    ----------
    start_s : until a worker answers
    slow_share, slow_factor : so many workers take so many times as long
    failure_s : mean time between failures of a worker, infinity for none
    back_s : until a failed node is back
    """

    start_s: float = 5.0
    slow_share: float = 0.0
    slow_factor: float = 3.0
    failure_s: float = float("inf")
    back_s: float = 300.0


def simulated_s(shards_s: Sequence[float], n_workers: int, conditions: Conditions, seed: int = 0) -> float:
    """Return the seconds until the last shard is written."""
    rng = np.random.default_rng(seed)
    factors = np.where(rng.random(n_workers) < conditions.slow_share, conditions.slow_factor, 1.0)
    fails_at = rng.exponential(conditions.failure_s, n_workers) if np.isfinite(conditions.failure_s) else None
    free = [(conditions.start_s, worker) for worker in range(n_workers)]
    lost: list[tuple[float, float]] = []  # when it was lost, its seconds
    waiting = list(reversed(shards_s))
    end = 0.0
    while waiting or lost:
        now, worker = heapq.heappop(free)
        if lost and (lost[0][0] <= now or not waiting):
            lost_at, seconds = heapq.heappop(lost)
            now = max(now, lost_at)
        else:
            seconds = waiting.pop()
        done = now + seconds * factors[worker]
        if fails_at is not None and done > fails_at[worker]:
            died = max(now, fails_at[worker])
            heapq.heappush(lost, (died, seconds))
            back = died + conditions.back_s
            fails_at[worker] = back + rng.exponential(conditions.failure_s)
            heapq.heappush(free, (back + conditions.start_s, worker))
            continue
        end = max(end, done)
        heapq.heappush(free, (done, worker))
    return end


def measured_shards_s(output: Path) -> list[float]:
    """Return the seconds that each shard of a run took, from its metadata."""
    import pyarrow.parquet

    files = sorted(output.glob("shards/*.parquet"))
    return [json.loads(pyarrow.parquet.read_metadata(file).metadata[b"earnest.batch"])["seconds"] for file in files]


def curves(second_per_hour: float) -> dict[str, list[float]]:
    """Return, for each kind of fleet, the hours that a million hours of sound take on each number of workers."""
    kinds = {
        "no trouble, shards of 10 h": (10.0, Conditions()),
        "1 in 20 three times slower": (10.0, Conditions(slow_share=0.05)),
        "and each fails every 24 h": (10.0, Conditions(slow_share=0.05, failure_s=24 * HOUR_S)),
        "the same, shards of 1,000 h": (1_000.0, Conditions(slow_share=0.05, failure_s=24 * HOUR_S)),
    }
    return {
        name: [
            simulated_s([shard_h * second_per_hour] * int(HOURS / shard_h), count, conditions) / HOUR_S
            for count in WORKERS
        ]
        for name, (shard_h, conditions) in kinds.items()
    }


def draw(told: dict[str, list[float]], path: Path) -> None:
    """Draw the curves with both axes logarithmic."""
    from io import BytesIO

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    figure, axes = plt.subplots(figsize=(7, 4))
    for (name, hours), style in zip(told.items(), ("-", "--", "-.", ":"), strict=True):
        axes.loglog(WORKERS, hours, style, marker="o", label=name)
    axes.set(xlabel="workers (cores)", ylabel="hours", title="A million hours of sound")
    axes.grid(True, alpha=0.3)
    axes.legend()
    data = BytesIO()
    figure.savefig(data, dpi=110, bbox_inches="tight")
    Image.open(data).convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    measured = commands.add_parser("measured")
    measured.add_argument("output", type=Path)
    measured.add_argument("--workers", type=int, default=2)
    measured.add_argument("--start", type=float, default=5.0, help="seconds of a run about one clip")
    curve = commands.add_parser("curve")
    curve.add_argument("--second", type=float, required=True, help="core seconds for an hour of sound")
    curve.add_argument("--png", type=Path)
    told = parser.parse_args()
    if told.command == "measured":
        shards_s = measured_shards_s(told.output)
        seconds = simulated_s(shards_s, told.workers, Conditions(start_s=told.start))
        sys.stdout.write(f"{len(shards_s)} shards, {sum(shards_s):.1f} s of workers: {seconds:.1f} s\n")
        return
    found = curves(told.second)
    sys.stdout.write(f"| workers | {' | '.join(found)} |\n|---:|{'---:|' * len(found)}\n")
    for place, count in enumerate(WORKERS):
        sys.stdout.write(f"| {count:,} | {' | '.join(f'{hours[place]:,.1f}' for hours in found.values())} |\n")
    if told.png:
        draw(found, told.png)


if __name__ == "__main__":
    main()
