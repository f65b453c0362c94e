"""Seconds per epoch of EmoCatcher's training: earnest beside how the original works, on the same clips and machine.

    python benchmarks/epoch.py DATA [--epochs 5] [--rounds 3]

DATA is RAVDESS. 1,152 clips are trained on and 288 are scored after each epoch, as in the original: CABG with 166,729
parameters, batches of 32, AdaBelief, label smoothing, the plateau schedule.

The baseline has the original's plan: its Dataset loads a recording with librosa and computes and trims its spectrogram
each time an epoch asks for it; a DataLoader, in the same process, pads the batches of a plain torch loop. It uses no
code of earnest. (The original also sleeps for 10 ms a batch, 0.4 s an epoch; the baseline doesn't.) earnest computes
the frames once, before the first epoch, and trains in Lightning with its checkpoint each epoch, which the original
hasn't got.

Both sides are processes of one thread and take turns; an epoch's seconds end where the next one begins, and the first
epoch of a process, which warms it up, doesn't count. Prints a table of medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # read when the libraries are loaded
    os.environ[variable] = "1"

N_TRAIN, N_SCORED = 1152, 288
FULL_EPOCHS = 120
RECIPE = Path(__file__).parents[1] / "recipes" / "emocatcher.toml"


class Clock:
    """Notes wall and CPU seconds between calls; `next` ends what went on since the last one."""

    def __init__(self) -> None:
        self.spans: list[tuple[float, float]] = []
        self._last = (time.perf_counter(), time.process_time())

    def next(self) -> None:
        """End a span and begin another."""
        now = (time.perf_counter(), time.process_time())
        self.spans.append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now


def main() -> None:
    """Measure both sides in turns, or one side where the command was started for that."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=5, help="of each process; the first one doesn't count")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        clock = Clock()
        SIDES[options.side](chosen_clips(options.data), options.epochs, clock)
        sys.stdout.write(json.dumps(clock.spans) + "\n")
        return
    spans: dict[str, list[Any]] = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side in SIDES:
            spans[side].append(measured(side, options.data, options.epochs))
    for line in table(spans):
        sys.stdout.write(line + "\n")


def measured(side: str, data: Path, epochs: int) -> Any:
    """Run one side in a process of its own; return its spans: (wall, CPU) seconds before training, then an epoch."""
    command = [sys.executable, __file__, str(data), "--epochs", str(epochs), "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def table(spans: dict[str, list[Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table: medians over all epochs of a side but the first of each process."""
    middle: dict[str, list[float]] = {}
    for side, runs in spans.items():
        epochs = [epoch for run in runs for epoch in run[2:]]
        middle[side] = [
            statistics.median(epoch[1] for epoch in epochs),
            statistics.median(epoch[0] for epoch in epochs),
            statistics.median(run[0][1] for run in runs),
        ]
    ours, theirs = middle["earnest"], middle["baseline"]
    rows = [(name, theirs[place], ours[place]) for place, name in enumerate(("CPU s an epoch", "wall s an epoch"))]
    rows.append(("CPU s before the first epoch", theirs[2], ours[2]))
    whole = [side[2] + FULL_EPOCHS * side[0] for side in (theirs, ours)]
    rows.append((f"CPU s, {FULL_EPOCHS} epochs, calculated from these", *whole))
    yield "| | baseline | earnest | baseline / earnest |"
    yield "|---|---|---|---|"
    for name, baseline, earnest in rows:
        yield f"| {name} | {baseline:.2f} | {earnest:.2f} | {baseline / earnest:.1f} |"


def chosen_clips(data: Path) -> tuple[list[Path], list[Path]]:
    """Return the clips to train on and to score, the same for both sides, by a seeded draw."""
    import numpy as np

    paths = sorted(path for path in data.rglob("03-01-*.*") if path.suffix in (".wav", ".flac"))
    if len(paths) < N_TRAIN + N_SCORED:
        raise SystemExit(f"{data}: {len(paths)} clips of RAVDESS speech, {N_TRAIN + N_SCORED} are needed.")
    drawn = [paths[place] for place in np.random.default_rng(0).permutation(len(paths))]
    return drawn[:N_TRAIN], drawn[N_TRAIN : N_TRAIN + N_SCORED]


def train_baseline(clips: tuple[list[Path], list[Path]], epochs: int, clock: Clock) -> None:
    """Train as the original does: features of every clip anew in every epoch."""
    import torch
    from epoch_baseline import batches, new_training, scored_epoch, trained_epoch

    torch.set_num_threads(1)
    train, scored = batches(clips[0], 32, shuffle=True), batches(clips[1], 64, shuffle=False)
    training = new_training()
    clock.next()
    for _ in range(epochs):
        loss = trained_epoch(training, train)
        scored_epoch(training, scored)
        training.schedule.step(loss)
        clock.next()


def train_earnest(clips: tuple[list[Path], list[Path]], epochs: int, clock: Clock) -> None:
    """Train as `earnest train recipes/emocatcher.toml` does."""
    from dataclasses import replace

    import torch

    from earnest.corpora.load import load_utterances
    from earnest.labels import scheme_called
    from earnest.settings.recipe import read_recipe
    from earnest.training.examples import compute_examples
    from earnest.training.loop import fit
    from earnest.training.run import initial_classifier

    torch.set_num_threads(1)
    recipe = read_recipe(RECIPE)
    scheme = scheme_called(recipe.scheme)
    classifier = initial_classifier(recipe, scheme.classes)
    wanted = {path.resolve() for part in clips for path in part}
    rows = [
        row
        for row in load_utterances(("ravdess",), {"ravdess": clips[0][0].parents[1]})
        if row.path.resolve() in wanted
    ]
    examples = compute_examples(classifier.front_end, rows, scheme)
    by_path = {example.utterance.path.resolve(): example for example in examples.values()}
    train, scored = ([by_path[path.resolve()] for path in part] for part in clips)

    def ends_now(_history: object) -> bool:
        clock.next()
        return False

    settings = replace(recipe.training, epochs=epochs)
    clock.next()
    with tempfile.TemporaryDirectory() as folder:
        fit(classifier.network, train, scored, settings, Path(folder), len(scheme.classes), ends_now=ends_now)


SIDES: dict[str, Callable[[tuple[list[Path], list[Path]], int, Clock], None]] = {
    "baseline": train_baseline,
    "earnest": train_earnest,
}


if __name__ == "__main__":
    main()
