"""Several results side by side, and each of them paired utterance by utterance with the first."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from earnest.corpora.own.data import CORPUS as OWN
from earnest.errors import counted, named
from earnest.evaluation.answers import text_column
from earnest.evaluation.comparison import Comparison, Difference, clip_names, compare, holm
from earnest.evaluation.intervals import bootstrap
from earnest.evaluation.metrics import BOOTSTRAP_SEED, score
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.splits import fold_and_repeat
from earnest.evaluation.texts import percent, points, range_text, shown_number
from earnest.files.writing import write_atomically
from earnest.plots.results import draw_differences
from earnest.report.result import Result
from earnest.report.section import ReportPicture, Table, picture, render
from earnest.report.sections import headline_notes, headline_table

PAIRED = (
    "against the first",
    "utterances in common",
    "WA difference",
    "WA interval",
    "WA p",
    "UA difference",
    "UA interval",
    "UA p",
    "only the first right",
    "only this right",
    "McNemar's p",
)
WORTH_TELLING = 0.001  # of the smallest p that can be reached: that of ten speakers is 0.002
NAMELESS = frozenset({"", OWN})
RESEMBLING = (
    "McNemar's test takes utterances for independent, which those of one speaker are not: of systems equally good it "
    "calls too many different. Go by the other p-values and the intervals."
)
TRAINED_ONCE = (
    "Intervals and p-values are about these very trainings. Training again, with another seed, may move a result as "
    "much: train each several times (earnest evaluate --repeats 5) and compare these."
)
REPEATED = (
    "Repeats are averaged, which makes the noise of training smaller. It is in no interval or p-value: these are about "
    "these very trainings."
)


@dataclass(frozen=True)
class Compared:
    """Results side by side.

    Attributes
    ----------
    headline : each result on all of its utterances, mean over folds
    on_common : each result over the utterances that all have, where they have different ones
    pairs : one for each result after the first; p-values are corrected for their number
    notes : what must be known to read the numbers: other utterances, other protocols
    """

    results: Sequence[Result]
    headline: Table
    on_common: Table | None
    pairs: Sequence[Comparison]
    notes: Sequence[str]

    @property
    def paired(self) -> Table:
        """The differences to the first result, in points."""
        rows = [_pair_row(result.name, pair) for result, pair in zip(self.results[1:], self.pairs, strict=True)]
        return Table(PAIRED, rows)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        pairs = [
            {"result": result.name, "against": self.results[0].name, **pair.to_dict()}
            for result, pair in zip(self.results[1:], self.pairs, strict=True)
        ]
        return {
            "headline": self.headline.to_list(),
            "results": [
                {
                    "result": result.name,
                    "protocol": result.facts.protocol or None,
                    "speaker_independent": result.facts.speaker_independent,
                    "stamp": result.facts.stamp or None,
                    **result.scores.to_dict(),
                }
                for result in self.results
            ],
            "on_common_clips": self.on_common.to_list() if self.on_common else None,
            "pairs": pairs,
            "correction": "Holm, over the pairs",
            "notes": list(self.notes),
        }


def compare_results(results: Sequence[Result]) -> Compared:
    """Compare each result with the first; speakers are drawn anew for each pair, from one seed.

    Raises `CorpusError` when a pair has no utterance in common, or disagrees about an utterance's true class.
    """
    results, notes = _under_one_name(results)
    first = results[0]
    pairs = [
        compare(first.predictions, other.predictions, np.random.default_rng(BOOTSTRAP_SEED)) for other in results[1:]
    ]
    on_common, n_common = _on_common_clips(results)
    notes += [*_by_heart(results), *headline_notes(results), *_warnings(results, pairs, n_common)]
    return Compared(results, headline_table(results), on_common, _corrected(pairs), notes)


def _under_one_name(results: Sequence[Result]) -> tuple[Sequence[Result], list[str]]:
    """Take recordings that have no corpus name for those of the same utterance_id in the other results, and say so.

    `earnest learn` gives own recordings no name, `earnest evaluate` that of their folder or file; other people's tables
    may lack the column. Where two corpora have such an utterance, or one result has two of that name, nothing says
    which one is meant.
    """
    corpora: dict[str, set[str]] = defaultdict(set)  # utterance_id → those that have such a one
    several: set[str] = set()
    for keys in (set(clip_names(result.predictions)) for result in results):
        for corpus, name in keys:
            corpora[name].add(corpus)
        several.update(name for name, n in Counter(name for _, name in keys).items() if n > 1)
    meant = {name: (found - NAMELESS) or (found - {""}) for name, found in corpora.items()}
    unclear = several | {name for name, found in meant.items() if len(found) > 1}
    matched, notes = [], []
    for result in results:
        own, ids = set(result.predictions.corpus), [name for _, name in clip_names(result.predictions)]
        others = set().union(*(meant[name] for name in ids)) - own
        if own <= NAMELESS and others and unclear.isdisjoint(ids):
            column = text_column(min(meant[name], default="") for name in ids)
            matched.append(replace(result, predictions=replace(result.predictions, corpus=column)))
            told = f"matched with {', '.join(sorted(others))} by utterance_id alone"
            notes.append(f"{result.name}: recordings without a corpus name, {told}.")
        else:
            matched.append(result)
    return matched, notes


def write_comparison(compared: Compared, page: Path) -> None:
    """Write the page, in the looks of a report."""
    write_atomically(page, render("compare.html", compared=compared, picture=_picture(compared)).encode())


def _picture(compared: Compared) -> ReportPicture:
    found = {result.name: (pair.wa, pair.ua) for result, pair in zip(compared.results[1:], compared.pairs, strict=True)}
    first = compared.results[0].name
    told = "; ".join(f"{name} {points(ua.value)} points of UA" for name, (_, ua) in found.items())
    title = f"Differences to {first}, with 95 % intervals"
    return picture(draw_differences(found), "differences", title, f"{title}: {told}")


def _corrected(pairs: Sequence[Comparison]) -> list[Comparison]:
    """Correct each kind of p-value for the number of pairs."""
    wa, ua = holm([pair.wa.p for pair in pairs]), holm([pair.ua.p for pair in pairs])
    mcnemar = holm([pair.p_mcnemar for pair in pairs])
    return [
        replace(pair, wa=replace(pair.wa, p=p_wa), ua=replace(pair.ua, p=p_ua), p_mcnemar=p_mcnemar)
        for pair, p_wa, p_ua, p_mcnemar in zip(pairs, wa, ua, mcnemar, strict=True)
    ]


def _on_common_clips(results: Sequence[Result]) -> tuple[Table | None, int]:
    """Score each result on the utterances that all have; None where all have the same, or none in common."""
    keys = [clip_names(result.predictions) for result in results]
    common = set(keys[0]).intersection(*keys[1:])
    if not common or all(set(own) == common for own in keys):
        return None, len(common)
    rows = []
    for result, own in zip(results, keys, strict=True):
        part = result.predictions.take(np.flatnonzero([key in common for key in own]))
        scores, limits = (
            score(part, np.random.default_rng(0), 1),
            bootstrap(part, np.random.default_rng(BOOTSTRAP_SEED)),
        )
        cells = [cell for name in ("wa", "ua") for cell in (percent(getattr(scores, name)), range_text(limits[name]))]
        rows.append([result.name, shown_number(scores.n_recordings), *cells])
    columns = ("on the utterances in common", "utterances", "WA", "WA interval", "UA", "UA interval")
    names = ("result", "n_clips", "wa_percent", "wa_interval_percent", "ua_percent", "ua_interval_percent")
    return Table(columns, rows, names=names), len(common)


def _by_heart(results: Sequence[Result]) -> list[str]:
    """Warn of answers of a model to recordings that `earnest learn` made it of."""
    notes = []
    for learnt in results:
        heard = {*clip_names(learnt.predictions)}
        for other in results:
            n = len(heard.intersection(clip_names(other.predictions)))
            if n and learnt.facts.learnt in other.facts.models:
                told = f"answered by '{learnt.facts.learnt}', which learnt from {counted(n, 'recording')} of these"
                on_others = f"On others it does about as well as {learnt.name} says, whose models had not heard them"
                notes.append(f"{other.name}: {told}, and knows them by heart. {on_others}.")
    return notes


def _warnings(results: Sequence[Result], pairs: Sequence[Comparison], n_common: int) -> list[str]:
    first = results[0]
    notes = []
    for other, pair in zip(results[1:], pairs, strict=True):
        if pair.only_in_a or pair.only_in_b:
            notes.append(
                f"Different utterances: {first.name} and {other.name} have {pair.n} in common{_folds(first, other)}; "
                f"{pair.only_in_a} only in {first.name}, {pair.only_in_b} only in {other.name}. "
                "Differences are over the common ones."
            )
    if not n_common:
        notes.append("No utterance is in all results, so only pairs can be compared.")
    kinds = {result.name: _protocol(result) for result in results}
    if len(set(kinds.values())) > 1:
        named = "; ".join(f"{name}: {kind}" for name, kind in kinds.items())
        notes.append(f"Different protocols: {named}. A difference may come from the protocol, not from the system.")
    notes += [
        f"Different folds: {first.name} and {other.name} divide the utterances in common otherwise, so they learnt "
        "from other recordings. A difference may come from that, not from the system."
        for other in results[1:]
        if kinds[other.name] == kinds[first.name] and _divide_otherwise(first, other)
    ]
    are_repeated = any(pair.n_pairs > pair.n for pair in pairs)
    if are_repeated:
        notes.append(
            "Answers of repeated trainings count one by one in McNemar's test, which takes them for independent: go by "
            "the intervals."
        )
    elif any(pair.resemble and pair.wa.interval.over == "speakers" for pair in pairs):  # else they are no better
        notes.append(RESEMBLING)
    notes.append(REPEATED if are_repeated else TRAINED_ONCE)
    notes += filter(None, map(_too_few, [other.name for other in results[1:]], pairs))
    if len(results) > 2:
        notes.append(
            f"p-values are corrected for {len(pairs)} pairs (Holm), WA, UA and McNemar's each for itself. Intervals "
            "are not: where no system differs from the first, one of twenty misses zero all the same."
        )
    return notes


def _too_few(name: str, pair: Comparison) -> str:
    """Tell the smallest p that can be reached, where so few speakers make a difference that it matters; else ""."""
    one = max((pair.wa, pair.ua), key=lambda one: one.least_p)
    if not one.n_exchanged or one.least_p < WORTH_TELLING:
        return ""
    few = counted(one.n_exchanged, one.interval.over.removesuffix("s"))
    return (
        f"{name}: {few} {'differs' if one.n_exchanged == 1 else 'differ'} between both, so p can't be below "
        f"{one.least_p:.3f} (2/2ⁿ, before any correction), however far the interval is from zero."
    )


def _folds(first: Result, other: Result) -> str:
    """Name the folds of the first result with the common utterances; "" where it names none."""
    there = set(clip_names(other.predictions))
    folds = dict.fromkeys(
        fold for key, fold in zip(clip_names(first.predictions), first.predictions.fold, strict=True) if key in there
    )
    names = [*filter(None, folds)]
    return f" (of {first.name}'s {named(names)})" if names else ""


def _divide_otherwise(first: Result, other: Result) -> bool:
    """Whether both have several folds of the recordings in common, and these are not the same sets."""
    ours, theirs = (_fold_of_each(result.predictions) for result in (first, other))
    pairs = {(ours[name], theirs[name]) for name in ours.keys() & theirs}
    sizes = [len(set(side)) for side in zip(*pairs, strict=True)]
    return min(sizes) > 1 and min(sizes) < len(pairs)


def _fold_of_each(predictions: Predictions) -> dict[tuple[str, str], str]:
    folds = {name: fold_and_repeat(name, predictions.folds)[0] for name in predictions.folds}
    return {key: folds[fold] for key, fold in zip(clip_names(predictions), predictions.fold, strict=True)}


def _protocol(result: Result) -> str:
    facts = result.facts
    return ", ".join(filter(None, [facts.protocol or "no protocol named", facts.speakers, facts.stamp]))


def _pair_row(name: str, pair: Comparison) -> list[str]:
    return [
        name,
        str(pair.n),
        *_difference(pair.wa),
        *_difference(pair.ua),
        str(pair.only_a_right),
        str(pair.only_b_right),
        _p(pair.p_mcnemar),
    ]


def _difference(one: Difference) -> list[str]:
    limits = f"{points(one.interval.low)} to {points(one.interval.high)}"
    return [points(one.value), limits, _p(one.p)]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
