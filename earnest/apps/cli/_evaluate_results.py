"""Terminal output of ``earnest evaluate``: results beside each other, leakage, tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from earnest.apps.cli.output import echo, echo_table
from earnest.errors import counted
from earnest.evaluation.report import results_table
from earnest.evaluation.splits import Leakage, sentences_over
from earnest.evaluation.texts import NONE, percent, spread_text

if TYPE_CHECKING:
    from earnest.evaluation.curves import Amount
    from earnest.evaluation.report import Matrix
    from earnest.experiments.conditions import ConditionResults
    from earnest.experiments.evaluate import Evaluation


MOST_LINES = 12


def echo_results(
    outcome: "Evaluation",
    name: str,
    answered: "Sequence[ConditionResults]",
    matrix: "Matrix | None",
    amounts: "Sequence[Amount]",
) -> None:
    """Write the results beside the published ones, and what belongs to them.

    Parameters
    ----------
    answered : results under conditions
    matrix : of a protocol that trains on one corpus and tests on another
    amounts : results with less training data
    """
    protocol = outcome.protocol
    columns = ("result", "WA", "UA", "macro-F1", "pooled WA")
    scores = {name: outcome.scores}
    scores |= {f"{name}, {scheme} classes": found for scheme, found in outcome.class_subsets.items()}
    scores |= {f"{name}, {one.kind}: {how}": found for one in answered for how, found in one.scores.items()}
    rows = [[row.result, row.wa, row.ua, row.macro_f1, row.pooled_wa] for row in results_table(scores, protocol)]
    echo_table(columns, rows, f"{outcome.document['title']}, per cent, {_means(outcome)}", right=columns[1:])
    pooled = f"Pooled: all folds together, with the 95 % interval over {outcome.scores.intervals['wa'].over}"
    echo(f"\n{outcome.scores.size('clip')}: {protocol.description}. {pooled}.")
    for note in outcome.scores.notes:
        echo(note)
    echo_other_heads(outcome)
    if outcome.over_repeats:
        wa, ua = (spread_text(outcome.over_repeats[name]) for name in ("wa", "ua"))
        seeds = ", ".join(map(str, outcome.document["repeats"]["seeds"]))
        echo(f"Over trainings with the seeds {seeds}: WA {wa}, UA {ua}.")
    if not outcome.coverage.complete:
        echo(f"The corpus is incomplete: {outcome.coverage.sentence()}.")
    for one in answered:
        if one.note:
            echo(f"Noise: {one.note}.")
    echo(f"Labels: {outcome.labels.sentence()}.")
    for fold, sentences in outcome.document.get("warnings", {}).items():
        for sentence in sentences:
            echo(f"{fold}: {sentence}")
    for fold, chosen in outcome.document.get("selected", {}).items():
        settings = ", ".join(f"{key} = {value}" for key, value in chosen["settings"].items())
        score = f"{chosen['metric']} {percent(chosen['value'])}"
        echo(f"Chosen in {fold} of {counted(chosen['trials'], 'trial')} ({score}): {settings}.")
    echo_leakage(outcome.leakage)
    if matrix:
        _echo_matrix(matrix)
    if amounts:
        _echo_amounts(amounts)


def echo_other_heads(outcome: "Evaluation") -> None:
    """Write how right gender and affect are, where the model answers them."""
    if outcome.scores.gender:
        echo(outcome.scores.gender.sentence())
    echo_affect(outcome.document.get("affect") or {})


def echo_affect(scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Write concordance and error of each dimension, in the unit of the ratings."""
    if scores:
        low, high = next(iter(scores.values()))["scale"]
        columns = (f"affect, {low:g} to {high:g}", "n", "CCC", "RMSE")
        rows = [[name, str(one["n"]), _decimal(one["ccc"]), _decimal(one["rmse"])] for name, one in scores.items()]
        echo_table(columns, rows, right=columns[1:])
        echo()


def _decimal(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _means(outcome: "Evaluation") -> str:
    n_folds = len(outcome.splits) // max(1, len(outcome.document.get("repeats", {}).get("seeds", ())))
    return f"mean ± sd over {n_folds} folds" if n_folds > 1 else "one fold"


def echo_leakage(lines: Sequence[Leakage]) -> None:
    """Write the leakage between sets, each different line once."""
    echo("Leakage, over all folds:")
    sentences = sentences_over(lines)
    for sentence in sentences[:MOST_LINES]:
        echo(f"  {sentence}")
    if len(sentences) > MOST_LINES:
        echo(f"  and {len(sentences) - MOST_LINES} more such lines in metrics.json")


def _echo_matrix(matrix: "Matrix") -> None:
    """Write UA of every pair of corpora."""
    from earnest.evaluation.report import NOTE

    columns = ("trained on", *matrix.corpora)
    echo()
    echo_table(columns, matrix.table(), "UA in per cent, tested on", right=columns[1:])
    echo(f"{NOTE}.")


def _echo_amounts(amounts: Sequence["Amount"]) -> None:
    """Write a line for each amount of training data."""
    columns = ("share of training data", "clips", "speakers", "WA", "UA")
    rows = [
        [f"{one.share:g}", f"{one.clips:.0f}", f"{one.speakers:.0f}", spread_text(one.wa), spread_text(one.ua)]
        for one in amounts
    ]
    echo()
    echo_table(columns, rows, "The same test clips, less training data", right=columns)


def echo_as_published(rows: Sequence[Mapping[str, str]], gaps: Sequence[str]) -> None:
    """Write the author's number beside the honest ones."""
    columns = ("protocol", "speakers", "epoch chosen on", "WA", "UA", "pooled WA")
    echo_table(columns, [[row[column] for column in columns] for row in rows], right=columns[3:])
    for gap in gaps:
        echo(gap)
