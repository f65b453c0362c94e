"""What a bundle learns about known sound, and when it learns to adapt: on made-up embeddings."""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from earnest.learning.discriminant import Shrinkage, discriminant
from earnest.learning.domain import CLIPS_PER_DIRECTION, KNOWN_SHARE, fit_domain
from earnest.models.adaptation import SMALLEST, AdaptationNetwork
from earnest.training.runtime_statistics import (
    COPY,
    Bank,
    SpeakerEmbeddings,
    Streams,
    answered_by_turns,
    answered_in_views,
    fit_adaptation,
    learned_adaptation,
    stream_losses,
)

CLASSES = ("neutral", "happy", "sad", "angry")
K, WIDTH, N_SPEAKERS, PER_CLASS = len(CLASSES), 8, 15, 6
CENTRES = 1.2 * np.random.default_rng(0).normal(0, 1, (K, WIDTH))


def clips(seed: int = 0) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], list[str], list[str]]:
    """Return embeddings, classes, speakers and corpora of clips; speakers move all their clips."""
    rng = np.random.default_rng(seed)
    targets = np.tile(np.repeat(np.arange(K), PER_CLASS), N_SPEAKERS)
    speakers = [f"s{number // (K * PER_CLASS):02}" for number in range(len(targets))]
    moves = np.repeat(rng.normal(0, 1, (N_SPEAKERS, WIDTH)), K * PER_CLASS, axis=0)
    embeddings = CENTRES[targets] + moves + rng.normal(0, 1, moves.shape)
    corpora = ["one" if name < "s08" else "two" for name in speakers]
    return embeddings, targets, speakers, corpora


def answered(seed: int = 0) -> list[Bank]:
    """Return banks of two corpora."""
    return answered_by_turns(*clips(seed), Shrinkage(0.3), K)


@cache
def trained() -> AdaptationNetwork:
    return fit_adaptation(answered(), CLASSES, 0, n_steps=300)


def told(network: AdaptationNetwork, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    with torch.no_grad():
        adapted, _ = network(torch.from_numpy(points)[None].softmax(2), torch.ones(1, len(points)))
    return np.asarray(adapted[0].numpy())


def test_speakers_are_answered_by_who_has_not_heard_them_and_corpora_by_the_others() -> None:
    banks = answered()
    assert [(len(bank.speakers), bank.strange) for bank in banks] == [(8, False), (7, False), (8, True), (7, True)]
    right = np.mean([np.mean(one.points.argmax(axis=1) == one.targets) for bank in banks for one in bank.speakers])
    assert 0.6 < right < 0.99
    middles = [np.mean([one.centre(K) for one in bank.speakers], axis=0) for bank in banks]
    known = np.mean([one.centre(K) for bank in banks[:2] for one in bank.speakers], axis=0)
    for middle in middles[2:]:  # what a strange corpus' speakers share is taken away
        np.testing.assert_allclose(middle, known, atol=1e-4)


def test_who_speaks_in_one_corpus_and_sings_in_another_is_no_stranger_there(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, targets, speakers, corpora = clips()
    # The first three of "two" are persons of "one".
    shared = [f"s0{int(name[1:]) - 8}" if "s08" <= name < "s11" else name for name in speakers]
    learnt_from: list[set[str]] = []
    place = {row.tobytes(): number for number, row in enumerate(embeddings)}

    def watched(rows: npt.NDArray[np.float64], *others: Any) -> Any:
        learnt_from.append({shared[place[row.tobytes()]] for row in rows})
        return discriminant(rows, *others)

    monkeypatch.setattr("earnest.training.runtime_statistics.discriminant", watched)
    answered_by_turns(embeddings, targets, shared, corpora, Shrinkage(0.3), K)
    *turns, for_one, for_two = learnt_from
    assert all(len(persons) < len(set(shared)) for persons in turns)
    assert for_one == {"s11", "s12", "s13", "s14"}
    assert for_two == {"s03", "s04", "s05", "s06", "s07"}


def test_views_of_the_embedding_answer_otherwise_and_few_clips_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earnest.training.runtime_statistics.CLIPS_PER_VIEW", 361)
    (whole,) = answered_in_views(*clips(), Shrinkage(0.3), K)  # of 360 clips
    assert [bank.strange for bank in whole] == [False, False, True, True]
    monkeypatch.setattr("earnest.training.runtime_statistics.CLIPS_PER_VIEW", 100)
    monkeypatch.setattr("earnest.training.runtime_statistics.NARROWEST_VIEW", 5)  # of eight values
    views = answered_in_views(*clips(), Shrinkage(0.3), K, seed=1)
    assert [len(view) for view in views] == [4] * 4
    first = [view[0].speakers[0] for view in views]
    np.testing.assert_array_equal(first[0].points, whole[0].speakers[0].points)
    for number, one in enumerate(first):
        np.testing.assert_array_equal(one.targets, first[0].targets)
        assert all(np.abs(one.points - other.points).mean() > 0.05 for other in first[:number])


def test_a_value_counts_the_same_in_every_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earnest.training.runtime_statistics.CLIPS_PER_VIEW", 100)
    monkeypatch.setattr("earnest.training.runtime_statistics.NARROWEST_VIEW", 5)
    embeddings, *facts = clips()
    counts = np.linspace(0.2, 1.0, WIDTH)
    of_value = dict(zip(embeddings.ravel(), np.tile(counts, len(embeddings)), strict=True))
    widths: set[int] = set()

    def watched(rows: npt.NDArray[np.float64], *others: Any) -> Any:
        said = others[1].value_weights
        widths.add(rows.shape[1])
        assert [of_value[value] for value in rows[0].tolist()] == said.tolist()
        return discriminant(rows, *others)

    monkeypatch.setattr("earnest.training.runtime_statistics.discriminant", watched)
    answered_in_views(embeddings, *facts, Shrinkage(0.3, counts), K)
    assert widths == {5, WIDTH}


def test_a_copy_is_answered_in_its_speakers_turn() -> None:
    rng = np.random.default_rng(1)
    targets = np.tile(np.arange(K), 40)
    speakers = [f"s{number // 16}{COPY if number % 2 else ''}" for number in range(160)]
    embeddings = 1e3 * rng.normal(0, 1, (10, WIDTH))[np.arange(160) // 16] + rng.normal(0, 1, (160, WIDTH))
    twins = embeddings.copy()
    twins[:, :K] += 50 * np.eye(K)[targets] * (np.arange(160) % 2 == 0)[:, None]
    # Both a speaker and its copies are there as speakers of their own.
    (bank,) = answered_by_turns(twins, targets, speakers, ["one"] * 160, Shrinkage(0.3), K)
    assert len(bank.speakers) == 20


def test_streams_are_seeded_and_hold_the_shares_that_were_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    first, again = (Streams(answered(), 0, K, 3).batch(8) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, other)
    monkeypatch.setattr("earnest.training.runtime_statistics.SHARES", (0, 0, 1, 0, 0, 0))
    alone = Streams(answered(), 0, K, 0)
    for _ in range(5):
        probabilities, targets, requested = alone.batch(8)
        assert (targets == targets[:, :1]).all()  # one emotion alone
        assert requested.gather(1, targets).all()  # what is true can be requested for
        torch.testing.assert_close(probabilities.sum(dim=2), torch.ones(targets.shape))
    monkeypatch.setattr("earnest.training.runtime_statistics.SHARES", (0, 1, 0, 0, 0, 0))
    mostly = Streams(answered(), 0, K, 0)
    assert np.mean([(mostly.batch(8)[1] == 0).float().mean() for _ in range(20)]) > 0.6


def test_the_loss_of_a_stream_is_the_cross_entropy_among_what_is_asked_for() -> None:
    told_ = torch.tensor([[[0.5, 0.2, 0.2, 0.1], [0.1, 0.4, 0.4, 0.1]]])
    targets, requested = torch.tensor([[0, 1]]), torch.tensor([[True, True, False, False]])
    expected = -(np.log(0.5 / 0.7) + np.log(0.4 / 0.5)) / 2
    np.testing.assert_allclose(stream_losses(told_, targets, requested), [expected], atol=1e-4)


def test_a_stream_whose_requested_classes_float32_takes_for_impossible_has_a_loss_all_the_same() -> None:
    told = torch.tensor([[[1.0, 0.0, 0.0]]])  # softmax of points that lie 200 apart
    losses = stream_losses(told, torch.tensor([[1]]), torch.tensor([[False, True, True]]))
    np.testing.assert_allclose(losses, [-np.log(SMALLEST)], rtol=1e-5)


def test_moved_speakers_are_understood_better_and_one_emotion_is_not_taken_for_the_voice() -> None:
    gains: dict[str, list[float]] = {"all": [], "one": []}
    rng = np.random.default_rng(5)
    for bank in answered(seed=7)[:2]:  # other speakers than those of the training
        for one in bank.speakers:
            moved = one.points + 2.0 * rng.normal(0, 1, K).astype(np.float32)
            for kind, rows in {"all": np.arange(len(moved)), "one": np.flatnonzero(one.targets == 2)}.items():
                adapted = told(trained(), moved[rows]).argmax(axis=1) == one.targets[rows]
                gains[kind].append(float(adapted.mean() - (moved[rows].argmax(axis=1) == one.targets[rows]).mean()))
    assert np.mean(gains["all"]) > 0.1
    assert np.mean(gains["one"]) > -0.15


def test_the_same_seed_gives_the_same_network() -> None:
    first, again = (fit_adaptation(answered(), CLASSES, 1, n_steps=3).state_dict() for _ in range(2))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)  # whose graph is byte for byte the same


EMOTIONS = ("neutral", "happy", "sad")


def voices(n_speakers: int, *, nameless: bool = False) -> SpeakerEmbeddings:
    rng = np.random.default_rng(0)
    targets = np.tile(np.repeat(np.arange(3), 4), n_speakers)
    speakers = ["" if nameless else f"s{number // 12}" for number in range(len(targets))]
    embeddings = rng.normal(0, 1, (len(targets), 5)) + 3 * np.eye(5)[targets]
    return SpeakerEmbeddings(embeddings, targets, speakers, np.full(len(targets), 3.0))


@pytest.mark.parametrize("heard", [voices(2), voices(4, nameless=True)])
def test_two_speakers_or_nameless_ones_are_too_few_to_learn_adaptation_from(heard: SpeakerEmbeddings) -> None:
    assert learned_adaptation(heard, Shrinkage(0.6), EMOTIONS, 0) is None


def test_a_class_that_one_group_of_speakers_has_alone_can_not_be_answered_by_turns() -> None:
    heard = voices(5)
    targets = np.where(np.array(heard.speakers) == "s0", heard.targets, heard.targets % 2)
    assert (
        learned_adaptation(
            SpeakerEmbeddings(heard.embeddings, targets, heard.speakers, heard.seconds), Shrinkage(0.6), EMOTIONS, 0
        )
        is None
    )


DOMAIN_WIDTH = 20
MIXING = np.random.default_rng(0).normal(0, 1, (5, DOMAIN_WIDTH))


def speech(n_clips: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 3.0 + rng.normal(0, 1, (n_clips, 5)) @ MIXING + rng.normal(0, 0.1, (n_clips, DOMAIN_WIDTH))


def test_the_distance_is_mahalanobis_when_all_directions_are_kept() -> None:
    train, unseen = speech(20 * CLIPS_PER_DIRECTION, 0), speech(9, 1)
    domain = fit_domain(train, speech(100, 2), 5.0)
    assert domain is not None
    centred, inverse = unseen - train.mean(axis=0), np.linalg.inv(np.cov(train.T, bias=True))
    expected = np.sqrt(np.einsum("ij,jk,ik->i", centred, inverse, centred) / DOMAIN_WIDTH)
    np.testing.assert_allclose(domain.distances(unseen), expected, rtol=1e-3)


def test_a_hundredth_of_unseen_speech_and_all_that_breaks_its_pattern_is_out_of_domain() -> None:
    train = speech(500, 0)
    domain = fit_domain(train, speech(2_000, 1), 5.0)
    assert domain is not None
    assert np.mean(domain.distances(speech(2_000, 2)) > domain.threshold) == pytest.approx(1 - KNOWN_SHARE, abs=0.01)
    shuffled = np.random.default_rng(0).permuted(train, axis=0)  # each number as usual, their pattern not
    assert np.mean(domain.distances(shuffled) > domain.threshold) > 0.95


def test_a_dimension_that_never_moves_is_no_obstacle() -> None:
    train = speech(500, 0)
    train[:, 3] = 1.0
    domain = fit_domain(train, train, 5.0)
    assert domain is not None
    assert np.isfinite(domain.directions).all()


def test_too_few_clips_or_none_for_the_threshold_give_no_verdict() -> None:
    assert fit_domain(speech(CLIPS_PER_DIRECTION - 1, 0), speech(9, 1), 5.0) is None
    assert fit_domain(speech(99, 0), speech(99, 0)[:0], 5.0) is None
