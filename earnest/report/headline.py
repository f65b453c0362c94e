"""The first lines of a report: each result's scores with intervals, beside published ones."""

from collections.abc import Sequence

from earnest.evaluation.metrics import Scores
from earnest.evaluation.report import NONE, published_rows, spread_text
from earnest.report.picture import Table
from earnest.report.result import Result

COLUMNS = (
    "result",
    "protocol",
    "speakers",
    "WA",
    "UA",
    "macro-F1",
    "WA interval",
    "UA interval",
    "answered",
)
N_WORDS = 3


def headline_table(results: Sequence[Result]) -> Table:
    """Return one line a result; scores in per cent."""
    return Table(COLUMNS, [headline_row(result) for result in results], N_WORDS)


def published_table(results: Sequence[Result]) -> Table | None:
    """Return what others published under the protocols of the results, None if that is nothing."""
    protocols = filter(None, dict.fromkeys(result.facts.protocol for result in results))
    rows = [
        [row.result, row.protocol, row.speakers, row.wa, row.ua]
        for protocol in protocols
        for row in published_rows(protocol)
    ]
    return Table(("published by others", *COLUMNS[1:5]), rows, N_WORDS) if rows else None


def headline_row(result: Result) -> list[str]:
    """Return one line: mean ± sd over folds, and intervals of all folds together."""
    scores, facts = result.scores, result.facts
    protocol = ", ".join(filter(None, [facts.protocol or NONE, facts.part, facts.stamp]))
    return [
        result.name,
        protocol,
        facts.speakers,
        *(spread_text(scores.over_folds[name]) for name in ("wa", "ua", "macro_f1")),
        *(interval_text(scores, name) for name in ("wa", "ua")),
        f"{100 * scores.coverage:.1f}",
    ]


def interval_text(scores: Scores, name: str) -> str:
    """Format the limits of an interval in per cent."""
    interval = scores.intervals[name]
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def headline_notes(results: Sequence[Result]) -> list[str]:
    """Say how the numbers were made, and what makes them hard to compare."""
    over = sorted({result.scores.intervals["wa"].over for result in results})
    n_folds = {len(result.scores.folds) for result in results}
    notes = [
        ("Mean ± standard deviation over folds" if max(n_folds) > 1 else "One fold")
        + f", in per cent; 95 % intervals by bootstrap over {' or '.join(over)}, all folds together. "
        "A clip without an answer counts as wrong."
    ]
    if any(result.facts.stamp for result in results):
        notes.append("A stamped result was chosen on test data: it is too good, and here for comparison only.")
    return notes
