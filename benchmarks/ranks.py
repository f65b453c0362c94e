"""Seconds per epoch of one recipe learnt by one process and by several, which take turns.

    python benchmarks/ranks.py [--recipe recipes/emocatcher.toml] [--set training.batch_size=64] [--processes 1 2]

Corpora are in EARNEST_DATA. Each round is an `earnest train` with one process, then a `torchrun … -m earnest train`;
every process has one thread. The seconds are those in history.csv, validation and checkpoint included, the first epoch
of each run left out. Prints medians, the fastest epoch (the least disturbed one on a busy machine) and the load.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Run the rounds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "emocatcher.toml")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    seconds: dict[int, list[float]] = {count: [] for count in asked.processes}
    loads: dict[int, list[float]] = {count: [] for count in asked.processes}
    for _ in range(asked.rounds):
        for count in asked.processes:
            seconds[count] += epochs_of(asked, count)
            loads[count].append(os.getloadavg()[0])
    first = statistics.median(seconds[asked.processes[0]])
    sys.stdout.write("| processes | s an epoch, median | fastest | times as fast | load of the machine |" + "\n")
    sys.stdout.write("|---:|---:|---:|---:|---:|" + "\n")
    for count, found in seconds.items():
        median, load = statistics.median(found), statistics.mean(loads[count])
        sys.stdout.write(f"| {count} | {median:.2f} | {min(found):.2f} | {first / median:.2f} | {load:.1f} |" + "\n")


def epochs_of(asked: argparse.Namespace, count: int) -> list[float]:
    """Train with so many processes; return the seconds of the epochs after the first."""
    launch = [sys.executable, "-m", "earnest"]
    if count > 1:
        torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        launch = [sys.executable, "-m", *torchrun, "-m", "earnest"]
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", str(asked.recipe), "-q", "--output", f"{folder}/run"]
        for setting in [f"training.epochs={asked.epochs}", *asked.settings]:
            words += ["--set", setting]
        subprocess.run([*launch, *words], check=True, env=os.environ | ONE_THREAD, stdout=subprocess.DEVNULL)
        with (Path(folder) / "run" / "history.csv").open(newline="", encoding="utf-8") as file:
            return [float(row["seconds"]) for row in csv.DictReader(file)][1:]


if __name__ == "__main__":
    main()
