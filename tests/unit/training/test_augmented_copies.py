"""Augmented copies of training clips: seeded, heard once, learned from, and never answered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_corpus import MANNERS, spoken
from torch import Tensor, nn

from earnest.audio.waveform import Waveform
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.splits import Split
from earnest.files.cache import DiskCache
from earnest.frontends.log_mel import LogMel, compute_frames
from earnest.models.classifier import Network, NetworkOutput, SpeechClassifier
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Recipe, Training
from earnest.training import learn as copies_module
from earnest.training.closed_form import EmbeddingCache, fit_discriminant, out_of_fold_logits
from earnest.training.examples import Example, kept
from earnest.training.learn import Clips, with_copies
from earnest.training.record import read_record
from earnest.training.run import run_split

pytestmark = pytest.mark.long

FRONT_END = FrontEnd(n_fft=512, win_length=512, hop_length=256, n_mels=20)
NOISE = ({"name": "gaussian-noise", "deviation": [0.2, 0.5]},)
CLASSES = tuple(MANNERS)


class Means(Network):
    """Embeds a clip as the mean over its frames; counts how many it has heard."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(FRONT_END.n_mels, len(CLASSES))
        self.heard = 0

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        self.heard += len(frames)
        embedding = frames.mean(dim=2)
        return NetworkOutput(self.output(embedding), embedding)


def classifier() -> SpeechClassifier:
    return SpeechClassifier(LogMel(FRONT_END), Means(), CLASSES)


def clips(n_speakers: int = 4) -> list[Example]:
    front_end, found = LogMel(FRONT_END), []
    for speaker in range(n_speakers):
        for target, emotion in enumerate(CLASSES):
            for take in range(2):
                waveform = spoken(emotion, speaker, take)
                name = f"{speaker}-{emotion}-{take}"
                row = Utterance(name, Path("a.wav"), corpus="made-up", speaker=f"s{speaker}", emotion=emotion)
                frames = compute_frames(front_end, waveform)
                found.append(Example(row, frames, target, len(waveform) / 16_000, waveform=kept(waveform)))
    return found


def recipe(copies: int = 2, seed: int = 0) -> Recipe:
    training = Training(method="discriminant", augmented_copies=copies, seed=seed)
    return Recipe("made-up", "cabg", front_end=FRONT_END, training=training, augment=NOISE if copies else ())


def test_copies_follow_the_clips_and_sound_different_each() -> None:
    train, model, known = clips(), classifier(), EmbeddingCache()
    made = with_copies(train, recipe(), model, known)
    assert [one.key for one in made[: len(train)]] == [one.utterance.key for one in train]
    assert [one.copy for one in made] == [0] * 32 + [1] * 32 + [2] * 32
    assert [one.target for one in made[32:64]] == [one.target for one in train]
    clean, first, second = known.embed(model.network, made).split(32)
    assert not any(torch.equal(*pair) for pair in zip(clean, first, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(first, second, strict=True))


def copies_of(
    train: list[Example], recipe: Recipe, model: SpeechClassifier, cache: EmbeddingCache
) -> dict[str, Tensor]:
    """Return the embedding of each copy."""
    copies = with_copies(train, recipe, model, cache)[len(train) :]
    return dict(zip((one.key for one in copies), cache.embed(model.network, copies), strict=True))


def test_a_copy_depends_on_its_clip_its_number_and_the_seed_alone() -> None:
    train = clips()
    whole = copies_of(train, recipe(), classifier(), EmbeddingCache())
    few = copies_of(train[::-3], recipe(), classifier(), EmbeddingCache())
    other = copies_of(train, recipe(seed=1), classifier(), EmbeddingCache())
    assert few.keys() < whole.keys()
    assert all(torch.equal(few[key], whole[key]) for key in few)
    assert not any(torch.equal(other[key], whole[key]) for key in whole)


def test_a_copy_is_heard_once_however_many_folds_it_is_in() -> None:
    train, model, known = clips(), classifier(), EmbeddingCache()
    with_copies(train, recipe(), model, known)
    with_copies(train[5:], recipe(), model, known)
    assert isinstance(model.network, Means)
    assert model.network.heard == 64


def test_frames_of_a_copy_are_computed_once_for_several_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    train, cache = clips(), EmbeddingCache(keeps_frames=True)
    first = copies_of(train, recipe(), classifier(), cache)
    assert len(first) == len(cache) == 64
    monkeypatch.setattr(copies_module, "compute_frames", None)
    again = classifier()
    second = copies_of(train, recipe(), again, cache.for_another_network())
    assert isinstance(again.network, Means)
    assert again.network.heard == 64
    assert all(torch.equal(first[key], second[key]) for key in second)
    with pytest.raises(TypeError):  # a cache that keeps none has to make them again
        with_copies(train, recipe(), again, EmbeddingCache().for_another_network())


def test_without_copies_nothing_is_added_and_no_waveform_is_needed() -> None:
    silent = [replace(one, waveform=None) for one in clips()]
    assert with_copies(silent, recipe(copies=0), classifier(), EmbeddingCache()) == silent
    with pytest.raises(CorpusError, match=r"made-up/0-neutral-0: a recording without its waveform"):
        with_copies(silent, recipe(), classifier(), EmbeddingCache())


def test_the_discriminant_learns_from_copies_too() -> None:
    train, model, known = clips(), classifier(), EmbeddingCache()
    fit_discriminant(model.network, train, 0.6, len(CLASSES), known)
    assert isinstance(model.network, Means)
    clean = model.network.output.weight.clone()
    fit_discriminant(model.network, with_copies(train, recipe(), model, known), 0.6, len(CLASSES), known)
    assert not torch.allclose(clean, model.network.output.weight)


def test_embeddings_of_copies_outlive_the_process(tmp_path: Path) -> None:
    train, disk = [replace(one, content=one.key) for one in clips()], DiskCache(tmp_path / "cache", 10**8)
    expected, counted = copies_of(train, recipe(), classifier(), EmbeddingCache()), []
    for seed in (0, 0, 1):
        model = classifier()
        found = copies_of(train, recipe(seed=seed), model, EmbeddingCache(disk=disk))
        assert isinstance(model.network, Means)
        counted.append(model.network.heard)
        assert all(torch.equal(found[key], expected[key]) for key in found) == (seed == 0)
    assert counted == [64, 0, 64]


def test_temperatures_come_from_clips_as_they_are() -> None:
    train, model, known = clips(), classifier(), EmbeddingCache()
    valid, learned = train[:8], train[8:]
    heard = with_copies(learned, recipe(), model, known)
    logits, targets = out_of_fold_logits(model.network, heard, valid, 0.6, len(CLASSES), known)
    assert len(logits) == len(targets) == len(train)
    plain, _ = out_of_fold_logits(model.network, learned, valid, 0.6, len(CLASSES), known)
    assert not torch.allclose(logits, plain)


@pytest.mark.parametrize("refit", [False, True])
def test_a_run_changes_training_clips_alone(refit: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = {one.utterance.key: one for one in clips(6)}
    rows = [one.utterance for one in examples.values()]
    split = Split(rows[:32], rows[32:40], rows[40:])
    heard: list[bytes] = []

    def recorded(waveform: Waveform, rng: np.random.Generator) -> Waveform:
        heard.append(kept(waveform).tobytes())
        return waveform * np.float32(0.5)

    monkeypatch.setattr(copies_module, "change_of", lambda recipe: recorded)
    chosen = recipe()
    chosen = replace(chosen, model="student-statistics", training=replace(chosen.training, refit=refit))
    network = {"width": 16, "n_blocks": 1, "feed_forward_width": 32, "token_width": 8, "frozen": True}
    run_split(replace(chosen, network=network), split, Clips(examples), tmp_path)
    waveforms = [one.waveform for one in list(examples.values())[: 40 if refit else 32]]
    assert sorted(heard) == sorted(2 * [waveform.tobytes() for waveform in waveforms if waveform is not None])
    assert read_record(tmp_path).n_train == (40 if refit else 32)
