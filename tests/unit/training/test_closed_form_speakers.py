"""The closed-form head for enrolled speakers: its class means, its scores, and what it is good for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError
from earnest.learning.discriminant import Shrinkage, discriminant, speaker_discriminant
from earnest.models.classifier import Network, NetworkOutput
from earnest.models.layers import SpeakerDependentHead
from earnest.settings.recipe import Training
from earnest.training.closed_form import EmbeddingCache, discriminant_logits, fit_discriminant
from earnest.training.examples import Example
from earnest.training.runtime_statistics import fit_runtime_statistics

WIDTH, N_CLASSES = 5, 3
SPEAKERS = ("ann", "bob", "cem", "dee")


class Sums(Network):
    """Embeds a clip as the sum over its frames."""

    def __init__(self, speaker_dependent: bool = True) -> None:
        super().__init__()
        self.output = (SpeakerDependentHead if speaker_dependent else nn.Linear)(WIDTH, N_CLASSES)

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        embedding = frames.sum(dim=2)
        return NetworkOutput(self.output(embedding), embedding)


def clips(per_pair: int, seed: int, noise: float = 0.4) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Draw points of speakers who express the same classes in places of their own."""
    places = np.random.default_rng(9).normal(0, 1.5, (len(SPEAKERS), N_CLASSES, WIDTH))
    rng = np.random.default_rng(seed)
    rows = [
        (speaker, target) for speaker in range(len(SPEAKERS)) for target in range(N_CLASSES) for _ in range(per_pair)
    ]
    points = np.stack([places[row] + rng.normal(0, noise, WIDTH) for row in rows])
    return points, np.array([target for _, target in rows]), [SPEAKERS[speaker] for speaker, _ in rows]


def examples(points: np.ndarray, targets: np.ndarray, speakers: list[str]) -> list[Example]:
    return [
        Example(
            Utterance(f"{index}-{points[index, 0]}", Path("a.wav"), corpus="made-up", speaker=speaker),
            torch.from_numpy(points[index]).float()[:, None],
            int(targets[index]),
            1.0,
        )
        for index, speaker in enumerate(speakers)
    ]


def scores(points: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return scores (rows, speakers, classes)."""
    return (points @ weights.T + bias).reshape(len(points), -1, N_CLASSES)


def test_scores_are_log_chances_of_normal_pairs_with_one_covariance() -> None:
    points, targets, speakers = clips(6, seed=0)
    found = scores(
        clips(2, seed=1)[0], *speaker_discriminant(points, targets, speakers, Shrinkage(0.3), 1e-9, N_CLASSES)
    )
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    scaled, asked = (points - mean) / deviation, (clips(2, seed=1)[0] - mean) / deviation
    pairs = [
        [(np.array(speakers) == speaker) & (targets == target) for target in range(N_CLASSES)] for speaker in SPEAKERS
    ]
    centres = np.array([[scaled[rows].mean(axis=0) for rows in line] for line in pairs])
    within = sum(np.cov(scaled[rows].T, bias=True) for line in pairs for rows in line) / (len(SPEAKERS) * N_CLASSES)
    within = 0.7 * within + 0.3 * np.trace(within) / WIDTH * np.eye(WIDTH)
    off = asked[:, None, None] - centres
    distances = -0.5 * np.einsum("rvci,ij,rvcj->rvc", off, np.linalg.inv(within), off)
    # But for what is the same for all pairs of a clip.
    assert np.allclose(found - found.max(axis=(1, 2), keepdims=True), distances - distances.max((1, 2), keepdims=True))


def test_a_pair_without_clips_lies_where_class_and_voice_together_say() -> None:
    points, targets, speakers = clips(8, seed=0)
    kept = ~((np.array(speakers) == "bob") & (targets == 2))
    points, targets, speakers = points[kept], targets[kept], np.array(speakers)[kept].tolist()
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    means = np.stack([scaled[targets == target].mean(axis=0) for target in range(N_CLASSES)])
    bob = np.array(speakers) == "bob"
    usual = means + (scaled[bob] - means[targets[bob]]).mean(axis=0)
    heard = [scaled[bob & (targets == target)].mean(axis=0) for target in (0, 1)]
    for prior in (0.5, 50.0):
        weights, _ = speaker_discriminant(points, targets, speakers, Shrinkage(1.0), prior, N_CLASSES)
        # With full shrinkage slopes are places by one number.
        bobs = (weights * points.std(axis=0)).reshape(len(SPEAKERS), N_CLASSES, WIDTH)[1]
        places = [(8 * own + prior * usual[target]) / (8 + prior) for target, own in enumerate(heard)] + [usual[2]]
        for other in (0, 1):
            found, wanted = bobs[2] - bobs[other], places[2] - places[other]
            assert np.allclose(found / np.linalg.norm(found), wanted / np.linalg.norm(wanted))


def test_scores_stay_small_so_that_rounding_does_too() -> None:
    points, targets, speakers = clips(6, seed=0)
    weights, bias = speaker_discriminant(points, targets, speakers, Shrinkage(0.2), 2.0, N_CLASSES)
    assert np.allclose(weights.mean(axis=0), 0)
    assert bias.mean() == pytest.approx(0)


def test_a_large_prior_leaves_voices_an_offset_alone() -> None:
    points, targets, speakers = clips(4, seed=0)
    weights, _ = speaker_discriminant(points, targets, speakers, Shrinkage(0.5), 1e12, N_CLASSES)
    per_pair = weights.reshape(len(SPEAKERS), N_CLASSES, WIDTH)
    between = per_pair - per_pair[:, :1]
    assert np.allclose(between, between[:1], atol=1e-6)


def test_enrolled_speakers_with_class_means_of_their_own_are_understood() -> None:
    points, targets, speakers = clips(6, seed=0)
    asked, true, _ = clips(20, seed=1)
    found = (
        scores(asked, *speaker_discriminant(points, targets, speakers, Shrinkage(0.2), 2.0, N_CLASSES))
        .max(axis=1)
        .argmax(axis=1)
    )
    weights, bias = discriminant(points, targets, Shrinkage(0.2), N_CLASSES)
    assert (found == true).mean() > 0.95
    assert ((asked @ weights.T + bias).argmax(axis=1) == true).mean() < 0.9


def test_values_that_hardly_count_tell_nothing_of_enrolled_speakers() -> None:
    points, targets, speakers = clips(6, seed=0)
    noisy = np.hstack([points, np.random.default_rng(0).normal(size=points.shape)])
    counts = np.repeat([1.0, 1e-3], WIDTH)
    weights, _ = speaker_discriminant(noisy, targets, speakers, Shrinkage(0.2, counts), 2.0, N_CLASSES)
    assert np.abs(weights[:, WIDTH:]).max() < 1e-4 * np.abs(weights[:, :WIDTH]).max()


def test_the_last_layer_takes_them_and_a_checkpoint_keeps_them() -> None:
    network, known = Sums(), EmbeddingCache()
    points, targets, speakers = clips(6, seed=0)
    train, asked = examples(points, targets, speakers), examples(*clips(3, seed=1))
    fit_discriminant(network, train, 0.2, N_CLASSES, known, speaker_prior=2.0)
    speakers = [example.speaker for example in train]
    found = scores(
        clips(3, seed=1)[0], *speaker_discriminant(points, targets, speakers, Shrinkage(0.2), 2.0, N_CLASSES)
    )
    logits = discriminant_logits(network, asked, known)
    assert torch.allclose(logits, torch.from_numpy(found).logsumexp(dim=1).float(), atol=1e-3)
    again = Sums()
    again.load_state_dict(load(save(network.state_dict())))
    assert again.output.out_features == len(SPEAKERS) * N_CLASSES
    assert torch.equal(discriminant_logits(again, asked, known), logits)


def test_weights_of_another_shape_are_refused() -> None:
    state = Sums().state_dict()
    for wrong in (torch.zeros(4, WIDTH), torch.zeros(3, WIDTH + 1)):
        with pytest.raises(RuntimeError, match="size mismatch"):
            Sums().load_state_dict({**state, "output.weight": wrong, "output.bias": torch.zeros(len(wrong))})


def test_copies_of_a_clip_are_of_its_voice() -> None:
    network, known = Sums(), EmbeddingCache()
    train = examples(*clips(3, seed=0))
    copies = [replace(example, copy=1) for example in train]
    fit_discriminant(network, [*train, *copies], 0.2, N_CLASSES, known)
    assert network.output.out_features == len(SPEAKERS) * N_CLASSES


def test_nothing_adapts_to_enrolled_speakers() -> None:
    train, valid = examples(*clips(9, seed=0)), examples(*clips(4, seed=1))
    settings, classes = Training(method="discriminant"), ("sad", "happy", "angry")
    for speaker_dependent in (False, True):
        statistics = fit_runtime_statistics(Sums(speaker_dependent), train, valid, settings, classes, EmbeddingCache())
        assert (statistics.adaptation is None) == speaker_dependent


def test_a_class_without_clips_is_refused() -> None:
    points, targets, speakers = clips(2, seed=0)
    with pytest.raises(RecipeError, match="hold 3 of 4 classes"):
        speaker_discriminant(points, targets, speakers, Shrinkage(0.2), 2.0, N_CLASSES + 1)


@pytest.mark.parametrize("prior", [0.0, -1.0, float("inf"), float("nan")])
def test_a_prior_is_a_number_of_clips(prior: float) -> None:
    with pytest.raises(RecipeError, match="speaker_prior must be above 0"):
        Training(speaker_prior=prior)
