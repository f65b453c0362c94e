"""A student that imitates a teacher: what both hear, what is compared, and that it can be learned and resumed."""

import json
import os
import pickle
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_corpus import write_corpus
from safetensors.torch import load_file, save_file
from torch import Tensor

from earnest.corpora.manifest import Utterance, read_manifest
from earnest.errors import CorpusError, EarnestError, RecipeError
from earnest.models.pretrained import KNOWN_SPEAKERS, SCALE, read_origin
from earnest.models.student import StudentSettings
from earnest.models.whisper import WhisperSettings, WhisperStatistics, mean_alone, mean_and_deviation
from earnest.settings.front_end import FrontEnd
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import FrameChanges, Recipe
from earnest.testing.sounds import write_voice
from earnest.training.run import initial_classifier
from research import distillation
from research.distillation import Distillation, DistillationErrors, distil, read_distillation, sound_of
from research.finetuning import Pruning
from research.settings import packed_state
from research.students import ClipChanges, DistillationTarget, Said, TargetBatches, Taught, Teacher

pytestmark = pytest.mark.long

TEACHER = {"width": 24, "n_heads": 2, "feed_forward_width": 32, "n_blocks": 1, "pooled_blocks": [1]}
STUDENT = {"width": 16, "n_blocks": 2, "feed_forward_width": 32, "token_width": 24}
FRONT_END = FrontEnd(
    n_fft=400, win_length=400, hop_length=160, n_mels=24, decibel_reference="one", top_db=80.0, trim="peak"
)
CHANGES = FrameChanges(backward=0.3, spliced=0.5, warped=0.5, expanded=0.2, coloured=0.3, narrow=0.0)
SETTINGS = Distillation(
    ("made-up",), FRONT_END, (TEACHER,), STUDENT, CHANGES, repeats=2, epochs=6, batch_size=8, learning_rate=1e-2
)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    return read_manifest(write_corpus(tmp_path_factory.mktemp("corpus"), n_speakers=4, n_takes=2))


def said(tokens: Tensor, n_heard: list[int]) -> Said:
    """Return what a student says whose own tokens are the teacher's."""
    return Said(tokens, tokens, torch.arange(tokens.shape[1])[None] < torch.tensor(n_heard)[:, None])


def taught(tokens: Tensor, before: Tensor | None = None) -> Taught:
    """Return a batch whose frames nobody looks at."""
    nothing = torch.empty(len(tokens), 0)
    return Taught(nothing, nothing, tokens, nothing if before is None else before)


def test_an_equal_student_has_no_error_and_padding_does_not_count() -> None:
    tokens = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    disturbed = tokens.clone()
    disturbed[0, 5:] = 100.0
    compared = DistillationErrors(mean_and_deviation, torch.ones(6), mean_alone, torch.ones(3))
    assert compared(said(disturbed, [5, 9]), taught(tokens)).tolist() == [0.0, 0.0, 0.0]


def test_a_student_that_says_nothing_has_the_tokens_variance_as_error() -> None:
    tokens = torch.randn(4, 500, 8, generator=torch.Generator().manual_seed(0))
    compared = DistillationErrors(mean_and_deviation, torch.ones(16), mean_alone, torch.ones(8))
    single, _, _ = compared(said(torch.zeros_like(tokens), [500] * 4), taught(tokens))
    assert float(single) == pytest.approx(1.0, abs=0.03)


def test_how_far_a_student_moved_counts_by_how_much_it_said_different_things_before() -> None:
    tokens = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    before = tokens[:, :5].mean(dim=1) + torch.tensor([0.0, 1.0, 4.0])
    compared = DistillationErrors(mean_alone, torch.ones(3), mean_alone, torch.tensor([1.0, 2.0, 4.0]))
    single, pooled, moved = compared(said(tokens, [5, 5]), taught(tokens, before))
    assert float(single) == float(pooled) == 0.0
    assert float(moved) == pytest.approx((0 + 0.25 + 1) / 3)


def test_a_student_learns_and_a_recipe_starts_from_its_weights(utterances: list[Utterance], tmp_path: Path) -> None:
    history = distil(SETTINGS, utterances, tmp_path / "student")
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1]["train_pooled_error"] < 0.7 * history[0]["train_pooled_error"]
    by_tokens = distil(replace(SETTINGS, pooled_weight=0.0), utterances, tmp_path / "by-tokens")
    assert by_tokens[-1]["train_token_error"] < 0.9 * by_tokens[0]["train_token_error"]
    network = {**STUDENT, "weights": str(tmp_path / "student"), "frozen": True}
    recipe = Recipe("made-up", "student-statistics", front_end=FRONT_END, network=network)
    network_started = initial_classifier(recipe, ("a", "b", "c")).network
    origin = "distilled from block 1 of a random teacher on the sound of made-up, without labels"
    assert network_started.origin == origin
    started = network_started.state_dict()
    written = load_file(tmp_path / "student" / "model.safetensors")
    kernels = [name for name in written if name + SCALE in written]
    assert kernels
    for name in written:
        if name in kernels:
            shape = (-1, *[1] * (written[name].ndim - 1))
            assert torch.equal(started[name], written[name].float() * written[name + SCALE].view(shape))
        elif not name.endswith(SCALE):
            assert torch.equal(started[name], written[name])


def test_a_teacher_beside_the_training_teaches_the_same(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> int:
        raise AssertionError("A process with native threads must not fork: its copy may hang or crash.")

    monkeypatch.setattr(os, "fork", refused)
    settings = replace(SETTINGS, epochs=2)
    for listeners in (0, 1):
        distil(replace(settings, listeners=listeners), utterances, tmp_path / str(listeners))
    alone, beside = (load_file(tmp_path / name / "model.safetensors") for name in ("0", "1"))
    assert all(torch.equal(alone[name], beside[name]) for name in alone)


def test_thousands_of_clips_reach_the_other_process_without_a_file_each() -> None:
    targets = [
        DistillationTarget(torch.full((2, 1 + row % 7), row, dtype=torch.float16), str(row)) for row in range(3000)
    ]
    teacher = Teacher(24, [TEACHER], tokens_per_step=2)
    taught = TargetBatches(targets, teacher, ClipChanges(CHANGES, (torch.ones(2, 9),), 80.0), seed=1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    sent = ForkingPickler.dumps(taught)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    arrived: TargetBatches = pickle.loads(sent)
    for one, other in zip(targets, arrived.targets, strict=True):
        assert one.speaker == other.speaker
        assert torch.equal(one.frames, other.frames)
    of_teacher, of_other = teacher.networks[0].state_dict(), arrived.teacher.networks[0].state_dict()
    assert all(torch.equal(tensor, of_other[name]) for name, tensor in of_teacher.items())


def test_a_killed_distillation_ends_with_the_same_weights(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distil(SETTINGS, utterances, tmp_path / "whole")
    whole_epoch = distillation.DistillationState.on_train_epoch_end

    def dying(self: distillation.DistillationState) -> None:
        if self.current_epoch == 3:
            raise KeyboardInterrupt
        whole_epoch(self)

    monkeypatch.setattr(distillation.DistillationState, "on_train_epoch_end", dying)
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
        ('corpus = ["emodb"]\nrepeats = 0\n', "repeats"),
        ('corpus = ["emodb"]\n[student]\nwidth = 16\n[encoder]\nwidth = 24\n', "not both"),
        ('corpus = ["emodb"]\nlisteners = 2\n', "listeners"),
        ('corpus = ["emodb"]\n[changes]\nspliced = 2.0\n', "spliced"),
        ('corpus = ["emodb"]\n[front_end]\npreset = "wisper"\n', "whisper"),
    ],
)
def test_wrong_settings_are_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(EarnestError, match=message):
        read_distillation(tmp_path)


def test_widths_that_do_not_fit_are_refused(utterances: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="have 24 values, the student's 20"):
        distil(replace(SETTINGS, student={**STUDENT, "token_width": 20}), utterances, tmp_path)
    with pytest.raises(RecipeError, match="odd"):
        StudentSettings(kernel=4)


def test_a_recording_that_cannot_be_read_is_named(utterances: list[Utterance], tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not sound")
    with pytest.raises(CorpusError, match=r"broken\.wav"):
        distil(SETTINGS, [replace(utterances[0], path=broken)], tmp_path / "run")


def test_the_recipes_in_the_repository_are_read() -> None:
    for path in (Path(__file__).parents[3] / "recipes" / "distillation").glob("*.toml"):
        assert read_distillation(path).epochs > 1


def test_a_student_starts_from_another_ones_weights(utterances: list[Utterance], tmp_path: Path) -> None:
    first = distil(SETTINGS, utterances, tmp_path / "first")
    further = replace(SETTINGS, student={**STUDENT, "weights": str(tmp_path / "first")}, epochs=1, learning_rate=1e-4)
    assert distil(further, utterances, tmp_path / "second")[0]["train_pooled_error"] < first[1]["train_pooled_error"]


def test_recordings_are_heard_beside_the_corpora(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    (tmp_path / "spoken").mkdir()
    recorded = [write_voice(tmp_path / "spoken" / f"{number}.wav", seed=number) for number in (1, 2)]
    settings = replace(SETTINGS, recordings=("spoken",), epochs=1)
    monkeypatch.setattr(distillation, "load_utterances", lambda corpora, folders: utterances)
    heard = sound_of(settings, {})
    assert [row.path for row in heard] == [*(row.path for row in utterances), *recorded]
    distil(settings, heard, tmp_path / "student")
    assert "on the sound of made-up, spoken, without labels" in read_origin(tmp_path / "student")


def encoders(folder: Path) -> tuple[dict[str, object], dict[str, object]]:
    """Write an encoder of two blocks and a narrower one; return the settings of the whole and of the narrow one."""
    whole = {"width": 24, "n_heads": 2, "feed_forward_width": 32, "n_blocks": 2, "pooled_blocks": [1, 2]}
    narrow = {**whole, "key_width": 6, "stem_width": 12, "tokens_per_step": 4, "merged_after": 1}
    for seed, (name, settings) in enumerate({"whole": whole, "narrow": narrow}.items()):
        torch.manual_seed(seed)
        state = WhisperStatistics(24, 3, from_mapping(WhisperSettings, settings, name)).encoder.state_dict()
        told = {"origin": f"the {name} one", KNOWN_SPEAKERS: json.dumps(["made-up/s0", "made-up/s1"])}
        (folder / name).mkdir(parents=True)
        save_file(packed_state(state, "encoder."), folder / name / "model.safetensors", told)
    return {**whole, "weights": str(folder / "whole")}, {**narrow, "weights": str(folder / "narrow")}


def test_a_narrower_encoder_learns_what_the_whole_one_says(utterances: list[Utterance], tmp_path: Path) -> None:
    whole, narrow = encoders(tmp_path)
    settings = replace(SETTINGS, teachers=(whole,), student={}, encoder=narrow, matrix_rate=0.0, learning_rate=5e-3)
    history = distil(settings, utterances, tmp_path / "taught")
    assert history[-1]["train_pooled_error"] < 0.7 * history[0]["train_pooled_error"]
    network = {**narrow, "weights": str(tmp_path / "taught"), "frozen": True}
    started = initial_classifier(
        Recipe("made-up", "whisper-statistics", front_end=FRONT_END, network=network), ("a", "b")
    )
    # Words alone: folders of ours are nothing to those who read a card.
    assert str(started.network.origin).startswith("the narrow one; then distilled from the whole encoder on the sound")
    assert started.network.known_speakers == {"made-up/s0", "made-up/s1"}


def test_a_perfect_copy_of_the_teacher_has_nothing_to_learn(utterances: list[Utterance], tmp_path: Path) -> None:
    whole, _ = encoders(tmp_path)
    settings = replace(
        SETTINGS, teachers=(whole,), student={}, encoder=whole, learning_rate=1e-9, matrix_rate=0.0, epochs=1
    )
    assert distil(settings, utterances, tmp_path / "taught")[0]["train_token_error"] < 1e-6


def larger(folder: Path) -> dict[str, object]:
    """Write an encoder that is wider than those of `encoders`; return its settings."""
    settings = {"width": 32, "n_heads": 2, "feed_forward_width": 48, "n_blocks": 2, "pooled_blocks": [1, 2]}
    torch.manual_seed(7)
    state = WhisperStatistics(24, 3, from_mapping(WhisperSettings, settings, "larger")).encoder.state_dict()
    (folder / "larger").mkdir()
    save_file(packed_state(state, "encoder."), folder / "larger" / "model.safetensors", {"origin": "the larger one"})
    return {**settings, "weights": str(folder / "larger")}


def test_an_encoder_learns_from_one_of_another_width_through_a_linear_map(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    _, narrow = encoders(tmp_path)
    settings = replace(
        SETTINGS, teachers=(larger(tmp_path),), student={}, encoder=narrow, matrix_rate=0.0, learning_rate=2e-3
    )
    still = distil(replace(settings, learning_rate=1e-9, epochs=1), utterances, tmp_path / "still")[0]
    assert still["train_token_error"] < 0.95, "least squares say something of a teacher of any width"
    learnt = distil(replace(settings, epochs=15), utterances, tmp_path / "taught")
    assert learnt[-1]["train_token_error"] < 0.9 * still["train_token_error"], learnt
    # What is kept is the encoder alone.
    kept = {name.removesuffix(SCALE) for name in load_file(tmp_path / "taught" / "model.safetensors")}
    assert kept == {name.removesuffix(SCALE) for name in load_file(tmp_path / "narrow" / "model.safetensors")}


def test_an_encoder_becomes_narrower_and_learns_from_what_it_was_and_from_another_one(
    utterances: list[Utterance], tmp_path: Path
) -> None:
    whole, _ = encoders(tmp_path)
    pruning = Pruning(width=20, stem_width=16, key_width=6, n_clips=20)
    settings = replace(
        SETTINGS, teachers=(larger(tmp_path), whole), student={}, encoder=whole, pruning=pruning, matrix_rate=0.0,
        learning_rate=3e-3,
    )  # fmt: skip
    history = distil(settings, utterances, tmp_path / "taught")
    assert history[-1]["train_token_error"] < 0.95 * history[0]["train_token_error"]
    narrow = {**whole, "feed_forward_width": 20, "stem_width": 16, "key_width": 6}
    narrow["weights"] = str(tmp_path / "taught")
    network = WhisperStatistics(24, 3, from_mapping(WhisperSettings, narrow, "narrow"))
    network.load_pretrained()
    pruned = (
        "the whole one; then pruned to 20 of 32 neurons a block, 16 of 24 channels between the convolutions, 6 of 12 "
    )
    assert network.origin.startswith(f"{pruned}values a key; then distilled from larger and the whole encoder on")
    with pytest.raises(RecipeError, match=r"\[pruning\] is of an \[encoder\]"):
        replace(SETTINGS, pruning=pruning)


def test_a_student_that_is_to_stay_moves_less(utterances: list[Utterance], tmp_path: Path) -> None:
    _, narrow = encoders(tmp_path)
    settings = replace(
        SETTINGS, teachers=(larger(tmp_path),), student={}, encoder=narrow, matrix_rate=0.0, learning_rate=3e-3
    )
    moved = {}
    for weight in (1e-6, 1.0):
        history = distil(replace(settings, staying_weight=weight), utterances, tmp_path / str(weight))
        moved[weight] = history[-1]["train_staying_error"]
    assert 0 < moved[1.0] < 0.5 * moved[1e-6]


def test_only_known_speakers_are_heard_where_that_is_wanted(
    utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, narrow = encoders(tmp_path)
    speakers = sorted({row.speaker for row in utterances})
    named = [replace(row, corpus="made-up", speaker=f"s{speakers.index(row.speaker)}") for row in utterances]
    heard: list[str] = []
    make = distillation.make_targets

    def listening(rows: list[Utterance], *rest: Any) -> Any:
        heard.extend(row.speaker for row in rows)
        return make(rows, *rest)

    monkeypatch.setattr(distillation, "make_targets", listening)
    settings = replace(SETTINGS, teachers=(whole,), student={}, encoder=narrow, known_speakers_only=True, epochs=1)
    distil(settings, named, tmp_path / "taught")
    assert set(heard) == {"s0", "s1"}


def test_an_encoder_whose_tokens_become_one_too_late_is_refused(tmp_path: Path) -> None:
    _, narrow = encoders(tmp_path)
    with pytest.raises(RecipeError, match="merged_after"):
        distil(
            replace(SETTINGS, student={}, encoder={**narrow, "n_blocks": 3, "merged_after": 2}), [], tmp_path / "run"
        )
