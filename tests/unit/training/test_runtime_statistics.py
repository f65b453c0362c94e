"""What a bundle learns about known sound, and when it learns to adapt: on made-up embeddings."""

import numpy as np
import pytest

from earnest.learning.domain import CLIPS_PER_DIRECTION, KNOWN_SHARE, fit_domain
from earnest.training.runtime_statistics import SpeakerEmbeddings, learned_adaptation

CLASSES = ("neutral", "happy", "sad")


def voices(n_speakers: int, *, nameless: bool = False) -> SpeakerEmbeddings:
    rng = np.random.default_rng(0)
    targets = np.tile(np.repeat(np.arange(3), 4), n_speakers)
    speakers = ["" if nameless else f"s{number // 12}" for number in range(len(targets))]
    embeddings = rng.normal(0, 1, (len(targets), 5)) + 3 * np.eye(5)[targets]
    return SpeakerEmbeddings(embeddings, targets, speakers, np.full(len(targets), 3.0))


@pytest.mark.parametrize("heard", [voices(2), voices(4, nameless=True)])
def test_two_speakers_or_nameless_ones_are_too_few_to_learn_adaptation_from(heard: SpeakerEmbeddings) -> None:
    assert learned_adaptation(heard, 0.6, CLASSES, 0) is None


def test_a_class_that_one_group_of_speakers_has_alone_can_not_be_answered_by_turns() -> None:
    heard = voices(5)
    targets = np.where(np.array(heard.speakers) == "s0", heard.targets, heard.targets % 2)
    assert (
        learned_adaptation(SpeakerEmbeddings(heard.embeddings, targets, heard.speakers, heard.seconds), 0.6, CLASSES, 0)
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
