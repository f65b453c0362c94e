"""Seconds per epoch of one recipe learnt by one process and by several, which take turns.

    python benchmarks/ranks.py [--recipe recipes/emocatcher.toml] [--set training.batch_size=64] [--processes 1 2]

Corpora are in EARNEST_DATA. Each round is an `earnest train` with one process, then a `torchrun … -m earnest train`;
every process has one thread. Wall seconds are those in history.csv, validation and checkpoint included, the first
epoch left out. CPU seconds are those of a process and epoch: what a run of all epochs takes more than one of a single
epoch. Where cores are free they are about the wall's; where others work on the machine, trust them alone.
"""

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "emocatcher.toml")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    found: dict[int, list[Round]] = {count: [] for count in asked.processes}
    for _ in range(asked.rounds):
        for count in asked.processes:
            found[count].append(measured(asked, count))
    say("| processes | wall s an epoch | times as fast | CPU s of a process | times less | load of the machine |")
    say("|---:|---:|---:|---:|---:|---:|")
    first = found[asked.processes[0]]
    for count, rounds in found.items():
        wall, cpu = (statistics.median(getattr(one, name) for one in rounds) for name in ("wall_s", "cpu_s"))
        before = [statistics.median(getattr(one, name) for one in first) for name in ("wall_s", "cpu_s")]
        load = statistics.mean(one.load for one in rounds)
        say(f"| {count} | {wall:.2f} | {before[0] / wall:.2f} | {cpu:.2f} | {before[1] / cpu:.2f} | {load:.1f} |")


class Round(NamedTuple):
    """One training: median wall seconds and CPU seconds of an epoch, and how many processes wanted a core."""

    wall_s: float
    cpu_s: float
    load: float


def measured(asked: argparse.Namespace, count: int) -> Round:
    """Train with so many processes, for one epoch and for all."""
    _, start_s = trained(asked, count, 1)
    seconds, all_s = trained(asked, count, asked.epochs)
    cpu_s = (all_s - start_s) / (asked.epochs - 1) / count
    return Round(statistics.median(seconds[1:]), cpu_s, os.getloadavg()[0])


def trained(asked: argparse.Namespace, count: int, epochs: int) -> tuple[list[float], float]:
    """Return the wall seconds of each epoch, and the CPU seconds of the whole command."""
    launch = [sys.executable, "-m", "earnest"]
    if count > 1:
        torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        launch = [sys.executable, "-m", *torchrun, "-m", "earnest"]
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", str(asked.recipe), "-q", "--output", f"{folder}/run"]
        for setting in [f"training.epochs={epochs}", *asked.settings]:
            words += ["--set", setting]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*launch, *words], check=True, env=os.environ | ONE_THREAD, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        with (Path(folder) / "run" / "history.csv").open(newline="", encoding="utf-8") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
        return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
