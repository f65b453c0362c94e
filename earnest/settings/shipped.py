"""The recipes that come with earnest, by name: in the installed package, or in the checkout it runs from."""

from pathlib import Path

from earnest.errors import RecipeError, suggestion

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "recipes", _PACKAGE.parent / "recipes")  # setup.py puts them into the wheel


def shipped_recipes() -> dict[str, Path]:
    """Return name → file of the recipes that come with earnest; none where somebody installed the package alone."""
    folder = next((place for place in _PLACES if place.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


def recipe_word(path: Path) -> str:
    """Return what to type for a recipe: its name where it comes with earnest and was found by that, else the path."""
    return path.stem if path in shipped_recipes().values() else str(path)


def recipe_file(text: str) -> Path:
    """Return the file that a person means by a path, or by the name of a recipe that comes with earnest.

    Raises
    ------
    RecipeError
        When there is neither.
    """
    path, shipped = Path(text).expanduser(), shipped_recipes()
    if path.is_file() or (path / "recipe.toml").is_file():
        return path
    if text in shipped:
        return shipped[text]
    if path.parent.name == "recipes" and path.stem in shipped:
        raise RecipeError(f"{text}: no such file. The recipe that comes with earnest is called {path.stem} alone.")
    named = suggestion(path.stem, shipped) if shipped else ""
    raise RecipeError(f"{text}: no such file, and no recipe of this name comes with earnest.{named}")
