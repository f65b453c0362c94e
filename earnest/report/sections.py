"""The parts of a report that need nothing but predictions, ``metrics.json`` and ``history.csv``."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.corpora.manifest import Utterance
from earnest.errors import counted
from earnest.evaluation.calibration import CalibrationScores, Reliability, known_rows, reliability, selective
from earnest.evaluation.intervals import (
    Slice,
    gaps,
    gaps_by_chance,
    manifest_columns,
    of_many,
    own_columns,
    recall_gaps,
    slices,
)
from earnest.evaluation.metrics import BOOTSTRAP_SEED, intensity_scores
from earnest.evaluation.report import published_rows
from earnest.evaluation.texts import (
    NONE,
    SCORES_IN_WORDS,
    ShownNumber,
    percent,
    pooled_text,
    range_text,
    shown_number,
    spread_text,
)
from earnest.plots.results import (
    SELECTED,
    draw_classes,
    draw_confusion,
    draw_history,
    draw_noise_curves,
    draw_reliability,
    draw_risk_coverage,
    draw_speakers,
)
from earnest.report.result import HISTORY, Facts, FoldRun, Result
from earnest.report.section import Section, Table, picture

COLUMNS = ("result", "protocol", "speakers", "WA", "UA", "macro-F1", "pooled WA", "pooled UA", "answered")
NAMES = (  # in JSON
    "result",
    "protocol",
    "speakers",
    "wa_percent",
    "ua_percent",
    "macro_f1_percent",
    "pooled_wa_percent",
    "pooled_ua_percent",
    "answered_percent",
)
N_WORDS = 3


def headline_table(results: Sequence[Result]) -> Table:
    """Return one line a result; scores in per cent."""
    return Table(COLUMNS, [headline_row(result) for result in results], N_WORDS, NAMES)


def published_table(results: Sequence[Result]) -> Table | None:
    """Return a table of published results under the protocols of the results, None without any."""
    folds = defaultdict[str, set[str]](set)
    for result in results:
        if result.facts.protocol:
            folds[result.facts.protocol] |= set(result.scores.folds)
    rows = [
        [row.result, row.protocol, row.speakers, row.wa, row.ua]
        for protocol, scored in folds.items()
        for row in published_rows(protocol, scored)
    ]
    return Table(("published by others", *COLUMNS[1:5]), rows, N_WORDS, NAMES[:5]) if rows else None


def headline_row(result: Result) -> list[str]:
    """Return one line: mean ± sd over folds, and all folds together with intervals."""
    scores, facts = result.scores, result.facts
    protocol = ", ".join(filter(None, [facts.protocol or NONE, facts.part, facts.stamp]))
    return [
        result.name,
        protocol,
        facts.speakers,
        *(spread_text(scores.over_folds[name]) for name in ("wa", "ua", "macro_f1")),
        *(pooled_text(getattr(scores, name), scores.intervals[name]) for name in ("wa", "ua")),
        percent(scores.coverage),
    ]


def headline_notes(results: Sequence[Result]) -> list[str]:
    """Describe the scores, how the numbers were made, and what makes them hard to compare."""
    over = sorted({result.scores.intervals["wa"].over for result in results})
    n_folds = {result.n_folds for result in results}
    parts = [f"{result.name} {percent(result.scores.coverage)} %" for result in results if result.scores.coverage < 1]
    notes = [
        SCORES_IN_WORDS,
        ("Mean ± standard deviation over folds" if max(n_folds) > 1 else "One fold")
        + f", in per cent. Pooled: all folds together, with 95 % intervals by bootstrap over {' or '.join(over)}. "
        f"An utterance without an answer counts as wrong{'; answered: ' if parts else ''}{', '.join(parts)}.",
    ]
    for result in results:
        notes += [f"{result.name}: {told}" for told in [*result.scores.notes, *result.notes]]
    if any(result.facts.stamp for result in results):
        notes.append("A stamped result was chosen on test data: it is too good, and here for comparison only.")
    return notes


def calibration_section(result: Result) -> Section:
    """Draw how far probabilities can be believed, and list each fold's calibration error."""
    title = "Calibration and selective answers"
    predictions, scores = result.predictions, result.scores
    if predictions.probabilities is None or scores.calibration is None:
        return Section("calibration", title, missing="The predictions have no probabilities.")
    curve = reliability(predictions.probabilities, predictions.emotion)
    known = known_rows(predictions.probabilities)
    kept = selective(predictions.probabilities[known], predictions.emotion[known])
    full, selected = kept.accuracy_at(1.0), kept.accuracy_at(SELECTED)
    answer = (
        f"{_of_which(scores.calibration)}answering the surest {100 * SELECTED:.0f} % only, {percent(selected)} % are "
        f"right instead of {percent(full)} %"
    )
    pictures = [
        picture(
            draw_reliability(curve),
            "reliability",
            "Share right over confidence",
            f"Reliability diagram of {counted(scores.calibration.n, 'answer')}; expected calibration error "
            f"{curve.ece:.3f}",
            _bins(curve),
        ),
        picture(
            draw_risk_coverage(kept),
            "risk-coverage",
            "Accuracy of the surest answers",
            f"Accuracy over coverage: {answer}",
            Table(
                ("coverage, %", "right, %"),
                [[shown_number(share), percent(kept.accuracy_at(share / 100))] for share in range(10, 101, 10)],
                words=0,
                names=("coverage_percent", "right_percent"),
            ),
        ),
    ]
    lead = (
        f"All utterances: {scores.calibration.sentence}, Brier score {scores.calibration.brier:.3f}, area under the "
        f"risk–coverage curve {kept.aurc:.3f}.",
        *scores.calibration.notes,
        f"{answer[0].upper()}{answer[1:]}: {100 * (selected - full):+.1f} points.",
        "Even a perfectly calibrated model has an ECE above zero on few utterances; the table puts each error beside "
        "what chance alone gives such a model, if utterances are independent. All together tell more than a fold does.",
    )
    tables = {"Calibration error of all test utterances and of each fold": _ece_table(result)}
    fitted = _fitted_table(result.runs)
    if fitted:
        tables["Before and after calibration, on the utterances that it was fitted on: not those of the test"] = fitted
    return Section("calibration", title, lead, pictures, tables)


def _of_which(scores: CalibrationScores) -> str:
    """Begin a sentence on answers that are not all, or not as they were answered; "" where they are."""
    some = f"of the {scores.n} of {scores.n_rows} answers with probabilities, " if scores.n < scores.n_rows else ""
    return some + ("by the likeliest class, " if scores.n_unsure or scores.n_other else "")


def _bins(curve: Reliability) -> Table:
    bins = zip(curve.counts.tolist(), curve.confidence.tolist(), curve.accuracy.tolist(), strict=True)
    rows = [[shown_number(n), percent(sure), percent(right)] for n, sure, right in bins if n]
    names = ("n_clips", "mean_confidence_percent", "right_percent")
    return Table(("utterances", "mean confidence, %", "right, %"), rows, words=0, names=names)


_ECE_OF_FOLD = ("n", "ece", "expected_ece", "expected_ece_q95")


def _ece_table(result: Result) -> Table:
    whole, folds = result.scores.calibration, result.scores.folds
    lines = {fold or "all": [one.get(name) for name in _ECE_OF_FOLD] for fold, one in folds.items()}
    if len(folds) > 1 and whole and whole.expected_ece:
        lines = {"all": [whole.n, whole.ece, whole.expected_ece.mean, whole.expected_ece.q95], **lines}
    rows = [
        [fold, shown_number(n, "g"), *(shown_number(one, ".3f") for one in errors)]
        for fold, (n, *errors) in lines.items()
    ]
    columns = ("fold", "utterances", "ECE", "ECE by chance, mean", "95 % of chance below")
    return Table(columns, rows, names=("fold", "n_clips", "ece", "ece_by_chance_mean", "ece_by_chance_q95"))


def _fitted_table(runs: Sequence[FoldRun]) -> Table | None:
    """Tabulate calibration before and after, on the utterances that it was fitted on."""
    rows = []
    for run in runs:
        fitted = run.record.calibration
        if fitted is not None:
            numbers = (fitted.before.ece, fitted.after.ece, fitted.before.nll, fitted.after.nll)
            shown = (shown_number(run.record.temperature, ".2f"), *(shown_number(one, ".3f") for one in numbers))
            rows.append([run.name, fitted.method, *shown])
    columns = ("fold", "method", "temperature", "ECE before", "ECE after", "NLL before", "NLL after")
    names = [name.lower().replace(" ", "_") for name in columns]
    return Table(columns, rows, words=2, names=names) if rows else None


MOST_SPEAKERS = 100


def leakage_section(facts: Facts) -> Section:
    """List what sets share; the largest over all folds counts."""
    if not facts.leakage:
        missing = "Nothing says which utterances were trained on, so nothing can be said about leakage."
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
        f"Up to {counted(heard, 'speaker')} of a test set stood in another set too: the numbers say nothing about new "
        "voices."
        if heard
        else "No speaker of a test set is in another set."
        if any(kinds.get("speakers") for kinds in shared.values())
        else "The recordings name no speakers: some of a test set may be in another set, and very likely are.",
        *(
            [f"Up to {counted(copied, 'utterance')} of a test set stood in another set under another name."]
            if copied
            else []
        ),
        "How many of each two sets have in common, smallest to largest over the folds. Shared sentences are no error, "
        "but a model may have learned them. A dash: nobody looked, or nobody named any.",
    ]
    return Section("leakage", "Leakage report", lead, tables={"Shared": Table(["sets", *columns], rows)})


def _most(shared: Mapping[tuple[str, str], Mapping[str, Sequence[int]]], kind: str) -> int:
    """Return how many of a kind any test set has in common with another set, at most."""
    return max((count for sets, kinds in shared.items() if "test" in sets for count in kinds.get(kind, [])), default=0)


def _range(counts: Sequence[int]) -> ShownNumber:
    if not counts:
        return ShownNumber(NONE, None)
    low, high = min(counts), max(counts)
    return ShownNumber(str(low) if low == high else f"{low}–{high}", {"low": low, "high": high})


FINETUNING = "finetuning"  # the folder of a run where a fine-tuning is told, see earnest/training/finetune.py


LAST_EPOCHS = 10  # whose mean EmoCatcher tells, beside the best one


def history_section(result: Result) -> Section:
    """Draw each fold's training."""
    title = "Training history"
    if not result.runs:
        return Section("history", title, missing="There is no run folder beside the predictions.")
    learned = [run for run in result.runs if run.history]
    warnings = [f"Fold {run.name}: {sentence}" for run in result.runs for sentence in run.record.warnings]
    if not learned:
        told = "The model was fitted in closed form, without epochs"
        tuned = any((run.folder / FINETUNING / HISTORY).exists() for run in result.runs)
        told += f", on an encoder whose fine-tuning is told in {FINETUNING}/{HISTORY}" if tuned else ""
        return Section("history", title, warnings, missing=f"{told}.")
    pictures, rows = [], []
    for run in learned:
        chosen, epochs = run.record.best_epoch, run.record.epochs
        alt = f"Loss and UA over {counted(epochs, 'epoch')} of fold {run.name}; epoch {chosen} was chosen"
        drawing = draw_history(run.history, chosen)
        pictures.append(picture(drawing, f"history-{run.name}", f"Fold {run.name}: epoch {chosen} of {epochs}", alt))
        at = next((row for row in run.history if row["epoch"] == chosen), {})
        last = [row["valid_ua"] for row in run.history[-LAST_EPOCHS:] if "valid_ua" in row]
        tested = result.scores.folds.get(run.name)
        kept = ShownNumber(f"{chosen} of {epochs}", {"chosen": chosen, "of": epochs})
        mean = percent(sum(last) / len(last) if last else None)
        rows.append([run.name, kept, percent(at.get("valid_ua")), mean, percent(tested["ua"] if tested else None)])
    columns = ("fold", "epoch chosen", "UA on validation, %", f"mean of the last {LAST_EPOCHS} epochs", "UA on test, %")
    names = ("fold", "epoch", "valid_ua_percent", "last_epochs_valid_ua_percent", "test_ua_percent")
    chosen_on = result.facts.stamp or (
        "chosen on validation utterances; test utterances were scored once, after that"
        if any("valid_ua" in row for run in learned for row in run.history)
        else "the last one, as there were no validation utterances"
    )
    lead = (f"The dashed line is the epoch that was kept: {chosen_on}.", *warnings)
    return Section("history", title, lead, pictures, {"Epochs": Table(columns, rows, names=names)})


def confusion_section(result: Result) -> Section:
    """Draw the confusion matrix in both normalisations."""
    scores = result.scores
    names = list(scores.classes)
    with_none = scores.n_answered < scores.n
    columns = ["true ↓ predicted →", *names, *(["no answer"] if with_none else [])]
    rows = [
        [name, *map(shown_number, counts), *([shown_number(scores.unanswered[name])] if with_none else [])]
        for name, counts in zip(names, scores.confusion, strict=True)
    ]
    often = _most_frequent_mistake(names, scores.confusion)
    by_true = picture(
        draw_confusion(scores, "true"),
        "confusion-by-true",
        "Of each true class (rows sum to 100 %)",
        f"Confusion matrix of {scores.size('utterance')} in shares of the true class; {often}",
        Table(columns, rows, names=["true", *columns[1:]]),
    )
    by_predicted = picture(
        draw_confusion(scores, "predicted"),
        "confusion-by-predicted",
        "Of each answer (columns sum to 100 %)",
        f"Confusion matrix of {scores.size('utterance')} in shares of the answers; {often}",
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
    return (
        f"most often {true} is taken for {answer} ({counted(count, 'time')})"
        if count
        else "no class is taken for another"
    )


def classes_section(result: Result) -> Section:
    """Draw precision, recall and F1."""
    scores = result.scores
    rows = [
        [name, shown_number(one.n), percent(one.precision), percent(one.recall), percent(one.f1)]
        for name, one in scores.per_class.items()
    ]
    known = {name: one.recall for name, one in scores.per_class.items() if one.recall is not None}
    lowest, highest = min(known, key=lambda name: known[name]), max(known, key=lambda name: known[name])
    alt = (
        f"Precision, recall and F1 of {len(rows)} classes; recall is lowest for {lowest} "
        f"({percent(known[lowest])} %) and highest for {highest} ({percent(known[highest])} %)"
    )
    names = ("class", "n", "precision_percent", "recall_percent", "f1_percent")
    table = Table(("class", "n", "precision", "recall", "F1"), rows, names=names)
    drawing = picture(draw_classes(scores), "classes", "Precision, recall and F1 in per cent", alt, table)
    return Section("classes", "Classes", pictures=[drawing])


def gender_and_affect_section(result: Result) -> Section:
    """List how right gender and affect are, where the system answers them and somebody knows them."""
    title, gender = "Gender and affect", result.scores.gender
    ratings = [row for row in map(_affect_row, result.facts.affect.items()) if row]
    lead, tables = [], {}
    if gender:
        lead.append(f"Gender right: {percent(gender.wa)} % of {counted(gender.n, 'utterance')}.")
        rows = [["all", shown_number(gender.n), percent(gender.wa), range_text(gender.intervals["wa"])]]
        for name, one in gender.recalls.items():
            rows.append([name, shown_number(one.n), percent(one.recall), range_text(one.interval)])
        names = ("gender", "n_clips", "right_percent", "interval_percent")
        tables["Gender"] = Table(("gender", "utterances", "right, %", "95 % interval"), rows, names=names)
    if intensity := intensity_scores(result.predictions):
        lead.append(intensity.sentence())
    if ratings:
        lead.append(
            "The root mean square error (RMSE) is in the unit of the corpus' ratings; the concordance correlation "
            "coefficient (CCC, −1 to 1) is the same in any."
        )
        of_affect = ("affect", "ratings", "n_clips", "ccc", "rmse")
        tables["Affect"] = Table(("affect", "ratings", "utterances", "CCC", "RMSE"), ratings, 2, of_affect)
    if not lead:
        return Section(
            "gender-and-affect", title, missing="The predictions answer neither gender nor affect of rated utterances."
        )
    return Section("gender-and-affect", title, lead, tables=tables)


def _affect_row(line: tuple[str, Any]) -> list[str] | None:
    """Return a line of the table; None for what `earnest evaluate` never wrote."""
    name, scores = line
    try:
        (low, high), ccc, rmse = scores["scale"], scores["ccc"], scores["rmse"]
        scale = ShownNumber(f"{low:g} to {high:g}", {"low": low, "high": high})
        return [name, scale, shown_number(scores["n"], "d"), shown_number(ccc, ".3f"), shown_number(rmse, ".3f")]
    except (KeyError, TypeError, ValueError):
        return None


def groups_section(result: Result, rows: Mapping[tuple[str, str], Utterance]) -> Section:
    """Score each gender, speaker and, where the recordings' rows are at hand, style and intensity."""
    title, predictions = "Speakers and groups", result.predictions
    own = own_columns(predictions)
    speakers = slices(predictions, {"speaker": own["speaker"]}) if "speaker" in own else []
    columns = {name: values for name, values in own.items() if name != "speaker"}
    missing = ""
    if all(key in rows for key in predictions.identities):
        columns |= manifest_columns(predictions, rows.values())
    else:
        missing = "Style and intensity are known where the recordings are at hand (--data)."
    if not columns and not speakers:
        return Section("groups", title, missing="The predictions name neither gender nor speaker.")
    parts = slices(predictions, columns, np.random.default_rng(BOOTSTRAP_SEED))
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    chance = {name: gaps_by_chance(predictions, of_many(values), rng) for name, values in columns.items()}
    lead = [
        f"Gap between {gap.best} and {gap.worst}: {100 * gap.ua:.1f} points of UA{_by_chance(chance[name].ua)}."
        for name, gap in gaps(parts).items()
    ]
    tables = {"UA and WA in per cent; the interval is of UA": _slice_table(parts)} if parts else {}
    recalls = recall_gaps(predictions, columns["gender"]) if "gender" in columns else {}
    if any(gap is not None for gap in recalls.values()):
        drawn = chance["gender"].recalls
        rows_of_gaps = [
            [name, *map(percent, (gap, *((None, None) if gap is None else _mean_and_most(drawn[name]))))]
            for name, gap in recalls.items()
        ]
        headers = ("class", "gap", "gap by chance, mean", "95 % of chance below")
        names = ("class", "gap_points", "gap_by_chance_mean_points", "gap_by_chance_q95_points")
        tables["Recall gap between genders, points"] = Table(headers, rows_of_gaps, 1, names)
    pictures = []
    if speakers:
        lowest, highest = min(speakers, key=lambda one: one.ua), max(speakers, key=lambda one: one.ua)
        told = f"from {percent(lowest.ua)} % ({lowest.value}) to {percent(highest.ua)} % ({highest.value})"
        gap = _by_chance(gaps_by_chance(predictions, own["speaker"], rng).ua)
        lead.append(
            f"UA of the {len(speakers)} speakers goes {told}: {100 * (highest.ua - lowest.ua):.1f} points{gap}."
        )
        table = Table(
            ("speaker", "utterances", "WA", "UA"),
            [[one.value, shown_number(one.n), percent(one.wa), percent(one.ua)] for one in speakers],
            names=("speaker", "n_clips", "wa_percent", "ua_percent"),
        )
        if len(speakers) <= MOST_SPEAKERS:
            alt = f"UA of {len(speakers)} speakers, {told}"
            pictures.append(picture(draw_speakers(speakers), "speakers", "UA of each speaker", alt, table))
        else:
            tables["Speakers"] = table
    return Section("groups", title, lead, pictures, tables, missing=missing)


def _by_chance(drawn: npt.NDArray[np.float64]) -> str:
    mean, most = _mean_and_most(drawn)
    return f" (by chance, were all alike: {100 * mean:.1f} on average, 95 % below {100 * most:.1f})"


def _mean_and_most(drawn: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float(np.nanmean(drawn)), float(np.nanquantile(drawn, 0.95))


def _slice_table(parts: Sequence[Slice]) -> Table:
    rows = []
    for one in parts:
        interval = ShownNumber(NONE, None) if one.interval is None else range_text(one.interval)
        rows.append([one.name, one.value, shown_number(one.n), percent(one.wa), percent(one.ua), interval])
    names = ("of", "value", "n_clips", "wa_percent", "ua_percent", "ua_interval_percent")
    return Table(("of", "value", "utterances", "WA", "UA", "95 % interval"), rows, words=2, names=names)


def noise_section(result: Result) -> Section:
    """Draw UA over the noise level."""
    curve = result.noise
    if curve is None or not curve.levels:
        missing = "Not evaluated: earnest evaluate --noise FOLDER adds it."
        return Section("noise", "Noise", missing=missing)
    rows: list[list[str]] = [[ShownNumber("clean", None), *map(spread_text, curve.clean)]]
    loudest_last = sorted(curve.levels, reverse=True)
    rows += [[ShownNumber(f"{db:g} dB", db), *map(spread_text, curve.levels[db])] for db in loudest_last]
    loudest = loudest_last[-1]
    alt = (
        f"UA over the signal-to-noise ratio: {percent(curve.clean[1].mean)} % clean, "
        f"{percent(curve.levels[loudest][1].mean)} % at {loudest:g} dB"
    )
    drawing = picture(
        draw_noise_curves({result.name: curve}),
        "noise",
        "UA over the noise level",
        alt,
        Table(("noise", "WA", "UA"), rows, names=("snr_db", "wa_percent", "ua_percent")),
    )
    return Section("noise", "Noise", (f"Noise mixed into {curve.n} test utterances.",), [drawing])
