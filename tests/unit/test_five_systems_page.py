"""What docs/five-systems.md says of commands and of our numbers is so."""

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from earnest.apps.cli.main import cli

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "five-systems.md").read_text(encoding="utf-8")
COMMANDS = sorted({command for command in re.findall(r"`(earnest [^`]+)`", PAGE) if "…" not in command})
MEASURED = {
    row["recipe"]: row for row in json.loads((DOCS / "results" / "recipes" / "recipes.json").read_text("utf-8"))
}
TOLD = re.findall(r"`([\w-]+)` ([\d.]+) / ([\d.]+)", PAGE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists_with_its_options_and_recipe(command: str) -> None:
    words = shlex.split(command)[1:]
    usage = CliRunner().invoke(cli, [*words[: 2 if words[0] == "corpus" else 1], "--help"])
    assert usage.exit_code == 0, usage.output
    for word in words:
        assert not word.startswith("--") or word in usage.output
        assert not word.startswith("recipes/") or (DOCS.parent / word).is_file()


@pytest.mark.parametrize(("recipe", "wa", "ua"), TOLD)
def test_a_number_of_ours_is_the_measured_one(recipe: str, wa: str, ua: str) -> None:
    assert (f"{MEASURED[recipe]['wa']:.1f}", f"{MEASURED[recipe]['ua']:.1f}") == (wa, ua)


def test_the_page_has_commands_and_numbers() -> None:
    assert len(COMMANDS) > 10
    assert len(TOLD) > 8
