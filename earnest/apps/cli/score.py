"""``earnest score``: the metrics of any predictions file, ours or anybody's."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from earnest.apps.cli._completion import names_from, protocol_names
from earnest.apps.cli.output import echo_json, echo_table, output_options, percent
from earnest.evaluation.confusion import HEADLINES
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.predictions import read_predictions
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.report import metrics_document, spread_text

NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro-F1", "weighted_f1": "weighted F1"}
UNKNOWN = "The file doesn't say whether training saw these speakers; name the --protocol if you know it."


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    metavar="NAME",
    shell_complete=names_from(protocol_names),
    help="The protocol that the predictions follow; it goes into the title.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@output_options
def command(predictions: Path, protocol: str | None, seed: int, as_json: bool, quiet: bool) -> None:
    """Score a predictions file: columns utterance_id, emotion, predicted and, where known, p_<class>, speaker, fold.

    A row without an answer counts as wrong. UA is the mean recall over the classes that occur.

    \b
    Example:
      earnest score RUN/predictions.csv
    """
    if protocol is not None:
        protocol_called(protocol)
    scores = score(read_predictions(predictions), np.random.default_rng(seed))
    if as_json:
        unknown = {"protocol": None, "speaker_independent": None, **scores.to_dict()}
        echo_json(unknown if protocol is None else metrics_document(protocol, scores, {}))
        return
    title = (
        predictions.name if protocol is None else f"{predictions.name}: {protocol} ({protocol_called(protocol).kind})"
    )
    _echo_headlines(scores, title)
    _echo_classes(scores)
    _echo_confusion(scores)
    if protocol is None and not quiet:
        click.echo(UNKNOWN, err=True)


def _echo_headlines(scores: Scores, title: str) -> None:
    rows = []
    for name in HEADLINES:
        interval = scores.intervals[name]
        limits = f"{percent(interval.low)} to {percent(interval.high)}"
        folds = spread_text(scores.over_folds[name]) if len(scores.folds) > 1 else "–"
        rows.append([NAMES[name], percent(getattr(scores, name)), folds, limits])
    over = scores.intervals["wa"].over
    columns = ("%", "all rows", f"over {len(scores.folds)} folds", f"95 % interval over {over}")
    echo_table(columns, rows, title, right=columns[1:])
    click.echo(f"\n{scores.n} utterances, {percent(scores.coverage)} % answered", nl=False)
    if scores.calibration is not None:
        click.echo(f" · ECE {scores.calibration.ece:.3f} · Brier {scores.calibration.brier:.3f}", nl=False)
    click.echo("\n")


def _echo_classes(scores: Scores) -> None:
    columns = ("class", "n", "precision", "recall", "F1")
    rows = []
    for name, one in scores.per_class.items():
        rows.append([name, str(one.n), percent(one.precision), percent(one.recall), percent(one.f1)])
    echo_table(columns, rows, right=columns[1:])


def _echo_confusion(scores: Scores) -> None:
    extra = ("none",) if scores.n_answered < scores.n else ()
    columns = ("", *_short(scores.classes), *extra)
    rows = []
    for name, counts in zip(scores.classes, scores.confusion, strict=True):
        rows.append([name, *map(str, counts), *(str(scores.unanswered[name]) for _ in extra)])
    echo_table(columns, rows, "\nTrue class in rows, predicted in columns", right=columns[1:])


def _short(classes: Sequence[str]) -> list[str]:
    short = [name[:4] for name in classes]
    return short if len(set(short)) == len(short) else list(classes)
