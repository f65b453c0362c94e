"""Adaptation to a voice: the rule itself, that it is safe, switchable and the same however sound is divided."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from stand_in import CLASSES, stand_in_adaptation, write_adapting, write_bundle

import earnest
from earnest.apps.cli.main import cli
from earnest.bundle import load_bundle
from earnest.errors import BundleError
from earnest.runtime import bulk
from earnest.runtime.adaptation import ARRAYS, LONGEST_MEMORY, Adaptation, Adapter, estimate
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing
from earnest.testing.sounds import voice, write_voice

Vectors = npt.NDArray[np.float64]
WIDTH, N_CLASSES = 12, 4
RNG = np.random.default_rng(3)
MEANS = RNG.normal(0, 1.2, (N_CLASSES, WIDTH))
MEANS -= MEANS.mean(axis=0)


DIRECTIONS = np.linalg.svd(MEANS, full_matrices=False)[2][: N_CLASSES - 1]
PLACES = MEANS @ DIRECTIONS.T
FULL_VARIETY = 1 + float(np.mean((MEANS @ DIRECTIONS.T) ** 2))
UNKNOWN = np.full(N_CLASSES, 1 / N_CLASSES)


def gaussian(**changes: Any) -> Adaptation:
    """Return the adaptation of classes at `MEANS` with unit scatter, μ = 1: the best classifier is known.

    The offset is trusted always and the plain mean never, unless ``changes`` say otherwise.
    """
    settings: dict[str, Any] = {"least_speech_s": 0.0, "full_variety": FULL_VARIETY, "place_prior": 1e9}
    settings |= {"trust_from": -2.0, "trust_to": -1.0, "told_from": 2.0, "told_to": 3.0} | changes
    spread = np.ones(N_CLASSES - 1)
    return Adaptation(DIRECTIONS, DIRECTIONS @ np.ones(WIDTH), PLACES, spread, **settings)


def speech(labels: Vectors, offset: Vectors, seed: int) -> Vectors:
    return 1.0 + MEANS[labels.astype(int)] + offset + np.random.default_rng(seed).normal(0, 1, (len(labels), WIDTH))


def share_right(adapter: Adapter, embeddings: Vectors, labels: Vectors) -> float:
    answers = [adapter.hear(embedding, UNKNOWN, 3.0, 3.0) for embedding in embeddings]
    return float(
        np.mean([label == answer.argmax() for label, answer in zip(labels, answers, strict=True) if answer is not None])
    )


def shares_of(points: Vectors, places: Vectors, scale: float) -> Vectors:
    powers = np.exp(-0.5 * scale * ((points[:, None] - places) ** 2).sum(axis=2))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_offset_and_places_are_the_rule_written_out() -> None:
    rule = gaussian(prior=4.0, place_prior=6.0, largest_offset=99.0, scale=0.8)
    embeddings = speech(np.array([0, 1, 2, 2, 1]), np.full(WIDTH, 0.5), 0)
    points = (embeddings - 1) @ DIRECTIONS.T
    adapter = Adapter(rule)
    for embedding in embeddings[:4]:
        adapter.hear(embedding, UNKNOWN, 3.0, 3.0)
    offset, places, four = np.zeros(N_CLASSES - 1), PLACES, points[:4]
    for _ in range(5):
        offset = (four - shares_of(four - offset, PLACES, 0.6) @ PLACES).sum(axis=0) / (4 + 4.0)
    for _ in range(5):
        taken = shares_of(four - offset, places, 1.0)
        sums = np.array(
            [sum(share * (point - offset) for share, point in zip(own, four, strict=True)) for own in taken.T]
        )
        places = (6 * PLACES + sums) / (6 + taken.sum(axis=0)[:, None])
    np.testing.assert_allclose(adapter.estimate.offset, offset, atol=1e-12)
    np.testing.assert_allclose(adapter.estimate.places, places, atol=1e-12)
    expected = shares_of(points[4:] - offset, places, 0.8)[0]
    np.testing.assert_allclose(adapter.hear(embeddings[4], UNKNOWN, 3.0, 3.0), expected, atol=1e-12)


def test_overlapping_windows_count_as_much_as_they_add() -> None:
    embeddings = speech(np.array([0, 1, 2]), np.full(WIDTH, 0.5), 0)
    once, twice = Adapter(gaussian()), Adapter(gaussian())
    for embedding in embeddings:
        once.hear(embedding, UNKNOWN, 3.0, 3.0)
        twice.hear(embedding, UNKNOWN, 3.0, 1.0)
        twice.hear(embedding, UNKNOWN, 3.0, 2.0)
        twice.hear(embedding, UNKNOWN, 3.0, 0.0)  # adds nothing
    np.testing.assert_allclose(once.estimate.offset, twice.estimate.offset)
    np.testing.assert_allclose(once.estimate.places, twice.estimate.places)


def test_the_plain_mean_is_believed_where_its_points_are_told_apart() -> None:
    labels = np.random.default_rng(0).integers(0, N_CLASSES, 80)
    points = (speech(labels, np.full(WIDTH, 1.5), 7) - 1) @ DIRECTIONS.T
    rule = gaussian(trust_from=8.0, trust_to=9.0, told_from=0.5, told_to=0.6, largest_offset=99.0)
    found = estimate(rule, points, np.ones(80))
    assert found.trust == 1.0
    np.testing.assert_allclose(found.offset, points.mean(axis=0) * 80 / 81)
    alone = estimate(rule, points[labels == 1], np.ones((labels == 1).sum()))
    assert alone.trust == 0.0
    assert np.abs(alone.offset - points[labels == 1].mean(axis=0)).max() > 0.5


@pytest.mark.long
def test_only_the_latest_windows_are_remembered() -> None:
    labels = np.random.default_rng(0).integers(0, N_CLASSES, LONGEST_MEMORY)
    strange, usual = (speech(labels, np.full(WIDTH, value), 3) for value in (1.5, 0.0))
    both, latest = Adapter(gaussian()), Adapter(gaussian())
    for embedding in (*strange, *usual):
        both.hear(embedding, UNKNOWN, 3.0, 3.0)
    for embedding in usual:
        latest.hear(embedding, UNKNOWN, 3.0, 3.0)
    np.testing.assert_allclose(both.estimate.offset, latest.estimate.offset)


@pytest.mark.parametrize(("n_emotions", "gain"), [(1, -0.05), (2, 0.05), (4, 0.1)])
def test_a_strange_voice_is_understood_better_and_one_emotion_is_not_taken_for_the_voice(
    n_emotions: int, gain: float
) -> None:
    plain, aware, blind = [], [], []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        labels = (rng.integers(0, n_emotions, 60) + seed) % N_CLASSES
        embeddings = speech(labels, rng.normal(0, 2.0, WIDTH), seed)
        plain.append(share_right(Adapter(gaussian(largest_offset=1e-9)), embeddings, labels))
        aware.append(share_right(Adapter(gaussian()), embeddings, labels))
        blind.append(share_right(Adapter(gaussian(posterior_scale=1e-6)), embeddings, labels))
    assert np.mean(aware) > np.mean(plain) + gain
    if n_emotions == 1:  # the mean of all that was heard fails here
        assert np.mean(blind) < np.mean(plain) - 0.2


def test_places_of_a_voice_that_means_emotions_otherwise_are_learnt() -> None:
    usual, learnt = [], []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, N_CLASSES, 80)
        own = rng.normal(0, 1.3, (N_CLASSES, WIDTH))[labels]
        embeddings = speech(labels, np.zeros(WIDTH), seed) + own
        usual.append(share_right(Adapter(gaussian()), embeddings, labels))
        learnt.append(share_right(Adapter(gaussian(place_prior=6.0)), embeddings, labels))
    assert np.mean(learnt) > np.mean(usual) + 0.01


def heard(labels: Vectors, **changes: Any) -> Adapter:
    adapter = Adapter(gaussian(trust_from=0.25, trust_to=0.6, **changes))
    for embedding in speech(labels, np.full(WIDTH, 1.5), 7):
        adapter.hear(embedding, UNKNOWN, 3.0, 3.0)
    return adapter


def test_one_emotion_earns_no_trust_and_several_earn_it_all() -> None:
    rng = np.random.default_rng(0)
    assert heard(np.zeros(0)).trust == 0.0
    assert heard(np.full(40, 2)).trust == 0.0
    assert heard(rng.integers(0, N_CLASSES, 40)).trust == 1.0
    assert 0.0 < heard(rng.permutation([1] * 30 + [2] * 7 + [0] * 3)).trust < 1.0


def test_the_variety_is_the_variance_along_the_directions_drawn_towards_one() -> None:
    labels = np.random.default_rng(1).integers(0, N_CLASSES, 30)
    points = (speech(labels, np.full(WIDTH, 1.5), 7) - 1) @ DIRECTIONS.T
    squares = np.mean(((points - points.mean(axis=0)) ** 2).sum(axis=0))
    share = ((squares + 5) / (29 + 5) - 1) / (FULL_VARIETY - 1)
    adapter = heard(labels, variety_prior=5.0)
    assert adapter.trust == pytest.approx(np.clip((share - 0.25) / 0.35, 0, 1))
    assert 0 < heard(labels, variety_prior=60.0).trust < 1


def test_the_answer_is_the_plain_one_as_far_as_there_is_no_trust() -> None:
    labels = np.random.default_rng(2).permutation([1] * 30 + [2] * 7 + [0] * 3)
    adapter, trusting = heard(labels), heard(labels)
    trust, plain = adapter.trust, np.array([0.9, 0.1, 0.0, 0.0])
    trusting.estimate = trusting.estimate._replace(trust=1.0)
    embedding = 1.0 + MEANS[3]
    answer, adapted = adapter.hear(embedding, plain, 3.0, 3.0), trusting.hear(embedding, plain, 3.0, 3.0)
    assert answer is not None
    assert adapted is not None
    np.testing.assert_allclose(answer, trust * adapted + (1 - trust) * plain)
    assert heard(np.full(40, 2)).hear(embedding, plain, 3.0, 3.0) is None


def test_trust_from_recordings_stays() -> None:
    labels = np.random.default_rng(0).integers(0, N_CLASSES, 60)
    adapter = Adapter(gaussian(trust_from=0.25, trust_to=0.6))
    adapter.learn_from(speech(labels, np.zeros(WIDTH), 0), 180.0)
    assert adapter.trust == 1.0
    for _ in range(500):
        adapter.hear(np.ones(WIDTH), UNKNOWN, 3.0, 3.0)
    assert adapter.trust == 1.0


def test_a_voice_like_all_others_is_left_alone() -> None:
    labels = np.random.default_rng(0).integers(0, N_CLASSES, 200)
    adapter = Adapter(gaussian())
    assert share_right(adapter, speech(labels, np.zeros(WIDTH), 1), labels) > 0.95
    assert np.abs(adapter.estimate.offset).max() < 0.3


def test_the_offset_is_bounded_whatever_is_heard() -> None:
    adapter = Adapter(gaussian(largest_offset=2.0))
    for _ in range(50):
        adapter.hear(np.full(WIDTH, 1e6), UNKNOWN, 3.0, 3.0)
    assert np.sqrt(np.mean(adapter.estimate.offset**2)) == pytest.approx(2.0)


def test_it_waits_for_enough_speech_and_counts_overlap_once() -> None:
    adapter = Adapter(gaussian(least_speech_s=6.0))
    answers = [adapter.hear(np.ones(WIDTH), UNKNOWN, 3.0, new_s) for new_s in (3.0, 1.0, 1.0, 1.0, 1.0)]
    assert [answer is None for answer in answers] == [True, True, True, True, False]


def test_what_was_learned_from_recordings_stays() -> None:
    labels = np.random.default_rng(0).integers(0, N_CLASSES, 60)
    offset = np.full(WIDTH, 1.5)
    adapter = Adapter(gaussian(prior=1.0))
    adapter.learn_from(speech(labels, offset, 0), 180.0)
    learned = adapter.estimate
    np.testing.assert_allclose(learned.offset, DIRECTIONS @ offset, atol=0.6)
    adapter.hear(np.full(WIDTH, 50.0), UNKNOWN, 3.0, 3.0)
    assert adapter.estimate is learned


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return earnest.load(write_adapting(tmp_path_factory.mktemp("bundle"), stand_in_adaptation()))


TALK = np.concatenate([voice(5.0), np.zeros(16_000), voice(4.0, level=0.3, seed=1)]).astype(np.float32)


@pytest.mark.parametrize("size", [1_000, 7_777, 80_000])
def test_with_adaptation_a_stream_is_its_timeline_too(model: Predictor, size: int) -> None:
    whole = model.timeline((TALK, 16_000), adapter=model.adapter())
    with model.stream(16_000, adapter=model.adapter()) as stream:
        pieces = [stream.accept_waveform(TALK[at : at + size]) for at in range(0, len(TALK), size)]
        events = [event for piece in [*pieces, stream.finish()] for event in piece]
    streamed = Timeline.of(stream.prediction("array"), events, stream.activity, whole.classes)
    assert streamed == whole
    assert whole.prediction.adapted


def test_adaptation_changes_later_windows_only_and_can_be_switched_off(model: Predictor) -> None:
    plain = model.timeline((TALK, 16_000), Windowing(1.0, 1.0))
    adapted = model.timeline((TALK, 16_000), Windowing(1.0, 1.0), model.adapter())
    same = [one == other for one, other in zip(plain.windows, adapted.windows, strict=True)]
    assert same[:3] == [True] * 3
    assert not any(same[3:])
    assert not plain.prediction.adapted


@pytest.mark.parametrize("jobs", [1, 3])
def test_rows_of_one_voice_are_adapted_in_their_order(
    model: Predictor, tmp_path: Path, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AHEAD_S", 3.0)  # longer ones are decoded in their turn, and must be heard in it too
    paths = [write_voice(tmp_path / f"{number}.wav", 0.5 + number % 6, seed=number) for number in range(20)]
    together = list(model.predict_many(paths, jobs, model.adapter()))
    adapter = model.adapter()
    assert together == [model.predict(path, adapter) for path in paths]
    assert [row.adapted for row in together[:2]] == [False, False]
    assert all(row.adapted for row in together[5:])


def test_the_command_says_whether_it_adapted(tmp_path: Path) -> None:
    write_adapting(tmp_path / "can", stand_in_adaptation())
    write_bundle(tmp_path / "cannot")
    clip = str(write_voice(tmp_path / "clip.wav", 8.0))

    def output(*words: str, bundle: str = "can") -> str:
        return CliRunner().invoke(cli, [*words, "--model", str(tmp_path / bundle), "--json"]).output

    assert '"adapted": false' in output("predict", clip)
    assert '"adapted": true' in output("predict", clip, "--adapt", clip)
    assert '"adapted": false' in output("timeline", clip)
    assert '"adapted": true' in output("timeline", clip, "--adapt", "auto")
    assert '"adapted": false' in output("timeline", clip, "--adapt", "auto", bundle="cannot")
    with pytest.raises(BundleError, match="can't adapt to a voice"):
        CliRunner().invoke(
            cli, ["predict", clip, "--adapt", clip, "--model", str(tmp_path / "cannot")], catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"origin": np.zeros(2)}, "shapes of 'adaptation'"),
        ({"origin": np.zeros((len(CLASSES) - 1, 1))}, "shapes of 'adaptation'"),
        ({"places": np.zeros((2, 3))}, "shapes of 'adaptation'"),
        ({"directions": np.zeros(0)}, "shapes of 'adaptation'"),
        ({"directions": np.zeros((len(CLASSES) - 1, 0))}, "shapes of 'adaptation'"),
        ({"spread": np.zeros(len(CLASSES) - 1)}, "impossible numbers"),
        ({"places": np.full((len(CLASSES), len(CLASSES) - 1), np.nan)}, "impossible numbers"),
        ({"directions": np.zeros((len(CLASSES), 3))}, "shapes of 'adaptation'"),
    ],
)
def test_a_broken_adaptation_is_a_broken_bundle(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    broken = earnest.load(write_adapting(tmp_path, stand_in_adaptation(**changes)))
    with pytest.raises(BundleError, match=message):
        broken.adapter()


def test_an_adaptation_for_other_embeddings_is_refused_when_it_hears_one(tmp_path: Path) -> None:
    other = stand_in_adaptation(directions=np.ones((len(CLASSES) - 1, 4)))
    broken = earnest.load(write_adapting(tmp_path, other))
    with pytest.raises(BundleError, match=r"embeddings of shape \(4,\), the graph gives \(3,\)"):
        broken.predict((TALK, 16_000), broken.adapter())


def npz(**arrays: Any) -> bytes:
    stored = io.BytesIO()
    np.savez_compressed(stored, **arrays)
    return stored.getvalue()


WHOLE: Mapping[str, Any] = {name: getattr(stand_in_adaptation(), name) for name in ARRAYS}
HOSTILE = {
    "no archive": (b"text", "not readable"),
    "truncated": (stand_in_adaptation().to_bytes()[:-40], "not readable"),
    "pickled": (npz(**{**WHOLE, "origin": np.array([{}], object)}), "not readable"),
    "text": (npz(**{**WHOLE, "origin": np.array(["1"] * len(CLASSES))}), "not readable"),
    "missing array": (npz(origin=np.zeros(3)), "must hold directions, origin"),
    "one more array": (npz(**WHOLE, other=np.zeros(3)), "must hold directions, origin"),
    "bomb": (npz(**{**WHOLE, "origin": np.zeros(9_000_000)}), "larger than any"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(kind: str, tmp_path: Path) -> None:
    data, message = HOSTILE[kind]
    broken = earnest.load(write_adapting(tmp_path, stand_in_adaptation(), data))
    with pytest.raises(BundleError, match=message):
        broken.adapter()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"moan": 1}, "unknown key 'moan'"),
        ({"file": "model.json"}, "'files' doesn't list 'model.json'"),
        ({"file": "../bundle.json"}, r"'files' doesn't list '\.\./bundle\.json'"),
        ({"scale": "much"}, "scale must be a number"),
        ({"scale": -1.0}, r"scale must be above 0, got -1\.0"),
        ({"prior": float("inf")}, "prior must be a finite number"),
        ({"full_variety": 1.0}, r"full_variety must be above 1, got 1\.0"),
        ({"trust_from": 0.6, "trust_to": 0.6}, r"trust_from must be below trust_to, got 0\.6 and 0\.6"),
        ({"told_from": 0.6, "told_to": 0.6}, r"told_from must be below told_to, got 0\.6 and 0\.6"),
        ({"variety_prior": 0.0}, r"variety_prior must be above 0, got 0\.0"),
        ({"place_prior": 0.0}, r"place_prior must be above 0, got 0\.0"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    broken = earnest.load(write_adapting(tmp_path, stand_in_adaptation(), **changes))
    with pytest.raises(BundleError, match=message):
        broken.adapter()


def test_what_was_written_is_read_and_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    adaptation = stand_in_adaptation(prior=7.0)
    found = Adaptation.of(load_bundle(write_adapting(tmp_path, adaptation)))
    assert found is not None
    assert found.rule() == adaptation.rule()
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(found, name), getattr(adaptation, name), rtol=1e-6)
    assert found.to_bytes() == adaptation.to_bytes()


def test_a_prediction_without_adaptation_reads_none(tmp_path: Path) -> None:
    broken = earnest.load(write_adapting(tmp_path, stand_in_adaptation(), b"no archive"))
    assert broken.predict((TALK, 16_000)).status == "ok"
