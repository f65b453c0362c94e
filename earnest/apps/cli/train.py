"""``earnest train``: from a recipe and corpora to a run folder."""

import os
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import options
from earnest.apps.cli._training import (
    EPILOG,
    RecipeOptions,
    echo_leakage,
    echo_other_heads,
    fold_option,
    protocol_option,
    recipe_argument,
    require_training,
)
from earnest.apps.cli._typed import FOLDER, command_line, corpus_folders, data_option, output_options, repeated
from earnest.errors import counted
from earnest.evaluation.author_protocols import AUTHOR_PROTOCOLS
from earnest.evaluation.report import read_history
from earnest.evaluation.texts import percent
from earnest.files.writing import held_folder, write_atomically
from earnest.settings.recipe import recipe_word

if TYPE_CHECKING:
    from earnest.experiments.evaluate import Evaluation
    from earnest.training.record import RunRecord


@click.command(epilog=EPILOG)
@recipe_argument
@data_option
@options("other", RecipeOptions)
@click.option("-o", "--output", required=True, type=FOLDER, help="Folder to write: the run.")
@protocol_option
@fold_option
@click.option(
    "--all-data", is_flag=True, help="For shipping: keep no test set, also refit on the validation recordings."
)
@output_options
def command(
    recipe: Path,
    data: tuple[str, ...],
    other: RecipeOptions,
    output: Path,
    protocol: str | None,
    fold: str | None,
    all_data: bool,
) -> None:
    """Train one model on one split, or continue a killed run.

    RECIPE is a file, or the name of a recipe that comes with earnest. The same command again resumes a killed run. The
    epoch is chosen on validation recordings; their speakers are not in the training set, unless the protocol is
    speaker-dependent. The test set is predicted once, after that, into predictions.csv.

    \b
    Examples:
      earnest train emocatcher --data ravdess=~/ravdess --output runs/emocatcher
      earnest train own --corpus my-recordings --output runs/mine
      torchrun --nproc-per-node 2 -m earnest train emocatcher --output runs/emocatcher
    """
    require_training()
    # Waiting threads that spin take the core that the other one needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if _is_follower():
        _follow()
        return
    other.check_protocol(protocol)
    resolved = other.read(recipe)
    folders = corpus_folders(data) | other.own
    protocol, rows = other.protocol_of(resolved, folders, protocol, one_split=True)  # a refusal doesn't wait for torch
    from earnest.experiments.evaluate import train
    from earnest.training.record import read_record

    progress = say.progress()
    other.check(recipe, protocol)
    words = ["earnest", "train", recipe_word(recipe), "--protocol", protocol, *other.words]
    typed = shlex.join([*words, *(["--fold", fold] if fold else []), *(["--all-data"] if all_data else [])])
    from earnest.training.batches import joined_ranks

    with say.resumable(output), held_folder(output), joined_ranks() as ranks:
        outcome = train(resolved, protocol, fold, folders, output, typed, not all_data, progress, ranks, rows)
        record = read_record(output)
        _draw_history(output, record.best_epoch)
    headline = {"wa": outcome.scores.wa, "ua": outcome.scores.ua, "n": outcome.scores.n} if outcome else None
    told = {"best_epoch": record.best_epoch, "epochs": record.epochs, "test": headline}
    if say.answer({"run": output, **told, "warnings": record.warnings}):
        return
    _echo_training(output, record)
    if outcome:
        _echo_test(outcome)
        if resolved.authors_protocol and protocol not in {resolved.authors_protocol, *AUTHOR_PROTOCOLS}:
            words = ["--protocol", resolved.authors_protocol, *repeated("--data", data)]
            theirs = command_line("evaluate", recipe_word(recipe), *words)
            say.line(f"The published number is of another protocol, which is not comparable: {theirs}")
    say.hint(f"Next: {command_line('export', output, '--output', f'bundles/{output.name}')}")


def _is_follower() -> bool:
    """Whether torchrun started this process, and another one leads."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return False
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch warns that no weight has been left out yet
    return os.environ.get("RANK") != "0"


def _follow() -> None:
    """Learn beside the first process, which runs the command."""
    from earnest.training.batches import joined_ranks
    from earnest.training.loop import follow

    with joined_ranks() as ranks:
        follow(ranks)


def _echo_training(output: Path, record: "RunRecord") -> None:
    """Write the training set, the chosen epoch, and the model's faults."""
    from earnest.training.record import NO_VALIDATION

    chosen_by = f"epoch {record.best_epoch} of {record.epochs}" if record.epochs else "temperature"
    trained = counted(record.n_train, "utterance") + (", validation utterances among them" if record.refitted else "")
    fitted_on = record.calibration.after.n if record.calibration else 0
    if not record.n_valid:
        say.line(f"{output}: trained on {trained}; {NO_VALIDATION}.")
    elif record.epochs or fitted_on <= record.n_valid:
        say.line(
            f"{output}: trained on {trained}; {chosen_by} chosen on {counted(record.n_valid, 'validation utterance')}."
        )
    else:
        say.line(
            f"{output}: trained on {trained}; {chosen_by} chosen on {counted(fitted_on, 'utterance')} of speakers "
            "that were left out."
        )
    for warning in record.warnings:
        if warning != NO_VALIDATION:
            say.line(f"NOTE: {warning}")


def _echo_test(outcome: "Evaluation") -> None:
    """Write the scores on test recordings, of all heads, and what train and test share."""
    wa, ua = percent(outcome.scores.wa), percent(outcome.scores.ua)
    if not outcome.coverage.complete:
        say.line(f"The corpus is incomplete: {outcome.coverage.sentence()}.")
    say.line(f"Labels: {outcome.labels.sentence()}.")
    say.line(f"{outcome.protocol.kind} test, {counted(outcome.scores.n, 'utterance')}: WA {wa}, UA {ua}.")
    echo_other_heads(outcome)
    echo_leakage(outcome.leakage)


def _draw_history(run: Path, chosen_epoch: int) -> None:
    """Draw ``history.png`` where the run has epochs and matplotlib is installed."""
    history = read_history(run / "history.csv")
    if not history or not find_spec("matplotlib"):
        return
    from earnest.plots.results import plot_history

    write_atomically(run / "history.png", plot_history(history, run.name, chosen_epoch))
