"""Options of commands that train: recipe, changed settings, protocol.

Apart from the other options, so that `earnest predict` loads no protocols.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import Any, TypeVar

import click

from earnest.apps.cli._options import corpus_names, named_corpus, names_from, option
from earnest.errors import RecipeError
from earnest.evaluation.protocols import PROTOCOL_TABLE, PROTOCOLS
from earnest.files.reading import parsed_toml
from earnest.labels import SCHEMES
from earnest.settings.recipe import Recipe, recipe_file, shipped_recipes

F = TypeVar("F", bound=Callable[..., Any])


class RecipeFile(click.ParamType[Path]):
    """A recipe: a path, or the name of one that comes with earnest."""

    name = "recipe"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the file that is meant."""
        return value if isinstance(value, Path) else recipe_file(value)


def protocol_names() -> list[str]:
    """Return the names of the protocols."""
    return [protocol.name for protocol in PROTOCOL_TABLE]


PROTOCOL: Mapping[str, Any] = {"metavar": "NAME", "shell_complete": names_from(protocol_names)}


def protocol_option(function: F) -> F:
    """Add ``--protocol`` to a command that trains by one."""
    told = "How recordings are split into training, validation and test. Default: the recipe's."
    return click.option("--protocol", **PROTOCOL, help=told)(function)


def fold_option(function: F) -> F:
    """Add ``--fold`` to a command of one fold."""
    told = "Fold of the protocol. Default: its first."
    return click.option("--fold", default=None, metavar="NAME", help=told)(function)


def recipe_argument(function: F) -> F:
    """Add the argument RECIPE."""
    complete = names_from(shipped_recipes, files=True)
    return click.argument("recipe", type=RecipeFile(), metavar="RECIPE", shell_complete=complete)(function)


def tell_unused(recipe: Recipe, quiet: bool) -> Recipe:
    """Report given settings without effect, and return the recipe."""
    training = recipe.training
    for what, unused in ((f'method = "{training.method}"', training.unused), ("The recipe", training.idle)):
        if unused and not quiet:
            click.echo(f"{what} makes no use of {', '.join(f'training.{name}' for name in unused)}.", err=True)
    return recipe


@dataclass(frozen=True)
class RecipeOptions:
    """Options that change the recipe."""

    scheme: str | None = option(
        "--scheme",
        metavar="NAME",
        shell_complete=names_from(lambda: (*SCHEMES, "native")),
        help="Other classes than the recipe's, for comparing recipes on one task.",
    )
    corpora: tuple[str, ...] = option(
        "--corpus",
        multiple=True,
        metavar="NAME|PATH",
        shell_complete=names_from(corpus_names, files=True),
        help="Other recordings than the recipe's; repeatable. A folder or table of your own in any layout, or a "
        "manifest: then classes are your labels, and the protocol is chosen by what it says about speakers.",
    )
    settings: tuple[str, ...] = option(
        "--set",
        metavar="KEY=VALUE",
        multiple=True,
        help="Another setting than the recipe's, such as training.epochs=20; repeatable.",
    )

    @property
    def changes(self) -> Mapping[str, Any]:
        """The typed settings as key → value."""
        changes = changes_of(self.settings)
        if self.corpora:
            changes["corpus"] = [name for name, _ in map(named_corpus, self.corpora)]
        if self.own:
            changes.setdefault("scheme", "native")
        return changes if self.scheme is None else {**changes, "scheme": self.scheme}

    @property
    def own(self) -> dict[str, Path]:
        """Own recordings that were named by path: name → folder, table or manifest."""
        return {name: path for name, path in map(named_corpus, self.corpora) if path is not None}

    @property
    def words(self) -> list[str]:
        """The same options as words of a command line."""
        words = [] if self.scheme is None else ["--scheme", self.scheme]
        words += [word for text in self.corpora for word in ("--corpus", text)]
        return words + [word for text in self.settings for word in ("--set", text)]


def changes_of(settings: Sequence[str]) -> dict[str, Any]:
    """Read words KEY=VALUE; a value that is no TOML is a word."""
    changes: dict[str, Any] = {}
    for text in settings:
        key, sign, value = text.partition("=")
        if not (sign and key.strip()):
            raise click.UsageError(f"--set {text}: write KEY=VALUE, such as training.epochs=20.")
        changes[key.strip()] = _value(value.strip())
    return changes


def _value(text: str) -> Any:
    try:
        return parsed_toml(f"value = {text}", "value")["value"]
    except RecipeError:
        return text


# Wrapped here, as click would break names at their hyphens.
EPILOG = "\b\n" + fill(
    f"Protocols: {', '.join(PROTOCOLS)}; the number in speaker-, group- and stratified-5fold is free.",
    width=78,
    break_on_hyphens=False,
)
