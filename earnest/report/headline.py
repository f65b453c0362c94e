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
    "95 % interval of WA",
    "95 % interval of UA",
    "answered",
)
N_WORDS = 3


def headline_table(results: Sequence[Result]) -> Table:
    """Return our results and below them what is published under the same protocols; scores in per cent."""
    rows = [headline_row(result) for result in results]
    protocols = dict.fromkeys(result.facts.protocol for result in results)
    for protocol in filter(None, protocols):
        rows += [
            [f"published: {row.result}", row.protocol, row.speakers, row.wa, row.ua, row.macro_f1, NONE, NONE, NONE]
            for row in published_rows(protocol)
        ]
    return Table(COLUMNS, rows, N_WORDS)


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
        + f", in per cent; intervals by bootstrap over {' or '.join(over)}, all folds together. "
        "A clip without an answer counts as wrong."
    ]
    if any(result.facts.stamp for result in results):
        notes.append("A stamped result was chosen on test data: it is too good, and here for comparison only.")
    if any(result.facts.part for result in results):
        notes.append("Where folds are left out, published numbers are not about the same clips.")
    return notes
