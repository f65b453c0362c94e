"""Every recipe in the repository loads, trains and says its settings again."""

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from voices import voice

from earnest.corpora.base import CORPORA
from earnest.corpora.manifest import Utterance
from earnest.frontends.log_mel import LogMel
from earnest.labels import EMOTIONS, scheme_called
from earnest.models.classifier import build_classifier
from earnest.recipe import Recipe, read_recipe, recipe_to_toml
from earnest.training.data import Example, compute_frames
from earnest.training.fit import fit

PATHS = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
each_recipe = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def made_up_examples(recipe: Recipe, n_classes: int, count: int) -> list[Example]:
    front_end = LogMel(recipe.front_end)
    rate_hz = recipe.front_end.sample_rate_hz
    examples = []
    for index in range(count):
        waveform = voice(0.6, rate_hz, pitch_hz=100 + 40 * index, seed=index)
        utterance = Utterance(str(index), Path(f"{index}.wav"), corpus="made-up")
        examples.append(Example(utterance, compute_frames(front_end, waveform), index % n_classes, 0.6))
    return examples


def test_there_are_recipes() -> None:
    assert "emocatcher" in {path.stem for path in PATHS}


@each_recipe
def test_it_trains_on_made_up_clips(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    classes = scheme_called(recipe.scheme, EMOTIONS).classes
    model = build_classifier(recipe, classes, seed=recipe.training.seed)
    before = {key: tensor.clone() for key, tensor in model.network.named_parameters()}
    short = replace(recipe.training, epochs=1, batch_size=4)
    examples = made_up_examples(recipe, len(classes), 8)  # two steps
    keeper = fit(model.network, examples, examples[:4], short, tmp_path, len(classes))
    assert keeper.history[0]["train_loss"] > 0
    assert keeper.best_epoch == 1
    after = dict(model.network.named_parameters())
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert any(not torch.equal(before[key], after[key]) for key in before)


@each_recipe
def test_it_names_registered_corpora_and_describes_itself(path: Path) -> None:
    recipe = read_recipe(path)
    assert set(recipe.corpora) <= set(CORPORA.names())
    assert recipe.description


@each_recipe
def test_the_resolved_recipe_reads_back_the_same(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(recipe), encoding="utf-8")
    assert read_recipe(tmp_path) == recipe
    assert recipe_to_toml(read_recipe(tmp_path)) == recipe_to_toml(recipe)


@each_recipe
def test_the_resolved_recipe_spells_out_every_default(path: Path) -> None:
    recipe = read_recipe(path)
    written = tomllib.loads(recipe_to_toml(recipe))
    assert set(written["front_end"]) == {field.name for field in fields(recipe.front_end)}
    assert set(written["training"]) == {field.name for field in fields(recipe.training)}
