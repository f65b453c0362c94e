"""Whose a run folder is: a failed run gives way, one that learned anything doesn't."""

from dataclasses import replace
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, RecipeError
from earnest.evaluation.splits import Split
from earnest.settings.recipe import Recipe, read_recipe
from earnest.training.run import claim

RECIPE = Recipe("made", "cabg")
OTHER = replace(RECIPE, training=replace(RECIPE.training, epochs=3))


def split(*tested: str) -> Split:
    rows = [Utterance(name, Path(f"{name}.wav"), corpus="made", speaker=name) for name in ("a", "b", "c", *tested)]
    return Split([rows[0]], [rows[1]], rows[2:])


def test_before_anything_is_learned_recipe_and_split_are_replaced(tmp_path: Path) -> None:
    claim(tmp_path, RECIPE, split())
    (tmp_path / "leakage.json").write_text("[]")
    (tmp_path / "tensorboard").mkdir()
    claim(tmp_path, OTHER, split("d"))
    assert read_recipe(tmp_path) == OTHER
    assert (tmp_path / "split.json").read_text(encoding="utf-8") == split("d").to_json()


@pytest.mark.parametrize("name", ["history.csv", "last.ckpt", "model.safetensors", "run.json", "finetuning"])
def test_what_was_learned_is_kept(name: str, tmp_path: Path) -> None:
    claim(tmp_path, RECIPE, split())
    (tmp_path / name).write_text("")
    claim(tmp_path, RECIPE, split())
    with pytest.raises(RecipeError, match="holds a run of another recipe"):
        claim(tmp_path, OTHER, split())
    with pytest.raises(RecipeError, match="holds a run on another split"):
        claim(tmp_path, RECIPE, split("d"))
    (tmp_path / "split.json").write_bytes(b"\xff")  # damaged
    with pytest.raises(RecipeError, match="holds a run on another split"):
        claim(tmp_path, RECIPE, split())


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text("")
    with pytest.raises(EarnestError, match=r"holds predictions\.csv of something else"):
        claim(tmp_path, RECIPE, split())


def test_corrected_labels_are_not_answered_by_the_run_of_before(tmp_path: Path) -> None:
    given = split()
    claim(tmp_path, RECIPE, given)
    (tmp_path / "run.json").write_text("")
    moved = replace(given, train=[replace(given.train[0], path=Path("elsewhere/a.wav"))])
    claim(tmp_path, RECIPE, moved)  # the folder of the recordings may have another name now
    corrected = replace(given, train=[replace(given.train[0], emotion="sad")])
    with pytest.raises(RecipeError, match="holds a run on other labels of these recordings"):
        claim(tmp_path, RECIPE, corrected)
    (tmp_path / "labels.json").unlink()  # of an earlier version
    claim(tmp_path, RECIPE, corrected)
