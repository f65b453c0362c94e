"""The command line, called inside the test's process, and commands in processes of their own."""

import signal
import subprocess
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any

from click.testing import CliRunner

from earnest.apps.cli.main import cli

PRELOADED = (
    "earnest.apps.cli.evaluate",
    "earnest.apps.cli.export",
    "earnest.apps.cli.stress",
    "earnest.apps.cli.train",
    "earnest.apps.cli.tune",
    "earnest.experiments.evaluate",
    "earnest.experiments.finished",
    "earnest.experiments.tune",
    "earnest.export.bundle",
    "earnest.training.loop",
    "matplotlib.figure",
    "optuna",
    "pytorch_optimizer",
    "torch.utils.tensorboard",
)
"""What commands that train, search or export import, seconds of it; also what they import only when they need it."""


def forked(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Return a process, to be started, that is forked from one that has imported `PRELOADED`, and computes nothing.

    All tests in a process share that one, and the first of them starts it: so all have one list.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context.Process(target=target, args=arguments)


def earnest_cli(*words: Any, exit_code: int = 0) -> str:
    """Run ``earnest`` and return its standard output; deliberate errors are raised as they are."""
    outcome = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert outcome.exit_code == exit_code, outcome.output
    return outcome.stdout


def started_interruptible(command: Sequence[str], **settings: Any) -> "subprocess.Popen[str]":
    """Start a command that Ctrl-C ends: a shell's background jobs ignore it, and so would what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, **settings)
    finally:
        signal.signal(signal.SIGINT, before)
