"""What a bundle learns about speakers and known sound: against the formulas, and on made-up embeddings."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from earnest.runtime._rule import RuleAdaptation as Adaptation
from earnest.runtime._rule import RuleAdapter as Adapter
from earnest.training.closed_form import discriminant
from earnest.training.runtime_statistics import (
    CLIPS_PER_DIRECTION,
    HOWS,
    KNOWN_SHARE,
    How,
    SpeakerEmbeddings,
    adapted_probabilities,
    fit_adaptation,
    fit_domain,
    with_scale,
)

WIDTH, N_CLASSES = 10, 4
UNKNOWN = np.full(N_CLASSES, 1 / N_CLASSES)
CENTRES = 2.5 * np.random.default_rng(0).normal(0, 1, (N_CLASSES, WIDTH))


def voices(n_speakers: int, per_class: int = 6, apart: float = 3.0, seed: int = 0, **changes: Any) -> SpeakerEmbeddings:
    """Return clips around their class' centre, each speaker's moved by a vector of its own."""
    rng = np.random.default_rng(seed)
    targets = np.tile(np.repeat(np.arange(N_CLASSES), per_class), n_speakers)
    offsets = np.repeat(rng.normal(0, apart, (n_speakers, WIDTH)), N_CLASSES * per_class, axis=0)
    embeddings = 5.0 + CENTRES[targets] + offsets + rng.normal(0, 1, offsets.shape)
    speakers = [f"s{number // (N_CLASSES * per_class)}" for number in range(len(targets))]
    fields = {"embeddings": embeddings, "targets": targets, "speakers": speakers, "seconds": np.full(len(targets), 3.0)}
    return SpeakerEmbeddings(**(fields | changes))


def share_right(probabilities: npt.NDArray[np.float64], heard: SpeakerEmbeddings) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == heard.targets))


def adapted(
    adaptation: Adaptation, heard: SpeakerEmbeddings, how: How
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    return adapted_probabilities(adaptation, heard, np.tile(UNKNOWN, (len(heard), 1)), how, 0)


def rows_alike(heard: SpeakerEmbeddings, *keys: Sequence[Any]) -> list[list[int]]:
    """Return the rows of each combination of keys."""
    found: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*keys, strict=True)):
        found.setdefault(key, []).append(row)
    return list(found.values())


def of_rows(heard: SpeakerEmbeddings, chosen: npt.NDArray[np.bool_]) -> SpeakerEmbeddings:
    speakers = [name for name, taken in zip(heard.speakers, chosen, strict=True) if taken]
    return SpeakerEmbeddings(heard.embeddings[chosen], heard.targets[chosen], speakers, heard.seconds[chosen])


def test_it_is_the_discriminant_of_embeddings_less_their_speakers_mean() -> None:
    train = voices(5)
    found = fit_adaptation(train, 0.6, N_CLASSES)
    assert found is not None
    blocks = train.embeddings.reshape(5, -1, WIDTH)
    means = blocks.mean(axis=1)
    centred = (blocks - means[:, None]).reshape(-1, WIDTH)
    weights, _ = discriminant(centred, train.targets, 0.6, N_CLASSES)
    contrasts = weights[1:] - weights[0]  # what tells classes apart
    explained = np.linalg.lstsq(found.directions.T, contrasts.T)[0].T @ found.directions
    np.testing.assert_allclose(explained, contrasts, atol=1e-9)
    np.testing.assert_allclose(found.origin, found.directions @ train.embeddings.mean(axis=0))
    np.testing.assert_allclose(found.spread, (means @ found.directions.T).std(axis=0))
    np.testing.assert_allclose(found.places[2], found.directions @ centred[train.targets == 2].mean(axis=0))


def test_unseen_voices_are_understood_better_and_one_emotion_is_not_taken_for_the_voice() -> None:
    train, valid, test = voices(12), voices(4, seed=1), voices(8, seed=2)
    weights, bias = discriminant(train.embeddings, train.targets, 0.6, N_CLASSES)
    powers = np.exp(test.embeddings @ weights.T + bias)
    unadapted = powers / powers.sum(axis=1, keepdims=True)
    plain = share_right(unadapted, test)
    fitted = fit_adaptation(train, 0.6, N_CLASSES)
    assert fitted is not None
    adaptation = with_scale(fitted, valid, 0)
    right = {how: share_right(adapted_probabilities(adaptation, test, unadapted, how, 0)[0], test) for how in HOWS}
    assert plain < 0.8
    assert right["all"] > plain + 0.1
    assert right["causal"] > plain + 0.05
    assert right["one-emotion"] > plain - 0.01


def test_variety_is_one_within_an_emotion_of_unheard_voices_and_full_over_all() -> None:
    adaptation, test = fit_adaptation(voices(40), 0.6, N_CLASSES), voices(40, seed=5)
    assert adaptation is not None
    points = test.embeddings @ adaptation.directions.T
    alone = [points[of].var(axis=0, ddof=1).mean() for of in rows_alike(test, test.speakers, test.targets)]
    together = [points[of].var(axis=0).mean() for of in rows_alike(test, test.speakers)]
    assert np.mean(alone) == pytest.approx(1.0, abs=0.2)
    assert np.mean(together) == pytest.approx(adaptation.full_variety, rel=0.2)


def test_few_speakers_with_few_emotions_each_have_a_variety_too() -> None:
    train = voices(3)
    speakers = [f"s{target}" if target < 2 else "s2" for target in train.targets]
    adaptation = fit_adaptation(voices(3, speakers=speakers), 0.6, N_CLASSES)
    assert adaptation is not None
    assert np.isfinite(adaptation.directions).all()
    assert adaptation.full_variety > 1


def test_the_scale_makes_validation_probabilities_honest() -> None:
    fitted = fit_adaptation(voices(12), 0.6, N_CLASSES)
    assert fitted is not None
    test = voices(30, seed=3)
    probabilities, answered = adapted(with_scale(fitted, voices(30, seed=1), 0), test, "causal")
    confidence = probabilities[answered].max(axis=1).mean()
    assert confidence == pytest.approx(share_right(probabilities[answered], of_rows(test, answered)), abs=0.05)


def test_labels_are_not_looked_at_while_answering() -> None:
    adaptation, test = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(3, seed=4)
    assert adaptation is not None
    other = voices(3, seed=4, targets=test.targets[::-1])
    for how in ("causal", "all"):
        first, second = (adapted(adaptation, clips, how)[0] for clips in (test, other))
        np.testing.assert_array_equal(first, second)


def test_a_speakers_answers_depend_on_that_speaker_alone() -> None:
    adaptation, both = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(2, seed=4)
    assert adaptation is not None
    alone = of_rows(both, np.array([name == "s0" for name in both.speakers]))
    for how in HOWS:
        together, _ = adapted(adaptation, both, how)
        np.testing.assert_array_equal(together[: len(alone)], adapted(adaptation, alone, how)[0])


def test_the_first_seconds_have_no_adapted_answer_and_all_clips_heard_before_have() -> None:
    fitted, test = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(2, seed=4)
    assert fitted is not None
    adaptation = replace(fitted, trust_from=-2.0, trust_to=-1.0)
    assert (~adapted(adaptation, test, "causal")[1]).sum() == 2 * 2  # 6 s of 3-s clips, two speakers
    assert adapted(adaptation, test, "all")[1].all()
    assert (~adapted(adaptation, test, "one-emotion")[1]).sum() == 2 * N_CLASSES * 2


def test_what_sounds_like_one_emotion_keeps_its_plain_answer() -> None:
    adaptation, test = fit_adaptation(voices(12), 0.6, N_CLASSES), voices(3, seed=4)
    assert adaptation is not None
    plain = np.random.default_rng(0).dirichlet(np.ones(N_CLASSES), len(test))
    probabilities, is_adapted = adapted_probabilities(adaptation, test, plain, "one-emotion", 0)
    np.testing.assert_array_equal(probabilities[~is_adapted], plain[~is_adapted])
    assert is_adapted.mean() < 0.1
    assert adapted(adaptation, test, "all")[1].all()


def test_all_is_what_the_runtime_learns_from_recordings() -> None:
    adaptation, test = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(1, seed=4)
    assert adaptation is not None
    adapter = Adapter(adaptation)
    adapter.learn_from(test.embeddings, 100.0)
    expected = [adapter.hear(row, UNKNOWN, 3.0, 3.0) for row in test.embeddings]
    found = adapted(adaptation, test, "all")[0]
    np.testing.assert_allclose(found, np.array(expected), atol=1e-9)


def test_ten_is_what_the_runtime_learns_from_ten_recordings_of_the_voice() -> None:
    adaptation, test = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(1, per_class=10, seed=4)
    assert adaptation is not None
    found = adapted(adaptation, test, "ten")[0]
    adapter = Adapter(adaptation)
    adapter.learn_from(test.embeddings[np.random.default_rng([0, 0]).permutation(40)[:10]], 30.0)
    np.testing.assert_allclose(found[0], adapter.hear(test.embeddings[0], UNKNOWN, 3.0, 3.0), atol=1e-9)
    assert not np.allclose(found, adapted(adaptation, test, "all")[0])


def test_two_speakers_or_nameless_ones_are_too_few() -> None:
    assert fit_adaptation(voices(2), 0.6, N_CLASSES) is None
    nameless = voices(4)
    speakers = ["", *nameless.speakers[1:]]
    assert fit_adaptation(voices(4, speakers=speakers), 0.6, N_CLASSES) is None


def test_variety_and_scale_come_from_speakers_that_the_embedding_was_not_fitted_on() -> None:
    wide = voices(12)
    known = np.array([int(name[1:]) < 6 for name in wide.speakers])
    narrow = wide.embeddings.copy()
    narrow[known] = 5.0 + CENTRES[wide.targets[known]] + 0.1 * (narrow[known] - 5.0 - CENTRES[wide.targets[known]])
    flattered = fit_adaptation(voices(12, embeddings=narrow), 0.6, N_CLASSES)
    honest = fit_adaptation(voices(12, embeddings=narrow, new=~known), 0.6, N_CLASSES)
    assert flattered is not None
    assert honest is not None
    turned = np.linalg.lstsq(honest.directions.T, flattered.directions.T)[0].T
    np.testing.assert_allclose(turned @ honest.directions, flattered.directions, atol=1e-9)  # the same discriminant
    assert honest.full_variety < 0.8 * flattered.full_variety
    valid = voices(12, embeddings=narrow, new=~known)
    assert with_scale(honest, valid, 0).scale < with_scale(honest, replace(valid, new=None), 0).scale
    two = np.array([int(name[1:]) < 2 for name in wide.speakers])
    assert len(replace(wide, new=two).new_rows(N_CLASSES)) == len(wide)  # two are too few


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
