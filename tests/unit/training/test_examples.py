"""Utterances to batches: nothing dropped silently, an order that a resumed run repeats, oversampling."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.frontends.log_mel import LogMel
from earnest.labels import scheme_called
from earnest.settings.front_end import FrontEnd
from earnest.testing.sounds import write_voice
from earnest.training.batches import train_batches
from earnest.training.examples import EpochShuffle, Example, Strategy, compute_examples, oversampled, pad_batch

TARGETS = [0] * 10 + [1] * 4 + [2] * 7 + [3] * 2


def counts(strategy: Strategy, targets: list[int] | None = None, seed: int = 0) -> list[int]:
    targets = TARGETS if targets is None else targets
    chosen = oversampled(targets, strategy, np.random.default_rng(seed))
    return np.bincount(np.asarray(targets)[chosen], minlength=4).tolist()


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("minority", [10, 4, 7, 10]), ("minority-twice", [10, 10, 7, 10]), ("balanced", [10, 10, 10, 10])],
)
def test_small_classes_grow_to_the_size_of_the_largest(strategy: Strategy, expected: list[int]) -> None:
    assert counts(strategy) == expected


@given(targets=st.lists(st.integers(0, 5), max_size=60), seed=st.integers(0, 1_000))
@pytest.mark.parametrize("strategy", ["minority", "minority-twice", "balanced"])
def test_every_clip_comes_first_and_once_then_the_repetitions(
    strategy: Strategy, targets: list[int], seed: int
) -> None:
    chosen = oversampled(targets, strategy, np.random.default_rng(seed))
    assert chosen[: len(targets)].tolist() == list(range(len(targets)))
    assert set(chosen.tolist()) == set(range(len(targets)))


def test_repetitions_depend_on_the_seed_and_nothing_else() -> None:
    first, second, other = (oversampled(TARGETS, "balanced", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.tolist() == second.tolist()
    assert first.tolist() != other.tolist()


def test_balanced_classes_stay_as_they_are() -> None:
    assert len(oversampled([0, 1, 0, 1], "balanced", np.random.default_rng(0))) == 4


FRONT_END = FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=40)


def example(index: int, frames: int) -> Example:
    values = torch.full((4, frames), float(index)) - torch.arange(frames)
    return Example(Utterance(str(index), Path("a.wav"), corpus="made-up"), values, index % 3, 1.0)


def test_padding_lies_at_each_clips_own_floor() -> None:
    frames, n_frames, targets, *_ = pad_batch([example(0, 2), example(5, 6)])
    assert frames.shape == (2, 4, 6)
    assert n_frames.tolist() == [2, 6]
    assert targets.tolist() == [0, 2]
    assert (frames[0, :, 2:] == -1.0).all()


def test_waveforms_are_continued_with_silence() -> None:
    clips = [replace(example(number, 2), frames=torch.full((1, size), -0.5)) for number, size in enumerate((3, 7))]
    frames, *_ = pad_batch(clips)
    assert (frames[0, 0, :3] == -0.5).all()
    assert (frames[0, 0, 3:] == 0).all()


def test_every_epoch_has_its_own_order_that_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        shuffle = EpochShuffle(20, seed)
        shuffle.set_epoch(epoch)
        return list(shuffle)

    assert sorted(order(0, 0)) == list(range(20))
    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize(
    ("count", "size", "expected"), [(9, 4, [4, 4]), (8, 4, [4, 4]), (10, 4, [4, 4, 2]), (3, 8, [3])]
)
def test_a_last_batch_of_one_is_left_out(count: int, size: int, expected: list[int]) -> None:
    batches = train_batches([example(index, 3) for index in range(count)], size, seed=0)
    assert [len(batch.n_frames) for batch in batches] == expected


def test_parts_of_a_file_and_dropped_labels(tmp_path: Path) -> None:
    path = write_voice(tmp_path / "a.wav", seconds=2.0)
    rows = [
        Utterance("whole", path, corpus="made-up", emotion="happy"),
        Utterance("part", path, 0.5, 1.0, corpus="made-up", emotion="sad"),
        Utterance("dropped", path, corpus="made-up", emotion="calm"),
    ]
    ticks: list[int] = []
    found = compute_examples(LogMel(FRONT_END), rows, scheme_called("six"), lambda: ticks.append(1))
    assert list(found) == ["made-up/whole", "made-up/part"]
    assert len(ticks) == 3
    assert [one.target for one in found.values()] == [1, 2]
    assert [one.frames.shape for one in found.values()] == [(40, 201), (40, 51)]
    assert [one.duration_s for one in found.values()] == [2.0, 0.5]


def test_unreadable_recordings_are_counted_and_named(tmp_path: Path) -> None:
    good = write_voice(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    rows = [
        Utterance("good", good, corpus="made-up", emotion="happy"),
        *(Utterance(str(number), tmp_path / "bad.wav", corpus="made-up", emotion="sad") for number in range(7)),
    ]
    with pytest.raises(CorpusError, match=r"7 recordings can't be read") as error:
        compute_examples(LogMel(FRONT_END), rows, scheme_called("six"))
    assert "bad.wav" in str(error.value)
    assert "earnest corpus manifest" in str(error.value)


def test_frames_do_not_depend_on_the_order_of_the_clips(tmp_path: Path) -> None:
    rows = [
        Utterance(str(seed), write_voice(tmp_path / f"{seed}.wav", seed=seed), corpus="made-up", emotion="happy")
        for seed in range(3)
    ]
    forward = compute_examples(LogMel(FRONT_END), rows, scheme_called("six"))
    backward = compute_examples(LogMel(FRONT_END), rows[::-1], scheme_called("six"))
    for key, one in forward.items():
        np.testing.assert_array_equal(one.frames.numpy(), backward[key].frames.numpy())
