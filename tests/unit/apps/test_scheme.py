"""A recipe on other classes than its own."""

import pytest

from earnest.apps.cli._scheme import scheme_words, with_scheme
from earnest.errors import RecipeError
from earnest.recipe import Recipe

RECIPE = Recipe("ravdess", "cabg", scheme="ravdess8")


def test_another_scheme_replaces_the_recipes_own_and_is_typed_again() -> None:
    assert with_scheme(RECIPE, "six").scheme == "six"
    assert scheme_words("six") == ["--scheme", "six"]


def test_without_one_the_recipe_stays_as_it_is() -> None:
    assert with_scheme(RECIPE, None) is RECIPE
    assert scheme_words(None) == []


def test_a_wrong_scheme_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="ravdess8"):
        with_scheme(RECIPE, "ravdes8")
