"""Every recipe in the repository loads, trains and says its settings again."""

import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from voices import voice

from earnest.corpora.base import CORPORA
from earnest.corpora.manifest import Utterance
from earnest.evaluation.splits import Split
from earnest.labels import EMOTIONS, scheme_called
from earnest.models.classifier import MODELS, assembled, build_classifier, build_front_end, input_kind
from earnest.recipe import Recipe, read_recipe, recipe_to_toml
from earnest.training.data import Example, compute_frames, kept
from earnest.training.run import Clips, load_run, run_split

PATHS = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
each_recipe = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def shortened(recipe: Recipe) -> Recipe:
    """Keep all settings but the number of epochs, the sizes of batches and networks, and files of published weights."""
    network = {key: value for key, value in recipe.network.items() if key != "weights"}
    if input_kind(recipe.model) == "image":
        network |= MODELS.get(recipe.model).reduced
    return replace(recipe, network=network, training=replace(recipe.training, epochs=1, batch_size=8))


def with_made_up_noises(recipe: Recipe, folder: Path) -> Recipe:
    """Let augmentations that mix in recordings find a made-up one of each name."""
    tables = []
    for table in recipe.augment:
        names = table.get("names", ())
        for seed, name in enumerate(names):
            folder.mkdir(exist_ok=True)
            noise = np.random.default_rng(seed).normal(0, 0.1, 16_000)
            soundfile.write(folder / f"{name}.wav", noise, 16_000, subtype="FLOAT")
        tables.append({**table, "folder": str(folder)} if "folder" in table else table)
    return replace(recipe, augment=tuple(tables))


def made_up_clips(recipe: Recipe, classes: Sequence[str], per_class: int) -> dict[str, Example]:
    front_end = build_front_end(recipe)
    rate_hz = recipe.front_end.sample_rate_hz
    examples = {}
    scheme = scheme_called(recipe.scheme)
    native = {scheme.class_of(emotion): emotion for emotion in reversed(EMOTIONS)}  # one that becomes the class
    for take in range(per_class):
        for target, name in enumerate(classes):
            emotion = native[name]
            row = Utterance(f"{target}-{take}", Path("a.wav"), corpus="made-up", speaker=f"s{take}", emotion=emotion)
            waveform = voice(0.6, rate_hz, pitch_hz=100 + 40 * target, seed=take)
            examples[row.key] = Example(row, compute_frames(front_end, waveform), target, 0.6, waveform=kept(waveform))
    return examples


def test_there_are_recipes() -> None:
    assert "emocatcher" in {path.stem for path in PATHS}


@each_recipe
def test_it_trains_and_predicts_made_up_clips(path: Path, tmp_path: Path) -> None:
    recipe = with_made_up_noises(shortened(read_recipe(path)), tmp_path / "noises")
    classes = scheme_called(recipe.scheme).classes
    examples = made_up_clips(recipe, classes, per_class=5)
    rows = [example.utterance for example in examples.values()]
    n = len(classes)
    split = Split(rows[: 3 * n], rows[3 * n : 4 * n], rows[4 * n :])
    predictions = run_split(recipe, split, Clips(examples), tmp_path / "run")
    assert predictions is not None
    assert predictions.classes == classes
    assert list(predictions.emotion) == list(range(n))
    assert np.isfinite(predictions.probabilities).all()
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)
    trained, start = load_run(tmp_path / "run").network, build_classifier(recipe, classes, recipe.training.seed).network
    moved = [
        name
        for (name, after), before in zip(trained.named_parameters(), start.parameters(), strict=True)
        if not torch.equal(after, before)
    ]
    assert moved
    assert all(tensor.isfinite().all() for tensor in trained.parameters())


@each_recipe
def test_it_builds_the_network_that_it_names_in_full(path: Path) -> None:
    recipe = read_recipe(path)
    classes = scheme_called(recipe.scheme).classes
    with torch.device("meta"):
        network = assembled(recipe, build_front_end(recipe), len(classes))
    assert sum(parameter.numel() for parameter in network.parameters()) > 100_000


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
    assert set(written["segments"]) == {field.name for field in fields(recipe.segments)}
    assert set(written["image"]) == {field.name for field in fields(recipe.image)}
    assert set(written["training"]) == {field.name for field in fields(recipe.training)}
