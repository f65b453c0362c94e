"""The command line, called inside the test's process."""

from typing import Any

from click.testing import CliRunner

from earnest.apps.cli.main import cli


def earnest_cli(*words: Any, exit_code: int = 0) -> str:
    """Run ``earnest`` and return its standard output; deliberate errors are raised as they are."""
    outcome = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert outcome.exit_code == exit_code, outcome.output
    return outcome.stdout
