"""Evaluations beyond one training a fold: repeats, settings chosen inside folds, less data, corpora against corpora."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.exceptions import UsageError
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import recipe_text, write_corpus

from earnest.corpora.manifest import read_manifest, write_manifest
from earnest.errors import EarnestError, RecipeError
from earnest.evaluation.metrics import spread
from earnest.evaluation.predictions import read_predictions
from earnest.evaluation.protocols import splits_of
from earnest.export.card import read_result
from earnest.settings.recipe import read_recipe

CLOSED_FORM = recipe_text(extra='method = "discriminant"')
TUNE = "[tune]\ntrials = 3\n[tune.ranges]\ntraining.shrinkage = { low = 0.05, high = 0.95 }\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), n_speakers=6, n_takes=2)


def evaluate(corpus: Path, folder: Path, *words: Any, text: str = CLOSED_FORM) -> dict[str, Any]:
    folder.parent.mkdir(exist_ok=True, parents=True)
    recipe = folder.parent / "recipe.toml"
    recipe.write_text(text, encoding="utf-8")
    data = ("--data", f"made-up={corpus}", "--output", folder, "--json")
    document = json.loads(earnest_cli("evaluate", recipe, *data, *words))
    assert isinstance(document, dict)
    return document


THREE = ("--protocol", "speaker-3fold")


def test_repeats_train_with_other_seeds_tell_both_spreads_and_are_not_lost_to_fewer(
    corpus: Path, tmp_path: Path
) -> None:
    once = evaluate(corpus, tmp_path / "run", *THREE, text=recipe_text(epochs=2))
    before = (tmp_path / "run" / "f1" / "model.safetensors").stat().st_mtime_ns
    twice = evaluate(corpus, tmp_path / "run", *THREE, "--repeats", 2, text=recipe_text(epochs=2))
    assert (tmp_path / "run" / "f1" / "model.safetensors").stat().st_mtime_ns == before
    assert [read_recipe(tmp_path / "run" / fold).training.seed for fold in ("f1", "f1#2")] == [0, 1]
    assert list(twice["folds"]) == ["f1", "f2", "f3", "f1#2", "f2#2", "f3#2"]
    assert twice["repeats"]["seeds"] == [0, 1]
    assert (twice["n"], twice["n_recordings"]) == (2 * once["n"], once["n_recordings"])
    ua = {name: fold["ua"] for name, fold in twice["folds"].items()}
    folds = [(ua[fold] + ua[f"{fold}#2"]) / 2 for fold in ("f1", "f2", "f3")]
    repeats = [sum(ua[f"{fold}{end}"] for fold in ("f1", "f2", "f3")) / 3 for end in ("", "#2")]
    assert twice["over_folds"]["ua"] == pytest.approx(asdict(spread(folds)))
    assert twice["repeats"]["over_repeats"]["ua"] == pytest.approx(asdict(spread(repeats)))
    assert "--repeats 2" in twice["command"]
    assert "repeats" not in once
    written = (tmp_path / "run" / "predictions.csv").read_bytes()
    for fewer in ((), ("--folds", "f1", "--repeats", 2)):
        with pytest.raises(RecipeError, match=r"holds results of f[12](#2)?, .* too, which would be lost"):
            evaluate(corpus, tmp_path / "run", *THREE, *fewer, text=recipe_text(epochs=2))
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == written


@pytest.fixture(scope="module")
def selected(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("selected")
    return folder, evaluate(corpus, folder / "run", *THREE, "--select", text=CLOSED_FORM + TUNE)


def test_settings_are_chosen_in_each_fold_by_its_validation_clips(
    corpus: Path, selected: tuple[Path, dict[str, Any]]
) -> None:
    tmp_path, document = selected
    splits = {split.fold: split for split in splits_of("speaker-3fold", read_manifest(corpus))}
    for fold, chosen in document["selected"].items():
        searched = json.loads((tmp_path / "run" / fold / "selection" / "split.json").read_text())
        assert searched["test"] == []
        assert set(searched["valid"]) == {row.key for row in splits[fold].valid}
        used = read_recipe(tmp_path / "run" / fold).training.shrinkage
        assert used == chosen["settings"]["training.shrinkage"]
        rows = rows_of(tmp_path / "run" / fold / "selection" / "trials.csv")
        assert chosen["trials"] == len(rows) == 3
        best = max(rows, key=lambda row: float(row["valid_ua"]))
        assert chosen["value"] == pytest.approx(float(best["valid_ua"]))
        assert used == pytest.approx(float(best["training.shrinkage"]))
    assert list(document["selected"]) == ["f1", "f2", "f3"]
    assert evaluate(corpus, tmp_path / "run", *THREE, "--select", text=CLOSED_FORM + TUNE) == document


def test_what_test_clips_sound_like_changes_nothing_that_is_chosen(
    corpus: Path, selected: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    tested = {row.key for row in splits_of("speaker-3fold", read_manifest(corpus))[0].test}
    other = write_corpus(tmp_path / "other", n_speakers=6, n_takes=2, seed=5)
    sounds = {row.key: row.path for row in read_manifest(other)}
    rows = [replace(row, path=sounds[row.key]) if row.key in tested else row for row in read_manifest(corpus)]
    write_manifest(rows, tmp_path / "changed.csv")
    words = (*THREE, "--folds", "f1", "--select", "--jobs", 2)  # nor does who else chooses at the same time
    changed = evaluate(tmp_path / "changed.csv", tmp_path / "run", *words, text=CLOSED_FORM + TUNE)
    assert changed["selected"]["f1"] == selected[1]["selected"]["f1"]
    before = read_predictions(selected[0] / "run" / "f1" / "predictions.csv").probabilities
    after = read_predictions(tmp_path / "run" / "f1" / "predictions.csv").probabilities
    assert before is not None and after is not None
    assert (before != after).any()


def test_less_data_is_tested_on_the_same_clips_and_says_how_much_it_was(corpus: Path, tmp_path: Path) -> None:
    document = evaluate(corpus, tmp_path / "run", *THREE, "--train-share", "0.5,1")
    half, whole = document["train_share"]
    assert (half["share"], half["clips"], half["speakers"]) == (0.5, 8, 1)
    assert (whole["share"], whole["clips"], whole["speakers"]) == (1, 16, 2)
    assert whole["ua"]["mean"] == document["over_folds"]["ua"]["mean"]
    folder = tmp_path / "run" / "train-share-0.5"
    less, plain = read_predictions(folder / "predictions.csv"), read_predictions(tmp_path / "run" / "predictions.csv")
    assert less.utterance_id.tolist() == plain.utterance_id.tolist()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["title"] == "speaker-3fold, 0.5 of the training data (speaker-independent)"
    assert metrics["over_folds"]["ua"] == half["ua"]
    with pytest.raises(EarnestError, match=r"0\.5 of the training data"):
        read_result(folder)
    assert (tmp_path / "run" / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "run" / "learning_curve.json").read_text())["amounts"] == document["train_share"]


def test_corpora_are_trained_on_once_and_tested_against_each_other(corpus: Path, tmp_path: Path) -> None:
    other = write_corpus(tmp_path / "other", n_speakers=5, n_takes=2, seed=1)
    data: list[str] = []
    for name, manifest in (("one", corpus), ("two", other)):
        rows = [replace(row, corpus=name, speaker=f"{name}-{row.speaker}") for row in read_manifest(manifest)]
        write_manifest(rows, tmp_path / f"{name}.csv")
        data += ["--data", f"{name}={tmp_path / name}.csv"]
    text = CLOSED_FORM.replace('"made-up"', '["one", "two"]')
    words = ("--protocol", "cross-corpus-matrix", *data)
    document = evaluate(corpus, tmp_path / "run", *words, text=text)
    cells = {(cell["trained_on"], cell["tested_on"]): cell for cell in document["matrix"]["cells"]}
    assert {pair: (cell["within_corpus"], cell["n"]) for pair, cell in cells.items()} == {
        ("one", "one"): (True, 16),
        ("one", "two"): (False, 40),
        ("two", "one"): (False, 48),
        ("two", "two"): (True, 8),
    }
    rows = [
        row
        for row in rows_of(tmp_path / "run" / "predictions.csv")
        if (row["fold"], row["corpus"]) == ("from-one", "two")
    ]
    assert cells["one", "two"]["wa"] == pytest.approx(sum(row["emotion"] == row["predicted"] for row in rows) / 40)
    assert json.loads((tmp_path / "run" / "matrix.json").read_text()) == document["matrix"]
    assert (tmp_path / "run" / "matrix.png").read_bytes().startswith(b"\x89PNG")
    shown = earnest_cli("evaluate", tmp_path / "recipe.toml", *words, "--output", tmp_path / "run")
    assert "(within)" in shown
    assert "a corpus that was never heard" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*THREE, "--select"), r"has no \[tune\] table"),
        ((*THREE, "--train-share", "1.5"), "above 0 and at most 1"),
        ((*THREE, "--as-published"), "speaker-3fold is not the protocol of a published number"),
    ],
)
def test_what_is_wrong_is_refused(words: tuple[str, ...], message: str, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        evaluate(corpus, tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words",
    [
        (*THREE, "--splits", "a.json"),
        (*THREE, "--speaker-dependent"),
        (*THREE, "--adapt", "all", "--repeats", "2"),
        (*THREE, "--adapt", "all", "--select"),
        (*THREE, "--as-published", "--select"),
        (*THREE, "--train-share", "half"),
        (*THREE, "--repeats", "0"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(CLOSED_FORM)
    earnest_cli("evaluate", tmp_path / "recipe.toml", *words, exit_code=UsageError.exit_code)
