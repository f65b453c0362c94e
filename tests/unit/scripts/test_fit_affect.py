"""What derives valence and arousal: listeners' votes, weighted regressions, places of emotions."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the scripts that make bundles need torch, earnest[train]")


def test_votes_that_are_tied_count_the_same(tmp_path: Path) -> None:
    from fit_affect import PLACES, votes_of

    table = tmp_path / "summaryTable.csv"
    table.write_text(
        '"","FileName","VoiceVote","VoiceLevel"\n"1","x","A","60"\n"2","y","H:N","70:50"\n', encoding="utf-8"
    )
    votes = votes_of(table)
    assert votes["x"] == pytest.approx(PLACES["angry"])
    assert votes["y"] == pytest.approx(np.divide(PLACES["happy"], 2))


def test_a_clip_that_counts_twice_is_two_clips_and_equal_ones_are_a_plain_ridge() -> None:
    from fit_affect import Ridge
    from fit_intensity import ridge

    rng = np.random.default_rng(0)
    embedding, target = rng.normal(size=(40, 6)), rng.normal(size=(40, 2))
    weight, bias = Ridge(embedding, np.full(40, 3.0)).fitted(target, 0.7)
    for side in range(2):
        expected = ridge(embedding, target[:, side], 0.7)
        assert weight[:, side] == pytest.approx(expected[0])
        assert bias[side] == pytest.approx(expected[1])


def test_correlations_and_pairs_are_those_of_their_definitions() -> None:
    from fit_affect import AROUSAL, HIGH, LOW, between, correlation

    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == pytest.approx(1)

    class Known:
        emotion = np.array(["angry", "sad", "neutral", "disgust"])

    told = np.array([[0, 0.5], [0, 0.7], [0, 0.1], [0, 0.9]])
    assert between(told[:, AROUSAL], Known(), np.ones(4, bool), HIGH, LOW) == 0.5  # type: ignore[arg-type]
