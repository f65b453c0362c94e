"""The closed-form head against the formula, in numpy."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError
from earnest.learning.discriminant import Shrinkage, discriminant, pooled_discriminant, size_of_scores
from earnest.models.classifier import Network, NetworkOutput, Segmented
from earnest.settings.front_end import Segments
from earnest.training.closed_form import (
    EmbeddingCache,
    discriminant_logits,
    fit_discriminant,
    last_layer,
    out_of_fold_logits,
)
from earnest.training.examples import Example

WIDTH, N_CLASSES = 6, 3


class Sums(Network):
    """Embeds a clip as the sum over its frames; counts how many clips it has heard."""

    def __init__(self, n_classes: int = N_CLASSES) -> None:
        super().__init__()
        self.output, self.gender = nn.Linear(WIDTH, n_classes), nn.Linear(WIDTH, 2)
        self.heard = 0
        self.known: frozenset[str] = frozenset()
        self.counts: np.ndarray | None = None

    @property
    def value_weights(self) -> np.ndarray | None:
        return self.counts

    @property
    def known_speakers(self) -> frozenset[str]:
        return self.known

    def forward(self, frames: Tensor, n_frames: Tensor) -> NetworkOutput:
        self.heard += len(frames)
        embedding = frames.sum(dim=2)
        return NetworkOutput(self.output(embedding), embedding)


def examples(per_class: list[int], seed: int = 0) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0.1, 30, WIDTH)[:, None]
    made = []
    for target, count in enumerate(per_class):
        for index in range(count):
            frames = (torch.randn(WIDTH, 4, generator=generator) + 0.5 * target) * scale
            row = Utterance(f"{seed}-{target}-{index}", Path("a.wav"), corpus="made-up")
            made.append(Example(row, frames, target, 1.0))
    return made


def by_formula(train: list[Example], unseen: list[Example], shrinkage: float) -> np.ndarray:
    """Posterior probabilities with equal priors, from the shrunk within-class covariance of standardised embeddings."""
    embeddings = np.stack([example.frames.sum(dim=1).double().numpy() for example in train])
    targets = np.array([example.target for example in train])
    mean, deviation = embeddings.mean(axis=0), embeddings.std(axis=0)
    scaled = (embeddings - mean) / deviation
    n_classes = len(np.unique(targets))
    centres = np.stack([scaled[targets == target].mean(axis=0) for target in range(n_classes)])
    covariance = np.zeros((WIDTH, WIDTH))
    for target in range(n_classes):  # classes weigh the same, whatever their number of clips
        inside = scaled[targets == target]
        own = np.cov(inside.T, bias=True)
        covariance += ((1 - shrinkage) * own + shrinkage * np.trace(own) / WIDTH * np.eye(WIDTH)) / n_classes
    found = (np.stack([example.frames.sum(dim=1).double().numpy() for example in unseen]) - mean) / deviation
    precision = np.linalg.inv(covariance)
    scores = found @ precision @ centres.T - 0.5 * np.einsum("ci,ij,cj->c", centres, precision, centres)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("shrinkage", [0.1, 0.6, 1.0])
def test_its_probabilities_are_fishers(shrinkage: float) -> None:
    network, known = Sums(), EmbeddingCache()
    train, unseen = examples([20, 30, 7]), examples([5, 5, 5], seed=1)
    fit_discriminant(network, train, shrinkage, N_CLASSES, known)
    found = discriminant_logits(network, unseen, known).double().softmax(dim=1).numpy()
    np.testing.assert_allclose(found, by_formula(train, unseen, shrinkage), atol=1e-3)


@pytest.mark.parametrize("layer", ["output", "gender"])
def test_two_classes_are_fishers_too(layer: Literal["output", "gender"]) -> None:
    network, known = Sums(2), EmbeddingCache()
    train, unseen = examples([20, 9]), examples([5, 5], seed=1)
    fit_discriminant(network, train, 0.6, 2, known, layer)
    logits = discriminant_logits(network, unseen, known, layer)
    assert logits.shape == (10, 2)
    found = logits.double().softmax(dim=1).numpy()
    np.testing.assert_allclose(found, by_formula(train, unseen, 0.6), atol=1e-3)


def test_the_network_itself_then_gives_the_same_logits() -> None:
    network, known = Sums(), EmbeddingCache()
    fit_discriminant(network, examples([9, 9, 9]), 0.6, N_CLASSES, known)
    unseen = examples([2, 2, 2], seed=1)
    frames = torch.stack([example.frames for example in unseen])
    direct = network(frames, torch.full((6,), 4)).logits
    torch.testing.assert_close(discriminant_logits(network, unseen, known), direct, rtol=1e-4, atol=1e-4)


def test_a_clip_is_heard_once_however_many_folds_it_is_in() -> None:
    network, known = Sums(), EmbeddingCache()
    train = examples([3, 3, 3])
    first = known.embed(network, train)
    again = known.embed(network, train[::-1])
    assert network.heard == 9
    assert torch.equal(first, again.flip(0))


def test_a_network_without_a_last_layer_of_that_name_is_refused_with_what_to_do() -> None:
    network = Sums()
    del network.output
    with pytest.raises(RecipeError, match=r"called 'output', and Sums has none\. Use method = \"gradient\"") as error:
        fit_discriminant(network, examples([4, 4, 4]), 0.6, N_CLASSES, EmbeddingCache())
    assert "whisper-statistics" in str(error.value)
    assert network.heard == 0


def test_a_network_without_a_head_for_gender_is_refused_with_what_to_do() -> None:
    network = Sums()
    network.gender = None
    with pytest.raises(RecipeError, match=r"called 'gender', and Sums has none\. Add tasks = \[\"gender\"\]"):
        last_layer(network, "gender")
    with pytest.raises(RecipeError, match="called 'gender'"):
        last_layer(Segmented(network, Segments(), 0), "gender")


def test_a_network_behind_segments_lends_its_last_layers() -> None:
    network = Sums()
    assert last_layer(Segmented(network, Segments(), 0)) is network.output
    assert last_layer(Segmented(network, Segments(), 0), "gender") is network.gender


def test_a_class_without_clips_is_refused() -> None:
    with pytest.raises(RecipeError, match="hold 2 of 3 classes"):
        fit_discriminant(Sums(), examples([4, 0, 4]), 0.6, N_CLASSES, EmbeddingCache())


def spoken_by(speaker: str, seed: int) -> list[Example]:
    return [replace(one, utterance=replace(one.utterance, speaker=speaker)) for one in examples([4, 4, 4], seed)]


def test_every_speaker_is_answered_by_a_discriminant_that_did_not_hear_them() -> None:
    clips = {speaker: spoken_by(speaker, seed) for seed, speaker in enumerate("vabcd")}
    valid, train = clips["v"], [one for speaker in "abcd" for one in clips[speaker]]
    logits, targets = out_of_fold_logits(Sums(), train, valid, 0.5, N_CLASSES, EmbeddingCache())
    expected, order = [], []
    for speaker in "vabcd":  # as many speakers a group as valid has: one
        network = Sums()
        others = [one for other in "vabcd" if other != speaker for one in clips[other]]
        fit_discriminant(network, others, 0.5, N_CLASSES, EmbeddingCache())
        expected.append(discriminant_logits(network, clips[speaker], EmbeddingCache()))
        order += [one.target for one in clips[speaker]]
    torch.testing.assert_close(logits, torch.cat(expected), rtol=1e-4, atol=1e-4)
    assert targets.tolist() == order


def test_before_a_refit_each_of_few_speakers_is_left_out_alone_and_counts_as_all_together_would() -> None:
    clips = {speaker: spoken_by(speaker, seed) for seed, speaker in enumerate("vwab")}
    valid, train = [*clips["v"], *clips["w"]], [*clips["a"], *clips["b"]]
    rows = np.stack([one.frames.sum(dim=1).double().numpy() for one in (*valid, *train)])
    targets = np.array([one.target for one in (*valid, *train)])
    speakers = np.array([one.utterance.speaker for one in (*valid, *train)])
    size = size_of_scores(*discriminant(rows, targets, Shrinkage(0.5), N_CLASSES), rows)
    expected = []
    for speaker in "abvw":
        others = rows[speakers != speaker]
        weights, bias = discriminant(others, targets[speakers != speaker], Shrinkage(0.5), N_CLASSES)
        answers = rows[speakers == speaker] @ weights.T + bias
        expected.append(answers * size / size_of_scores(weights, bias, others))
    asked = 0.5, N_CLASSES, EmbeddingCache()
    logits, _ = out_of_fold_logits(Sums(), train, valid, *asked, refit=True)
    np.testing.assert_allclose(logits.numpy(), np.concatenate(expected), rtol=1e-4, atol=1e-4)
    alone = [*clips["a"], *clips["b"]], clips["v"]  # each is left out alone in any case
    before, after = (out_of_fold_logits(Sums(), *alone, *asked, refit=refit)[0] for refit in (False, True))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_the_networks_values_count_as_it_says_in_training_and_in_turns() -> None:
    counts = np.where(np.arange(WIDTH) % 2, 1.0, 0.3)
    clips = {speaker: spoken_by(speaker, seed) for seed, speaker in enumerate("va")}
    network = Sums()
    network.counts = counts
    fit_discriminant(network, clips["a"], 0.5, N_CLASSES, EmbeddingCache())
    rows = np.stack([one.frames.sum(dim=1).double().numpy() for one in clips["a"]])
    targets = np.array([one.target for one in clips["a"]])
    expected, _ = discriminant(rows, targets, Shrinkage(0.5, counts), N_CLASSES)
    np.testing.assert_allclose(network.output.weight.detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    logits, _ = out_of_fold_logits(network, clips["a"], clips["v"], 0.5, N_CLASSES, EmbeddingCache())
    answers = discriminant_logits(network, clips["v"], EmbeddingCache())  # what has learnt from the other one alone
    torch.testing.assert_close(logits[: len(answers)], answers, rtol=1e-4, atol=1e-4)


def test_a_group_without_which_a_class_is_missing_has_no_turn() -> None:
    alone = [replace(one, utterance=replace(one.utterance, speaker="a")) for one in examples([0, 0, 4], 7)]
    valid = [one for one in spoken_by("v", 0) if one.target < 2]
    train = [*alone, *(one for one in spoken_by("b", 1) if one.target < 2)]
    logits, _ = out_of_fold_logits(Sums(), train, valid, 0.5, N_CLASSES, EmbeddingCache())
    assert len(logits) == len(valid) + 8  # those of b, not the only ones with the third class


def test_speakers_that_the_weights_know_are_learnt_from_and_not_measured() -> None:
    clips = {speaker: spoken_by(speaker, seed) for seed, speaker in enumerate("vabcd")}
    valid, train = clips["v"], [one for speaker in "abcd" for one in clips[speaker]]
    all_of_them, _ = out_of_fold_logits(Sums(), train, valid, 0.5, N_CLASSES, EmbeddingCache())
    network = Sums()
    network.known = frozenset({"made-up/a", "made-up/c"})
    logits, targets = out_of_fold_logits(network, train, valid, 0.5, N_CLASSES, EmbeddingCache())
    n_clips = len(valid)
    kept = [
        row
        for number, speaker in enumerate("vabcd")
        if speaker not in "ac"
        for row in range(n_clips * number, n_clips * (number + 1))
    ]
    torch.testing.assert_close(logits, all_of_them[kept])
    assert targets.tolist() == [one.target for speaker in "vbd" for one in clips[speaker]]
    network.known = frozenset({"made-up/a", "made-up/b", "made-up/c"})
    assert len(out_of_fold_logits(network, train, valid, 0.5, N_CLASSES, EmbeddingCache())[0]) == len(
        all_of_them
    )  # two are too few


def test_a_corpus_of_many_clips_counts_no_more_than_a_small_one() -> None:
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(12, WIDTH)), rng.normal(size=(30, WIDTH)) + 2
    targets = np.concatenate([np.arange(12) % N_CLASSES, np.arange(30) % N_CLASSES])
    embeddings = np.concatenate([small, large])
    corpora = ["small"] * 12 + ["large"] * 30
    weights, bias = discriminant(embeddings, targets, Shrinkage(0.0), N_CLASSES, corpora)
    twice = np.concatenate([embeddings, large]), np.concatenate([targets, targets[12:]])
    again, other_bias = discriminant(*twice, Shrinkage(0.0), N_CLASSES, [*corpora, *["large"] * 30])
    scores_of_both = [head @ small.T + row[:, None] for head, row in ((weights, bias), (again, other_bias))]
    relative = [scores - scores.mean(axis=0) for scores in scores_of_both]
    np.testing.assert_allclose(relative[0], relative[1], atol=1e-8)
    pooled, pooled_bias = discriminant(embeddings, targets, Shrinkage(0.0), N_CLASSES)
    assert np.abs((pooled - weights) @ small.T + (pooled_bias - bias)[:, None]).max() > 1e-3


def test_a_class_that_one_corpus_lacks_is_learnt_from_the_others() -> None:
    rng = np.random.default_rng(1)
    embeddings, targets = rng.normal(size=(30, WIDTH)), np.arange(30) % N_CLASSES
    corpora = ["one" if target == 0 or row < 12 else "two" for row, target in enumerate(targets)]
    weights, bias = discriminant(embeddings, targets, Shrinkage(0.5), N_CLASSES, corpora)
    assert np.isfinite(weights).all() and np.isfinite(bias).all()


def test_corpora_that_put_an_emotion_elsewhere_have_a_say_of_their_own() -> None:
    """Two corpora tell two classes apart along one direction; along another they differ as corpora do."""
    rng = np.random.default_rng(2)
    targets, corpora = np.arange(400) % 2, ["one"] * 200 + ["two"] * 200
    embeddings = rng.normal(size=(400, 4))
    embeddings[:, 0] += 2 * targets
    embeddings[:, 1] += np.where(np.array(corpora) == "one", 1.0, -1.0) * 3 * (targets - 0.5)
    weights, bias = discriminant(embeddings, targets, Shrinkage(0.2), 2, corpora)
    together, _ = pooled_discriminant(embeddings, targets, Shrinkage(0.2), 2, corpora)
    apart = [
        pooled_discriminant(embeddings[rows], targets[rows], Shrinkage(0.2), 2)[0]
        for rows in (slice(200), slice(200, 400))
    ]
    way = weights[1] - weights[0]
    assert np.abs(way[1]) < 0.1 * way[0]  # what the corpora contradict each other in is no evidence
    assert all(np.abs((own[1] - own[0])[1]) > 0.3 * (own[1] - own[0])[0] for own in apart)
    own = np.mean([(one[1] - one[0]) / np.linalg.norm(one[1] - one[0]) for one in apart], axis=0)
    shared = (together[1] - together[0]) / np.linalg.norm(together[1] - together[0])
    cosine = way @ (own / np.linalg.norm(own) + shared)
    assert cosine > 1.9 * np.linalg.norm(way)
    assert np.isfinite(bias).all()


def test_one_corpus_alone_has_the_plain_discriminant() -> None:
    rng = np.random.default_rng(3)
    embeddings, targets = rng.normal(size=(40, WIDTH)), np.arange(40) % N_CLASSES
    wanted = pooled_discriminant(embeddings, targets, Shrinkage(0.3), N_CLASSES)
    for corpora in (None, ["one"] * 40):
        found = discriminant(embeddings, targets, Shrinkage(0.3), N_CLASSES, corpora)
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])


def test_a_corpus_without_a_class_says_nothing_of_it() -> None:
    """The scores of the missing class come from the other corpus and from all together, however the third is moved."""
    rng = np.random.default_rng(4)
    targets = np.concatenate([np.arange(60) % N_CLASSES, np.arange(60) % (N_CLASSES - 1)])
    embeddings = rng.normal(size=(120, WIDTH)) + 3 * np.eye(WIDTH)[targets % WIDTH]
    corpora = ["whole"] * 60 + ["lacking"] * 60
    weights, bias = discriminant(embeddings, targets, Shrinkage(0.3), N_CLASSES, corpora)
    answers = (embeddings[:60] @ weights.T + bias).argmax(axis=1)
    assert (answers == targets[:60]).mean() > 0.9
