"""What a bundle says about its recipe's results, read from ``metrics.json``."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from earnest.bundle import ProtocolResult
from earnest.errors import EarnestError
from earnest.evaluation.author_protocols import STAMP, is_chosen_on_test
from earnest.reading import read_json


def read_result(folder: Path) -> ProtocolResult:
    """Read the result in a folder of `earnest evaluate`.

    Raises
    ------
    EarnestError
        When the file is none, holds only some folds, or its epoch was chosen on test clips.
    """
    path = folder / "metrics.json"
    values = read_json(path)
    try:
        if values.get("part"):
            raise EarnestError(f"{path}: {values['part']} were scored. A bundle states results over all of them.")
        if values.get("selected_on") == "test" or is_chosen_on_test(values["protocol"]):
            raise EarnestError(f"{path}: {STAMP}. A bundle states honest results.")
        return result_of(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EarnestError(f"{path}: not the metrics.json of `earnest evaluate` ({error!r}).") from error


def result_of(values: Mapping[str, Any]) -> ProtocolResult:
    """Pick what a bundle states from the content of ``metrics.json``."""
    over, interval, slices = values["over_folds"], values["intervals"]["wa"], values.get("slices", {})
    calibration, confidence = values.get("calibration") or {}, values.get("confidence") or {}
    gender = values.get("gender") or {}
    return ProtocolResult(
        protocol=values["protocol"],
        speaker_independent=values["speaker_independent"],
        wa=over["wa"]["mean"],
        wa_sd=over["wa"]["sd"],
        ua=over["ua"]["mean"],
        ua_sd=over["ua"]["sd"],
        n=values["n"],
        command=values["command"],
        wa_interval=(interval["low"], interval["high"]),
        ece=calibration.get("ece"),
        wa_at_80=confidence.get("accuracy_at", {}).get("0.8"),
        recall={name: one["recall"] for name, one in values["per_class"].items() if one["recall"] is not None},
        ua_by_gender={one["value"]: one["ua"] for one in slices.get("gender", ()) if one["value"]},
        wa_of_speakers=_range([one["wa"] for one in slices.get("speaker", ()) if one["value"]]),
        gender_wa=gender.get("wa"),
        gender_recalls={name: one["recall"] for name, one in gender.get("recalls", {}).items()},
    )


def _range(values: list[float]) -> tuple[float, ...]:
    return (min(values), median(values), max(values)) if values else ()
