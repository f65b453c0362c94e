"""Protocols over the made-up corpus: the same numbers however the folds are run, and nothing learned from nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import recipe_text, write_corpus

from earnest.audio.io import load_waveform
from earnest.augment.tta import variants_of
from earnest.bundle import BundleInfo
from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.errors import CorpusError, EarnestError, RecipeError, SplitError
from earnest.evaluation.predictions import read_predictions
from earnest.evaluation.protocols import splits_of
from earnest.experiments.conditions import Averaged, FoldClips
from earnest.export.card import model_card, read_result
from earnest.frontends.log_mel import compute_frames
from earnest.training.batches import predict_outputs
from earnest.training.examples import Example
from earnest.training.run import load_run

FOLDS = ("f1", "f2", "f3", "f4", "f5")


def evaluate(manifest: Path, folder: Path, *words: Any, epochs: int = 10) -> dict[str, Any]:
    folder.mkdir(exist_ok=True, parents=True)
    recipe = folder.parent / f"recipe-{epochs}.toml"
    recipe.write_text(recipe_text(epochs=epochs), encoding="utf-8")
    data = ("--data", f"made-up={manifest}", "--output", folder, "--protocol", "speaker-5fold")
    document = json.loads(earnest_cli("evaluate", recipe, *data, "--json", *words))
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def evaluated(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("evaluated") / "one"
    return folder, evaluate(made_up, folder)


def test_every_clip_is_tested_once_by_a_model_that_never_heard_its_speaker(
    evaluated: tuple[Path, dict[str, Any]],
) -> None:
    folder, document = evaluated
    rows = rows_of(folder / "predictions.csv")
    assert len(rows) == len({row["utterance_id"] for row in rows}) == document["n"] == 72
    for row in rows:
        split = json.loads((folder / row["fold"] / "split.json").read_text())
        heard = {key.split("/")[1].split("-")[0] for key in (*split["train"], *split["valid"])}
        assert row["utterance_id"].split("-")[0] not in heard


def test_metrics_are_those_of_the_predictions_and_name_their_command(evaluated: tuple[Path, dict[str, Any]]) -> None:
    folder, document = evaluated
    rows = rows_of(folder / "predictions.csv")
    assert document["wa"] == pytest.approx(sum(row["emotion"] == row["predicted"] for row in rows) / 72)
    assert json.loads((folder / "metrics.json").read_text()) == document
    assert document["speaker_independent"] is True
    assert document["command"].startswith("earnest evaluate ")
    assert document["recipe"]["training"]["epochs"] == 10
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_the_voices_are_learned_and_shuffled_labels_are_not(
    evaluated: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    shuffled = write_corpus(tmp_path / "shuffled", shuffle_labels=True)
    assert evaluated[1]["ua"] > 0.6
    assert 0.1 < evaluate(shuffled, tmp_path / "run")["ua"] < 0.4


def test_folds_side_by_side_give_the_same_file(
    evaluated: tuple[Path, dict[str, Any]], made_up: Path, tmp_path: Path
) -> None:
    side_by_side = evaluate(made_up, tmp_path / "two", "--jobs", 2)
    assert (tmp_path / "two" / "predictions.csv").read_bytes() == (evaluated[0] / "predictions.csv").read_bytes()
    assert {**side_by_side, "command": ""} == {**evaluated[1], "command": ""}  # which names another recipe's path


def test_finished_folds_are_kept_and_a_missing_one_is_trained(
    evaluated: tuple[Path, dict[str, Any]], made_up: Path
) -> None:
    folder, document = evaluated
    predictions = (folder / "predictions.csv").read_bytes()
    weights = {fold: folder / fold / "model.safetensors" for fold in FOLDS}
    before = {fold: path.stat().st_mtime_ns for fold, path in weights.items()}
    for path in (folder / "f3").iterdir():
        if path.is_file():
            path.unlink()
    assert evaluate(made_up, folder) == document
    changed = [fold for fold in FOLDS if weights[fold].stat().st_mtime_ns != before[fold]]
    assert changed == ["f3"]
    assert (folder / "predictions.csv").read_bytes() == predictions


def test_folds_of_other_code_are_told(
    evaluated: tuple[Path, dict[str, Any]],
    made_up: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, document = evaluated
    evaluate(made_up, folder)
    assert "code was changed" not in caplog.text
    monkeypatch.setattr("earnest.training.run.OURS", ("audio",))  # as if the rest had been other files
    assert evaluate(made_up, folder) == document
    assert f"{folder}: {len(FOLDS)} of {len(FOLDS)} folds (f1, f2, f3 and 2 more) were trained before" in caplog.text


def test_a_finished_evaluation_is_told_again_without_its_recordings(
    evaluated: tuple[Path, dict[str, Any]], made_up: Path, tmp_path: Path
) -> None:
    rows = [replace(row, path=tmp_path / "gone.wav") for row in read_manifest(made_up)]
    write_manifest(rows, tmp_path / "gone.csv")
    assert evaluate(tmp_path / "gone.csv", evaluated[0]) == evaluated[1]


def test_a_wrong_setting_is_refused_before_anything_is_decoded(made_up: Path, tmp_path: Path) -> None:
    write_manifest([replace(row, path=tmp_path / "gone.wav") for row in read_manifest(made_up)], tmp_path / "gone.csv")
    (tmp_path / "recipe.toml").write_text(recipe_text().replace("width = 32", "widht = 32"), encoding="utf-8")
    words = ("--data", f"made-up={tmp_path / 'gone.csv'}", "--output", tmp_path / "run", "--protocol", "speaker-5fold")
    with pytest.raises(RecipeError, match="Did you mean 'width'"):
        earnest_cli("evaluate", tmp_path / "recipe.toml", *words)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_unreadable_recording_is_named_however_the_folds_are_run(made_up: Path, tmp_path: Path, jobs: int) -> None:
    rows = read_manifest(made_up)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    write_manifest([replace(rows[0], path=tmp_path / "broken.wav"), *rows[1:]], tmp_path / "manifest.csv")
    with pytest.raises(CorpusError, match=r"broken\.wav"):
        evaluate(tmp_path / "manifest.csv", tmp_path / "run", "--jobs", jobs, epochs=1)


def test_a_speaker_whose_name_leads_out_of_the_folder_is_refused(made_up: Path, tmp_path: Path) -> None:
    rows = [replace(row, speaker=f"../{row.speaker}") for row in read_manifest(made_up)]
    write_manifest(rows, tmp_path / "manifest.csv")
    words = ("--data", f"made-up={tmp_path / 'manifest.csv'}", "--output", tmp_path / "run", "--protocol", "loso")
    (tmp_path / "recipe.toml").write_text(recipe_text(), encoding="utf-8")
    with pytest.raises(SplitError, match="can't be a folder's name"):
        earnest_cli("evaluate", tmp_path / "recipe.toml", *words)


def test_corpora_that_share_some_classes_are_scored_on_those(made_up: Path, tmp_path: Path) -> None:
    truth = {}
    others = write_corpus(tmp_path / "others", seed=1)  # the same clips under two names would be a leak
    for name, rows, emotions in (
        ("one", read_manifest(made_up), ("neutral", "happy", "angry")),
        ("two", read_manifest(others), ("happy", "sad", "angry")),
    ):
        chosen = [replace(row, corpus=name, speaker=f"{name}-{row.speaker}") for row in rows if row.emotion in emotions]
        write_manifest(chosen, tmp_path / f"{name}.csv")
        truth |= {(name, row.utterance_id): row.emotion for row in chosen if row.emotion in ("happy", "angry")}
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(epochs=1).replace('"made-up"', '["one", "two"]'), encoding="utf-8")
    data = [word for name in ("one", "two") for word in ("--data", f"{name}={tmp_path / name}.csv")]
    words = (*data, "--protocol", "cross-corpus", "--output", tmp_path / "run", "--json")
    document = json.loads(earnest_cli("evaluate", recipe, *words))
    assert {
        (row["corpus"], row["utterance_id"]): row["emotion"] for row in rows_of(tmp_path / "run" / "predictions.csv")
    } == truth
    assert document["classes"] == ["happy", "angry"]
    assert document["labels"] == "72 kept, 18 neutral dropped, 18 sad dropped"
    assert document["clips"] == "cross-corpus: 72 utterances"


def test_another_recipe_in_the_same_folder_is_refused(evaluated: tuple[Path, dict[str, Any]], made_up: Path) -> None:
    with pytest.raises(RecipeError, match="another recipe"):
        evaluate(made_up, evaluated[0], epochs=11)


def test_the_table_says_that_speakers_are_apart(evaluated: tuple[Path, dict[str, Any]], made_up: Path) -> None:
    recipe = evaluated[0].parent / "recipe-10.toml"
    data = ("--data", f"made-up={made_up}", "--output", evaluated[0], "--protocol", "speaker-5fold")
    table = earnest_cli("evaluate", recipe, *data)
    assert "speaker-independent" in table
    assert "train and test share 0 speakers" in table


def test_variants_are_a_result_of_their_own_beside_the_plain_one(
    evaluated: tuple[Path, dict[str, Any]], made_up: Path
) -> None:
    folder, document = evaluated
    before = {name: (folder / name).read_bytes() for name in ("predictions.csv", "metrics.json")}
    told = evaluate(made_up, folder, "--tta", "speed", "--tta", "none")
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert {key: value for key, value in told.items() if key != "tta"} == document
    assert told["tta"]["none"]["wa"] == document["wa"]
    assert told["tta"]["speed"]["tta"] == {"name": "speed", "variants": 3}
    assert told["tta"]["speed"]["command"].endswith("--tta speed --tta none")
    assert json.loads((folder / "metrics-tta-speed.json").read_text()) == told["tta"]["speed"]


def test_a_test_clip_gets_the_mean_over_its_variants(evaluated: tuple[Path, dict[str, Any]], made_up: Path) -> None:
    folder = evaluated[0]
    split = splits_of("speaker-5fold", read_manifest(made_up))[1]
    found = Averaged("tta", "speed").answer(FoldClips.tested(folder / "f2", split)).predictions
    assert found.probabilities is not None
    classifier = load_run(folder / "f2")
    row = next(row for row in split.test if row.utterance_id == found.utterance_id[5])
    alone = []
    for heard in variants_of(load_waveform(row.path, 16_000), "speed", 16_000):
        frames = compute_frames(classifier.front_end, heard)
        example = Example(row, frames, 0, len(heard) / 16_000)
        logits = predict_outputs(classifier.network, [example]).logits
        alone.append((logits / classifier.temperature).softmax(dim=1).numpy()[0])
    np.testing.assert_allclose(found.probabilities[5], np.mean(alone, axis=0), atol=1e-6)
    plain = read_predictions(folder / "f2" / "predictions.csv")
    assert plain.utterance_id.tolist() == found.utterance_id.tolist()
    assert plain.probabilities is not None
    assert np.abs(plain.probabilities - found.probabilities).max() > 1e-3


def test_unknown_variants_are_refused_before_anything_is_trained(made_up: Path, tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match="Did you mean 'speed'"):
        evaluate(made_up, tmp_path / "run", "--tta", "sped")
    assert not list((tmp_path / "run").iterdir())


def test_a_bundle_takes_the_result_with_its_command(evaluated: tuple[Path, dict[str, Any]]) -> None:
    folder, document = evaluated
    result = read_result(folder)
    assert (result.protocol, result.n, result.command) == ("speaker-5fold", 72, document["command"])
    assert (result.wa, result.ua) == (document["over_folds"]["wa"]["mean"], document["over_folds"]["ua"]["mean"])
    info = BundleInfo("b", "1", ("happy", "sad"), 16_000, "CC0-1.0", {}, results=(result,))
    assert f"| speaker-5fold | speaker-independent | {100 * result.wa:.1f} ± " in model_card(info)
    assert f"`{result.command}`" in model_card(info)


def test_a_folder_without_metrics_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match=r"metrics\.json: no such file"):
        read_result(tmp_path)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(EarnestError, match="KeyError"):
        read_result(tmp_path)
