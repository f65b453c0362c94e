"""What holds for all commands: options in front of their names, one line for what the system refuses, completion."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from command_line import earnest_cli

from earnest.apps.cli.main import cli, main
from earnest.evaluation.protocols import PROTOCOLS

pytestmark = pytest.mark.long


def offered(words: str) -> list[str]:
    """Return what bash would offer for the last of ``words``, " " at the end for a new one."""
    count = len(words.split()) - (not words.endswith(" "))
    environ = {**os.environ, "_EARNEST_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    found = subprocess.run([sys.executable, "-m", "earnest"], env=environ, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in found.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("earnest pre", ["predict"]),
        ("earnest predict --mod", ["--model"]),
        ("earnest predict --model ba", ["base", "ba"]),
        ("earnest corpus info rav", ["ravdess", "ravdess-song"]),
        ("earnest evaluate recipe.toml --protocol emodb", ["emodb-loso"]),
        ("earnest tune recipe.toml --protocol emodb", ["emodb-loso"]),
        ("earnest predict --tta sp", ["speed"]),
        ("earnest evaluate recipe.toml --tta gain-", ["gain-and-speed"]),
        ("earnest timeline --format text", ["textgrid"]),
    ],
)
def test_a_shell_is_offered_what_fits(words: str, expected: list[str]) -> None:
    assert offered(words) == expected


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_every_command_has_an_example_and_takes_json_and_quiet(path: tuple[str, ...]) -> None:
    text = CliRunner().invoke(cli, [*path, "--help"]).stdout
    assert "Example" in text
    assert "--json" in text
    assert "--quiet" in text


def test_options_before_the_name_of_a_command_hold_for_it() -> None:
    rows = json.loads(earnest_cli("corpus", "list", "--json"))
    assert json.loads(earnest_cli("corpus", "--json", "list")) == rows
    assert json.loads(earnest_cli("--json", "corpus", "list")) == rows
    assert "Where they come from" in earnest_cli("corpus", "list")
    assert "Where they come from" not in earnest_cli("-q", "corpus", "list")


@pytest.mark.parametrize("name", ["train", "tune", "evaluate", "split"])
def test_the_help_names_the_protocols(name: str) -> None:
    text = " ".join(earnest_cli(name, "--help").split())
    assert all(protocol in text for protocol in PROTOCOLS)


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.csv").write_text("path,emotion\nmine.csv,happy\n")
    (tmp_path / "file").write_text("")
    words = ["corpus", "manifest", "csv", str(tmp_path / "mine.csv"), "-o", str(tmp_path / "file" / "rows.csv")]
    monkeypatch.setattr("sys.argv", ["earnest", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    written = capfd.readouterr().err
    assert exit_.value.code == 1
    assert written.startswith(f"earnest: {tmp_path / 'file' / 'rows.csv'}: not writable (Not a directory)")
    assert written.count("\n") == 1
