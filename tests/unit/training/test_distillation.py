"""A student that imitates a teacher: what is compared, at which pace, and that it can be learned and resumed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_corpus import spoken, write_corpus
from safetensors.torch import load_file
from torch import Tensor, nn

from earnest.augment.chain import build_choice
from earnest.config import from_mapping
from earnest.corpora.manifest import Utterance, read_manifest
from earnest.errors import EarnestError, RecipeError
from earnest.front_end import PRESETS, FrontEnd
from earnest.frontends.log_mel import LogMel
from earnest.models.student import StudentEncoder, StudentSettings
from earnest.recipe import Recipe
from earnest.training import distillation
from earnest.training.distillation import Distillation, distil, imitation_errors, read_distillation
from earnest.training.lessons import Lesson, Teacher, Variants, make_lessons, similar_lengths, standardised
from earnest.training.run import initial_classifier

TEACHER = {"width": 24, "n_heads": 2, "feed_forward_width": 32, "n_blocks": 1, "pooled_blocks": [1]}
STUDENT = {"width": 16, "n_blocks": 2, "token_width": 24}
FRONT_END = FrontEnd(n_fft=400, win_length=400, hop_length=320, n_mels=24, decibel_reference="one", trim="peak")
SETTINGS = Distillation(
    ("made-up",), (1.0,), PRESETS["whisper"], TEACHER, FRONT_END, STUDENT, epochs=6, batch_size=8, learning_rate=1e-2
)


class Fixed(nn.Module):
    """Says the same tokens whatever it hears."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, frames: Tensor, n_frames: Tensor) -> tuple[Tensor, Tensor]:
        return self.tokens, torch.arange(self.tokens.shape[2])[None] < n_frames[:, None]


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    return read_manifest(write_corpus(tmp_path_factory.mktemp("corpus"), n_speakers=4, n_takes=2))


def test_an_equal_student_has_no_error_and_padding_does_not_count() -> None:
    tokens = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0))
    disturbed = tokens.clone()
    disturbed[0, :, 5:] = 100.0
    single, pooled = imitation_errors(Fixed(disturbed), tokens, torch.tensor([5, 9]), tokens, torch.ones(6))
    assert float(single) == float(pooled) == 0.0


def test_a_student_that_says_nothing_has_the_tokens_variance_as_error() -> None:
    tokens = torch.randn(4, 8, 500, generator=torch.Generator().manual_seed(0))
    n_frames = torch.full((4,), 500)
    single, _ = imitation_errors(Fixed(torch.zeros_like(tokens)), tokens, n_frames, tokens, torch.ones(16))
    assert float(single) == pytest.approx(1.0, abs=0.03)


def test_the_teacher_is_heard_at_the_students_pace() -> None:
    teacher = Teacher(PRESETS["whisper"], TEACHER, student_hop=640)
    assert teacher.tokens(spoken("happy", 1, 0)[:8_000]).shape == (24, 13)  # 0.5 s at 40 ms, ends included
    with pytest.raises(RecipeError, match="multiple of 320"):
        Teacher(PRESETS["whisper"], TEACHER, student_hop=500)


def test_frames_and_tokens_cover_the_same_sound_without_the_silence(utterances: list[Utterance]) -> None:
    teacher = Teacher(PRESETS["whisper"], TEACHER, student_hop=640)
    for lesson in make_lessons(utterances[:4], LogMel(replace(FRONT_END, trim="none")), teacher, Variants((1.0, 1.25))):
        steps = (lesson.frames.shape[1] - 1) // 2 + 1
        assert abs(steps - lesson.tokens.shape[1]) <= 1


def test_speed_shortens_a_lesson(utterances: list[Utterance]) -> None:
    teacher = Teacher(PRESETS["whisper"], TEACHER, student_hop=640)
    plain, fast = make_lessons(utterances[:1], LogMel(replace(FRONT_END, trim="none")), teacher, Variants((1.0, 1.25)))
    assert fast.frames.shape[1] == pytest.approx(plain.frames.shape[1] / 1.25, abs=1)


def test_standardised_tokens_have_mean_zero_and_deviation_one(utterances: list[Utterance]) -> None:
    teacher = Teacher(PRESETS["whisper"], TEACHER, student_hop=640)
    lessons = standardised(make_lessons(utterances[:6], LogMel(replace(FRONT_END, trim="none")), teacher, Variants()))
    tokens = torch.cat([lesson.tokens.float() for lesson in lessons], dim=1)
    torch.testing.assert_close(tokens.mean(dim=1), torch.zeros(24), atol=2e-3, rtol=0)
    torch.testing.assert_close(tokens.std(dim=1), torch.ones(24), atol=2e-2, rtol=0)


def test_batches_hold_similar_lengths_once_each_in_an_order_of_seed_and_epoch(utterances: list[Utterance]) -> None:
    teacher = Teacher(PRESETS["whisper"], TEACHER, student_hop=640)
    lessons = make_lessons(utterances, LogMel(replace(FRONT_END, trim="none")), teacher, Variants())
    batches = similar_lengths(lessons, 8, seed=0, epoch=1)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lessons)))
    assert batches == similar_lengths(lessons, 8, seed=0, epoch=1) != similar_lengths(lessons, 8, seed=0, epoch=2)
    spreads = [np.ptp([lessons[position].frames.shape[1] for position in batch]) for batch in batches]
    assert np.mean(spreads) < np.ptp([lesson.frames.shape[1] for lesson in lessons])


def test_a_student_learns_and_a_recipe_starts_from_its_weights(utterances: list[Utterance], tmp_path: Path) -> None:
    history = distil(SETTINGS, utterances, tmp_path / "student")
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_pooled_error"] < 0.7 * history[0]["train_pooled_error"]
    by_tokens = distil(replace(SETTINGS, pooled_weight=0.0), utterances, tmp_path / "by-tokens")
    assert by_tokens[-1]["train_token_error"] < 0.8 * by_tokens[0]["train_token_error"]
    network = {**STUDENT, "weights": str(tmp_path / "student"), "frozen": True}
    recipe = Recipe("made-up", "student-statistics", front_end=FRONT_END, network=network)
    network_started = initial_classifier(recipe, ("a", "b", "c")).network
    assert str(network_started.origin).endswith(
        "imitates block 1 of a random teacher on the sound of made-up, without its labels"
    )
    started = network_started.state_dict()
    for name, tensor in load_file(tmp_path / "student" / "model.safetensors").items():
        assert torch.equal(started[name], tensor.to(started[name].dtype))


def test_a_folded_student_says_the_same() -> None:
    torch.manual_seed(0)
    student = StudentEncoder(24, from_mapping(StudentSettings, STUDENT, "")).eval()
    for module in student.modules():
        if isinstance(module, nn.BatchNorm1d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 2.0)
    frames, n_frames = 10 * torch.randn(2, 24, 50) - 40, torch.tensor([50, 31])
    torch.testing.assert_close(student.folded()(frames, n_frames)[0], student(frames, n_frames)[0], atol=1e-4, rtol=0)


def test_a_killed_distillation_ends_with_the_same_weights(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distil(SETTINGS, utterances, tmp_path / "whole")
    whole_epoch = distillation.Imitation.on_train_epoch_end

    def dying(self: distillation.Imitation) -> None:
        if self.current_epoch == 3:
            raise KeyboardInterrupt
        whole_epoch(self)

    monkeypatch.setattr(distillation.Imitation, "on_train_epoch_end", dying)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        distil(SETTINGS, utterances, tmp_path / "killed")
    assert not (tmp_path / "killed" / "model.safetensors").exists()
    monkeypatch.undo()
    assert len(distil(SETTINGS, utterances, tmp_path / "killed")) == 6
    one, other = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert one.read_bytes() == other.read_bytes()


def test_another_distillation_does_not_write_into_the_folder(utterances: list[Utterance], tmp_path: Path) -> None:
    distil(replace(SETTINGS, epochs=1), utterances[:12], tmp_path)
    with pytest.raises(RecipeError, match="another distillation"):
        distil(replace(SETTINGS, epochs=3), utterances, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('corpus = ["emodb"]\nepochz = 3\n', "epochs"),
        ('corpus = ["emodb"]\nspeeds = [9.0]\n', "speeds"),
        ('corpus = ["emodb"]\n[front_end]\npreset = "wisper"\n', "whisper"),
    ],
)
def test_wrong_settings_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(EarnestError, match=message):
        read_distillation(tmp_path)


def test_widths_that_do_not_fit_are_refused(utterances: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="token_width must be 24"):
        distil(replace(SETTINGS, student={**STUDENT, "token_width": 20}), utterances, tmp_path)
    with pytest.raises(RecipeError, match="odd"):
        StudentSettings(kernel=4)


def test_the_recipes_in_the_repository_are_read() -> None:
    for path in (Path(__file__).parents[3] / "recipes" / "distillation").glob("*.toml"):
        assert read_distillation(path).epochs > 1


def test_every_epoch_has_its_own_order(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    plain = similar_lengths

    def noted(lessons: list[Lesson], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
        epochs.append(epoch)
        return plain(lessons, batch_size, seed, epoch)

    monkeypatch.setattr(distillation, "similar_lengths", noted)
    distil(replace(SETTINGS, epochs=3), utterances, tmp_path)
    assert epochs == [0, 1, 2]


def test_of_changed_copies_the_teacher_hears_the_plain_sound(utterances: list[Utterance]) -> None:
    teacher = Teacher(PRESETS["whisper"], TEACHER, student_hop=640)
    front_end = LogMel(replace(FRONT_END, trim="none"))
    change = build_choice([{"name": "coloured-noise", "snr_db": [0, 0]}], front_end.settings.sample_rate_hz)
    plain, one, other = make_lessons(utterances[:1], front_end, teacher, Variants(copies=2, change=change))
    assert torch.equal(plain.tokens, one.tokens)
    assert plain.frames.shape == one.frames.shape == other.frames.shape
    assert not torch.equal(plain.frames, one.frames)
    assert not torch.equal(one.frames, other.frames)
    again = make_lessons(utterances[:1], front_end, teacher, Variants(copies=2, change=change))
    assert torch.equal(again[2].frames, other.frames)


def test_copies_and_augmentations_need_each_other() -> None:
    with pytest.raises(RecipeError, match="augment"):
        replace(SETTINGS, augmented_copies=1)
