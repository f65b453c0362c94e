"""The options that train a recipe with other settings than its own."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from earnest.apps.cli._completion import names_from
from earnest.errors import RecipeError
from earnest.labels import SCHEMES
from earnest.reading import parsed_toml

F = TypeVar("F", bound=Callable[..., Any])


def recipe_options(function: F) -> F:
    """Add ``--scheme`` and ``--set``."""
    scheme = click.option(
        "--scheme",
        metavar="NAME",
        shell_complete=names_from(lambda: (*SCHEMES, "native")),
        help="Other classes than the recipe's, for comparing recipes on one task.",
    )
    setting = click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Another setting than the recipe's, such as training.epochs=20; repeatable.",
    )
    return scheme(setting(function))


def changes_of(scheme: str | None, settings: tuple[str, ...]) -> Mapping[str, Any]:
    """Return what was typed as key → value; a value that is no TOML is a word."""
    changes: dict[str, Any] = {}
    for text in settings:
        key, sign, value = text.partition("=")
        if not (sign and key.strip()):
            raise click.UsageError(f"--set {text}: write KEY=VALUE, such as training.epochs=20.")
        changes[key.strip()] = _value(value.strip())
    return changes if scheme is None else {**changes, "scheme": scheme}


def words_of(scheme: str | None, settings: tuple[str, ...]) -> list[str]:
    """Return what to type for the same."""
    words = [] if scheme is None else ["--scheme", scheme]
    return words + [word for text in settings for word in ("--set", text)]


def _value(text: str) -> Any:
    try:
        return parsed_toml(f"value = {text}", "value")["value"]
    except RecipeError:
        return text
