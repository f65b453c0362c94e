"""Options of a command that come as one object."""

from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from earnest.apps.cli._options import listed, numbers, option, options
from earnest.apps.cli.main import cli


@dataclass(frozen=True)
class Threads:
    threads: int = option("--threads", type=int, default=1, help="Cores.")


@dataclass(frozen=True)
class Loud(Threads):
    names: tuple[str, ...] = option("--name", multiple=True, help="Whom to greet.")
    loud: bool = option("--loud", is_flag=True)

    def __post_init__(self) -> None:
        if self.loud and not self.names:
            raise click.UsageError("--loud needs --name.")


@click.command()
@click.argument("word")
@options("how", Loud)
@click.option("--last")
def greet(word: str, how: Loud, last: str | None) -> None:
    click.echo(f"{word} {how.names} {how.loud} {how.threads} {last}")


def test_a_command_gets_one_object_beside_its_own_parameters() -> None:
    said = CliRunner().invoke(greet, ["hello", "--name", "a", "--name", "b", "--loud", "--last", "z"])
    assert said.output == "hello ('a', 'b') True 1 z\n"


def test_help_lists_the_groups_own_options_first_and_where_the_group_stands() -> None:
    text = CliRunner().invoke(greet, ["--help"]).output
    places = [text.index(name) for name in ("--name", "--loud", "--threads", "--last")]
    assert places == sorted(places)
    assert "Whom to greet." in text


def test_what_does_not_go_together_is_wrong_usage() -> None:
    refused = CliRunner().invoke(greet, ["hello", "--loud"])
    assert refused.exit_code == click.UsageError.exit_code
    assert "--loud needs --name." in refused.output


def test_words_and_numbers_between_commas() -> None:
    assert listed(" a, b ,,") == ("a", "b")
    assert listed(None) == ()
    assert numbers("0.5, 1", "--share", "0.25") == (0.5, 1.0)
    with pytest.raises(click.UsageError, match=r"--share expects numbers with commas, such as 0\.25; got 'x'"):
        numbers("x", "--share", "0.25")


@pytest.mark.parametrize("words", [("--batch", "nan"), ("--timeout", "nan"), ("--abstain-below", "NaN")], ids=" ".join)
def test_what_is_no_number_is_no_number(words: tuple[str, str]) -> None:
    told = CliRunner().invoke(cli, ["predict", "talk.wav", *words])
    assert told.exit_code == 2
    assert f"{words[1]} is no number." in told.output
