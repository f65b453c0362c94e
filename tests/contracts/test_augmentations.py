"""Every registered augmentation keeps the same promises; a new one is checked without a line here."""

import pickle
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from voices import voice, write_voice

from earnest.augment.base import AUGMENTATIONS, Augmentation, Transform
from earnest.augment.chain import build_chain
from earnest.config import from_mapping
from tests.augment_tables import resolved_tables

RATE_HZ = 16_000
Waveform = npt.NDArray[np.float32]
each_augmentation = pytest.mark.parametrize("name", AUGMENTATIONS.names())
HARD = {
    "silence": np.zeros(8_000, np.float32),
    "a single sample": np.ones(1, np.float32),
    "a single silent sample": np.zeros(1, np.float32),
    "two samples": np.array([0.1, -0.1], np.float32),
    "a click in silence": np.eye(1, 8_000, 4_000, dtype=np.float32)[0],
    "beyond full scale": 8 * voice(0.3, seed=3),
    "hardly anything": 1e-20 * voice(0.3, seed=4),
    "ten seconds": voice(10, seed=5),
}


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noises")
    for seed in range(3):
        write_voice(folder / f"noise-{seed}.wav", 0.7 + seed, seed=10 + seed)
    return folder


def augmentation_called(name: str, noises: Path, **settings: Any) -> Augmentation:
    needed = {"folder": str(noises)} if name == "noise-files" else {}
    return from_mapping(AUGMENTATIONS.get(name), {**needed, **settings}, name)


def transform_called(name: str, noises: Path, sample_rate_hz: int = RATE_HZ) -> Transform:
    return augmentation_called(name, noises).made_for(sample_rate_hz)


def clip() -> Waveform:
    """Return a voice between pauses of different lengths, 1.2 s."""
    return np.pad(voice(0.7), (3_200, 4_800))


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def same(one: Waveform, other: Waveform) -> bool:
    return one.shape == other.shape and bool(np.array_equal(one, other))


@each_augmentation
def test_the_same_seed_gives_the_same_samples(name: str, noises: Path) -> None:
    waveform = clip()
    for seed in range(3):
        first, second = (transform_called(name, noises)(waveform, rng(seed)) for _ in range(2))
        assert same(first, second)


@each_augmentation
def test_another_seed_gives_another_result_where_something_is_drawn(name: str, noises: Path) -> None:
    transform = transform_called(name, noises)
    results = [transform(clip(), rng(seed)) for seed in range(10)]
    differ = any(not same(results[0], other) for other in results[1:])
    assert differ == AUGMENTATIONS.get(name).is_random


@each_augmentation
def test_it_draws_from_its_generator_and_leaves_the_global_one_alone(name: str, noises: Path) -> None:
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    transform_called(name, noises)(voice(), rng(0))
    assert pickle.dumps(np.random.get_state()) == before  # noqa: NPY002


@each_augmentation
def test_a_clip_is_changed_but_its_own_samples_are_not(name: str, noises: Path) -> None:
    waveform = clip()
    before = waveform.copy()
    waveform.flags.writeable = False
    transform = transform_called(name, noises)
    results = [transform(waveform, rng(seed)) for seed in range(5)]
    assert same(waveform, before)
    assert any(not same(result, before) for result in results)
    assert not any(np.shares_memory(result, waveform) for result in results)


@each_augmentation
@pytest.mark.parametrize("sample_rate_hz", [8_000, 16_000, 22_050, 48_000])
def test_the_result_is_finite_float32_at_every_rate(name: str, sample_rate_hz: int, noises: Path) -> None:
    waveform = voice(0.6, sample_rate_hz)
    result = transform_called(name, noises, sample_rate_hz)(waveform, rng(0))
    assert result.dtype == np.float32
    assert result.ndim == 1
    assert np.isfinite(result).all()


@each_augmentation
@pytest.mark.parametrize("case", HARD)
def test_it_survives_hard_clips(name: str, case: str, noises: Path) -> None:
    transform = transform_called(name, noises)
    for seed in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = transform(HARD[case], rng(seed))
        assert result.dtype == np.float32
        assert len(result) >= 1
        assert np.isfinite(result).all()


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS.names() if AUGMENTATIONS.get(name).keeps_length])
def test_the_length_is_kept_where_that_is_promised(name: str, noises: Path) -> None:
    transform = transform_called(name, noises)
    for n_samples in (1, 7, 1_000, 16_001, 30_011):
        waveform = np.resize(voice(0.5), n_samples)
        assert {len(transform(waveform, rng(seed))) for seed in range(3)} == {n_samples}


@each_augmentation
def test_with_probability_zero_nothing_changes(name: str, noises: Path) -> None:
    transform = augmentation_called(name, noises, probability=0.0).made_for(RATE_HZ)
    waveform = voice(0.4)
    assert all(same(transform(waveform, rng(seed)), waveform) for seed in range(20))


@each_augmentation
def test_with_probability_a_half_about_half_of_the_clips_are_left_alone(name: str, noises: Path) -> None:
    transform = augmentation_called(name, noises, probability=0.5).made_for(RATE_HZ)
    waveform = voice(0.1)
    one = rng(0)
    n_untouched = sum(transform(waveform, one) is waveform for _ in range(200))
    assert 70 <= n_untouched <= 130


@each_augmentation
def test_it_can_be_sent_to_another_process(name: str, noises: Path) -> None:
    transform = transform_called(name, noises)
    sent: Transform = pickle.loads(pickle.dumps(transform))
    assert same(sent(voice(), rng(1)), transform(voice(), rng(1)))


@each_augmentation
def test_its_resolved_table_makes_the_same_again(name: str, noises: Path) -> None:
    table = {"name": name, **({"folder": str(noises)} if name == "noise-files" else {})}
    resolved = resolved_tables([table])
    assert set(resolved[0]) > {"name", "probability"} or name == "telephone"
    one, other = (build_chain(tables, RATE_HZ) for tables in ([table], resolved))
    assert same(one(voice(), rng(2)), other(voice(), rng(2)))


@each_augmentation
def test_it_says_what_it_does(name: str) -> None:
    kind = AUGMENTATIONS.get(name)
    assert kind.__doc__
    undocumented = (
        {field.name for field in fields(kind)} - {"probability"} - set(kind.__doc__.replace(",", " ").split())
    )
    assert not undocumented
