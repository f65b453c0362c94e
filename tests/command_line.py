"""The command line, called inside the test's process, and commands in processes of their own."""

import signal
import subprocess
from collections.abc import Sequence
from typing import Any

from click.testing import CliRunner

from earnest.apps.cli.main import cli


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
