"""The start of the command line: help lines that need no import, and what ``earnest --help`` costs."""

import subprocess
import sys
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from earnest.apps.cli._table import GROUPS, LONGEST_LINE, OTHER, grouped
from earnest.apps.cli.main import cli

NAMES = cli.list_commands(click.Context(cli))
LINES = {name: line for lines in GROUPS.values() for name, line in lines.items()}
REPORT = "import sys; print(*sorted(name for name in sys.modules if name.startswith('earnest.')))"


def test_every_command_has_one_line_in_one_group() -> None:
    untold = sorted(set(NAMES) - LINES.keys())
    gone = sorted(LINES.keys() - set(NAMES))
    assert not untold, f"Add {untold} to a group in earnest/apps/cli/_table.py, with the first line of the docstring."
    assert not gone, f"Take {gone} out of earnest/apps/cli/_table.py: no such module is in earnest/apps/cli."
    assert len(LINES) == sum(map(len, GROUPS.values())), "A command stands in two groups of _table.py."


@pytest.mark.parametrize("name", NAMES)
def test_a_commands_line_is_the_first_of_its_docstring(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert LINES[name] == command.help.splitlines()[0], f"Make both equal: _table.py and `earnest {name} --help`."


@pytest.mark.parametrize("name", NAMES)
def test_a_line_fits_a_terminal_of_80_columns(name: str) -> None:
    assert len(LINES[name]) <= LONGEST_LINE
    assert LINES[name].endswith(".")


def test_the_help_shows_each_line_unbroken_under_its_group() -> None:
    rows = [row.split(maxsplit=1) for row in CliRunner().invoke(cli, ["--help"]).stdout.splitlines()]
    for group, lines in GROUPS.items():
        start = rows.index([f"{group}:"] if " " not in group else f"{group}:".split(maxsplit=1))
        assert rows[start + 1 : start + 1 + len(lines)] == [[name, line] for name, line in lines.items()]


def test_a_command_without_a_line_is_listed_all_the_same() -> None:
    assert grouped(["predict", "newborn"]) == {"Recognise": [("predict", LINES["predict"])], OTHER: [("newborn", "")]}


@pytest.mark.long
def test_the_help_imports_no_command() -> None:
    code = f"from earnest.apps.cli.main import cli; cli(['--help'], standalone_mode=False); {REPORT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded == {
        "earnest.apps",
        "earnest.apps.cli",
        "earnest.apps.cli._table",
        "earnest.apps.cli.main",
        "earnest.apps.cli.output",
        "earnest.errors",
        "earnest.installation",
        "earnest.progress",
    }


@pytest.mark.long
def test_the_help_costs_at_most_150_ms_more_than_importing_click() -> None:
    resource = import_module("resource")  # not on Windows

    def cpu_s(*words: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    click_s = min(cpu_s("-c", "import click") for _ in range(5))
    help_s = min(cpu_s("-m", "earnest", "--help") for _ in range(5))
    assert help_s - click_s <= 0.15
