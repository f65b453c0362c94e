"""Every recipe in the repository loads, trains and says its settings again."""

import math
import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earnest.augment.base import Choice
from earnest.corpora.base import CORPORA
from earnest.corpora.manifest import Utterance
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.splits import Split
from earnest.frontends.log_mel import compute_frames
from earnest.labels import EMOTIONS, scheme_called
from earnest.models.classifier import MODELS, assembled, build_classifier, build_front_end
from earnest.settings.recipe import Recipe, read_recipe, recipe_to_toml
from earnest.testing.sounds import voice, write_voice
from earnest.training.batches import change_of
from earnest.training.examples import Example, kept
from earnest.training.learn import Clips
from earnest.training.module import Freezing
from earnest.training.record import read_record
from earnest.training.run import load_run, run_split

RECIPES = Path(__file__).parents[2] / "recipes"
PATHS = sorted(RECIPES.glob("*.toml"))
UNRATED = (math.nan,) * 3
NARROW = {"whisper-statistics": {"width": 48, "n_heads": 2, "feed_forward_width": 96}}  # has no reduced settings
each_recipe = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def shortened(recipe: Recipe) -> Recipe:
    """Keep all settings but those of epochs, the sizes of batches and networks, and files of published weights."""
    network = {key: value for key, value in recipe.network.items() if key not in ("weights", "source")}
    network |= MODELS.get(recipe.model).reduced or NARROW.get(recipe.model, {})
    training = replace(recipe.training, epochs=1, warmup_epochs=0, batch_size=8)
    finetune = replace(recipe.finetune, steps_an_epoch=1, speakers_a_batch=2, clips_a_speaker=4)
    return replace(recipe, network=network, training=training, finetune=finetune)


def with_made_up_noises(recipe: Recipe, folder: Path) -> Recipe:
    """Let augmentations that mix in recordings find a made-up one of each name."""
    tables = []
    for table in recipe.augment:
        names = table.get("names", ())
        for seed, name in enumerate(names):
            folder.mkdir(exist_ok=True)
            noise = np.random.default_rng(seed).normal(0, 0.1, 16_000)
            soundfile.write(folder / f"{name}.wav", noise, 16_000, subtype="FLOAT")
        tables.append({**table, "folder": str(folder)} if names else table)
    return replace(recipe, augment=tuple(tables))


def made_up_clips(recipe: Recipe, classes: Sequence[str], per_class: int, is_rated: bool = True) -> dict[str, Example]:
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
            examples[row.key] = Example(
                row,
                compute_frames(front_end, waveform),
                target,
                0.6,
                gender=take % 2,
                affect=(0.1 * target, 0.2 * take, 0.5) if is_rated else UNRATED,
                waveform=kept(waveform) if recipe.augment else None,
            )
    return examples


@pytest.fixture(autouse=True)
def noises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a made-up recording where recipes look for noises."""
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "noise-esc10" / "rain").mkdir(parents=True)
    write_voice(tmp_path / "data" / "noise-esc10" / "rain" / "1.wav")


def split_of(examples: Mapping[str, Example], n_classes: int) -> Split:
    rows = [example.utterance for example in examples.values()]
    return Split(rows[: 3 * n_classes], rows[3 * n_classes : 4 * n_classes], rows[4 * n_classes :])


def test_there_are_recipes() -> None:
    assert "emocatcher" in {path.stem for path in PATHS}


@each_recipe
def test_it_trains_and_predicts_made_up_clips(path: Path, tmp_path: Path) -> None:
    recipe = with_made_up_noises(shortened(read_recipe(path)), tmp_path / "noises")
    classes = scheme_called(recipe.scheme).classes
    examples = made_up_clips(recipe, classes, per_class=5)
    n = len(classes)
    predictions = run_split(recipe, split_of(examples, n), Clips(examples), tmp_path / "run")
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


@pytest.mark.parametrize("is_rated", [True, False])
@pytest.mark.parametrize("name", ["multitask-cnn", "multitask-cnn-pooled"])
def test_it_answers_what_its_clips_were_labelled_with(name: str, is_rated: bool, tmp_path: Path) -> None:
    recipe = shortened(read_recipe(RECIPES / f"{name}.toml"))
    classes = scheme_called(recipe.scheme).classes
    examples = made_up_clips(recipe, classes, per_class=5, is_rated=is_rated)
    run_split(recipe, split_of(examples, len(classes)), Clips(examples), tmp_path)
    assert read_record(tmp_path).learned == (("gender", "affect") if is_rated else ("gender",))
    rate_hz = recipe.front_end.sample_rate_hz
    answers = load_run(tmp_path)(torch.zeros(1, rate_hz), torch.tensor([rate_hz]))
    expected = {"logits", "probabilities", "embedding", "gender"} | ({"affect"} if is_rated else set())
    assert set(answers) == expected


def test_all_but_the_head_is_frozen_in_the_first_stage_of_speech_vino(tmp_path: Path) -> None:
    recipe = shortened(read_recipe(RECIPES / "vino-densenet.toml"))
    assert recipe.training.unfreeze[0].epoch == recipe.training.milestones[0] + 1
    classes = scheme_called(recipe.scheme).classes
    freezing = Freezing(build_classifier(recipe, classes, 0).network, recipe.training)
    names = {name for name, _ in freezing.network.named_parameters()}
    assert names - freezing.frozen(30) == {name for name in names if name.startswith("classifier.")}
    assert not freezing.frozen(31)


def drawn(name: str) -> list[tuple[str, float]]:
    """Return the share of clips that a recipe of one change a clip leaves plain, and puts through each table."""
    recipe = read_recipe(RECIPES / f"{name}.toml")
    choice, plain = change_of(recipe), recipe.training.clean_share
    assert isinstance(choice, Choice)
    shares = [round((1 - plain) * share, 6) for share in choice.shares]
    return [("plain", plain), *zip((table["name"] for table in recipe.augment), shares, strict=True)]


def test_clips_are_drawn_in_the_published_mixtures() -> None:
    for name in ("moody-alexnet", "moody-resnet18"):
        assert [share for _, share in drawn(name)] == [1 / 8] * 8
    for name in ("multitask-cnn", "multitask-cnn-pooled"):
        shares: dict[str, float] = defaultdict(float)
        for table, share in drawn(name):
            shares[table] += share
        expected = {"plain": 3 / 6, "gaussian-noise": 1 / 6, "time-stretch": 1 / 6, "pitch-shift": 1 / 6}
        assert shares == pytest.approx(expected, abs=1e-5)
    expected = {"plain": 0, "noise-files": 18 / 20, "reverb": 1 / 20, "gaussian-noise": 1 / 20}
    assert dict(drawn("ntu-alexnet-stability")) == pytest.approx(expected)


@each_recipe
def test_it_builds_the_network_that_it_names_in_full(path: Path) -> None:
    recipe = read_recipe(path)
    # An encoder of the hub has its sizes from there; here it has those of wav2vec 2.0.
    recipe = replace(recipe, network={key: value for key, value in recipe.network.items() if key != "source"})
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


@each_recipe
def test_its_protocols_are_of_its_corpora(path: Path) -> None:
    recipe = read_recipe(path)
    for name in filter(None, (recipe.protocol, recipe.authors_protocol)):
        assert set(protocol_called(name).corpora) <= set(recipe.corpora)
    assert protocol_called(recipe.protocol).speaker_independent
