"""``earnest evaluate``: a recipe under a named protocol, all folds, beside the published numbers."""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli._completion import names_from, protocol_names, variant_names
from earnest.apps.cli._evaluate_again import DEFAULT_LEVELS, Again, Outcomes, evaluate_again, listed
from earnest.apps.cli._recipe import changes_of, recipe_options, words_of
from earnest.apps.cli.output import corpus_folders, data_option, echo_json, echo_table, output_options, show_progress
from earnest.apps.cli.train import require_training
from earnest.errors import MissingExtraError
from earnest.evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
    from earnest.training.adaptation import How
    from earnest.training.evaluate import Evaluation

MOST_LINES = 12


@click.command(epilog=f"Protocols: {', '.join(PROTOCOLS)}.")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    required=True,
    metavar="NAME",
    shell_complete=names_from(protocol_names),
    help="Which clips are trained on, validated on and tested.",
)
@data_option
@recipe_options
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Default: runs/RECIPE-PROTOCOL.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Folds at a time, one thread each.")
@click.option(
    "--adapt",
    multiple=True,
    type=click.Choice(["causal", "all", "one-emotion"]),
    help="Also answer adapted to each test speaker, without labels; repeatable. causal: clip by clip in a drawn order; "
    "all: after all clips were heard; one-emotion: causal on streams of a single emotion, the hardest case.",
)
@click.option(
    "--tta",
    multiple=True,
    metavar="VARIANTS",
    shell_complete=names_from(variant_names),
    help="Also answer by the mean over variants of each test clip; repeatable. gain: ±6 dB; speed: 5 % slower and "
    "faster; gain-and-speed: both.",
)
@click.option("--noise", metavar="FOLDER", help="Also answer with noise from here mixed into each test clip.")
@click.option("--snr-db", metavar="LEVELS", help=f"Of --noise: its levels, with commas. Default: {DEFAULT_LEVELS}.")
@click.option("--noise-names", metavar="NAMES", help="Of --noise: only recordings with one of these in their path.")
@click.option("--folds", metavar="NAMES", help="Only these folds, with commas; the result says so.")
@output_options
def command(
    recipe: Path,
    protocol: str,
    data: tuple[str, ...],
    scheme: str | None,
    settings: tuple[str, ...],
    output: Path | None,
    jobs: int,
    adapt: "tuple[How, ...]",
    tta: tuple[str, ...],
    noise: str | None,
    snr_db: str | None,
    noise_names: str | None,
    folds: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train and score every fold of a protocol; the same command again resumes.

    Epoch and temperature are chosen on validation clips; every test clip is predicted once.

    \b
    Example:
      earnest evaluate recipes/emocatcher.toml --protocol ravdess-6fold --data ravdess=~/ravdess --jobs 2
    """
    require_training()
    if not find_spec("matplotlib"):  # not after hours of training
        raise MissingExtraError("Drawing the confusion matrix", "report")
    from earnest.recipe import read_recipe
    from earnest.training.evaluate import evaluate

    again = Again.checked(adapt, tta, noise, snr_db, noise_names)  # what is wrong is told now
    resolved = read_recipe(recipe, changes_of(scheme, settings))
    folder = output or Path("runs") / f"{recipe.stem}-{protocol}"
    visible = show_progress(as_json, quiet)

    def on_fold(fold: str) -> None:
        click.echo(f"fold {fold} done", err=True)

    if visible and jobs > 1:
        click.echo("Every job decodes the recordings first.", err=True)
    words = ["earnest", "evaluate", str(recipe), "--protocol", protocol, *words_of(scheme, settings)]
    words += ["--folds", folds] if folds else []
    corpora, chosen = corpus_folders(data), listed(folds)
    told = on_fold if visible else None
    outcome = evaluate(resolved, protocol, corpora, folder, shlex.join(words), jobs, told, chosen)
    _draw(outcome, folder, recipe.stem)
    outcomes = evaluate_again(again, resolved, protocol, corpora, folder, words, chosen, visible)
    if as_json:
        echo_json({**outcome.document, **outcomes.documents()})
        return
    _echo_results(outcome, recipe.stem, outcomes)
    if not quiet:
        click.echo(f"\npredictions.csv, metrics.json and confusion.png are in {folder}")


def _draw(outcome: "Evaluation", folder: Path, name: str) -> None:
    from earnest.evaluation.plots import plot_confusion

    title = f"{name}, {outcome.document['title']}"
    plot_confusion(outcome.scores, folder / "confusion.png", title, outcome.protocol.speaker_independent)


def _echo_results(outcome: "Evaluation", name: str, outcomes: Outcomes) -> None:
    from earnest.evaluation.report import results_table
    from earnest.evaluation.splits import leakage

    protocol = outcome.protocol
    columns = ("result", "WA", "UA", "macro-F1", "WA interval")
    scores = {name: outcome.scores, **outcomes.scores(name)}
    rows = [[row.result, row.wa, row.ua, row.macro_f1, row.interval] for row in results_table(scores, protocol.name)]
    folds = f"mean ± sd over {len(outcome.splits)} folds" if len(outcome.splits) > 1 else "one fold"
    title = f"{outcome.document['title']}, per cent, {folds}"
    echo_table(columns, rows, title, right=columns[1:])
    click.echo(f"\n{outcome.scores.n} clips: {protocol.description}. 95 % interval over speakers, all folds together.")
    if not outcome.coverage.complete:
        click.echo(f"The corpus is incomplete: {outcome.coverage.sentence()}.")
    if outcomes.noisy:
        click.echo(f"Noise: {outcomes.noisy.sentence()}.")
    click.echo(f"Labels: {outcome.labels.sentence()}.")
    click.echo("Leakage, over all folds:")
    lines = list(dict.fromkeys(line.sentence() for split in outcome.splits for line in leakage(split)))
    for line in lines[:MOST_LINES]:
        click.echo(f"  {line}")
    if len(lines) > MOST_LINES:
        click.echo(f"  and {len(lines) - MOST_LINES} more such lines in metrics.json")
