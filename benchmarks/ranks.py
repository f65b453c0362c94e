"""Seconds per epoch of one recipe learnt by one process and by several, which take turns.

    python benchmarks/ranks.py [--recipe recipes/emocatcher.toml] [--set training.batch_size=64] [--processes 1 2]
    python benchmarks/ranks.py --slices

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
import time
from pathlib import Path
from typing import NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when the libraries are loaded
    os.environ[variable] = "1"

CLIP_S = 3.5  # about RAVDESS's
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
    parser.add_argument("--slices", action="store_true", help="only time a step over a batch and parts of it")
    asked = parser.parse_args()
    if asked.slices:
        time_slices(asked)
        return
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


def time_slices(asked: argparse.Namespace) -> None:
    """Print the CPU milliseconds of a forward and a backward pass over a batch, a half and a quarter of it."""
    import torch

    from earnest.frontends.log_mel import compute_frames
    from earnest.settings.recipe import read_recipe
    from earnest.training.run import initial_classifier

    torch.set_num_threads(1)
    recipe = read_recipe(asked.recipe)
    classifier = initial_classifier(recipe, tuple("abcdefgh"))
    rate_hz = recipe.front_end.sample_rate_hz
    noise = torch.randn(round(CLIP_S * rate_hz), generator=torch.Generator().manual_seed(0)).numpy() / 10
    frames = compute_frames(classifier.front_end, noise)
    classifier.network.prepare([frames])
    classifier.network.train()
    size = recipe.training.batch_size
    found: dict[int, list[float]] = {size: [], size // 2: [], size // 4: []}
    for _ in range(asked.epochs):
        for count, milliseconds in found.items():
            begin = time.process_time()
            output = classifier.network(frames.repeat(count, 1, 1), torch.full((count,), frames.shape[1]))
            output.logits.logsumexp(dim=1).sum().backward()
            milliseconds.append(1000 * (time.process_time() - begin))
    for count, milliseconds in found.items():
        median = statistics.median(milliseconds)
        say(f"{asked.recipe.stem}, {count} clips: {median:.1f} ms, {median / statistics.median(found[size]):.2f}")


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
