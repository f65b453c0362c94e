"""The history of a training."""

from pathlib import Path

import pytest

from earnest.errors import EarnestError
from earnest.evaluation.curves import read_history


def test_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text("epoch,train_loss,valid_loss,seconds\n1,0.5,,0.25\n", encoding="utf-8")
    assert read_history(path) == [{"epoch": 1.0, "train_loss": 0.5, "seconds": 0.25}]
    path.write_text("epoch\nfirst\n", encoding="utf-8")
    with pytest.raises(EarnestError, match=r"history\.csv: not a history"):
        read_history(path)
