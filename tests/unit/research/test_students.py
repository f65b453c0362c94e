"""What a student is taught: batches of changed clips, what the teacher says to them, and in which order."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from made_up_corpus import write_corpus

from earnest.corpora.manifest import read_manifest
from earnest.errors import RecipeError
from earnest.frontends.log_mel import LogMel
from earnest.settings.front_end import FrontEnd
from earnest.settings.recipe import FrameChanges
from research.students import (
    HEARD_AGAIN_WITHIN,
    UNCHANGED,
    ClipChanges,
    DistillationTarget,
    SimilarLengths,
    TargetBatches,
    Teacher,
    by_length,
    make_targets,
    padded,
)

TEACHER = {"width": 24, "n_heads": 2, "feed_forward_width": 32, "n_blocks": 1, "pooled_blocks": [1]}
FRONT_END = FrontEnd(
    n_fft=400, win_length=400, hop_length=160, n_mels=24, decibel_reference="one", top_db=80.0, trim="peak"
)


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> list[DistillationTarget]:
    manifest = write_corpus(tmp_path_factory.mktemp("corpus"), n_speakers=3, n_takes=2)
    return make_targets(read_manifest(manifest), LogMel(FRONT_END))


@pytest.fixture
def teacher() -> Teacher:
    return Teacher(24, [TEACHER], 2)


def batches(targets: list[DistillationTarget], teacher: Teacher) -> TargetBatches:
    changes = ClipChanges(FrameChanges(spliced=0.9, stretch=0.9), [], 80.0)
    return TargetBatches(targets, teacher, changes, seed=0, repeats=2)


def test_the_teacher_says_one_token_for_two_of_its_steps(teacher: Teacher) -> None:
    frames = torch.randn(2, 24, 50) - 40
    tokens, heard = teacher.tokens(frames, torch.tensor([50, 30]))
    assert (tokens.shape, heard.sum(dim=1).tolist()) == ((2, 13, 24), [13, 8])
    with pytest.raises(RecipeError, match="divisor of the student's, 2"):
        Teacher(24, [{**TEACHER, "tokens_per_step": 4}], 2)


def test_teachers_speak_side_by_side_in_step_with_the_student(teacher: Teacher) -> None:
    other = {**TEACHER, "width": 16, "n_blocks": 2, "tokens_per_step": 2}
    frames, n_frames = torch.randn(2, 24, 50) - 40, torch.tensor([50, 30])
    together = Teacher(24, [TEACHER, other], 2)
    tokens, heard = together.tokens(frames, n_frames)
    assert (tokens.shape, heard.sum(dim=1).tolist(), together.widths) == ((2, 13, 40), [13, 8], [24, 16])
    assert torch.equal(tokens[:, :, :24], teacher.tokens(frames, n_frames)[0])
    with pytest.raises(RecipeError, match="equal statistics"):
        Teacher(24, [TEACHER, {**other, "statistics": ["mean"]}], 2)


def test_neighbours_in_a_batch_change_no_token(teacher: Teacher, targets: list[DistillationTarget]) -> None:
    together, heard = teacher.tokens(*padded([lesson.frames for lesson in targets[:4]]))
    for row, lesson in enumerate(targets[:4]):
        alone, _ = teacher.tokens(*padded([lesson.frames]))
        torch.testing.assert_close(together[row][heard[row]], alone[0], atol=1e-4, rtol=0)


def test_standardised_tokens_have_mean_zero_and_deviation_one(
    teacher: Teacher, targets: list[DistillationTarget]
) -> None:
    spread = teacher.standardise(targets, 5)
    spoken = [teacher.tokens(*padded([lesson.frames]))[0][0] for lesson in targets]
    tokens = torch.cat(spoken)
    torch.testing.assert_close(tokens.mean(dim=0), torch.zeros(24), atol=1e-3, rtol=0)
    torch.testing.assert_close(tokens.std(dim=0), torch.ones(24), atol=1e-2, rtol=0)
    means = torch.stack([one.mean(dim=0) for one in spoken])
    torch.testing.assert_close(spread[:24], means.std(dim=0), atol=1e-3, rtol=0)


def test_batches_hold_similar_lengths(targets: list[DistillationTarget]) -> None:
    found = list(by_length(targets, 6, np.random.default_rng(0)))
    assert sorted(position for batch in found for position in batch) == list(range(len(targets)))
    spreads = [np.ptp([targets[position].frames.shape[1] for position in batch]) for batch in found]
    assert np.mean(spreads) < np.ptp([lesson.frames.shape[1] for lesson in targets])


def test_every_batch_is_heard_so_many_times_soon_after_each_other(
    targets: list[DistillationTarget],
) -> None:
    keys = SimilarLengths(targets * 20, 4, repeats=3, seed=0)
    keys.set_epoch(2)
    order = list(keys)
    assert len(order) == len(keys) == 3 * 120
    assert {epoch for epoch, _, _ in order} == {2}
    numbers = [number for _, number, _ in order]
    assert set(Counter(numbers).values()) == {3}
    apart = [numbers[::-1].index(number) + numbers.index(number) for number in range(120)]
    assert max(len(numbers) - 1 - distance for distance in apart) <= 3 * (HEARD_AGAIN_WITHIN + 1)
    assert order == list(keys)
    keys.set_epoch(3)
    assert numbers != [number for _, number, _ in keys]


def test_a_batch_changes_with_the_epoch_and_not_when_heard_again(
    teacher: Teacher, targets: list[DistillationTarget]
) -> None:
    taught = batches(targets, teacher)
    one, again, later = taught[(0, 0, (0, 1, 2))], taught[(0, 0, (0, 1, 2))], taught[(1, 0, (0, 1, 2))]
    assert all(torch.equal(first, second) for first, second in zip(one, again, strict=True))
    assert one[0].shape != later[0].shape or not torch.equal(one[0], later[0])
    afresh = batches(targets, teacher)[(1, 0, (0, 1, 2))]
    assert all(torch.equal(first, second) for first, second in zip(later, afresh, strict=True))


def test_the_teacher_hears_what_the_student_hears(teacher: Teacher, targets: list[DistillationTarget]) -> None:
    frames, n_frames, tokens, _ = batches(targets, teacher)[(0, 0, (3, 4))]
    torch.testing.assert_close(teacher.tokens(frames, n_frames)[0], tokens, atol=2e-2, rtol=0)


def test_without_an_epoch_nothing_is_changed(teacher: Teacher, targets: list[DistillationTarget]) -> None:
    frames, n_frames, _, _ = batches(targets, teacher)[(UNCHANGED, 0, (5, 6))]
    assert n_frames.tolist() == [targets[row].frames.shape[1] for row in (5, 6)]
    assert torch.equal(frames[0, :, : n_frames[0]], targets[5].frames.float())


def test_lessons_are_without_the_silence_at_the_ends(tmp_path: Path) -> None:
    utterance = read_manifest(write_corpus(tmp_path, n_speakers=1, n_takes=1))[0]
    waveform, rate_hz = soundfile.read(utterance.path)
    soundfile.write(utterance.path, np.concatenate([np.zeros(8_000), waveform, np.zeros(8_000)]), rate_hz)
    lesson = make_targets([utterance], LogMel(FRONT_END))[0]
    assert lesson.frames.shape[1] < len(waveform) / 160 + 20


@pytest.mark.parametrize("denoising", [False, True])
def test_a_teacher_of_denoising_hears_clips_as_they_were_before_the_noise(
    teacher: Teacher, targets: list[DistillationTarget], denoising: bool
) -> None:
    noise = torch.randn(24, 400, generator=torch.Generator().manual_seed(0)) - 20
    speech = FrameChanges(crop=0, stretch=0, noisy=0, narrow=0, masked=0, backward=1)
    noisy = replace(speech, noisy=1, snr_db=(0.0, 0.0))
    key = (0, 0, tuple(range(4)))
    clean_frames, _, clean_tokens, _ = TargetBatches(targets, teacher, ClipChanges(speech, [], 80.0), seed=0)[key]
    frames, _, tokens, _ = TargetBatches(targets, teacher, ClipChanges(noisy, [noise], 80.0), 0, denoising)[key]
    assert (frames - clean_frames).abs().mean() > 1
    assert torch.equal(tokens, clean_tokens) is denoising
