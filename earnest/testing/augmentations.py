"""Contract of augmentations of a waveform, tried on made-up voices and hard utterances."""

import pickle
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.random import default_rng

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Transform, build_chain
from earnest.settings.limits import from_mapping
from earnest.testing import Promise, expect
from earnest.testing.sounds import voice, write_voice

RATE_HZ = 16_000
HARD: Mapping[str, Waveform] = {
    "silence": np.zeros(8_000, np.float32),
    "a single sample": np.ones(1, np.float32),
    "a single silent sample": np.zeros(1, np.float32),
    "two samples": np.array([0.1, -0.1], np.float32),
    "a click in silence": np.eye(1, 8_000, 4_000, dtype=np.float32)[0],
    "beyond full scale": 8 * voice(0.3, seed=3),
    "hardly anything": np.float32(1e-20) * voice(0.3, seed=4),
    "ten seconds": voice(10, seed=5),
}


@contextmanager
def _settings(name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the example settings, with a folder of three recordings of noise for what needs one."""
    with TemporaryDirectory() as folder:
        for seed in range(3):
            write_voice(Path(folder) / f"noise-{seed}.wav", 0.7 + seed, seed=10 + seed)
        yield AUGMENTATIONS.get(name).example_settings(Path(folder))


@contextmanager
def _transform(name: str, sample_rate_hz: int = RATE_HZ, **changes: Any) -> Iterator[Transform]:
    with _settings(name) as settings:
        augmentation: Augmentation = from_mapping(AUGMENTATIONS.get(name), {**settings, **changes}, name)
        yield augmentation.made_for(sample_rate_hz)


def _clip() -> Waveform:
    """A voice between pauses of different lengths, 1.2 s."""
    return np.pad(voice(0.7), (3_200, 4_800))


def same_seed_gives_the_same_samples(name: str) -> None:
    """Runs can be repeated."""
    for seed in range(3):
        with _transform(name) as first:
            one = first(_clip(), default_rng(seed))
        with _transform(name) as second:
            other = second(_clip(), default_rng(seed))
        expect(np.array_equal(one, other), f"{name}: two results with seed {seed} differ; draw from rng alone")


def another_seed_gives_another_result_where_something_is_drawn(name: str) -> None:
    """``is_random`` is true."""
    with _transform(name) as transform:
        results = [transform(_clip(), default_rng(seed)) for seed in range(10)]
    differ, kind = any(not np.array_equal(results[0], other) for other in results[1:]), AUGMENTATIONS.get(name)
    found = "differ" if differ else "are the same"
    expect(differ == kind.is_random, f"{name}: is_random is {kind.is_random}, but the results of ten seeds {found}")


def global_generator_is_left_alone(name: str) -> None:
    """Nothing is drawn from NumPy's global generator."""
    before = pickle.dumps(np.random.get_state())  # noqa: NPY002
    with _transform(name) as transform:
        transform(voice(), default_rng(0))
    untouched = pickle.dumps(np.random.get_state()) == before  # noqa: NPY002
    expect(untouched, f"{name}: draws from NumPy's global generator; use rng")


def clip_is_changed_but_its_own_samples_are_not(name: str) -> None:
    """The result is another array, with other samples for one of five seeds."""
    waveform = _clip()
    before = waveform.copy()
    waveform.flags.writeable = False
    with _transform(name) as transform:
        results = [transform(waveform, default_rng(seed)) for seed in range(5)]
    expect(np.array_equal(waveform, before), f"{name}: modifies the samples that it is handed")
    expect(any(not np.array_equal(result, before) for result in results), f"{name}: changes nothing in five draws")
    shared = any(np.shares_memory(result, waveform) for result in results)
    expect(not shared, f"{name}: returns a view of the utterance; return a copy")


def result_is_finite_float32_at_every_rate(name: str) -> None:
    """At 8, 16, 22.05 and 48 kHz."""
    for sample_rate_hz in (8_000, 16_000, 22_050, 48_000):
        with _transform(name, sample_rate_hz) as transform:
            _expect_samples(transform(voice(0.6, sample_rate_hz), default_rng(0)), f"{name} at {sample_rate_hz} Hz")


def hard_clips_are_survived_without_a_warning(name: str) -> None:
    """Silence, one sample, clicks, very loud, very quiet and long utterances."""
    with _transform(name) as transform:
        for case, waveform in HARD.items():
            for seed in range(3):
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    result = transform(waveform, default_rng(seed))
                _expect_samples(result, f"{name} on {case}")


def _expect_samples(result: Waveform, what: str) -> None:
    right = result.dtype == np.float32 and result.ndim == 1 and len(result) >= 1
    expect(right, f"{what}: must give float32 of the shape (samples,), got {result.dtype} {result.shape}")
    expect(bool(np.isfinite(result).all()), f"{what}: gives samples that are not finite")


def length_is_kept_where_that_is_promised(name: str) -> None:
    """``keeps_length`` is true, for utterances of 1 to 30,011 samples."""
    if not AUGMENTATIONS.get(name).keeps_length:
        return
    with _transform(name) as transform:
        for n_samples in (1, 7, 1_000, 16_001, 30_011):
            waveform = np.resize(voice(0.5), n_samples)
            lengths = {len(transform(waveform, default_rng(seed))) for seed in range(3)}
            expect(lengths == {n_samples}, f"{name}: {n_samples} samples become {lengths}; set keeps_length = False")


def probability_zero_changes_nothing(name: str) -> None:
    """In twenty draws."""
    waveform = voice(0.4)
    with _transform(name, probability=0.0) as transform:
        untouched = all(np.array_equal(transform(waveform, default_rng(seed)), waveform) for seed in range(20))
    expect(untouched, f"{name}: changes an utterance with probability 0")


def probability_a_half_leaves_about_half_of_the_clips_alone(name: str) -> None:
    """70 to 130 of 200 utterances come back as they are."""
    waveform, rng = voice(0.1), default_rng(0)
    with _transform(name, probability=0.5) as transform:
        n_untouched = sum(transform(waveform, rng) is waveform for _ in range(200))
    expect(
        70 <= n_untouched <= 130, f"{name}: {n_untouched} of 200 utterances come back untouched with probability 0.5"
    )


def transform_can_be_sent_to_another_process(name: str) -> None:
    """By pickle, as workers of training do."""
    with _transform(name) as transform:
        sent: Transform = pickle.loads(pickle.dumps(transform))
        same = np.array_equal(sent(voice(), default_rng(1)), transform(voice(), default_rng(1)))
    expect(same, f"{name}: pickled and back it gives other samples")


def resolved_table_names_every_setting_and_gives_the_same_samples(name: str) -> None:
    """The settings kept in a run folder are enough to repeat it."""
    with _settings(name) as settings:
        table = {"name": name, **settings}
        resolved = resolved_tables([table])
        one, other = (build_chain(tables, RATE_HZ)(voice(), default_rng(2)) for tables in ([table], resolved))
    named = {"name", *(field.name for field in fields(AUGMENTATIONS.get(name)))}
    expect(set(resolved[0]) == named, f"{name}: the resolved table has {sorted(resolved[0])}, not {sorted(named)}")
    expect(np.array_equal(one, other), f"{name}: its resolved table gives other samples")


def docstring_names_every_setting(name: str) -> None:
    """A user reads there what they do."""
    kind = AUGMENTATIONS.get(name)
    words = set((kind.__doc__ or "").replace(",", " ").split())
    expect(bool(words), f"{name}: {kind.__name__} has no docstring")
    undocumented = {field.name for field in fields(kind)} - {"probability"} - words
    expect(not undocumented, f"{name}: the docstring leaves out {', '.join(sorted(undocumented))}")


PROMISES: tuple[Promise, ...] = (
    same_seed_gives_the_same_samples,
    another_seed_gives_another_result_where_something_is_drawn,
    global_generator_is_left_alone,
    clip_is_changed_but_its_own_samples_are_not,
    result_is_finite_float32_at_every_rate,
    hard_clips_are_survived_without_a_warning,
    length_is_kept_where_that_is_promised,
    probability_zero_changes_nothing,
    probability_a_half_leaves_about_half_of_the_clips_alone,
    transform_can_be_sent_to_another_process,
    resolved_table_names_every_setting_and_gives_the_same_samples,
    docstring_names_every_setting,
)


def resolved_tables(tables: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return ``[[augment]]`` tables with every default spelled out, as the augmentations read them."""
    return tuple(_resolved(**table) for table in tables)


def _resolved(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, **asdict(from_mapping(AUGMENTATIONS.get(name), settings, name))}
