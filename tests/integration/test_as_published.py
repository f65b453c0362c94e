"""The author's number beside the honest ones, on made-up voices named as RAVDESS names its own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import MANNERS, RATE_HZ, recipe_text, spoken

from earnest.corpora.manifest import Utterance, write_manifest
from earnest.errors import EarnestError
from earnest.export.card import read_result
from earnest.training.record import read_record

STAMP = "author's protocol: epoch chosen on TEST"
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


def write_ravdess(folder: Path) -> Path:
    """Write one clip of each of 24 actors and 8 emotions; return the manifest."""
    rows = []
    for actor in range(1, 25):
        for code, emotion in enumerate(EMOTIONS):
            path = folder / f"03-01-{code + 1:02d}-01-01-01-{actor:02d}.wav"
            soundfile.write(path, spoken(list(MANNERS)[code % 4], actor, code), RATE_HZ, subtype="PCM_16")
            rows.append(Utterance(path.stem, path, corpus="ravdess", speaker=f"ravdess-{actor:02d}", emotion=emotion))
    write_manifest(rows, folder / "manifest.csv")
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("published")
    manifest = write_ravdess(folder)
    text = recipe_text(epochs=2, corpus="ravdess").replace("width = 32", "width = 8").replace("= 40", "= 16")
    (folder / "recipe.toml").write_text(text, encoding="utf-8")
    words = ("evaluate", folder / "recipe.toml", "--protocol", "emocatcher-5fold", "--as-published")
    words = (*words, "--data", f"ravdess={manifest}", "--output", folder / "run")
    return folder / "run", json.loads(earnest_cli(*words, "--json")), earnest_cli(*words)


def test_three_numbers_of_one_recipe_stand_beside_each_other(published: tuple[Path, dict[str, Any], str]) -> None:
    folder, document, shown = published
    titles = [document[name]["title"] for name in ("epoch_on_test", "same_split", "unseen_speakers")]
    assert titles == [
        f"emocatcher-5fold-epoch-on-test (speaker-dependent; {STAMP})",
        "emocatcher-5fold (speaker-dependent)",
        "ravdess-6fold (speaker-independent)",
    ]
    wa = {name: document[name]["over_folds"]["wa"]["mean"] for name in ("epoch_on_test", "unseen_speakers")}
    gap = 100 * (wa["epoch_on_test"] - wa["unseen_speakers"])
    assert document["gaps_in_points_of_wa"]["unseen_speakers"] == pytest.approx(gap)
    assert json.loads((folder / "as_published.json").read_text()) == document
    assert STAMP in " ".join(shown.split())
    assert f"{gap:+.1f} points of WA" in shown


def test_the_same_clips_are_tested_and_the_epoch_is_the_best_on_them(
    published: tuple[Path, dict[str, Any], str],
) -> None:
    folder = published[0]
    on_test, honest = folder / "emocatcher-5fold-epoch-on-test", folder / "emocatcher-5fold"
    tested = json.loads((on_test / "f1-epoch-on-test" / "split.json").read_text())
    assert tested["test"] == tested["valid"] == json.loads((honest / "f1" / "split.json").read_text())["test"]
    ua = [float(row["valid_ua"]) for row in rows_of(on_test / "f1-epoch-on-test" / "history.csv")]
    best = read_record(on_test / "f1-epoch-on-test").best_epoch
    assert ua[best - 1] == max(ua)
    found = json.loads((on_test / "metrics.json").read_text())["folds"]["f1-epoch-on-test"]["ua"]
    assert found == pytest.approx(np.float64(max(ua)))


def test_whatever_comes_of_it_says_so(published: tuple[Path, dict[str, Any], str]) -> None:
    folder = published[0] / "emocatcher-5fold-epoch-on-test"
    assert all(row["fold"].endswith("-epoch-on-test") for row in rows_of(folder / "predictions.csv"))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["selected_on"] == "test"
    assert STAMP in metrics["title"]
    shared = {tuple(line["sets"]): line["shared"]["duplicates"] for line in metrics["leakage"]}
    assert shared["valid", "test"] > 0
    assert json.loads((folder.parent / "emocatcher-5fold" / "metrics.json").read_text())["selected_on"] == "validation"


def test_it_never_becomes_a_bundle_nor_a_bundles_result(
    published: tuple[Path, dict[str, Any], str], tmp_path: Path
) -> None:
    folder = published[0] / "emocatcher-5fold-epoch-on-test"
    for profile in ("bundle", "moody"):
        with pytest.raises(EarnestError, match=r"epoch chosen on TEST\. Such a run is for comparison only"):
            earnest_cli("export", folder / "f1-epoch-on-test", "--output", tmp_path / "bundle", "--profile", profile)
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(EarnestError, match="A bundle states honest results"):
        read_result(folder)
    assert read_result(folder.parent / "ravdess-6fold").protocol == "ravdess-6fold"


def test_what_chooses_the_epoch_on_test_is_not_trained_on(
    published: tuple[Path, dict[str, Any], str], tmp_path: Path
) -> None:
    folder, *_ = published
    words = ("evaluate", folder.parent / "recipe.toml", "--protocol", "emocatcher-5fold", "--as-published")
    words = (*words, "--data", f"ravdess={folder.parent / 'manifest.csv'}", "--set", "training.refit=true")
    with pytest.raises(EarnestError, match=r"--set training\.refit=false"):
        earnest_cli(*words, "--output", tmp_path / "run")
