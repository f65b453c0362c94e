"""A training that is killed at any moment ends, after the same command again, as one that never was."""

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from command_line import forked
from csv_tables import rows_of
from made_up_corpus import recipe_text
from patience import PATIENCE_S, wait_for

EPOCHS = 8
# All that draws random numbers or keeps a state from step to step, and the second training on all clips. (What needs
# a network with several tasks is in tests/unit/training/test_loop_settings.py.)
RECIPE = recipe_text(
    EPOCHS,
    """\
refit = true
patience = 6
gradient_clip = 0.9
mixup_alpha = 0.3
time_mask_frames = 8
mel_mask_bands = 6
plateau_patience = 1
plateau_cooldown = 1
plateau_threshold = 0.3
oversample = "balanced"
clean_share = 0.3
[[augment]]
name = "gaussian-noise"
deviation = [0.0, 0.1]
""",
)
FILES = ("predictions.csv", "run.json", "model.safetensors", "recipe.toml", "split.json")


def earnest_train(words: list[str], dies_at: int | None, after: bool, pause_s: float) -> None:
    """Run the command as a child process; with ``dies_at`` it kills itself around that replacement of a file.

    ``pause_s`` after each replacement leaves the parent time to kill, however busy the machine is.
    """
    from earnest.apps.cli.main import cli

    assert "lightning.pytorch" in sys.modules  # else `PRELOADED` lacks what takes seconds
    replace, count = Path.replace, 0

    def deadly_replace(self: Path, target: Any) -> Path:
        nonlocal count
        count += 1
        if count == dies_at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        moved = replace(self, target)
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(pause_s)
        return moved

    Path.replace = deadly_replace  # type: ignore[method-assign,assignment]
    with contextlib.redirect_stdout(None):
        cli(["train", *words, "-q"], standalone_mode=False)


class Command:
    """``earnest train`` into one folder, each time in a fresh process."""

    def __init__(self, folder: Path, manifest: Path) -> None:
        self.run = folder / "run"
        recipe = folder / "recipe.toml"
        recipe.parent.mkdir(parents=True, exist_ok=True)
        recipe.write_text(RECIPE, encoding="utf-8")
        self.words = [str(recipe), "--data", f"made-up={manifest}", "--output", str(self.run)]

    def start(self, dies_at: int | None = None, after: bool = False, pause_s: float = 0.0) -> BaseProcess:
        process = forked(earnest_train, self.words, dies_at, after, pause_s)
        process.start()
        return process

    def finish(self, dies_at: int | None = None, after: bool = False) -> int | None:
        process = self.start(dies_at, after)
        process.join(PATIENCE_S * 4)
        return process.exitcode

    def kill_when(self, ready: Callable[[Path], bool], wait_s: float) -> int | None:
        process = self.start(pause_s=0.15)
        while process.is_alive() and not ready(self.run):
            time.sleep(0.002)
        time.sleep(wait_s)
        process.kill()
        process.join(PATIENCE_S * 4)
        return process.exitcode


def epochs_in(history: Path) -> int:
    return len(history.read_text().splitlines()) - 1 if history.exists() else 0


def history_without_seconds(path: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows_of(path)]


def assert_same_run(found: Path, expected: Path) -> None:
    for name in FILES:
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name
    for part in (".", "refit"):
        histories = [history_without_seconds(run / part / "history.csv") for run in (found, expected)]
        assert histories[0] == histories[1]
    names = [
        {path.relative_to(run) for path in run.rglob("*") if "tensorboard" not in str(path)}
        for run in (found, expected)
    ]
    assert names[0] == names[1]  # nothing half-written is left


@pytest.fixture(scope="module")
def uninterrupted(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = Command(tmp_path_factory.mktemp("uninterrupted"), made_up)
    assert command.finish() == 0
    assert epochs_in(command.run / "history.csv") == EPOCHS
    assert (command.run / "refit" / "history.csv").exists()
    rates = {row["learning_rate"] for row in history_without_seconds(command.run / "history.csv")}
    assert len(rates) > 1  # so the schedule has a state worth keeping
    return command.run


def test_killed_at_random_moments_the_same_command_ends_with_the_same_run(
    uninterrupted: Path, made_up: Path, tmp_path: Path
) -> None:
    command, draw = Command(tmp_path, made_up), random.Random(0)
    moments: list[Callable[[Path], bool]] = [
        lambda run: (run / "recipe.toml").exists(),
        lambda run: epochs_in(run / "history.csv") >= 2,
        lambda run: epochs_in(run / "history.csv") >= 5,
        lambda run: (run / "refit" / "history.csv").exists(),
    ]
    for ready in moments:
        assert command.kill_when(ready, draw.uniform(0, 0.08)) == -signal.SIGKILL
        assert not (command.run / "predictions.csv").exists()
    assert command.finish() == 0
    assert_same_run(command.run, uninterrupted)


def test_killed_before_or_after_any_file_is_replaced_the_run_ends_the_same(
    uninterrupted: Path, made_up: Path, tmp_path: Path
) -> None:
    command, draw = Command(tmp_path, made_up), random.Random(1)
    codes = []
    while not codes or codes[-1] != 0:
        codes.append(command.finish(dies_at=draw.randint(3, 7), after=draw.random() < 0.5))
        assert len(codes) < 40
    assert codes.count(-signal.SIGKILL) == len(codes) - 1 >= 4
    assert_same_run(command.run, uninterrupted)


def test_the_same_training_twice_gives_the_same_run(uninterrupted: Path, made_up: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, made_up)
    assert command.finish() == 0
    assert_same_run(command.run, uninterrupted)


TABLE = """
[tune]
[tune.choices]
training.learning_rate = [1e-3, 1e-2]
"""


def earnest_at_a_terminal(words: list[str], said: Path) -> None:
    """Run the command as a child process that Ctrl-C ends, with standard error in a file."""
    from earnest.apps.cli.main import main

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    for descriptor, path in ((1, os.devnull), (2, said)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.argv = ["earnest", *words]
    main()


@pytest.mark.parametrize("command", ["train", "evaluate", "tune"])
def test_ctrl_c_says_where_the_work_is_and_that_the_same_command_continues(
    command: str, made_up: Path, tmp_path: Path
) -> None:
    recipe, output = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(recipe_text(10_000, "patience = 10_000") + TABLE, encoding="utf-8")
    words = [command, recipe, "--data", f"made-up={made_up}", "--protocol", "speaker-5fold", "--output", output]
    process = forked(earnest_at_a_terminal, [str(word) for word in words], tmp_path / "said")
    process.start()
    assert process.pid
    try:
        wait_for(lambda: any(output.rglob("history.csv")) or not process.is_alive())
        os.kill(process.pid, signal.SIGINT)
        process.join(PATIENCE_S)
    finally:
        process.kill()
    said = (tmp_path / "said").read_text(encoding="utf-8")
    assert said.endswith(f"What is done is in {output}; the same command continues.\n\nStopped.\n")
    assert process.exitcode == 130
