"""The parts of a report that need nothing but predictions, ``metrics.json`` and ``history.csv``."""

from collections.abc import Mapping, Sequence

import numpy as np

from earnest.corpora.manifest import Utterance
from earnest.evaluation.noise_curve import draw_noise_curves
from earnest.evaluation.plots import draw_confusion, draw_learning_curve
from earnest.evaluation.report import NONE, spread_text
from earnest.evaluation.slices import Slice, gaps, manifest_columns, own_columns, recall_gaps, slices
from earnest.report.drawings import draw_classes, draw_speakers
from earnest.report.picture import Table, percent, picture
from earnest.report.result import BOOTSTRAP_SEED, Facts, Result
from earnest.report.section import Section

MOST_SPEAKERS = 100


def leakage_section(facts: Facts) -> Section:
    """List what sets share; the largest over all folds counts."""
    if not facts.leakage:
        missing = "Nothing says which clips were trained on, so nothing can be said about leakage."
        return Section("leakage", "Leakage report", missing=missing)
    shared: dict[tuple[str, str], dict[str, list[int]]] = {}
    for line in facts.leakage:
        sets, counts = line.get("sets"), line.get("shared")
        if isinstance(sets, list) and len(sets) == 2 and isinstance(counts, dict):
            kinds = shared.setdefault((str(sets[0]), str(sets[1])), {})
            for kind, count in counts.items():
                kinds.setdefault(str(kind), []).extend([count] if isinstance(count, int) else [])
    columns = list(dict.fromkeys(kind for kinds in shared.values() for kind in kinds))
    rows = [
        [f"{first} and {second}", *(_range(kinds.get(kind, [])) for kind in columns)]
        for (first, second), kinds in shared.items()
    ]
    heard, copied = _most(shared, "speakers"), _most(shared, "duplicates")
    lead = [
        f"Up to {heard} speakers of a test set are in another set too: the numbers say nothing about new voices."
        if heard
        else "No speaker of a test set is in another set.",
        *([f"Up to {copied} clips of a test set are in another set under another name."] if copied else []),
        "How many of each two sets have in common, smallest to largest over the folds. Shared sentences are no error, "
        "but a model may have learned them. A dash: nobody looked.",
    ]
    return Section("leakage", "Leakage report", lead, tables={"Shared": Table(["sets", *columns], rows)})


def _most(shared: Mapping[tuple[str, str], Mapping[str, Sequence[int]]], kind: str) -> int:
    """Return how many of a kind any test set has in common with another set, at most."""
    return max((count for sets, kinds in shared.items() if "test" in sets for count in kinds.get(kind, [])), default=0)


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return NONE
    return str(min(counts)) if min(counts) == max(counts) else f"{min(counts)}–{max(counts)}"


def learning_section(result: Result) -> Section:
    """Draw each fold's training."""
    title = "Learning curves"
    if not result.runs:
        return Section("learning", title, missing="There is no run folder beside the predictions.")
    learned = [run for run in result.runs if run.history]
    if not learned:
        return Section("learning", title, missing="The model was fitted in closed form, without epochs.")
    pictures, rows = [], []
    for run in learned:
        chosen, epochs = run.record.best_epoch, run.record.epochs
        alt = f"Loss and UA over {epochs} epochs of fold {run.name}; epoch {chosen} was chosen"
        drawing = draw_learning_curve(run.history, chosen)
        pictures.append(picture(drawing, f"learning-{run.name}", f"Fold {run.name}: epoch {chosen} of {epochs}", alt))
        at = next((row for row in run.history if float(row["epoch"]) == chosen), {})
        best = float(at["valid_ua"]) if "valid_ua" in at else None
        tested = result.scores.folds.get(run.name)
        rows.append([run.name, f"{chosen} of {epochs}", percent(best), percent(tested["ua"] if tested else None)])
    columns = ("fold", "epoch chosen", "UA on validation, %", "UA on test, %")
    chosen_on = result.facts.stamp or "chosen on validation clips; test clips were scored once, after that"
    lead = (f"The dashed line is the epoch that was kept: {chosen_on}.",)
    return Section("learning", title, lead, pictures, {"Epochs": Table(columns, rows)})


def confusion_section(result: Result) -> Section:
    """Draw the confusion matrix in both normalisations."""
    scores = result.scores
    names = list(scores.classes)
    with_none = scores.n_answered < scores.n
    columns = ["true ↓ predicted →", *names, *(["no answer"] if with_none else [])]
    rows = [
        [name, *map(str, counts), *([str(scores.unanswered[name])] if with_none else [])]
        for name, counts in zip(names, scores.confusion, strict=True)
    ]
    often = _most_frequent_mistake(names, scores.confusion)
    by_true = picture(
        draw_confusion(scores, "true"),
        "confusion-by-true",
        "Of each true class (rows sum to 100 %)",
        f"Confusion matrix of {scores.n} clips in shares of the true class; {often}",
        Table(columns, rows),
    )
    by_predicted = picture(
        draw_confusion(scores, "predicted"),
        "confusion-by-predicted",
        "Of each answer (columns sum to 100 %)",
        f"Confusion matrix of {scores.n} clips in shares of the answers; {often}",
    )
    lead = (f"True class in rows, answers in columns; {often}.",)
    return Section("confusion", "Confusion", lead, [by_true, by_predicted])


def _most_frequent_mistake(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    mistakes = [
        (count, true, answer)
        for true, row in zip(names, counts, strict=True)
        for answer, count in zip(names, row, strict=True)
        if true != answer
    ]
    count, true, answer = max(mistakes, default=(0, "", ""))
    return f"most often {true} is taken for {answer} ({count} times)" if count else "no class is taken for another"


def classes_section(result: Result) -> Section:
    """Draw precision, recall and F1."""
    scores = result.scores
    rows = [
        [name, str(one.n), percent(one.precision), percent(one.recall), percent(one.f1)]
        for name, one in scores.per_class.items()
    ]
    known = {name: one.recall for name, one in scores.per_class.items() if one.recall is not None}
    lowest, highest = min(known, key=lambda name: known[name]), max(known, key=lambda name: known[name])
    alt = (
        f"Precision, recall and F1 of {len(rows)} classes; recall is lowest for {lowest} "
        f"({percent(known[lowest])} %) and highest for {highest} ({percent(known[highest])} %)"
    )
    table = Table(("class", "n", "precision", "recall", "F1"), rows)
    drawing = picture(draw_classes(scores), "classes", "Precision, recall and F1 in per cent", alt, table)
    return Section("classes", "Classes", pictures=[drawing])


def groups_section(result: Result, rows: Mapping[tuple[str, str], Utterance]) -> Section:
    """Score each gender, speaker and, where the recordings' rows are at hand, style and intensity."""
    title, predictions = "Speakers and groups", result.predictions
    own = own_columns(predictions)
    speakers = slices(predictions, {"speaker": own["speaker"]}) if "speaker" in own else []
    columns = {name: values for name, values in own.items() if name != "speaker"}
    missing = ""
    if all(key in rows for key in zip(predictions.corpus, predictions.utterance_id, strict=True)):
        columns |= manifest_columns(predictions, rows.values(), ("style", "intensity"))
    else:
        missing = "Style and intensity are known where the recordings are at hand (--data)."
    if not columns and not speakers:
        return Section("groups", title, missing="The predictions name neither gender nor speaker.")
    parts = slices(predictions, columns, np.random.default_rng(BOOTSTRAP_SEED))
    lead = [f"Gap between {gap.best} and {gap.worst}: {100 * gap.ua:.1f} points of UA." for gap in gaps(parts).values()]
    tables = {"UA and WA in per cent; the interval is of UA": _slice_table(parts)} if parts else {}
    recalls = recall_gaps(predictions, columns["gender"]) if "gender" in columns else {}
    if any(gap is not None for gap in recalls.values()):
        rows_of_gaps = [[name, percent(gap)] for name, gap in recalls.items()]
        tables["Recall gap between genders, points"] = Table(("class", "gap"), rows_of_gaps)
    pictures = []
    if speakers:
        lowest, highest = min(speakers, key=lambda one: one.ua), max(speakers, key=lambda one: one.ua)
        told = f"from {percent(lowest.ua)} % ({lowest.value}) to {percent(highest.ua)} % ({highest.value})"
        lead.append(f"UA of the {len(speakers)} speakers goes {told}.")
        table = Table(
            ("speaker", "clips", "WA", "UA"),
            [[one.value, str(one.n), percent(one.wa), percent(one.ua)] for one in speakers],
        )
        if len(speakers) <= MOST_SPEAKERS:
            alt = f"UA of {len(speakers)} speakers, {told}"
            pictures.append(picture(draw_speakers(speakers), "speakers", "UA of each speaker", alt, table))
        else:
            tables["Speakers"] = table
    return Section("groups", title, lead, pictures, tables, missing=missing)


def _slice_table(parts: Sequence[Slice]) -> Table:
    rows = []
    for one in parts:
        interval = NONE if one.interval is None else f"{percent(one.interval.low)} to {percent(one.interval.high)}"
        rows.append([one.name, one.value, str(one.n), percent(one.wa), percent(one.ua), interval])
    return Table(("of", "value", "clips", "WA", "UA", "95 % interval"), rows, words=2)


def noise_section(result: Result) -> Section:
    """Draw UA over the noise level."""
    curve = result.noise
    if curve is None or not curve.levels:
        missing = "Not evaluated: earnest evaluate --noise FOLDER adds it."
        return Section("noise", "Noise", missing=missing)
    rows = [["clean", *map(spread_text, curve.clean)]]
    rows += [[f"{db:g} dB", *map(spread_text, curve.levels[db])] for db in sorted(curve.levels, reverse=True)]
    loudest = min(curve.levels)
    alt = (
        f"UA over the signal-to-noise ratio: {percent(curve.clean[1].mean)} % clean, "
        f"{percent(curve.levels[loudest][1].mean)} % at {loudest:g} dB"
    )
    drawing = picture(
        draw_noise_curves({result.name: curve}),
        "noise",
        "UA over the noise level",
        alt,
        Table(("noise", "WA", "UA"), rows),
    )
    return Section("noise", "Noise", (f"Noise mixed into {curve.n} test clips.",), [drawing])
