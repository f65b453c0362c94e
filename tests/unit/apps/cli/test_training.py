"""A recipe with other settings than its own."""

from dataclasses import replace
from pathlib import Path

import click
import pytest

from earnest.apps.cli._training import RecipeOptions, changes_of, tell_unused
from earnest.settings.recipe import Training, read_recipe


def test_values_are_toml_and_anything_else_a_word() -> None:
    typed = (
        "training.epochs=3",
        "training.freeze=[]",
        "training.precision=bf16",
        'model="cabg"',
        "training.refit = true",
    )
    assert changes_of(typed) == {
        "training.epochs": 3,
        "training.freeze": [],
        "training.precision": "bf16",
        "model": "cabg",
        "training.refit": True,
    }


def test_the_scheme_has_an_option_of_its_own() -> None:
    assert RecipeOptions("six", (), ()).changes == {"scheme": "six"}
    assert RecipeOptions(None, (), ()).changes == {}


def test_what_was_typed_can_be_typed_again() -> None:
    assert RecipeOptions("six", (), ("a=1", "b=2")).words == ["--scheme", "six", "--set", "a=1", "--set", "b=2"]
    assert RecipeOptions(None, (), ()).words == []


@pytest.mark.parametrize("text", ["training.epochs", "=3", " = 3"])
def test_half_a_setting_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError, match="KEY=VALUE"):
        changes_of((text,))


def test_settings_in_vain_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = read_recipe(Path(__file__).parents[4] / "recipes" / "base.toml", {"training.epochs": 7})
    assert tell_unused(recipe, quiet=True) is recipe
    assert capsys.readouterr().err == ""
    tell_unused(recipe, quiet=False)
    assert capsys.readouterr().err == 'method = "discriminant" makes no use of training.epochs.\n'
    tell_unused(replace(recipe, training=Training(epochs=1, schedule="multistep", milestones=(1,))), quiet=False)
    assert capsys.readouterr().err == "The recipe makes no use of training.milestones.\n"
