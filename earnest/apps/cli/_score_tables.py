"""The tables that `earnest score` prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from earnest.apps.cli.output import echo, echo_table, percent
from earnest.evaluation.confusion import HEADLINES
from earnest.evaluation.metrics import Scores
from earnest.evaluation.report import spread_text
from earnest.evaluation.slices import Slice

NAMES = {"wa": "WA", "ua": "UA", "macro_f1": "macro-F1", "weighted_f1": "weighted F1"}
MOST_VALUES = 12  # of a slice that are printed; metrics.json has all


def echo_scores(scores: Scores, more: Mapping[str, Any], title: str) -> None:
    """Write all tables to standard output."""
    _echo_headlines(scores, title)
    if scores.gender:
        echo(f"{scores.gender.sentence()}\n")
    _echo_affect(more.get("affect", {}))
    _echo_classes(scores)
    _echo_confusion(scores)
    _echo_slices(scores.slices)


def _echo_headlines(scores: Scores, title: str) -> None:
    rows = []
    for name in HEADLINES:
        interval = scores.intervals[name]
        limits = f"{percent(interval.low)} to {percent(interval.high)}"
        folds = spread_text(scores.over_folds[name]) if len(scores.folds) > 1 else "–"
        rows.append([NAMES[name], percent(getattr(scores, name)), folds, limits])
    over = scores.intervals["wa"].over
    folds = f"over {len(scores.folds)} folds" if len(scores.folds) > 1 else "one fold"
    columns = ("%", "all rows", folds, f"95 % interval over {over}")
    echo_table(columns, rows, title, right=columns[1:])
    echo(f"\n{scores.n} utterances, {percent(scores.coverage)} % answered", nl=False)
    if scores.calibration is not None:
        echo(f" · ECE {scores.calibration.ece:.3f} · Brier {scores.calibration.brier:.3f}", nl=False)
    echo("\n")


def _echo_affect(scores: Mapping[str, Mapping[str, Any]]) -> None:
    if scores:
        columns = ("affect, 0 to 1", "n", "CCC", "RMSE")
        rows = [[name, str(one["n"]), _decimal(one["ccc"]), _decimal(one["rmse"])] for name, one in scores.items()]
        echo_table(columns, rows, right=columns[1:])
        echo()


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


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


def _echo_slices(slices: Sequence[Slice]) -> None:
    names = dict.fromkeys(part.name for part in slices)
    shown = [[part for part in slices if part.name == name] for name in names if name != "speaker"]
    rows = [
        [part.name, part.value, str(part.n), percent(part.wa), percent(part.ua)]
        for parts in shown
        if len(parts) <= MOST_VALUES
        for part in parts
    ]
    if rows:
        columns = ("slice", "", "n", "WA", "UA")
        echo()
        echo_table(columns, rows, right=columns[2:])


def _short(classes: Sequence[str]) -> list[str]:
    short = [name[:4] for name in classes]
    return short if len(set(short)) == len(short) else list(classes)
