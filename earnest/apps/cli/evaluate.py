"""``earnest evaluate``: every fold of a protocol trained and scored, and asked again under conditions."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import VARIANT_HELP, EngineOptions, listed, names_from, numbers, option, options
from earnest.apps.cli._training import EPILOG, PROTOCOL, RecipeOptions, echo_results, recipe_argument, require_training
from earnest.apps.cli._typed import FOLDER, PATH, command_line, corpus_folders, data_option, output_options, repeated
from earnest.augment.tta import VARIANTS, variants_called
from earnest.corpora.manifest import Utterance
from earnest.errors import MissingExtraError
from earnest.evaluation.protocols import Protocol, protocol_called
from earnest.evaluation.report import Matrix
from earnest.evaluation.split_files import NAME, protocol_of_files
from earnest.files.writing import held_folder, write_atomically, write_json
from earnest.progress import Progress
from earnest.settings.recipe import Recipe, recipe_word

if TYPE_CHECKING:
    from earnest.evaluation.report import Amount
    from earnest.evaluation.streams import How
    from earnest.experiments.conditions import ConditionResults, ConditionSet
    from earnest.experiments.evaluate import Evaluation
    from earnest.experiments.task import FoldEngine, Task
    from earnest.experiments.tune import SearchSpace


@dataclass(frozen=True)
class TaskOptions:
    """Options of the protocol: the folds to train and score."""

    protocol: str | None = option(
        "--protocol",
        **PROTOCOL,
        help="How recordings are split into training, validation and test. In names such as speaker-10fold the "
        "number is free. Default: the recipe's.",
    )
    splits: tuple[Path, ...] = option(
        "--splits",
        multiple=True,
        type=PATH,
        help="Instead of --protocol: split files, or a folder of them, as `earnest split` reads them; repeatable.",
    )
    speaker_dependent: bool = option(
        "--speaker-dependent", is_flag=True, help="With --splits in CSV: speakers may be shared; every title says so."
    )
    folds: str | None = option("--folds", metavar="NAMES", help="Only these folds, with commas; the result says so.")
    repeats: int | None = option(
        "--repeats",
        type=click.IntRange(1),
        help="How often every fold is trained, each time with another seed. Default: as the protocol says.",
    )
    select: bool = option(
        "--select",
        is_flag=True,
        help="First choose the settings of the recipe's [tune] table, in each fold on its own training and "
        "validation recordings.",
    )

    def __post_init__(self) -> None:
        if self.protocol is not None and self.splits:
            raise click.UsageError("Say either --protocol NAME or --splits FILES.")
        if self.speaker_dependent and not self.splits:
            raise click.UsageError("--speaker-dependent needs --splits. A protocol already says which it is.")

    def as_of(
        self, recipe: Recipe, as_published: bool, other: RecipeOptions, folders: dict[str, Path]
    ) -> "tuple[TaskOptions, Sequence[Utterance]]":
        """Return the options with the protocol of the recipe, its authors' or the data's, and what was read for it."""
        other.check_protocol(self.protocol)
        is_set = "protocol" in other.changes
        if is_set and self.splits:
            raise click.UsageError("Say either --set protocol=NAME or --splits FILES.")
        if self.protocol or self.splits:
            return self, ()
        authors = recipe.authors_protocol if as_published and not is_set else ""
        protocol, rows = (authors, ()) if authors else other.protocol_of(recipe, folders)
        return replace(self, protocol=protocol), rows

    def chosen_protocol(self) -> Protocol:
        """Return the protocol that was named, or the one of the split files."""
        return (
            protocol_called(self.protocol) if self.protocol else protocol_of_files(self.splits, self.speaker_dependent)
        )

    @property
    def n_repeats(self) -> int:
        """Number of trainings of each fold."""
        return self.repeats or len(self.chosen_protocol().training_seeds) or 1


@dataclass(frozen=True)
class EvaluationRequest:
    """The request of an evaluation: recipe, protocol, folds, as typed; and what was read before: the recipe, rows.

    Attributes
    ----------
    recipe : where it is read from
    resolved : what it says, with the settings of ``other``
    rows : those that were read to choose a protocol
    """

    recipe: Path
    resolved: Recipe
    of: TaskOptions
    other: RecipeOptions
    rows: Sequence[Utterance]

    @property
    def words(self) -> list[str]:
        """The same request as words of a command line."""
        words, of = ["earnest", "evaluate", recipe_word(self.recipe)], self.of
        words += ["--protocol", of.protocol] if of.protocol else []
        words += repeated("--splits", of.splits)
        words += ["--speaker-dependent"] if of.speaker_dependent else []
        words += self.other.words
        words += ["--folds", of.folds] if of.folds else []
        words += ["--repeats", str(of.repeats)] if of.repeats else []
        return words + (["--select"] if of.select else [])

    @property
    def default_folder(self) -> Path:
        """Where the result goes unless something else is said."""
        return (
            Path("runs")
            / f"{self.recipe.stem}{self.other.suffix}-{self.of.protocol or NAME}{'-select' if self.of.select else ''}"
        )

    def task(self, folders: dict[str, Path], protocol: Protocol | None = None) -> "Task":
        """Read the corpora and divide them, by another protocol where one is given."""
        from earnest.experiments.task import task_of

        protocol = protocol or self.of.chosen_protocol()
        return task_of(self.resolved, protocol, folders, listed(self.of.folds), self.of.repeats, self.rows)

    def space(self, task: "Task") -> "SearchSpace | None":
        """Return the settings to choose among, None where they are as the recipe says."""
        if not self.of.select:
            return None
        from earnest.experiments.tune import SearchSpace

        return SearchSpace(task.recipe, self.other.read_with_tune(self.recipe)[1])


DEFAULT_LEVELS = "0,5,10,20"


@dataclass(frozen=True)
class ConditionOptions:
    """Under which conditions the test recordings are answered again."""

    adapt: "tuple[How, ...]" = option(
        "--adapt",
        multiple=True,
        type=click.Choice(["causal", "ten", "all", "one-emotion"]),
        help="Also answer adapted to each test speaker, without labels; repeatable. causal: one recording after the "
        "other, in a drawn order; ten, all: after ten drawn recordings or all were heard; one-emotion: causal, "
        "streams of one emotion, the hardest case. (`earnest predict --adapt` takes auto or recordings.)",
    )
    tta: tuple[str, ...] = option(
        "--tta",
        multiple=True,
        metavar="VARIANTS",
        shell_complete=names_from(lambda: VARIANTS),
        help=f"Also answer by the mean over changed copies of each test recording; repeatable. {VARIANT_HELP}.",
    )
    noise: str | None = option(
        "--noise", metavar="FOLDER", help="Also answer with noise from here mixed into each test recording."
    )
    snr_db: str | None = option(
        "--snr-db", metavar="LEVELS", help=f"With --noise: its levels, with commas. Default: {DEFAULT_LEVELS}."
    )
    noise_names: str | None = option(
        "--noise-names", metavar="NAMES", help="With --noise: only recordings with one of these in their path."
    )

    def __post_init__(self) -> None:
        if self.noise is None and not (self.snr_db is None and self.noise_names is None):
            raise click.UsageError("--snr-db and --noise-names need --noise FOLDER.")

    @property
    def any(self) -> bool:
        """Whether there are some."""
        return bool(self.adapt or self.tta or self.noise)

    def checked(self) -> "list[ConditionSet]":
        """Return the conditions; unknown variants, and noises and levels that aren't there, are refused."""
        from earnest.experiments.conditions import Adapted, Averaged, ConditionSet, NoiseSet, NoiseTest

        for name in self.tta:
            variants_called(name)
        sets = []
        if self.adapt:
            words = repeated("--adapt", self.adapt)
            sets.append(ConditionSet("adapted", words, [Adapted("adapted", how, how) for how in self.adapt]))
        if self.tta:
            words = repeated("--tta", self.tta)
            sets.append(ConditionSet("tta", words, [Averaged("tta", name) for name in self.tta]))
        if self.noise is not None:
            levels = self.snr_db or DEFAULT_LEVELS
            words = ["--noise", self.noise, "--snr-db", levels]
            words += ["--noise-names", self.noise_names] if self.noise_names else []
            test = NoiseTest(self.noise, numbers(levels, "--snr-db", DEFAULT_LEVELS), listed(self.noise_names))
            sets.append(NoiseSet.of(test, words))
        return sets


@dataclass(frozen=True)
class FoldOptions(EngineOptions):
    """Who trains the folds."""

    jobs: int = option(
        "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Folds at a time, one thread each."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.engine == "ray" and not find_spec("ray"):
            raise MissingExtraError("--engine ray", "ray")

    def chosen(self, progress: Progress) -> "FoldEngine":
        """Return the engine; say what takes long before it shows anything."""
        from earnest.experiments.task import fold_engine

        engine = fold_engine(self.engine, self.jobs, self.address)
        if progress.visible and not engine.here:
            say.line("Every job decodes the recordings first.", err=True)
        return engine


AS_PUBLISHED = "as_published.json"


@click.command(epilog=EPILOG)
@recipe_argument
@options("of", TaskOptions)
@data_option
@options("other", RecipeOptions)
@click.option("-o", "--output", type=FOLDER, help="Folder to write. Default: runs/RECIPE-PROTOCOL.")
@options("runner", FoldOptions)
@options("conditions", ConditionOptions)
@click.option("--train-share", metavar="SHARES", help="Also train on less data: shares with commas, such as 0.25,0.5.")
@click.option(
    "--as-published",
    is_flag=True,
    help="For comparison only: one of the five systems as its authors trained it, under their protocol, beside the "
    "honest numbers. Where they chose the epoch on test recordings, this does too, and stamps the result.",
)
@output_options
def command(
    recipe: Path,
    of: TaskOptions,
    data: tuple[str, ...],
    other: RecipeOptions,
    output: Path | None,
    runner: FoldOptions,
    conditions: ConditionOptions,
    train_share: str | None,
    as_published: bool,
) -> None:
    """Train and score every fold of a protocol, or continue.

    The same command again continues. Epoch and temperature are chosen on validation data. After that, every test
    recording is predicted once. The result is WA (weighted accuracy, the share that is right) and UA (unweighted
    accuracy, the mean recall over classes).

    \b
    Examples:
      earnest evaluate emocatcher --protocol ravdess-6fold --data ravdess=~/ravdess --jobs 2
      earnest evaluate own --corpus my-recordings
      earnest evaluate emocatcher --engine ray --address head:6379 --jobs 6
    """
    _require_packages()
    shares = numbers(train_share or "", "--train-share", "0.25,0.5")
    folders = corpus_folders(data) | other.own
    resolved = other.read(recipe)
    of, rows = of.as_of(resolved, as_published, other, folders)  # refusals don't wait for torch
    from earnest.experiments.conditions import evaluate_conditions, refuse_untrained
    from earnest.experiments.evaluate import evaluate, with_shares

    other.check(recipe, of.protocol)
    sets = conditions.checked()  # what is wrong is told now
    asked = EvaluationRequest(recipe, resolved, of, other, rows)
    _refuse_combinations(of, conditions, bool(shares), as_published)
    folder, progress = output or asked.default_folder, say.progress()
    on_fold = (lambda fold: say.line(f"fold {fold} done", err=True)) if progress.visible else None
    engine = runner.chosen(progress)
    if as_published:
        _show_as_published(asked, folders, folder, engine, on_fold)
        return
    task = asked.task(folders)
    refuse_untrained(task, sets)
    space, less = asked.space(task), with_shares(task, shares)
    with say.resumable(folder), held_folder(folder):
        outcome = evaluate(task, folder, shlex.join(asked.words), engine, on_fold, space)
        matrix = _draw(outcome, folder, recipe.stem)
        again = evaluate_conditions(task, folder, sets, asked.words, progress) if sets else []
        _draw_noise(again, folder, recipe.stem, task.title)
        typed = [*asked.words, "--train-share", train_share or ""]
        amounts = _less(task, outcome, less, folder, typed, engine, on_fold, space) if less else []
    if say.is_json():
        _echo_json(outcome, again, matrix, amounts)
        return
    echo_results(outcome, recipe.stem, again, matrix, amounts)
    if not say.is_quiet():
        following = command_line("report", folder)
        say.line(f"\npredictions.csv, metrics.json and confusion.png are in {folder}. Next: {following}")


def _require_packages() -> None:
    """Refuse what a package is missing for now, and not after hours of training."""
    require_training()
    if not find_spec("matplotlib"):
        raise MissingExtraError("Drawing the confusion matrix", "report")


def _refuse_combinations(of: TaskOptions, conditions: ConditionOptions, has_shares: bool, as_published: bool) -> None:
    """Refuse options that don't go together, before anything is read."""
    if as_published and (conditions.any or has_shares or of.select or of.splits or of.folds):
        raise click.UsageError(
            "--as-published works only with --protocol, --repeats and --set. Leave the other options out."
        )
    if conditions.adapt and (of.select or of.n_repeats > 1):
        raise click.UsageError("--adapt can't be used with --select or --repeats. Leave one of them out.")


def _draw(outcome: "Evaluation", folder: Path, name: str) -> Matrix | None:
    """Draw the confusion matrix and, of a protocol that is one, the matrix of corpora, which is returned."""
    from earnest.plots.results import plot_confusion

    title = f"{name}, {outcome.document['title']}"
    confusion = plot_confusion(outcome.scores, title, outcome.protocol.speaker_independent)
    write_atomically(folder / "confusion.png", confusion)
    if not outcome.protocol.is_matrix:
        return None
    from earnest.plots.results import plot_matrix

    matrix = Matrix.of(outcome.predictions)
    write_atomically(folder / "matrix.png", plot_matrix(matrix, title))
    write_json(folder / "matrix.json", matrix.to_dict())
    return matrix


def _draw_noise(again: "Sequence[ConditionResults]", folder: Path, name: str, title: str) -> None:
    """Draw UA over the level of noise, where some was mixed in."""
    for one in again:
        if one.curve:
            from earnest.plots.results import plot_noise_curves

            curves = plot_noise_curves({name: one.curve}, f"{name}, {title}", one.note)
            write_atomically(folder / "noise.png", curves)


def _less(
    task: "Task",
    whole: "Evaluation",
    less: "dict[float, Task]",
    folder: Path,
    words: list[str],
    engine: "FoldEngine",
    on_fold: Callable[[str], object] | None,
    space: "SearchSpace | None",
) -> "list[Amount]":
    """Train on less data too, and draw UA over its amount."""
    from earnest.experiments.evaluate import evaluate_learning_curve
    from earnest.plots.results import plot_learning_curve

    amounts = evaluate_learning_curve(task, whole, less, folder, shlex.join(words), engine, on_fold, space)
    curve = plot_learning_curve(amounts, f"{Path(words[2]).stem}, {task.title}")
    write_atomically(folder / "learning_curve.png", curve)
    return amounts


def _echo_json(
    outcome: "Evaluation", again: "Sequence[ConditionResults]", matrix: Matrix | None, amounts: "Sequence[Amount]"
) -> None:
    more: dict[str, Any] = {"matrix": matrix.to_dict()} if matrix else {}
    more |= {"train_share": [asdict(amount) for amount in amounts]} if amounts else {}
    say.json({**outcome.document, **{one.kind: one.document for one in again}, **more})


def _show_as_published(
    asked: EvaluationRequest,
    folders: dict[str, Path],
    folder: Path,
    engine: "FoldEngine",
    on_fold: Callable[[str], object] | None,
) -> None:
    """Train and score as the authors did and honestly, and write the numbers beside each other."""
    from earnest.evaluation.author_protocols import honest_protocol
    from earnest.experiments.evaluate import evaluate_as_published

    protocol = asked.of.chosen_protocol()
    unseen = asked.task(folders, honest_protocol(protocol.name))
    typed = shlex.join([*asked.words, "--as-published"])
    with say.resumable(folder), held_folder(folder):
        outcome = evaluate_as_published(asked.task(folders), unseen, folder, typed, engine, on_fold)
        for name, one in outcome.columns.items():
            _draw(one, folder / one.protocol.name, f"{asked.recipe.stem}, {name.replace('_', ' ')}")
        document = outcome.to_dict()
        write_json(folder / AS_PUBLISHED, document)
    if not say.answer(document):
        columns = ("protocol", "speakers", "epoch chosen on", "WA", "UA", "pooled WA")
        say.table(columns, [[row[column] for column in columns] for row in outcome.rows()], right=columns[3:])
        for gap in outcome.sentences():
            say.line(gap)
