"""Augmented training clips: new in every epoch, the same in every run, and never heard in validation."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from earnest.audio.waveform import Waveform
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.frontends.log_mel import LogMel, compute_frames
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import Training
from earnest.testing.sounds import voice
from earnest.training.batches import (
    Augmented,
    AugmentedBatches,
    Batch,
    Draw,
    EpochShuffle,
    Ranks,
    SharedBatches,
    Strategy,
    oversampled,
    pad_batch,
    train_batches,
)
from earnest.training.examples import Example, kept

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
        shuffle = EpochShuffle([0] * 20, seed)
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


FRONT_END = LogMel(FrontEnd(n_fft=512, win_length=400, hop_length=160, n_mels=20))


def louder(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    return (waveform + rng.normal(0, 0.01, len(waveform))).astype(np.float32)


def clip(number: int, target: int = 0, keep: bool = True) -> Example:
    waveform = voice(0.3 + 0.02 * number, 16_000, seed=number)
    row = Utterance(str(number), Path("a.wav"), corpus="made-up")
    frames = compute_frames(FRONT_END, waveform)
    return Example(row, frames, target, 0.3, waveform=kept(waveform) if keep else None)


CLIPS = [clip(number, target=number % 3 // 2) for number in range(9)]


def augmented(**settings: float) -> Augmented:
    return Augmented(CLIPS, FRONT_END, louder, Training(**settings))  # type: ignore[arg-type]


def epoch_of(clips: Augmented, epoch: int, size: int = 4, oversample: str = "none") -> list[Batch]:
    batches = train_batches(clips, size, seed=3, oversample=oversample)  # type: ignore[arg-type]
    assert isinstance(batches, AugmentedBatches)
    batches.batch_sampler.sampler.set_epoch(epoch)
    return list(batches)


def test_every_epoch_sounds_new_and_every_run_the_same() -> None:
    frames = [augmented().drawn(Draw(2, epoch)).frames for epoch in (0, 1, 1)]
    assert not torch.equal(frames[0], frames[1])
    assert torch.equal(frames[1], frames[2])
    assert not torch.equal(frames[1], augmented(seed=1).drawn(Draw(2, 1)).frames)
    assert not torch.equal(frames[1], augmented().drawn(Draw(2, 1, repetition=1)).frames)


def test_a_clip_sounds_the_same_whatever_the_batches_are() -> None:
    def by_clip(size: int) -> dict[float, torch.Tensor]:
        rows: Iterator[tuple[torch.Tensor, int]] = (
            (row, int(count))
            for batch in epoch_of(augmented(), 2, size)
            for row, count in zip(batch.frames, batch.n_frames, strict=True)
        )
        return {count: row[:, :count] for row, count in rows}

    alone, together = by_clip(2), by_clip(9)
    assert len(together) == 9
    assert all(torch.equal(frames, together[count]) for count, frames in alone.items())


def test_an_epoch_does_not_depend_on_the_ones_before_it() -> None:
    clips = augmented()
    batches = train_batches(clips, 4, seed=3)
    assert isinstance(batches, AugmentedBatches)
    for epoch in range(3):
        batches.batch_sampler.sampler.set_epoch(epoch)
        found = list(batches)
    for one, other in zip(found, epoch_of(augmented(), 2), strict=True):
        assert torch.equal(one.frames, other.frames)
        assert torch.equal(one.targets, other.targets)


def test_its_batches_leave_the_networks_random_numbers_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    epoch_of(augmented(), 0)
    assert torch.equal(torch.rand(3), expected)


def test_unaugmented_clips_are_the_cached_ones_in_the_same_order() -> None:
    clean = list(train_batches(CLIPS, 4, seed=3))
    for one, other in zip(epoch_of(augmented(clean_share=1.0), 0), clean, strict=True):
        assert torch.equal(one.frames, other.frames)


def test_the_clean_share_is_how_many_are_left_as_they_are() -> None:
    clips = augmented(clean_share=0.3)
    same = [
        torch.equal(clips.drawn(Draw(number, epoch)).frames, CLIPS[number].frames)
        for epoch in range(40)
        for number in range(9)
    ]
    assert np.mean(same) == pytest.approx(0.3, abs=0.08)


def test_an_error_of_somebodys_augmentation_says_at_which_recording() -> None:
    def failing(waveform: Waveform, rng: np.random.Generator) -> Waveform:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        Augmented(CLIPS, FRONT_END, failing, Training()).drawn(Draw(2, epoch=4))
    assert caught.value.__notes__ == ["Augmenting a.wav, epoch 5."]


def test_for_stability_training_each_clip_comes_plain_and_augmented() -> None:
    (batch,) = epoch_of(augmented(stability_weight=0.5), 1, size=9)
    assert batch.noisy_frames is not None
    assert batch.n_noisy_frames is not None
    assert torch.equal(batch.n_frames, batch.n_noisy_frames)
    assert not torch.equal(batch.frames, batch.noisy_frames)
    plain = {example.frames.shape[1]: example.frames for example in CLIPS}
    for row, count in zip(batch.frames, batch.n_frames.tolist(), strict=True):
        assert torch.equal(row[:, :count], plain[count])


def test_oversampled_epochs_hold_every_clip_and_small_classes_more_often() -> None:
    batches = epoch_of(augmented(), 0, oversample="balanced")
    targets = torch.cat([batch.targets for batch in batches])
    assert targets.bincount().tolist() == [6, 6]  # of six and three
    lengths = torch.cat([batch.n_frames for batch in batches]).tolist()
    assert len(set(lengths)) == 9
    rows = [row[:, :count] for batch in batches for row, count in zip(batch.frames, batch.n_frames, strict=True)]
    twice = [row for row in rows if lengths.count(row.shape[1]) > 1]
    assert not torch.equal(twice[0], next(row for row in twice[1:] if row.shape == twice[0].shape))


def test_as_a_sequence_the_clips_are_as_they_are() -> None:
    clips = augmented()
    assert [clips[number] for number in range(len(clips))] == list(clips) == CLIPS


def test_clips_without_waveforms_are_refused() -> None:
    with pytest.raises(CorpusError, match="without their waveforms"):
        Augmented([clip(0, keep=False)], FRONT_END, louder, Training())


def test_an_error_in_the_thread_reaches_the_training() -> None:
    def broken(waveform: Waveform, rng: np.random.Generator) -> Waveform:
        raise CorpusError("no noise")

    with pytest.raises(CorpusError, match="no noise"):
        list(train_batches(Augmented(CLIPS, FRONT_END, broken, Training()), 4, seed=0))


def test_batches_say_what_is_unknown() -> None:
    known = Example(CLIPS[0].utterance, CLIPS[0].frames, 1, 0.3, gender=1, affect=(0.1, 0.2, 0.3))
    batch = pad_batch([known, CLIPS[1]])
    assert batch.genders.tolist() == [1, -1]
    assert batch.affect[0].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert batch.affect[1].isnan().all()


@pytest.mark.parametrize(("count", "size"), [(9, 4), (8, 4), (11, 8)])
def test_the_slices_of_ranks_are_the_batches_of_one_process(count: int, size: int) -> None:
    sampler = EpochShuffle([0] * count, seed=3)
    whole = list(SharedBatches(sampler, size))
    slices = [SharedBatches(sampler, size, Ranks(rank, 2)) for rank in range(2)]
    together = list(zip(*slices, strict=True))
    assert len(together) == len(slices[0]) == sum(len(batch) >= 4 for batch in whole)  # two clips for each rank
    for number, (parts, batch) in enumerate(zip(together, whole, strict=False)):
        assert sorted(parts[0] + parts[1]) == sorted(batch)
        weights = [one.weight(number, len(part)) for one, part in zip(slices, parts, strict=True)]
        assert weights == pytest.approx([2 * len(part) / len(batch) for part in parts])


def test_ranks_hear_the_draws_of_one_process() -> None:
    whole = epoch_of(augmented(), 1, size=8)
    parts = []
    for rank in range(2):
        batches = train_batches(augmented(), 8, 3, ranks=Ranks(rank, 2))
        batches.batch_sampler.sampler.set_epoch(1)  # type: ignore[union-attr]
        parts.append(next(iter(batches)))
    for number, (count, row) in enumerate(zip(whole[0].n_frames, whole[0].frames, strict=True)):
        part, place = parts[number % 2], number // 2
        assert torch.equal(part.frames[place, :, :count], row[:, :count])
