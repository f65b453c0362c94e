"""Results as plain rows, as Markdown and as ``metrics.json``; every row says whether speakers were apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest.evaluation.intervals import Spread
from earnest.evaluation.metrics import Scores
from earnest.evaluation.protocol import Protocol
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.published import published_for
from earnest.run_files import write_json

COLUMNS = ("result", "protocol", "speakers", "WA", "UA", "macro-F1", "WA interval", "answered")
NONE = "–"


@dataclass(frozen=True)
class ResultRow:
    """One line of a results table, all of it text ready to show."""

    result: str
    protocol: str
    speakers: str
    wa: str
    ua: str
    macro_f1: str = NONE
    interval: str = NONE
    answered: str = NONE

    @property
    def cells(self) -> list[str]:
        """The texts in the order of ``COLUMNS``."""
        return [
            self.result,
            self.protocol,
            self.speakers,
            self.wa,
            self.ua,
            self.macro_f1,
            self.interval,
            self.answered,
        ]


def result_row(result: str, protocol: str | Protocol, scores: Scores) -> ResultRow:
    """Return the line of a result of ours: mean ± sd over folds, and the bootstrap interval of the pooled WA."""
    over = scores.over_folds
    interval = scores.intervals["wa"]
    return ResultRow(
        result=result,
        protocol=_found(protocol).name,
        speakers=_found(protocol).kind,
        wa=spread_text(over["wa"]),
        ua=spread_text(over["ua"]),
        macro_f1=spread_text(over["macro_f1"]),
        interval=f"{100 * interval.low:.1f} to {100 * interval.high:.1f}",
        answered=f"{100 * scores.coverage:.1f}",
    )


def published_rows(protocol: str) -> list[ResultRow]:
    """Return the lines of the published results that belong beside a protocol."""
    rows = []
    for entry in published_for(protocol):
        details = "; ".join(word for word in (entry.fold, entry.how, entry.source) if word)
        rows.append(
            ResultRow(
                result=f"{entry.system} [{details}]",
                protocol=protocol,
                speakers=protocol_called(protocol).kind,
                wa=_published_text(entry.wa, entry.wa_sd),
                ua=_published_text(entry.ua, None),
            )
        )
    return rows


def results_table(results: Mapping[str, Scores], protocol: str | Protocol) -> list[ResultRow]:
    """Return our results (name → scores) and below them the published ones."""
    return [
        *(result_row(name, protocol, scores) for name, scores in results.items()),
        *published_rows(_found(protocol).name),
    ]


def metrics_document(protocol: str | Protocol, scores: Scores, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``metrics.json``: protocol, ``facts`` (recipe, seed, command …) and scores."""
    chosen = _found(protocol)
    return {
        "protocol": chosen.name,
        "speaker_independent": chosen.speaker_independent,
        "title": f"{chosen.name} ({chosen.kind})",
        **facts,
        **scores.to_dict(),
    }


def write_metrics(protocol: str | Protocol, scores: Scores, facts: Mapping[str, Any], path: Path) -> None:
    """Write ``metrics.json``; there is no NaN in it."""
    document = metrics_document(protocol, scores, facts)
    write_json(path, document)


def spread_text(value: Spread) -> str:
    """Format shares as per cent: "84.2 ± 2.4", without ± for a single fold."""
    deviation = "" if value.sd is None else f" ± {100 * value.sd:.1f}"
    return f"{100 * value.mean:.1f}{deviation}"


def _found(protocol: str | Protocol) -> Protocol:
    return protocol_called(protocol) if isinstance(protocol, str) else protocol


def _published_text(value: float | None, sd: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:g}" if sd is None else f"{value:g} ± {sd:g}"
