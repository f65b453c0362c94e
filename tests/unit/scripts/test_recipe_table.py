"""Whether a training had converged can be told from its history."""

import pytest

pytest.importorskip("torch", reason="the table of recipes needs torch, earnest[train]")


def history(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": number, "valid_loss": loss} for number, loss in enumerate(losses, start=1)]


def test_a_curve_that_still_falls_has_not_flattened() -> None:
    from recipe_table import has_flattened

    assert not has_flattened(history(*(1 / epoch for epoch in range(1, 21))))


def test_a_curve_that_stays_or_rises_again_has() -> None:
    from recipe_table import has_flattened

    assert has_flattened(history(*(1 / min(epoch, 10) for epoch in range(1, 21))))
    assert has_flattened(history(*(abs(epoch - 10) / 10 + 0.2 for epoch in range(1, 21))))


def test_less_than_a_hundredth_is_no_gain() -> None:
    from recipe_table import has_flattened

    assert has_flattened(history(*[1.0] * 12, *[0.992] * 4))
    assert not has_flattened(history(*[1.0] * 12, *[0.985] * 4))


def test_a_short_history_or_one_without_validation_says_nothing() -> None:
    from recipe_table import has_flattened

    assert not has_flattened(history(*[1.0] * 9))
    assert not has_flattened([{"epoch": 1.0, "train_loss": 1.0}] * 30)
    assert not has_flattened([])
