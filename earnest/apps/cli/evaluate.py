"""What ``earnest evaluate`` is asked to train and score: the options that say so, and the task they make."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from earnest.apps.cli import _evaluate_results as tables
from earnest.apps.cli._evaluate_results import DEFAULT_LEVELS, Again, evaluate_again, listed, numbers
from earnest.apps.cli._options import (
    EPILOG,
    changes_of,
    names_from,
    protocol_names,
    recipe_options,
    variant_names,
    words_of,
)
from earnest.apps.cli.output import corpus_folders, data_option, echo, echo_json, output_options, progress_for
from earnest.apps.cli.train import require_training
from earnest.errors import MissingExtraError, RecipeError
from earnest.evaluation.protocols import Protocol, protocol_called
from earnest.evaluation.split_files import NAME, protocol_of_files
from earnest.files.locks import held_folder
from earnest.files.writing import write_json

if TYPE_CHECKING:
    from earnest.evaluation.curves import Amount
    from earnest.evaluation.matrix import Matrix
    from earnest.experiments.evaluate import Evaluation
    from earnest.experiments.task import Task
    from earnest.experiments.tune import SearchSpace
    from earnest.training.runtime_statistics import How


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
            help="How often every fold is trained, each time with another seed. Default: as the protocol says.",
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
        from earnest.experiments.task import task_of
        from earnest.settings.recipe import read_recipe

        recipe = read_recipe(self.recipe, changes_of(self.scheme, self.settings))
        return task_of(recipe, protocol or self.chosen_protocol(), folders, listed(self.folds), self.repeats)

    def space(self, task: "Task") -> "SearchSpace | None":
        """Return the settings to choose among, None where they are as the recipe says."""
        if not self.select:
            return None
        from earnest.experiments.tune import SearchSpace
        from earnest.settings.recipe import read_recipe_and_tune

        _, table = read_recipe_and_tune(self.recipe, changes_of(self.scheme, self.settings))
        if table is None:
            raise RecipeError(f"{self.recipe}: has no [tune] table. `earnest tune --help` shows one.")
        return SearchSpace(task.recipe, table)


AS_PUBLISHED = "as_published.json"


@click.command(epilog=EPILOG)
@click.argument("recipe", type=click.Path(path_type=Path))
@task_options
@data_option
@recipe_options
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Default: runs/RECIPE-PROTOCOL.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Folds at a time, one thread each.")
@click.option(
    "--adapt",
    multiple=True,
    type=click.Choice(["causal", "ten", "all", "one-emotion"]),
    help="Also answer adapted to each test speaker, without labels; repeatable. causal: clip by clip in a drawn order; "
    "ten, all: after ten drawn clips or all were heard; one-emotion: causal, streams of one emotion, the hardest case.",
)
@click.option(
    "--tta",
    multiple=True,
    metavar="VARIANTS",
    shell_complete=names_from(variant_names),
    help="Also answer by the mean over changed copies of each test clip; repeatable. gain: ±6 dB; speed: 5 % slower "
    "and faster; gain-and-speed: both.",
)
@click.option("--noise", metavar="FOLDER", help="Also answer with noise from here mixed into each test clip.")
@click.option("--snr-db", metavar="LEVELS", help=f"Of --noise: its levels, with commas. Default: {DEFAULT_LEVELS}.")
@click.option("--noise-names", metavar="NAMES", help="Of --noise: only recordings with one of these in their path.")
@click.option("--train-share", metavar="SHARES", help="Also train on less data: shares with commas, such as 0.25,0.5.")
@click.option(
    "--as-published",
    is_flag=True,
    help="For comparison only: the number with the epoch chosen on test, as its authors did, beside the honest ones.",
)
@output_options
def command(
    recipe: Path,
    data: tuple[str, ...],
    output: Path | None,
    jobs: int,
    adapt: "tuple[How, ...]",
    tta: tuple[str, ...],
    noise: str | None,
    snr_db: str | None,
    noise_names: str | None,
    train_share: str | None,
    as_published: bool,
    as_json: bool,
    quiet: bool,
    **asked_for: Any,
) -> None:
    """Train and score every fold of a protocol; the same command again resumes.

    Epoch and temperature are chosen on validation clips. Every test clip is predicted once, after that. The result is
    WA (weighted accuracy, the share that is right) and UA (unweighted accuracy, the mean recall over classes).

    \b
    Example:
      earnest evaluate recipes/emocatcher.toml --protocol ravdess-6fold --data ravdess=~/ravdess --jobs 2
    """
    require_training()
    if not find_spec("matplotlib"):  # not after hours of training
        raise MissingExtraError("Drawing the confusion matrix", "report")
    from earnest.experiments.evaluate import evaluate
    from earnest.experiments.learning_curve import with_shares

    again = Again.checked(adapt, tta, noise, snr_db, noise_names)  # what is wrong is told now
    shares = numbers(train_share or "", "--train-share", "0.25,0.5")
    asked = Asked(recipe, **asked_for)
    _refuse_combinations(asked, again, bool(shares), as_published)
    folder, progress = output or asked.default_folder, progress_for(as_json, quiet)
    on_fold = _tell if progress.visible else None
    if progress.visible and jobs > 1:
        echo("Every job decodes the recordings first.", err=True)
    if as_published:
        with held_folder(folder):
            _show_as_published(asked, corpus_folders(data), folder, jobs, on_fold, as_json)
        return
    task = asked.task(corpus_folders(data))
    space, less = asked.space(task), with_shares(task, shares)
    with held_folder(folder):
        outcome = evaluate(task, folder, shlex.join(asked.words), jobs, on_fold, space)
        matrix = _draw(outcome, folder, recipe.stem)
        outcomes = evaluate_again(again, task, folder, asked.words, progress)
        typed = [*asked.words, "--train-share", train_share or ""]
        amounts = _less(task, outcome, less, folder, typed, jobs, on_fold, space) if less else []
    if as_json:
        more: dict[str, Any] = {"matrix": matrix.to_dict()} if matrix else {}
        more |= {"train_share": [amount.to_dict() for amount in amounts]} if amounts else {}
        echo_json({**outcome.document, **outcomes.documents(), **more})
        return
    tables.echo_results(outcome, recipe.stem, outcomes)
    if matrix:
        tables.echo_matrix(matrix)
    if amounts:
        tables.echo_amounts(amounts)
    if not quiet:
        echo(f"\npredictions.csv, metrics.json and confusion.png are in {folder}")


def _tell(fold: str) -> None:
    echo(f"fold {fold} done", err=True)


def _refuse_combinations(asked: Asked, again: Again, has_shares: bool, as_published: bool) -> None:
    """Refuse options that don't go together, before anything is read."""
    answers_again = bool(again.adapt or again.tta or again.noise)
    if as_published and (answers_again or has_shares or asked.select or asked.splits or asked.folds):
        raise click.UsageError("--as-published goes with --protocol, --repeats and the recipe's settings alone.")
    if again.adapt and (asked.select or asked.n_repeats > 1):
        raise click.UsageError("--adapt goes with one training a fold, with the recipe's own settings.")


def _draw(outcome: "Evaluation", folder: Path, name: str) -> "Matrix | None":
    """Draw the confusion matrix and, of a protocol that is one, the matrix of corpora, which is returned."""
    from earnest.evaluation.plots import plot_confusion

    title = f"{name}, {outcome.document['title']}"
    plot_confusion(outcome.scores, folder / "confusion.png", title, outcome.protocol.speaker_independent)
    if not outcome.protocol.is_matrix:
        return None
    from earnest.evaluation.matrix import Matrix, plot_matrix

    matrix = Matrix.of(outcome.predictions)
    plot_matrix(matrix, folder / "matrix.png", title)
    write_json(folder / "matrix.json", matrix.to_dict())
    return matrix


def _less(
    task: "Task",
    whole: "Evaluation",
    less: "dict[float, Task]",
    folder: Path,
    words: list[str],
    jobs: int,
    on_fold: Callable[[str], object] | None,
    space: "SearchSpace | None",
) -> "list[Amount]":
    """Train on less data too, and draw UA over its amount."""
    from earnest.evaluation.curves import plot_data_curve
    from earnest.experiments.learning_curve import evaluate_less

    amounts = evaluate_less(task, whole, less, folder, shlex.join(words), jobs, on_fold, space)
    plot_data_curve(amounts, folder / "data_curve.png", f"{Path(words[2]).stem}, {task.title}")
    return amounts


def _show_as_published(
    asked: Asked,
    folders: dict[str, Path],
    folder: Path,
    jobs: int,
    on_fold: Callable[[str], object] | None,
    as_json: bool,
) -> None:
    """Train and score as the authors did and honestly, and write the numbers beside each other."""
    from earnest.evaluation.author_protocols import honest_protocol
    from earnest.experiments.as_published import evaluate_as_published

    protocol = asked.chosen_protocol()
    unseen = asked.task(folders, honest_protocol(protocol.name))
    typed = shlex.join([*asked.words, "--as-published"])
    outcome = evaluate_as_published(asked.task(folders), unseen, folder, typed, jobs, on_fold)
    for name, one in outcome.columns.items():
        _draw(one, folder / one.protocol.name, f"{asked.recipe.stem}, {name.replace('_', ' ')}")
    document = outcome.to_dict()
    write_json(folder / AS_PUBLISHED, document)
    if as_json:
        echo_json(document)
    else:
        tables.echo_as_published(outcome.rows(), outcome.sentences())
