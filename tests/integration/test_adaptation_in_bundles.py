"""Adaptation and domain from training to the bundle, on the made-up voices and a random frozen encoder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import recipe_text

import earnest
from earnest.audio.io import load_waveform
from earnest.bundle import AdaptationEntry, load_bundle
from earnest.errors import EarnestError
from earnest.training.record import read_record
from earnest.training.runtime_statistics import LEAST_SPEECH_S, domain_of

SMALL_ENCODER = "width = 48\nn_heads = 2\nfeed_forward_width = 48\nn_blocks = 1\npooled_blocks = [1]\nfrozen = true"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = recipe_text(extra='method = "discriminant"\nshrinkage = 0.3')
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(text.replace('"cabg"', '"whisper-statistics"').replace("width = 32", SMALL_ENCODER))
    return path


@pytest.fixture(scope="module")
def evaluated(recipe: Path, made_up: Path) -> tuple[Path, dict[str, Any], bytes]:
    """Return the folder, the document with adaptation, and the plain predictions from before."""
    folder = recipe.parent / "evaluated"
    words = ("evaluate", recipe, "--data", f"made-up={made_up}", "--output", folder, "--protocol", "speaker-5fold")
    earnest_cli(*words, "--json")
    plain = (folder / "predictions.csv").read_bytes()
    return folder, json.loads(earnest_cli(*words, "--adapt", "causal", "--adapt", "all", "--json")), plain


def test_adapted_results_lie_beside_the_plain_ones(evaluated: tuple[Path, dict[str, Any], bytes]) -> None:
    folder, document, plain = evaluated
    assert (folder / "predictions.csv").read_bytes() == plain
    assert "adapted" not in json.loads((folder / "metrics.json").read_text())
    for how in ("causal", "all"):
        rows = rows_of(folder / f"predictions-adapted-{how}.csv")
        right = sum(row["emotion"] == row["predicted"] for row in rows)
        metrics = json.loads((folder / f"metrics-adapted-{how}.json").read_text())
        assert metrics == document["adapted"][how]
        assert metrics["wa"] == pytest.approx(right / 72)
        assert metrics["adapted"]["how"] == how
        assert metrics["command"].endswith("--adapt causal --adapt all")


def test_the_first_clip_of_a_speaker_keeps_its_plain_answer(
    evaluated: tuple[Path, dict[str, Any], bytes],
) -> None:
    folder = evaluated[0]
    plain, causal, after_all = (
        rows_of(folder / name)
        for name in ("predictions.csv", "predictions-adapted-causal.csv", "predictions-adapted-all.csv")
    )
    adapted = [row.pop("adapted") == "true" for row in causal]
    assert sum(adapted) == 72 - 6
    same = [one == other for one, other in zip(plain, causal, strict=True)]
    assert all(same[row] for row, flag in enumerate(adapted) if not flag)
    assert not all(same)
    assert {row["adapted"] for row in after_all} == {"true"}


def test_the_bundle_holds_the_runs_adaptation_and_domain(recipe: Path, made_up: Path, tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    earnest_cli("train", recipe, "--data", f"made-up={made_up}", "--output", run, "--all-data")
    earnest_cli("export", run, "--output", bundle)
    checked, record = load_bundle(bundle), read_record(run)
    assert checked.info.adaptation == AdaptationEntry("adaptation.onnx", LEAST_SPEECH_S)
    assert (bundle / "adaptation.onnx").read_bytes() == (run / "adaptation.onnx").read_bytes()
    domain = domain_of(run, record.domain)
    assert domain is not None
    assert checked.info.out_of_domain_from == domain.threshold
    clips = [str(path) for path in sorted(made_up.parent.glob("00-*.wav"))]
    model = earnest.load(bundle)
    assert not model.predict(clips[0]).adapted
    assert model.predict(clips[0], model.adapter(clips)).adapted
    told = model.graph.run([load_waveform(clips[0], 16_000)], ["embedding", "distance"])
    np.testing.assert_allclose(told["distance"], domain.distances(told["embedding"]), rtol=1e-3)
    # Trained on these very clips: none can be strange.
    assert not any("out-of-domain" in row.quality for row in model.predict_many(clips))
    told = json.loads(earnest_cli("predict", clips[0], "--model", bundle, "--adapt", clips[1], "--json"))
    assert told["adapted"] is False  # one clip of half a second is too little


def test_a_recipe_without_the_discriminant_cannot_adapt(made_up: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_text(epochs=1))
    words = ("--data", f"made-up={made_up}", "--output", tmp_path / "run", "--protocol", "speaker-5fold")
    with pytest.raises(EarnestError, match="can't learn to adapt"):
        earnest_cli("evaluate", tmp_path / "recipe.toml", *words, "--adapt", "all")
    assert not (tmp_path / "run").exists()  # it is told before anything is trained
