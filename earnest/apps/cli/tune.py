"""``earnest tune``: better settings for a recipe, found on training data alone."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import options
from earnest.apps.cli._training import (
    EPILOG,
    RecipeOptions,
    fold_option,
    protocol_option,
    recipe_argument,
    require_training,
)
from earnest.apps.cli._typed import FOLDER, corpus_folders, data_option, output_options, repeated
from earnest.errors import counted
from earnest.evaluation.texts import percent

if TYPE_CHECKING:
    from earnest.experiments.tune import Trial, Tuned

MOST_ROWS = 10


@click.command(epilog=EPILOG)
@recipe_argument
@data_option
@options("other", RecipeOptions)
@protocol_option
@fold_option
@click.option("--trials", type=click.IntRange(1), help="How many settings to try. Default: what the recipe says.")
@click.option("-o", "--output", type=FOLDER, help="Folder to write. Default: runs/RECIPE-PROTOCOL-tune.")
@output_options
def command(
    recipe: Path,
    data: tuple[str, ...],
    other: RecipeOptions,
    protocol: str | None,
    fold: str | None,
    trials: int | None,
    output: Path | None,
) -> None:
    """Try the settings of a recipe's [tune] table, or continue.

    The same command again continues. Each trial trains as `earnest train` does, augmentations included, on the fold's
    training recordings and is judged by UA on its validation recordings; its test recordings are never opened. The best
    recipe is written to best.toml. Other folds of the protocol test on recordings that this one trains on: for an
    honest result over all, tune each fold by itself.

    \b
    In the recipe:
      [tune]
      trials = 40
      [tune.ranges]
      training.learning_rate = { low = 1e-4, high = 1e-2, log = true }
      training.time_mask_frames = { low = 0, high = 20, step = 5 }
      [tune.choices]
      training.class_weights = ["none", "balanced"]

    \b
    Examples:
      earnest tune mine.toml --corpus my-recordings
      earnest tune mine.toml --protocol ravdess-6fold --fold f1 --data ravdess=~/ravdess --output runs/tuned
    """
    require_training()
    from earnest.experiments.tune import SearchSpace, tune

    other.check_protocol(protocol)
    settings, table = other.read_with_tune(recipe)
    folders = corpus_folders(data) | other.own
    protocol, rows = other.protocol_of(settings, folders, protocol, one_split=True)
    other.check(recipe, protocol)
    space = SearchSpace(settings, replace(table, trials=trials) if trials else table)
    folder = output or Path("runs") / f"{recipe.stem}{other.suffix}-{protocol}-tune"
    progress = say.progress()

    def on_trial(trial: "Trial") -> None:
        if progress.visible:
            say.line(f"trial {trial.number}: {_words(trial)} {_settings(trial)}", err=True)

    with say.resumable(folder):
        outcome = tune(space, protocol, fold, folders, folder, on_trial, progress, rows)
    if say.answer({"output": folder, **asdict(outcome)}):
        return
    _echo_trials(outcome)
    if not say.is_quiet():
        _echo_next(folder, outcome.fold, folders)


def _echo_next(folder: Path, fold: str, folders: Mapping[str, Path]) -> None:
    """Tell the command that trains the best recipe, and tests it on the only recordings that were not searched by."""
    from earnest.experiments.tune import BEST, TRIALS

    say.line(
        f"\n{BEST} and {TRIALS} are in {folder}. Trials have one thread; `earnest train` takes all cores, which "
        "moves its numbers a little: OMP_NUM_THREADS=1 before it repeats the trial."
    )
    data = repeated("--data", (f"{name}={path}" for name, path in folders.items()))
    words = ["earnest", "train", str(folder / BEST), "--fold", fold, *data]
    say.line(f"Next: {shlex.join([*words, '--output', str(folder.with_name(f'{folder.name}-best'))])}")


def _echo_trials(outcome: "Tuned") -> None:
    ranked = sorted(outcome.trials, key=lambda trial: (-(trial.value or -1.0), trial.number))
    keys = list(outcome.best.settings)
    rows = [[str(trial.number), _words(trial), *map(_text, trial.settings.values())] for trial in ranked[:MOST_ROWS]]
    where = " ".join(word for word in (outcome.protocol, outcome.fold) if word)
    title = f"{where}, per cent on {counted(outcome.n_valid, 'validation utterance')}, "
    title += f"the best of {counted(len(ranked), 'trial')}"
    say.table(("trial", outcome.metric, *keys), rows, title, right=("trial", outcome.metric))
    n_failed = sum(trial.state == "failed" for trial in ranked)
    n_pruned = sum(trial.state == "pruned" for trial in ranked)
    if n_failed or n_pruned:
        say.line(f"{counted(n_pruned, 'trial')} ended early, {n_failed} failed.")


def _words(trial: "Trial") -> str:
    return percent(trial.value) if trial.state == "complete" else trial.state


def _settings(trial: "Trial") -> str:
    return ", ".join(f"{key} = {_text(value)}" for key, value in trial.settings.items()) + (
        trial.error and f": {trial.error}"
    )


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
