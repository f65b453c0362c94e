"""What the page of results says of a result, from its metrics.json alone."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

RESULTS = Path(__file__).parents[3] / "docs" / "results"


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_the_calibration_error_of_all_recordings_is_judged_by_their_own_limit() -> None:
    from write_results import calibration

    told = calibration(result("base-ravdess-6fold"))
    chance = "more than chance explains (chance: 0.027 on average, 95 % below 0.038)"
    assert told.startswith(f"; ECE 0.041, {chance}; by fold, where fewer recordings tell less, ")
    assert "6 of 6 no more than chance explains" in told
    assert calibration(result("large-leave-one-corpus-out")).startswith("; ECE 0.082, more than chance explains (")
    within = calibration(result("base-enrolled-vino-random"))
    assert ", no more than chance explains (" in within
    assert "by fold" not in within  # it has one


def test_the_page_holds_what_the_script_writes_of_each_result() -> None:
    from write_results import fold_line

    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    for path in sorted(RESULTS.glob("*.json")):
        assert fold_line(result(path.stem)) in page, path.name


def test_the_interval_of_a_result_is_that_of_its_speakers_expanded_for_their_number() -> None:
    from write_results import wa_interval

    low, high = (result("base-emodb-loso")["intervals"]["wa"][end] for end in ("low", "high"))
    assert (low, high) == pytest.approx((0.876, 0.943), abs=1e-3)  # ten speakers; plain percentiles: 88.3 to 93.8
    for path in sorted(RESULTS.glob("*.json")):
        scores = result(path.stem)
        assert asdict(wa_interval(scores)) == pytest.approx(scores["intervals"]["wa"], abs=1e-12), path.name
