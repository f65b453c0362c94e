"""How far probabilities can be believed: reliability, accuracy over coverage, each fold's calibration error."""

from collections.abc import Sequence

from earnest.evaluation.reliability import Reliability, reliability, selective
from earnest.evaluation.report import NONE
from earnest.report.drawings import SELECTED, draw_reliability, draw_risk_coverage
from earnest.report.picture import Table, percent, picture
from earnest.report.result import FoldRun, Result
from earnest.report.section import Section


def calibration_section(result: Result) -> Section:
    """Draw how far probabilities can be believed, and list each fold's calibration error."""
    title = "Calibration and selective answers"
    predictions, scores = result.predictions, result.scores
    if predictions.probabilities is None or scores.calibration is None:
        return Section("calibration", title, missing="The predictions have no probabilities.")
    curve = reliability(predictions.probabilities, predictions.emotion)
    kept = selective(predictions.probabilities, predictions.emotion)
    full, selected = kept.accuracy_at(1.0), kept.accuracy_at(SELECTED)
    answer = (
        f"answering the surest {100 * SELECTED:.0f} % only, {percent(selected)} % are right instead of "
        f"{percent(full)} %"
    )
    pictures = [
        picture(
            draw_reliability(curve),
            "reliability",
            "Share right over confidence",
            f"Reliability diagram of {scores.calibration.n} clips; expected calibration error {curve.ece:.3f}",
            _bins(curve),
        ),
        picture(
            draw_risk_coverage(kept),
            "risk-coverage",
            "Accuracy of the surest answers",
            f"Accuracy over coverage: {answer}",
            Table(
                ("coverage, %", "right, %"),
                [[f"{share}", percent(kept.accuracy_at(share / 100))] for share in range(10, 101, 10)],
                words=0,
            ),
        ),
    ]
    lead = (
        f"ECE over all clips {curve.ece:.3f}, Brier score {scores.calibration.brier:.3f}, area under the "
        f"risk–coverage curve {kept.aurc:.3f}.",
        f"{answer[0].upper()}{answer[1:]}: {100 * (selected - full):+.1f} points.",
        "Even a perfectly calibrated model has an ECE above zero on so few clips; the table puts the error of each "
        "fold beside what chance alone gives such a model.",
    )
    tables = {"Calibration error of each fold, test clips": _ece_table(result)}
    fitted = _fitted_table(result.runs)
    if fitted:
        tables["Before and after calibration, on the validation clips that it was fitted on"] = fitted
    return Section("calibration", title, lead, pictures, tables)


def _bins(curve: Reliability) -> Table:
    bins = zip(curve.counts.tolist(), curve.confidence.tolist(), curve.accuracy.tolist(), strict=True)
    rows = [[str(n), percent(sure), percent(right)] for n, sure, right in bins if n]
    return Table(("clips", "mean confidence, %", "right, %"), rows, words=0)


def _ece_table(result: Result) -> Table:
    rows = []
    for fold, scores in result.scores.folds.items():
        errors = [scores.get(name) for name in ("ece", "expected_ece", "expected_ece_q95")]
        rows.append([fold or "all", f"{scores['n']:g}", *(NONE if one is None else f"{one:.3f}" for one in errors)])
    return Table(("fold", "clips", "ECE", "ECE by chance, mean", "95 % of chance below"), rows)


def _fitted_table(runs: Sequence[FoldRun]) -> Table | None:
    """Say what calibration changed on the validation clips that it was fitted on."""
    rows = []
    for run in runs:
        fitted = run.record.calibration
        if fitted is not None:
            numbers = (fitted.before.ece, fitted.after.ece, fitted.before.nll, fitted.after.nll)
            rows.append([run.name, fitted.method, f"{run.record.temperature:.2f}", *(f"{one:.3f}" for one in numbers)])
    columns = ("fold", "method", "temperature", "ECE before", "ECE after", "NLL before", "NLL after")
    return Table(columns, rows, words=2) if rows else None
