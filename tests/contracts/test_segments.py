"""Segments and images before a network: one graph, the same answer in a batch as alone."""

from dataclasses import replace
from functools import cache

import numpy as np
import onnxruntime
import pytest
import torch

from earnest.models.classifier import SpeechClassifier
from earnest.settings.front_end import Segments
from earnest.settings.recipe import Recipe
from earnest.testing.models import (
    FRONT_END,
    IMAGE,
    RATE_HZ,
    WITHIN,
    clips,
    exported,
    frames_of,
    model_of,
    padded,
    recipe_of,
)

IMAGES = "alexnet-gap"
PLAIN = replace(FRONT_END, trim="none")
PER_BIN = replace(IMAGE, scaling="per-bin")
WAYS = {
    "frames in blocks": ("cabg", Segments("blocks", 0.25), None),
    "frames in a crop": ("cabg", Segments("crop", 0.5), None),
    "images of blocks": (IMAGES, Segments("blocks", 0.7), PER_BIN),
    "images of whole clips": (IMAGES, Segments(), replace(IMAGE, normalise="statistics")),
    "derivatives of whole clips": (IMAGES, Segments(), replace(PER_BIN, channels_from="deltas")),
    "derivatives of blocks": (IMAGES, Segments("blocks", 0.7), replace(PER_BIN, channels_from="deltas")),
    "noise and echo": (IMAGES, Segments("crop", 0.7), replace(PER_BIN, channels_from="noise-reverb")),
    "bins of the transform": ("moody-resnet18", Segments("crop", 0.7), replace(IMAGE, channels=1, normalise="none")),
}
each_way = pytest.mark.parametrize("way", WAYS)


def recipe_called(way: str) -> Recipe:
    name, segments, image = WAYS[way]
    scale = "linear" if way == "bins of the transform" else "mel"
    front_end = replace(PLAIN, scale=scale, fmax_hz=4_000.0)
    recipe = recipe_of(name, front_end=front_end, segments=segments)
    return replace(recipe, image=image) if image else recipe


def model_called(way: str) -> SpeechClassifier:
    recipe = recipe_called(way)
    model = model_of(recipe)
    if recipe.image != Recipe("made-up", "cabg").image:
        frames, n_frames = frames_of(model, clips())
        model.network.prepare(clip[:, :n] for clip, n in zip(frames, n_frames.tolist(), strict=True))
    return model


@cache
def session_of(way: str) -> onnxruntime.InferenceSession:
    return exported(model_called(way))


@each_way
@pytest.mark.parametrize("seconds", [(0.1, 0.35, 0.7, 1.9), (0.002, 0.1), (0.25, 0.5)], ids=str)
def test_a_padded_batch_equals_its_clips_one_by_one(way: str, seconds: tuple[float, ...]) -> None:
    model = model_called(way)
    with torch.no_grad():
        batch = model(*padded(clips(seconds)))
        for row, clip in enumerate(clips(seconds)):
            alone = model(*padded([clip]))
            for key in ("logits", "probabilities", "embedding"):
                torch.testing.assert_close(batch[key][row], alone[key][0], rtol=1e-5, atol=2e-5)


@each_way
@pytest.mark.parametrize("seconds", [(0.1,), (0.1, 0.1, 0.1), (0.7, 0.1, 1.9), (4.3,), (0.001,), (0.25, 0.5)], ids=str)
def test_the_exported_graph_equals_torch(way: str, seconds: tuple[float, ...]) -> None:
    waveform, lengths = padded(clips(seconds, seed=10))
    with torch.no_grad():
        expected = model_called(way)(waveform, lengths)
    names = ["logits", "probabilities", "embedding"]
    found = session_of(way).run(names, {"waveform": waveform.numpy(), "lengths": lengths.numpy()})
    for key, values in zip(names, found, strict=True):
        np.testing.assert_allclose(values, expected[key].numpy(), rtol=1e-5, atol=WITHIN)


@each_way
def test_what_lies_behind_a_clip_changes_nothing(way: str) -> None:
    model = model_called(way)
    frames, n_frames = frames_of(model, clips())
    noise = 100 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(2))
    inside = torch.arange(frames.shape[2])[None, None] < n_frames[:, None, None]
    with torch.no_grad():
        clean, disturbed = model.network(frames, n_frames), model.network(torch.where(inside, frames, noise), n_frames)
    torch.testing.assert_close(disturbed.logits, clean.logits, rtol=1e-5, atol=1e-5)


def test_the_answer_over_blocks_is_the_mean_log_probability_of_the_blocks_alone() -> None:
    model = model_called("images of blocks")
    rate = RATE_HZ * 7 // 10
    waveform = clips((2.1,))[0]
    frames, n_frames = frames_of(model, [waveform])
    length = model.network.length
    assert (length, int(n_frames)) == (70, 211)
    with torch.no_grad():
        together = model.network(frames, n_frames)
        blocks = [frames[:, :, start : start + length] for start in (0, length, 2 * length)]
        alone = [model.network(block, torch.tensor([length])) for block in blocks]
    assert len(waveform) == 3 * rate
    mean = torch.stack([answer.logits for answer in alone]).log_softmax(dim=2).mean(dim=0)
    torch.testing.assert_close(together.logits, mean, rtol=1e-5, atol=1e-5)
    embedding = torch.stack([answer.embedding for answer in alone]).mean(dim=0)
    torch.testing.assert_close(together.embedding, embedding, rtol=1e-5, atol=1e-5)


def test_training_crops_move_with_torchs_generator_and_evaluation_crops_do_not() -> None:
    model = model_called("frames in a crop")
    frames, n_frames = frames_of(model, clips((1.5,)))
    crops: list[torch.Tensor] = []
    model.network.network.register_forward_pre_hook(lambda _, inputs: crops.append(inputs[0]))

    def cut(training: bool, seed: int) -> torch.Tensor:
        model.network.train(training)
        torch.manual_seed(seed)
        with torch.no_grad():
            model.network(frames.repeat(4, 1, 1), n_frames.repeat(4))
        return crops[-1]

    assert torch.equal(cut(True, 0), cut(True, 0))
    assert not torch.equal(cut(True, 0), cut(True, 1))
    assert torch.equal(cut(False, 0), cut(False, 1))
    middle = (int(n_frames) - model.network.length) // 2
    assert torch.equal(cut(False, 0)[0], frames[0, :, middle : middle + model.network.length])
