"""docs/how-to/several-processes.md: its commands are understood, by torchrun and by earnest."""

import re
import shlex
from pathlib import Path

import click
import pytest
from torch.distributed.run import get_args_parser

from earnest.apps.cli.main import cli

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "several-processes.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_understood(line: str) -> None:
    program, *words = shlex.split(line)
    if program == "torchrun":
        launched = get_args_parser().parse_args(words)
        assert (launched.module, launched.training_script) == (True, "earnest")
        words = launched.training_script_args
    group: click.Command = cli
    context = click.Context(cli)
    while isinstance(group, click.Group):
        _, found, words = group.resolve_command(context, words)
        assert found is not None
        group = found
    group.make_context("earnest", words, parent=context)  # raises for an unknown option


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) == 5
