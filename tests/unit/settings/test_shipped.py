"""Recipes by name."""

from pathlib import Path

import pytest

from earnest.errors import RecipeError
from earnest.settings import recipe
from earnest.settings.recipe import read_recipe, recipe_file, recipe_word, shipped_recipes

RECIPES = Path(__file__).parents[3] / "recipes"


def test_all_recipes_of_the_repository_have_names() -> None:
    assert set(shipped_recipes()) == {path.stem for path in RECIPES.glob("*.toml")}


def test_a_name_is_the_recipe_that_comes_with_earnest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_recipe(recipe_file("emocatcher")) == read_recipe(RECIPES / "emocatcher.toml")
    assert recipe_word(recipe_file("emocatcher")) == "emocatcher"


def test_a_path_always_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emocatcher").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text("")
    for path in ("emocatcher", "run"):
        assert recipe_file(path) == Path(path)
        assert recipe_word(recipe_file(path)) == path


def test_a_folder_without_a_recipe_does_not_hide_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emocatcher").mkdir()
    assert recipe_file("emocatcher").name == "emocatcher.toml"


def test_a_path_of_the_repository_leads_to_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=r"recipes/emocatcher\.toml: no such file\. .* is called emocatcher alone\."):
        recipe_file("recipes/emocatcher.toml")


@pytest.mark.parametrize("wrong", ["emocatchr", "emocatchr.toml"])
def test_a_wrong_name_is_answered_with_the_nearest(wrong: str) -> None:
    with pytest.raises(RecipeError, match=r"Did you mean 'emocatcher'\?"):
        recipe_file(wrong)


def test_without_recipes_only_paths_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipe, "_PLACES", (tmp_path / "nowhere",))
    with pytest.raises(RecipeError, match=r"no recipe of this name comes with earnest\.$"):
        recipe_file("emocatcher")
