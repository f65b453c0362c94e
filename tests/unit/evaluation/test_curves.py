"""Whether a training had converged can be told from its history."""

from pathlib import Path

import pytest

from earnest.errors import EarnestError
from earnest.evaluation.curves import has_flattened, read_history


def history(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": number, "valid_loss": loss} for number, loss in enumerate(losses, start=1)]


def test_a_curve_that_still_falls_has_not_flattened() -> None:
    assert not has_flattened(history(*(1 / epoch for epoch in range(1, 21))))


def test_a_curve_that_stays_or_rises_again_has() -> None:
    assert has_flattened(history(*(1 / min(epoch, 10) for epoch in range(1, 21))))
    assert has_flattened(history(*(abs(epoch - 10) / 10 + 0.2 for epoch in range(1, 21))))


def test_less_than_a_hundredth_is_no_gain() -> None:
    assert has_flattened(history(*[1.0] * 12, *[0.992] * 4))
    assert not has_flattened(history(*[1.0] * 12, *[0.985] * 4))


def test_a_short_history_or_one_without_validation_says_nothing() -> None:
    assert not has_flattened(history(*[1.0] * 9))
    assert not has_flattened([{"epoch": 1.0, "train_loss": 1.0}] * 30)
    assert not has_flattened([])


def test_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,train_loss,valid_loss,seconds\n1,0.5,,0.25\n", encoding="utf-8")
    assert read_history(path) == [{"epoch": 1.0, "train_loss": 0.5, "seconds": 0.25}]
    path.write_text("epoch\nfirst\n", encoding="utf-8")
    with pytest.raises(EarnestError, match=r"history\.csv: not a readable history"):
        read_history(path)
