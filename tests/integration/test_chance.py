"""Where labels mean nothing, the whole pipeline finds nothing: no score is better than chance."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import earnest_cli
from made_up_corpus import MANNERS, NAME, recipe_text, write_corpus

stats = pytest.importorskip("scipy.stats", reason="the bounds of chance are from scipy")
SEEDS = (1, 2, 3)
CHANCE = 1 / len(MANNERS)


def evaluated(folder: Path, seed: int, shuffle_labels: bool) -> dict:
    """Evaluate a closed-form head on a network of random weights: seconds, and it learns the voices."""
    manifest = write_corpus(folder / "clips", seed=seed, shuffle_labels=shuffle_labels)
    recipe = folder / "recipe.toml"
    recipe.write_text(recipe_text(epochs=1, extra='method = "discriminant"'), encoding="utf-8")
    data = ("--data", f"{NAME}={manifest}", "--protocol", "speaker-5fold", "--output", folder / "runs", "--json")
    return dict(json.loads(earnest_cli("evaluate", recipe, *data)))


def test_permuted_labels_give_chance_and_true_ones_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What nobody asks for here: a fold's adaptation network learns nothing, and is written all the same.
    monkeypatch.setattr("earnest.training.runtime_statistics.STEPS_PER_CLIP", 0)
    results = [evaluated(tmp_path / str(seed), seed, True) for seed in SEEDS]
    n = sum(result["n"] for result in results)
    n_right = round(sum(result["wa"] * result["n"] for result in results))
    low, high = stats.binom.interval(0.999, n, CHANCE)
    assert low <= n_right <= high
    assert np.mean([result["ua"] for result in results]) == pytest.approx(CHANCE, abs=0.1)
    assert np.mean([result["confidence"]["auc"] for result in results]) == pytest.approx(0.5, abs=0.07)
    learned = evaluated(tmp_path / "true", SEEDS[0], False)
    assert learned["wa"] > 0.5
    assert learned["confidence"]["auc"] > 0.75
