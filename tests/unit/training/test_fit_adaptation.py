"""What a bundle learns about voices in training: against the formulas, and on speakers that are far apart."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from earnest.runtime.adaptation import Adaptation, Adapter
from earnest.training.adaptation import (
    HOWS,
    POSTERIOR_SCALES,
    Heard,
    How,
    adapted_probabilities,
    fit_adaptation,
    with_scales,
)
from earnest.training.discriminant import discriminant

WIDTH, N_CLASSES = 10, 4
CENTRES = 2.5 * np.random.default_rng(0).normal(0, 1, (N_CLASSES, WIDTH))


def voices(n_speakers: int, per_class: int = 6, apart: float = 3.0, seed: int = 0, **changes: Any) -> Heard:
    """Return clips around their class' centre, each speaker's moved by a vector of its own."""
    rng = np.random.default_rng(seed)
    targets = np.tile(np.repeat(np.arange(N_CLASSES), per_class), n_speakers)
    offsets = np.repeat(rng.normal(0, apart, (n_speakers, WIDTH)), N_CLASSES * per_class, axis=0)
    embeddings = 5.0 + CENTRES[targets] + offsets + rng.normal(0, 1, offsets.shape)
    speakers = [f"s{number // (N_CLASSES * per_class)}" for number in range(len(targets))]
    fields = {"embeddings": embeddings, "targets": targets, "speakers": speakers, "seconds": np.full(len(targets), 3.0)}
    return Heard(**(fields | changes))


def share_right(probabilities: npt.NDArray[np.float64], heard: Heard) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == heard.targets))


def share_of_answered(adaptation: Adaptation, heard: Heard, how: How) -> float:
    probabilities, answered = adapted_probabilities(adaptation, heard, how, 0)
    return share_right(probabilities[answered], of_rows(heard, answered))


def of_rows(heard: Heard, chosen: npt.NDArray[np.bool_]) -> Heard:
    speakers = [name for name, taken in zip(heard.speakers, chosen, strict=True) if taken]
    return Heard(heard.embeddings[chosen], heard.targets[chosen], speakers, heard.seconds[chosen])


def test_it_is_the_discriminant_of_embeddings_less_their_speakers_mean() -> None:
    train = voices(5)
    found = fit_adaptation(train, 0.6, N_CLASSES)
    assert found is not None
    blocks = train.embeddings.reshape(5, -1, WIDTH)
    means = blocks.mean(axis=1)
    centred = (blocks - means[:, None]).reshape(-1, WIDTH)
    weights, bias = discriminant(centred, train.targets, 0.6, N_CLASSES)
    np.testing.assert_allclose(found.weights, weights)
    np.testing.assert_allclose(found.bias, bias)
    np.testing.assert_allclose(found.mean, train.embeddings.mean(axis=0))
    np.testing.assert_allclose(found.spread, means.std(axis=0))
    np.testing.assert_allclose(found.class_means[2], centred[train.targets == 2].mean(axis=0))


def test_unseen_voices_are_understood_better_and_one_emotion_is_not_taken_for_the_voice() -> None:
    train, valid, test = voices(12), voices(4, seed=1), voices(8, seed=2)
    weights, bias = discriminant(train.embeddings, train.targets, 0.6, N_CLASSES)
    plain = share_right(test.embeddings @ weights.T + bias, test)
    fitted = fit_adaptation(train, 0.6, N_CLASSES)
    assert fitted is not None
    adaptation = with_scales(fitted, valid, 0)
    right = {how: share_of_answered(adaptation, test, how) for how in HOWS}
    assert plain < 0.8
    assert right["all"] > plain + 0.1
    assert right["causal"] > plain + 0.05
    assert right["one-emotion"] > plain - 0.05
    assert adaptation.posterior_scale in POSTERIOR_SCALES


def test_the_scale_makes_validation_probabilities_honest() -> None:
    fitted = fit_adaptation(voices(12), 0.6, N_CLASSES)
    assert fitted is not None
    test = voices(30, seed=3)
    probabilities, answered = adapted_probabilities(with_scales(fitted, voices(30, seed=1), 0), test, "causal", 0)
    confidence = probabilities[answered].max(axis=1).mean()
    assert confidence == pytest.approx(share_right(probabilities[answered], of_rows(test, answered)), abs=0.05)


def test_labels_are_not_looked_at_while_answering() -> None:
    adaptation, test = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(3, seed=4)
    assert adaptation is not None
    other = voices(3, seed=4, targets=test.targets[::-1])
    for how in ("causal", "all"):
        first, second = (adapted_probabilities(adaptation, clips, how, 0)[0] for clips in (test, other))
        np.testing.assert_array_equal(first, second)


def test_a_speakers_answers_depend_on_that_speaker_alone() -> None:
    adaptation, both = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(2, seed=4)
    assert adaptation is not None
    alone = of_rows(both, np.array([name == "s0" for name in both.speakers]))
    for how in ("causal", "all", "one-emotion"):
        together, _ = adapted_probabilities(adaptation, both, how, 0)
        np.testing.assert_array_equal(together[: len(alone)], adapted_probabilities(adaptation, alone, how, 0)[0])


def test_the_first_seconds_have_no_adapted_answer_and_all_clips_heard_before_have() -> None:
    adaptation, test = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(2, seed=4)
    assert adaptation is not None
    assert (~adapted_probabilities(adaptation, test, "causal", 0)[1]).sum() == 2 * 2  # 6 s of 3-s clips, two speakers
    assert adapted_probabilities(adaptation, test, "all", 0)[1].all()
    assert (~adapted_probabilities(adaptation, test, "one-emotion", 0)[1]).sum() == 2 * N_CLASSES * 2


def test_all_is_what_the_runtime_learns_from_recordings() -> None:
    adaptation, test = fit_adaptation(voices(5), 0.6, N_CLASSES), voices(1, seed=4)
    assert adaptation is not None
    adapter = Adapter(adaptation)
    adapter.learn_from(test.embeddings, 100.0)
    expected = [adapter.hear(row, 3.0, 3.0) for row in test.embeddings]
    found = adapted_probabilities(adaptation, test, "all", 0)[0]
    np.testing.assert_allclose(found, np.array(expected), atol=1e-9)


def test_two_speakers_or_nameless_ones_are_too_few() -> None:
    assert fit_adaptation(voices(2), 0.6, N_CLASSES) is None
    nameless = voices(4)
    speakers = ["", *nameless.speakers[1:]]
    assert fit_adaptation(voices(4, speakers=speakers), 0.6, N_CLASSES) is None
