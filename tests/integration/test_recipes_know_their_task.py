"""Recipes of corpora that are not here train, by the command of their help, on made-up trees of these corpora."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import NAME, recipe_text, write_corpus, write_iemocap, write_thai_ser

from earnest.corpora.load import load_utterances
from earnest.evaluation.protocols import protocol_called
from earnest.models.classifier import MODELS
from earnest.settings.recipe import read_recipe
from earnest.testing.sounds import write_voice

RECIPES = Path(__file__).parents[2] / "recipes"
TREES = {"iemocap": write_iemocap, "thai-ser": write_thai_ser}
PATHS = [path for path in sorted(RECIPES.glob("*.toml")) if read_recipe(path).corpora[0] in TREES]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for EARNEST_DATA with both trees, and one noise."""
    folder = tmp_path_factory.mktemp("data")
    for name, write in TREES.items():
        write(folder / name)
    (folder / "noise-esc10" / "rain").mkdir(parents=True)
    write_voice(folder / "noise-esc10" / "rain" / "1.wav")
    return folder


def smaller(path: Path) -> list[str]:
    """Return what makes a training short: one epoch of a narrow network, from random weights."""
    recipe = read_recipe(path)
    settings = {f"network.{key}": value for key, value in MODELS.get(recipe.model).reduced.items()}
    settings |= {"training.epochs": 1, "training.batch_size": 8}
    if recipe.segments.mode == "blocks":
        settings |= {"segments.length_s": 1.0, "image.width": 128, "image.height": 128}
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def test_the_eight_recipes_of_iemocap_and_those_of_thai_ser_are_here() -> None:
    assert len([path for path in PATHS if read_recipe(path).corpora == ("iemocap",)]) == 8
    assert len([path for path in PATHS if read_recipe(path).corpora == ("thai-ser",)]) == 3


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_trains_by_the_command_of_its_help(path: Path, data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(data))
    monkeypatch.setenv("EARNEST_MODELS", str(tmp_path / "none"))
    output = earnest_cli("train", path, "--output", tmp_path / "run", *smaller(path))
    recipe = read_recipe(path)
    split = json.loads((tmp_path / "run" / "split.json").read_text(encoding="utf-8"))
    assert split["protocol"] == recipe.protocol == read_recipe(tmp_path / "run").protocol
    assert protocol_called(recipe.protocol).kind == "speaker-independent"
    assert "speaker-independent test" in output


def train_multitask(folder: Path, *settings: str) -> str:
    """Train the published network, narrower and on clips as they are, into ``run``; return what it tells."""
    tree = write_iemocap(folder / "iemocap", n_takes=4)
    words = [word for one in ("network.width_factor=0.25", "augment=[]", *settings) for word in ("--set", one)]
    path = RECIPES / "multitask-cnn.toml"
    return earnest_cli("train", path, "--data", f"iemocap={tree}", "--output", folder / "run", *words)


def test_from_hes_start_the_multitask_network_collapses_and_says_so(tmp_path: Path) -> None:
    told = train_multitask(tmp_path, 'network.initialisation="he"', "training.epochs=6")
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    exploding, constant, *_ = record["warnings"]
    assert exploding.startswith("The loss explodes: in epoch 1 it was ")
    assert constant.startswith("The answers are constant: ")
    assert all(f"NOTE: {warning}\n" in told for warning in record["warnings"])


def test_the_multitask_network_learns_emotion_gender_and_affect(tmp_path: Path) -> None:
    told, run, tree = train_multitask(tmp_path, "training.epochs=24"), tmp_path / "run", tmp_path / "iemocap"
    history = rows_of(run / "history.csv")
    losses = [float(row["train_loss"]) for row in history]
    assert losses[-1] < 0.7 * losses[0] < 4
    beside = ("gender_wa", "valence_ccc", "arousal_ccc", "dominance_ccc")
    first, last = ([float(row[f"valid_{name}"]) for name in beside] for row in (history[0], history[-1]))
    assert all(after > before for before, after in zip(first, last, strict=True))
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["warnings"] == []
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["ua"] > 0.8
    assert metrics["gender"]["wa"] > 0.9
    rows = {row.key: row for row in load_utterances(["iemocap"], {"iemocap": tree})}
    split = json.loads((run / "split.json").read_text(encoding="utf-8"))
    for name, scores in metrics["affect"].items():
        assert scores["scale"] == [1, 5]
        mean = np.mean([getattr(rows[key], name) for key in split["train"]])
        of_the_mean = np.sqrt(np.mean([(getattr(rows[key], name) - mean) ** 2 for key in split["test"]]))
        assert scores["rmse"] < of_the_mean
        assert [name, str(scores["n"]), f"{scores['ccc']:.3f}", f"{scores['rmse']:.3f}"] in map(
            str.split, told.splitlines()
        )
    assert "affect, 1 to 5" in told
    for answered in rows_of(run / "predictions.csv"):
        clip = rows[f"iemocap/{answered['utterance_id']}"]
        told_of_it = [float(answered[name]) for name in ("valence", "arousal", "dominance")]
        assert told_of_it == pytest.approx([clip.valence, clip.arousal, clip.dominance])
        assert answered["gender"] == clip.gender
    document = json.loads(earnest_cli("score", run / "predictions.csv", "--json"))
    assert document["affect"]["valence"]["rmse"] == pytest.approx(metrics["affect"]["valence"]["rmse"], rel=1e-5)
    assert "Gender right: " in told


def test_an_evaluation_is_under_the_recipes_protocol_unless_another_is_named(data: Path, tmp_path: Path) -> None:
    path = RECIPES / "multitask-cnn-pooled.toml"
    words = ["evaluate", path, "--data", f"iemocap={data / 'iemocap'}", *smaller(path), "--folds", "f1", "--json"]
    own = json.loads(earnest_cli(*words, "--output", tmp_path / "own"))
    assert own["protocol"] == "speaker-5fold"
    other = json.loads(earnest_cli(*words, "--protocol", "speaker-3fold", "--output", tmp_path / "other"))
    assert other["protocol"] == "speaker-3fold"


def as_published(path: Path, data: Path, output: Path, *words: str) -> tuple[dict[str, Any], str]:
    """Evaluate a recipe as its authors did, shortened; return what --json says and what is told."""
    typed = ["evaluate", path, "--as-published", *smaller(path), *words, "--output", output]
    typed += ["--data", f"{read_recipe(path).corpora[0]}={data / read_recipe(path).corpora[0]}"]
    return json.loads(earnest_cli(*typed, "--json")), " ".join(earnest_cli(*typed).split())


def test_turns_at_random_as_published_stand_beside_unseen_speakers(data: Path, tmp_path: Path) -> None:
    """The multitask network's authors drew turns at random, and chose the epoch on validation turns."""
    document, told = as_published(RECIPES / "multitask-cnn-pooled.toml", data, tmp_path / "run")
    titles = {name: document[name]["title"] for name in ("same_split", "unseen_speakers")}
    assert titles == {
        "same_split": "multitask-random (speaker-dependent)",
        "unseen_speakers": "speaker-5fold (speaker-independent)",
    }
    assert "epoch_on_test" not in document
    assert "Its authors chose the epoch on validation utterances" in told
    assert f"Speakers that training heard: {document['gaps_in_points_of_wa']['unseen_speakers']:+.1f} points" in told
    shared = {tuple(line["sets"]): line["shared"] for line in document["same_split"]["leakage"]}
    assert shared["train", "test"]["speakers"] > 0


def test_a_published_number_on_unseen_speakers_is_the_honest_one(data: Path, tmp_path: Path) -> None:
    document, told = as_published(RECIPES / "ntu-thai-fcn-gap.toml", data, tmp_path / "run", "--repeats", "1")
    assert document["same_split"]["title"] == "thai-ser-ntu (speaker-independent)"
    assert document["same_split"]["selected_on"] == "validation"
    assert document["gaps_in_points_of_wa"] == {}
    assert "and tested unseen speakers, as we do" in told


def test_the_protocol_of_the_published_number_is_told_where_it_is_another(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('authors_protocol = "stratified-5fold"\n' + recipe_text(epochs=1), encoding="utf-8")
    words = ["train", recipe, "--data", f"{NAME}={write_corpus(tmp_path / 'clips')}"]
    told = earnest_cli(*words, "--output", tmp_path / "run")
    data = shlex.join(words[2:])
    assert f"not comparable: earnest evaluate {recipe} --protocol stratified-5fold {data}" in told
    same = earnest_cli(*words, "--output", tmp_path / "same", "--protocol", "stratified-5fold")
    assert "not comparable" not in same


def test_a_recipe_with_two_published_numbers_calls_neither_incomparable(data: Path, tmp_path: Path) -> None:
    path = RECIPES / "multitask-cnn-pooled.toml"  # two of IEMOCAP stand for EmoCatcher's folds and hold-out
    words = ["train", path, "--data", f"iemocap={data / 'iemocap'}", *smaller(path), "--protocol", "iemocap-10speaker"]
    assert "not comparable" not in earnest_cli(*words, "--output", tmp_path / "run")


def test_an_evaluation_tells_which_folds_did_not_learn(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(recipe_text(epochs=5), encoding="utf-8")
    words = ["evaluate", recipe, "--data", f"{NAME}={write_corpus(tmp_path / 'clips')}", "--folds", "f1"]
    words += ["--protocol", "speaker-3fold", "--output", tmp_path / "result", "--set", "training.learning_rate=1e-9"]
    told = earnest_cli(*words)
    document = json.loads((tmp_path / "result" / "metrics.json").read_text(encoding="utf-8"))
    assert document["warnings"]["f1"][-1].startswith(
        "No better than chance: after 5 of 5 epochs UA on validation utterances"
    )
    assert f"f1: {document['warnings']['f1'][-1]}" in told
