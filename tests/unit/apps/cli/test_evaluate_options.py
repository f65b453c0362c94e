"""Under which protocol an evaluation runs: the one that was named, else what the recipe says."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from earnest.apps.cli._training import RecipeOptions
from earnest.apps.cli.evaluate import FoldOptions, TaskOptions
from earnest.apps.cli.main import cli
from earnest.settings.recipe import Recipe

NAMED = Recipe("ravdess", "cabg", protocol="ravdess-6fold", authors_protocol="emocatcher-5fold")


OTHER = RecipeOptions(scheme=None, corpora=(), settings=())


def options(protocol: str | None = None, splits: tuple[Path, ...] = ()) -> TaskOptions:
    return TaskOptions(protocol, splits, speaker_dependent=False, folds=None, repeats=None, select=False)


@pytest.mark.parametrize(
    ("recipe", "as_published", "expected"),
    [
        (NAMED, False, "ravdess-6fold"),
        (NAMED, True, "emocatcher-5fold"),
        (Recipe("ravdess", "cabg"), False, "speaker-holdout"),
        (Recipe("ravdess", "cabg"), True, "speaker-holdout"),
    ],
)
def test_the_recipe_says_it_where_nobody_does(recipe: Recipe, as_published: bool, expected: str) -> None:
    assert options().as_of(recipe, as_published, OTHER, {}) == (options(expected), ())
    assert options("loso").as_of(recipe, as_published, OTHER, {}) == (options("loso"), ())
    named = options(splits=(Path("mine.csv"),))
    assert named.as_of(recipe, as_published, OTHER, {}) == (named, ())


def test_a_protocol_and_split_files_are_one_too_many() -> None:
    with pytest.raises(click.UsageError, match="Say either --protocol NAME or --splits FILES"):
        options("loso", (Path("mine.csv"),))


def test_another_protocol_than_that_which_is_set_is_refused() -> None:
    there = RecipeOptions(None, (), ("protocol=loso",))
    with pytest.raises(click.UsageError, match="--protocol and --set protocol=… are one setting"):
        options("speaker-5fold").as_of(NAMED, False, there, {})
    with pytest.raises(click.UsageError, match="--set protocol=NAME or --splits FILES"):
        options(splits=(Path("mine.csv"),)).as_of(NAMED, False, there, {})
    assert options("loso").as_of(NAMED, False, there, {})[0].protocol == "loso"  # as the command of a result says it
    set_there = Recipe("ravdess", "cabg", protocol="loso", authors_protocol="emocatcher-5fold")
    assert options().as_of(set_there, True, there, {})[0].protocol == "loso"


@pytest.mark.parametrize("words", [["train", "emocatcher", "-o", "run"], ["tune", "emocatcher"]])
def test_train_and_tune_refuse_two_protocols_too(words: list[str]) -> None:
    ran = CliRunner().invoke(cli, [*words, "--protocol", "loso", "--set", "protocol=speaker-5fold"])
    assert (ran.exit_code, "are one setting" in ran.stderr) == (2, True)


def test_an_address_without_ray_is_refused() -> None:
    with pytest.raises(click.UsageError, match="--address needs --engine ray"):
        FoldOptions(jobs=2, engine="processes", address="head:6379")
