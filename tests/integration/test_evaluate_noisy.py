"""Noise in test utterances and single folds, over the made-up corpus."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import RATE_HZ, recipe_text

from earnest.augment.base import power
from earnest.corpora.manifest import read_manifest
from earnest.errors import EarnestError, RecipeError
from earnest.evaluation.predictions import read_predictions
from earnest.evaluation.protocols import splits_of
from earnest.evaluation.report import NoiseCurve
from earnest.experiments.conditions import FoldClips, NoiseTest
from earnest.export.card import read_result
from earnest.settings.recipe import read_recipe

LEVELS_DB = (-20, 10, 60)


def evaluate(manifest: Path, recipe: Path, folder: Path, *words: Any) -> dict[str, Any]:
    data = ("--data", f"made-up={manifest}", "--output", folder, "--protocol", "speaker-5fold")
    document = json.loads(earnest_cli("evaluate", recipe, *data, "--json", *words))
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noises")
    for seed, name in enumerate(("rain/1.wav", "rain/2.wav", "sea/1.wav")):
        (folder / name).parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(seed).normal(0, 0.1, 3 * RATE_HZ)
        soundfile.write(folder / name, noise, RATE_HZ, subtype="FLOAT")
    return folder


@pytest.fixture(scope="module")
def told(made_up: Path, noises: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("noisy")
    trained_with = f'[[augment]]\nname = "noise-files"\nfolder = "{noises.as_posix()}"\nnames = ["rain/2", "sea"]\n'
    (folder / "recipe.toml").write_text(recipe_text(epochs=12, extra=trained_with), encoding="utf-8")
    words = ("--folds", "f2", "--noise", noises, "--noise-names", "rain", "--snr-db", "-20,10,60")
    return folder, evaluate(made_up, folder / "recipe.toml", folder / "run", *words)


def test_a_single_fold_is_trained_and_the_result_says_so(told: tuple[Path, dict[str, Any]]) -> None:
    folder, document = told
    assert [path.name for path in (folder / "run").iterdir() if path.is_dir()] == ["f2"]
    assert document["title"] == "speaker-5fold, only f2 of 5 folds (speaker-independent)"
    assert document["clips"].endswith(f"only f2 of 5 folds tested: {document['n']} utterances")
    assert list(document["folds"]) == ["f2"]
    assert "--folds f2" in document["command"]
    assert document["noise"]["title"] == document["title"]
    with pytest.raises(EarnestError, match="only f2 of 5 folds"):
        read_result(folder / "run")


def test_the_noisy_result_is_a_file_of_its_own_with_its_command(told: tuple[Path, dict[str, Any]]) -> None:
    folder, document = told
    noisy = json.loads((folder / "run" / "metrics-noise.json").read_text())
    assert noisy == document["noise"]
    assert noisy["command"].endswith("--snr-db -20,10,60 --noise-names rain")
    assert [row["snr_db"] for row in noisy["levels"]] == [None, *LEVELS_DB]
    assert {row["n"] for row in noisy["levels"]} == {document["n"]}
    assert noisy["n_without_noise"] == 0
    assert "noise" not in json.loads((folder / "run" / "metrics.json").read_text())
    assert (folder / "run" / "noise.png").read_bytes().startswith(b"\x89PNG")


def test_the_levels_scores_are_those_of_their_predictions(told: tuple[Path, dict[str, Any]]) -> None:
    folder, document = told
    clean, *levels = document["noise"]["levels"]
    assert clean["wa"]["mean"] == document["wa"]
    assert clean["ua"]["mean"] == document["ua"]
    for row in levels:
        rows = rows_of(folder / "run" / f"predictions-noise-{row['snr_db']:g}.csv")
        right = sum(one["emotion"] == one["predicted"] for one in rows) / len(rows)
        assert row["wa"] == {"mean": pytest.approx(right), "sd": None}


def test_hardly_any_noise_changes_nothing_and_much_changes_answers(told: tuple[Path, dict[str, Any]]) -> None:
    run = told[0] / "run"
    plain = read_predictions(run / "predictions.csv").probabilities
    faint = read_predictions(run / "predictions-noise-60.csv").probabilities
    loud = read_predictions(run / "predictions-noise--20.csv").probabilities
    assert plain is not None and faint is not None and loud is not None
    assert np.abs(faint - plain).max() < 0.1
    assert np.abs(loud - plain).mean() > 3 * np.abs(faint - plain).mean()


def test_the_same_noise_is_drawn_again_whatever_else_is_scored(
    told: tuple[Path, dict[str, Any]], made_up: Path, noises: Path
) -> None:
    split = splits_of("speaker-5fold", read_manifest(made_up))[1]
    noise = NoiseTest(str(noises), snr_db=(10.0,), names=("rain",))
    answers = noise.at(10.0).answer(FoldClips.tested(told[0] / "run" / "f2", split))
    again = answers.predictions
    kept = read_predictions(told[0] / "run" / "predictions-noise-10.csv")
    assert answers.n_untouched == 0
    assert again.utterance_id.tolist() == kept.utterance_id.tolist()
    assert again.probabilities is not None and kept.probabilities is not None
    np.testing.assert_allclose(again.probabilities, kept.probabilities, atol=1e-5)


def test_noise_differs_between_clips_and_levels_and_has_the_ratio(noises: Path) -> None:
    noise = NoiseTest(str(noises))
    clip = np.random.default_rng(9).normal(0, 0.1, RATE_HZ).astype(np.float32)
    added = {(key, db): noise.mixed_into(clip, key, RATE_HZ, db) - clip for key in ("a", "b") for db in (0.0, 5.0)}
    for (_, level_db), one in added.items():
        assert 10 * np.log10(power(clip) / power(one)) == pytest.approx(level_db, abs=0.01)
    shapes = [one / np.sqrt(power(one)) for one in added.values()]
    likeness = np.corrcoef(shapes) - np.eye(4)
    assert np.abs(likeness).max() < 0.2


def test_recordings_that_training_heard_are_counted(told: tuple[Path, dict[str, Any]], noises: Path) -> None:
    assert told[1]["noise"]["noise"]["recordings"] == 2
    assert told[1]["noise"]["noise"]["heard_in_training"] == 1
    recipe = read_recipe(told[0] / "recipe.toml")
    assert NoiseTest(str(noises), names=("rain/1",)).heard_in_training(recipe) == 0
    assert NoiseTest(str(noises)).heard_in_training(recipe) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--noise", "nowhere"), "there is no folder"),
        (("--noise", "NOISES", "--noise-names", "rain,snow"), "no recording with snow"),
        (("--noise", "NOISES", "--snr-db", "0,0"), "different numbers"),
        (("--noise", "NOISES", "--snr-db", "0,90"), "from -30 to 60 dB, got 90"),
        (("--folds", "f2,f9"), "no fold 'f9'"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_trained(
    words: tuple[str, ...], message: str, made_up: Path, noises: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_text(), encoding="utf-8")
    typed = [str(noises) if word == "NOISES" else word for word in words]
    with pytest.raises(RecipeError, match=message):
        evaluate(made_up, tmp_path / "recipe.toml", tmp_path / "run", *typed)
    assert not (tmp_path / "run").exists()


def test_levels_without_noise_are_a_mistake(made_up: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_text(), encoding="utf-8")
    data = ("--data", f"made-up={made_up}", "--output", tmp_path / "run", "--protocol", "speaker-5fold")
    earnest_cli("evaluate", tmp_path / "recipe.toml", *data, "--snr-db", "0", exit_code=click.UsageError.exit_code)
    words = ("--noise", tmp_path, "--snr-db", "loud")
    earnest_cli("evaluate", tmp_path / "recipe.toml", *data, *words, exit_code=click.UsageError.exit_code)


def test_a_curve_says_itself_again(told: tuple[Path, dict[str, Any]]) -> None:
    document = told[1]["noise"]
    curve = NoiseCurve.from_document(document, "here")
    assert curve.to_list() == document["levels"]
    with pytest.raises(EarnestError, match="here: not from `earnest evaluate --noise`"):
        NoiseCurve.from_document({"levels": []}, "here")
