"""The option that trains a recipe on other classes than its own."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from earnest.apps.cli._completion import names_from
from earnest.labels import SCHEMES
from earnest.recipe import Recipe

F = TypeVar("F", bound=Callable[..., Any])


def scheme_option(function: F) -> F:
    """Add ``--scheme``."""
    return click.option(
        "--scheme",
        metavar="NAME",
        shell_complete=names_from(lambda: (*SCHEMES, "native")),
        help="Other classes than the recipe's, for comparing recipes on one task.",
    )(function)


def with_scheme(recipe: Recipe, scheme: str | None) -> Recipe:
    """Return the recipe with another label scheme, or as it is."""
    return recipe if scheme is None else replace(recipe, scheme=scheme)


def scheme_words(scheme: str | None) -> list[str]:
    """Return what to type for it."""
    return [] if scheme is None else ["--scheme", scheme]
