"""Pages of docs/how-to whose commands take a cluster or weights of others: they are understood, if not run."""

import re
import shlex
from pathlib import Path

import click
import pytest
from torch.distributed.run import get_args_parser

from earnest.apps.cli.main import cli

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
TEXT = "".join((HOW_TO / f"{name}.md").read_text(encoding="utf-8") for name in ("several-processes", "encoder"))
LINES = [line for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S) for line in block.splitlines()]
COMMANDS = [line for line in LINES if not line.startswith("pip ")]


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


def test_the_pages_have_commands() -> None:
    assert len(COMMANDS) == 11
