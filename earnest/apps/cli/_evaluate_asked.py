"""What ``earnest evaluate`` is asked to train and score: the options that say so, and the task they make."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from earnest.apps.cli._completion import names_from, protocol_names
from earnest.apps.cli._evaluate_again import listed
from earnest.apps.cli._recipe import changes_of, words_of
from earnest.errors import RecipeError
from earnest.evaluation.protocol import Protocol
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.split_files import NAME, protocol_of_files

if TYPE_CHECKING:
    from earnest.training.search_space import SearchSpace
    from earnest.training.task import Task

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


def task_options(function: F) -> F:
    """Add the options that become an `Asked`."""
    options = (
        click.option(
            "--protocol",
            metavar="NAME",
            shell_complete=names_from(protocol_names),
            help="Which clips are trained on, validated on and tested; the number in names such as speaker-10fold is "
            "free.",
        ),
        click.option(
            "--splits",
            multiple=True,
            type=PATH,
            help="Instead of --protocol: split files, or a folder of them, as `earnest split` reads them; repeatable.",
        ),
        click.option(
            "--speaker-dependent", is_flag=True, help="Of --splits in CSV: speakers may be shared; every title says so."
        ),
        click.option("--folds", metavar="NAMES", help="Only these folds, with commas; the result says so."),
        click.option(
            "--repeats",
            type=click.IntRange(1),
            help="Train every fold so often, each time with another seed. Default: as the protocol says, mostly once.",
        ),
        click.option(
            "--select",
            is_flag=True,
            help="First choose the settings of the recipe's [tune] table, in each fold on its own training and "
            "validation clips.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dataclass(frozen=True)
class Asked:
    """The recipe and the options of `task_options`, as they were typed."""

    recipe: Path
    protocol: str | None
    splits: tuple[Path, ...]
    speaker_dependent: bool
    folds: str | None
    repeats: int | None
    select: bool
    scheme: str | None
    settings: tuple[str, ...]

    def __post_init__(self) -> None:
        if (self.protocol is None) == (not self.splits):
            raise click.UsageError("Say either --protocol NAME or --splits FILES.")
        if self.speaker_dependent and not self.splits:
            raise click.UsageError("--speaker-dependent says more about --splits; a protocol knows it by itself.")

    @property
    def words(self) -> list[str]:
        """What to type for the same."""
        words = ["earnest", "evaluate", str(self.recipe)]
        words += ["--protocol", self.protocol] if self.protocol else []
        words += [word for path in self.splits for word in ("--splits", str(path))]
        words += ["--speaker-dependent"] if self.speaker_dependent else []
        words += words_of(self.scheme, self.settings)
        words += ["--folds", self.folds] if self.folds else []
        words += ["--repeats", str(self.repeats)] if self.repeats else []
        return words + (["--select"] if self.select else [])

    @property
    def default_folder(self) -> Path:
        """Where the result goes unless something else is said."""
        return Path("runs") / f"{self.recipe.stem}-{self.protocol or NAME}{'-select' if self.select else ''}"

    @property
    def n_repeats(self) -> int:
        """How often each fold is trained."""
        return self.repeats or len(self.chosen_protocol().training_seeds) or 1

    def chosen_protocol(self) -> Protocol:
        """Return the protocol that was named, or the one of the split files."""
        return (
            protocol_called(self.protocol) if self.protocol else protocol_of_files(self.splits, self.speaker_dependent)
        )

    def task(self, folders: dict[str, Path], protocol: Protocol | None = None) -> "Task":
        """Read the corpora and divide them, by another protocol where one is given."""
        from earnest.recipe import read_recipe
        from earnest.training.task import task_of

        recipe = read_recipe(self.recipe, changes_of(self.scheme, self.settings))
        return task_of(recipe, protocol or self.chosen_protocol(), folders, listed(self.folds), self.repeats)

    def space(self, task: "Task") -> "SearchSpace | None":
        """Return the settings to choose among, None where they are as the recipe says."""
        if not self.select:
            return None
        from earnest.recipe import read_recipe_and_tune
        from earnest.training.search_space import SearchSpace

        _, table = read_recipe_and_tune(self.recipe, changes_of(self.scheme, self.settings))
        if table is None:
            raise RecipeError(f"{self.recipe}: has no [tune] table. `earnest tune --help` shows one.")
        return SearchSpace(task.recipe, table)
