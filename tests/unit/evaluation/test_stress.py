"""The stress table: changes, shares and thresholds by hand; and what clean clips are asked."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from earnest.errors import EarnestError
from earnest.evaluation.answers import text_column
from earnest.evaluation.predictions import Predictions, joined
from earnest.evaluation.stress import (
    CHECK_COLUMNS,
    CLEAN,
    COLUMNS,
    Limit,
    StressCheck,
    StressRow,
    checks_markdown,
    clean_checks,
    clean_row,
    stress_markdown,
)
from earnest.plots.results import plot_stress
from tests.prediction_rows import PredictionRow, predictions_of

CLASSES = ("happy", "sad")


def predictions(answers: Sequence[tuple[str, str]], genders: Sequence[str] = ()) -> Predictions:
    """Rows of (true, predicted), of two speakers in turn."""
    rows = [
        PredictionRow(f"{row}", "made-up", f"s{row % 2}", genders[row] if genders else "", "f1", true, answer, {})
        for row, (true, answer) in enumerate(answers)
    ]
    return predictions_of(rows, CLASSES)


CLEAN_ANSWERS = predictions([("happy", "happy")] * 10 + [("sad", "sad")] * 8 + [("sad", "happy")] * 2)
CHANGED = predictions([("happy", "happy")] * 8 + [("happy", "sad")] * 2 + [("sad", "sad")] * 10)


def row(change: float = 0.0, unchanged: float = 1.0, group: str = "background noise") -> StressRow:
    interval = clean_row(CLEAN_ANSWERS).interval
    return StressRow("noise", group, 0.7, interval, change, interval, unchanged)


def test_a_row_has_the_difference_in_ua_and_the_share_of_answers_that_stayed() -> None:
    found = StressRow.of("tilt", "spectral tilt", CLEAN_ANSWERS, CHANGED, 3)
    assert clean_row(CLEAN_ANSWERS).ua == pytest.approx(0.9)
    assert found.ua == pytest.approx(0.9)
    assert found.change == pytest.approx(0.0)
    assert found.unchanged == pytest.approx(16 / 20)
    assert found.n_untouched == 3
    assert found.interval.over == found.change_interval.over == "speakers"


def test_the_difference_is_that_of_the_changed_clips_minus_the_clean_ones() -> None:
    worse = predictions([("happy", "sad")] * 10 + [("sad", "sad")] * 10)
    assert StressRow.of("noise", "room", CLEAN_ANSWERS, worse).change == pytest.approx(0.5 - 0.9)


@pytest.mark.parametrize(
    ("group", "change", "unchanged", "holds"),
    [
        ("background noise", -0.05, 0.9, True),
        ("background noise", -0.051, 0.9, False),
        ("background noise", -0.05, 0.899, False),
        ("phone and coding", -0.05, 0.5, True),
        ("phone and coding", -0.05, 0.49, False),
        ("room", -0.5, 0.8, True),
        ("room", 0.1, 0.79, False),
        ("small changes", -0.5, 0.95, True),
        ("small changes", 0.0, 0.94, False),
        ("spectral tilt", -0.02, 0.1, True),
        ("spectral tilt", -0.021, 1.0, False),
        ("louder noise", -0.9, 0.0, None),
    ],
)
def test_thresholds_are_those_of_ser_tests(group: str, change: float, unchanged: float, holds: bool | None) -> None:
    assert row(change, unchanged, group).holds is holds


def test_limits_are_said_in_words() -> None:
    assert Limit(-0.05, 0.9).sentence() == "ΔUA ≥ −5, unchanged ≥ 90"
    assert Limit().sentence() == "–"


def test_a_row_comes_back_from_json_and_what_is_none_is_refused() -> None:
    found = StressRow.of("tilt", "spectral tilt", CLEAN_ANSWERS, CHANGED)
    assert StressRow.from_dict(found.to_dict(), "here") == found
    with pytest.raises(EarnestError, match="here: not from `earnest stress`"):
        StressRow.from_dict({"condition": "tilt"}, "here")


def test_the_table_has_a_line_a_condition_and_the_clean_one_has_no_change() -> None:
    lines = stress_markdown([clean_row(CLEAN_ANSWERS), row(-0.123, 0.5)]).splitlines()
    assert lines[0] == f"| {' | '.join(COLUMNS)} |"
    assert lines[2].startswith(f"| {CLEAN} | 90.0 (")
    assert lines[2].endswith("|  |  |  |  |")
    assert lines[3].startswith("| noise | 70.0 (")
    assert "| −12.3 (" in lines[3]
    assert lines[3].endswith("| 50.0 | ΔUA ≥ −5, unchanged ≥ 90 | no |")
    assert len(lines) == 4


def by_name(found: Predictions) -> dict[str, StressCheck]:
    return {check.name: check for check in clean_checks(found)}


def test_correctness_and_distribution_of_clean_answers() -> None:
    answers = [("happy", "happy")] * 6 + [("sad", "happy")] * 9 + [("sad", "sad")] * 5
    checks = by_name(predictions(answers))
    assert checks["UA"].value == pytest.approx((1 + 5 / 14) / 2)
    assert checks["mean precision"].value == pytest.approx((6 / 15 + 1) / 2)
    assert (checks["lowest recall of a class"].where, checks["lowest recall of a class"].holds) == ("sad", False)
    assert checks["lowest precision of a class"].value == pytest.approx(0.4)
    assert checks["lowest precision of a class"].where == "happy"
    shift = checks["largest shift of a class's share"]
    assert (shift.value, shift.holds) == (pytest.approx(9 / 20), False)
    assert not any("sex" in name for name in checks)


def test_where_nothing_is_answered_no_check_holds() -> None:
    nothing = replace(CLEAN_ANSWERS, predicted=np.full(len(CLEAN_ANSWERS), -1), gender=text_column("mf" * 10))
    checks = by_name(nothing)
    assert [checks[name].value for name in ("mean precision", "lowest precision of a class")] == [0.0, 0.0]
    assert not any(checks[name].holds for name in ("UA", "mean precision", "lowest recall of a class"))


def test_each_sex_is_compared_with_both_together() -> None:
    answers = [("happy", "happy"), ("sad", "sad")] * 10 + [("happy", "happy"), ("sad", "happy")] * 10
    checks = by_name(predictions(answers, ["female"] * 20 + ["male"] * 20))
    assert checks["UA of a sex, distance from both"].value == pytest.approx(0.25)
    recall = checks["recall of a class and sex, distance from both"]
    assert recall.value == pytest.approx(0.5)
    assert recall.where.startswith("sad")
    precision = checks["precision of a class and sex, distance from both"]
    assert precision.value == pytest.approx(1 - 20 / 30)
    assert precision.where == "happy, female"
    assert not (recall.holds or precision.holds)


def test_clips_whose_sex_is_unknown_are_not_among_both() -> None:
    answers = [("happy", "happy"), ("sad", "sad")] * 20 + [("happy", "sad")] * 10
    checks = by_name(predictions(answers, [*["female", "female", "male", "male"] * 10, *[""] * 10]))
    assert checks["UA of a sex, distance from both"].value == 0


def test_checks_come_back_from_json_and_fill_a_table() -> None:
    checks = clean_checks(CLEAN_ANSWERS)
    assert [StressCheck.from_dict(check.to_dict(), "here") for check in checks] == checks
    assert checks_markdown(checks).splitlines()[2] == "| UA | 90.0 |  | ≥ 50 | yes |"
    assert len(checks_markdown(checks).splitlines()[0].split("|")) == len(CHECK_COLUMNS) + 2
    with pytest.raises(EarnestError, match="here: not from"):
        StressCheck.from_dict({}, "here")


def test_tables_of_any_name_are_drawn() -> None:
    rows = [clean_row(CLEAN_ANSWERS), StressRow.of("tilt", "spectral tilt", CLEAN_ANSWERS, CHANGED)]
    assert plot_stress({r"a$\frac$": rows, "b": rows}, r"a$\frac$", "")


def test_several_tables_are_drawn_together_if_they_have_the_same_conditions() -> None:
    rows = [clean_row(CLEAN_ANSWERS), StressRow.of("tilt", "spectral tilt", CLEAN_ANSWERS, CHANGED)]
    assert plot_stress({"a": rows, "b": rows}, "title", "subtitle").startswith(b"\x89PNG")
    with pytest.raises(EarnestError, match="other conditions"):
        plot_stress({"a": rows, "b": rows[:1]}, "title", "")


def test_a_clip_that_two_folds_test_is_compared_twice() -> None:
    def twice(one: Predictions) -> Predictions:
        again = replace(one, fold=text_column(["f2"] * len(one)))
        return joined([one, again])

    once = StressRow.of("hiss", "noise", CLEAN_ANSWERS, CHANGED)
    both = StressRow.of("hiss", "noise", twice(CLEAN_ANSWERS), twice(CHANGED))
    assert (both.ua, both.change, both.unchanged) == (once.ua, once.change, once.unchanged)
    assert both.change_interval == once.change_interval  # of the same speakers
