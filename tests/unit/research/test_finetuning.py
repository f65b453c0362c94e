"""Fine-tuning an encoder: what the heads see, how batches are made up, that it learns and resumes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from made_up_corpus import write_corpus
from safetensors.torch import load_file, save

from earnest.corpora.manifest import Utterance, read_manifest
from earnest.errors import CorpusError, EarnestError, RecipeError
from earnest.evaluation.protocols import protocol_called
from earnest.experiments.task import split_called
from earnest.models.pretrained import read_known_speakers, unpacked
from earnest.models.whisper import WhisperSettings, WhisperStatistics
from earnest.settings.front_end import PRESETS
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import FrameChanges, Recipe
from earnest.training import finetune as module
from earnest.training.examples import Example
from earnest.training.finetune import (
    ChangedClips,
    Embedding,
    FewSpeakers,
    FinetuneBatch,
    Pair,
    collated,
    less_own_mean,
    movements,
    smoothed_loss,
    start_heads,
)
from earnest.training.run import initial_classifier, refuse_known_speakers
from research.commands import cli
from research.finetuning import FineTuning, Pruning, clips_for, finetune, read_finetuning, without_test

pytestmark = pytest.mark.long

ENCODER = {"width": 24, "n_heads": 2, "feed_forward_width": 32, "n_blocks": 1, "pooled_blocks": [1]}
SETTINGS = FineTuning(
    corpus=("made-up",),
    front_end=PRESETS["whisper"],
    encoder=ENCODER,
    changes=FrameChanges(),
    epochs=3,
    speakers_a_batch=2,
    clips_a_speaker=4,
    learning_rate=1e-3,
    warm_up_steps=2,
)


@pytest.fixture(scope="module", autouse=True)
def _learns_in_few_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "HEAD_LEARNING_RATE", 1e-2)
        patch.setattr(module, "AVERAGE", 0.5)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), n_speakers=4, n_takes=2)


@pytest.fixture(scope="module")
def examples(folder: Path) -> list[Example]:
    return clips_for(SETTINGS, {"made-up": folder})[0]


@pytest.fixture(scope="module")
def corpora(folder: Path) -> list[str]:
    return clips_for(SETTINGS, {"made-up": folder})[1]


def network() -> WhisperStatistics:
    torch.manual_seed(0)
    return WhisperStatistics(80, 3, from_mapping(WhisperSettings, ENCODER, "test"))


def test_points_less_their_speakers_mean() -> None:
    points = torch.tensor([[1.0], [5.0], [3.0], [9.0]])
    assert less_own_mean(points, torch.tensor([0, 1, 0, 1]))[:, 0].tolist() == [-1.0, -2.0, 1.0, 2.0]


def test_the_loss_is_cross_entropy_over_the_classes_of_the_clips_own_corpus() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1, 2, 1, 0])
    wanted = torch.nn.functional.cross_entropy(logits[:, :3], targets, label_smoothing=0.1)
    logits[:, 3] = -torch.inf
    torch.testing.assert_close(smoothed_loss(logits, targets), wanted)


def test_other_corpora_are_out_of_the_question_and_both_heads_start_right(examples: list[Example]) -> None:
    n_classes = 1 + max(example.target for example in examples)
    second = [replace(example, target=example.target + n_classes) for example in examples]
    corpora = ["one"] * n_classes + ["two"] * n_classes
    own = torch.tensor([[one == other for other in corpora] for one in corpora])
    pair = Pair(Embedding(network()), own)
    start_heads(pair, [*examples, *second])
    clips = collated([(example.frames, example.target, example.speaker) for example in [*examples, *second]])
    for logits in pair.eval()(clips):
        assert torch.equal(logits.isfinite(), own[clips.targets])
        assert (logits.argmax(dim=1) == clips.targets).float().mean() > 0.8
    points = pair.embedding(clips.frames, clips.n_frames)
    torch.testing.assert_close(points.mean(dim=0), torch.zeros(points.shape[1]), atol=2e-2, rtol=0)


def test_padding_does_not_count(examples: list[Example]) -> None:
    embedding = Embedding(network()).eval()
    clips = collated([(example.frames, 0, "a") for example in examples[:6]])
    together = embedding(clips.frames, clips.n_frames)
    alone = embedding(examples[2].frames[None], torch.tensor([examples[2].frames.shape[1]]))
    torch.testing.assert_close(together[2], alone[0], atol=2e-2, rtol=0)


def of_speakers(speakers: list[str], corpus: str = "one") -> list[Example]:
    rows = [Utterance(f"{number}", Path("a.wav"), corpus=corpus, speaker=name) for number, name in enumerate(speakers)]
    return [Example(row, torch.zeros(80, 1), 0, 1.0) for row in rows]


def test_batches_hold_clips_of_a_few_speakers_in_turn() -> None:
    speakers = ["a"] * 9 + ["b"] * 20 + ["c"] * 11
    sampler = FewSpeakers(of_speakers(speakers), SETTINGS, 0)
    assert len(sampler) == 5
    batches = list(sampler)
    for batch in batches:
        found = [speakers[row] for _, row in batch]
        assert len(set(found)) == 2
        assert len(set(batch)) == len(batch) == 8
    assert batches == list(FewSpeakers(of_speakers(speakers), SETTINGS, 0))
    assert batches != list(FewSpeakers(of_speakers(speakers), SETTINGS, 1))
    sampler.set_epoch(1)
    assert [[row for _, row in batch] for batch in sampler] != [[row for _, row in batch] for batch in batches]
    with pytest.raises(RecipeError, match=r"the training set has 1 speaker\."):
        FewSpeakers(of_speakers(["a"] * 9), SETTINGS, 0)
    with pytest.raises(RecipeError, match="the speaker of every recording"):
        FewSpeakers(of_speakers(["a", "b", ""]), SETTINGS, 0)


def test_batches_hold_every_corpus_as_often_and_as_many_as_asked_for() -> None:
    examples = [*of_speakers([f"{row % 20}" for row in range(400)]), *of_speakers(["x", "y", "z"] * 9, "two")]
    sampler = FewSpeakers(examples, replace(SETTINGS, steps_an_epoch=200), 0)
    found = [examples[row].utterance.corpus for batch in sampler for _, row in batch]
    assert len(found) == 200 * 8
    assert found.count("two") / len(found) == pytest.approx(0.45, abs=0.07)  # without replacement, not quite a half


def test_it_learns_writes_weights_that_a_recipe_starts_from_and_says_how_far_they_moved(
    examples: list[Example], corpora: list[str], tmp_path: Path
) -> None:
    history = finetune(replace(SETTINGS, epochs=8), examples, corpora, tmp_path / "tuned")
    assert [row["epoch"] for row in history] == list(range(1, 9))
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    tuned = load_file(tmp_path / "tuned" / "model.safetensors")
    weights = {**ENCODER, "weights": str(tmp_path / "tuned"), "frozen": True}
    recipe = Recipe("made-up", "whisper-statistics", front_end=PRESETS["whisper"], network=weights)
    started = initial_classifier(recipe, ("a", "b", "c")).network
    for name, tensor in started.state_dict().items():
        if f"{name}.scale" in tuned:
            assert torch.equal(tensor, unpacked(tuned[name], tuned[f"{name}.scale"]))
        elif name in tuned:
            assert torch.equal(tensor, tuned[name])
    assert "fine-tuned on the labels of made-up; weights moved by: convolutions" in str(started.origin)
    assert started.known_speakers == {example.speaker for example in examples}
    assert sum(tensor.dtype == torch.int8 for tensor in tuned.values()) > 4


def test_every_epoch_hears_clips_changed_anew(
    examples: list[Example], corpora: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, int]] = []
    plain = ChangedClips.__getitem__

    def noted(clips: ChangedClips, key: tuple[int, int]) -> tuple[torch.Tensor, int, str]:
        heard.append(key)
        return plain(clips, key)

    monkeypatch.setattr(ChangedClips, "__getitem__", noted)
    finetune(SETTINGS, examples, corpora, tmp_path)
    assert {epoch for epoch, _ in heard} == {0, 1, 2}
    assert [epoch for epoch, _ in heard] == sorted(epoch for epoch, _ in heard)


def test_a_narrowed_encoder_is_written_and_says_so(examples: list[Example], corpora: list[str], tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=1, pruning=Pruning(width=20, n_clips=8))
    finetune(settings, examples, corpora, tmp_path / "narrow")
    network = {**ENCODER, "feed_forward_width": 20, "weights": str(tmp_path / "narrow"), "frozen": True}
    recipe = Recipe("made-up", "whisper-statistics", front_end=PRESETS["whisper"], network=network)
    started = initial_classifier(recipe, ("a", "b", "c")).network
    assert "; then pruned to 20 of 32 neurons a block" in str(started.origin)
    recipe = replace(recipe, network={**network, "feed_forward_width": 32})
    with pytest.raises(EarnestError, match="narrow"):
        initial_classifier(recipe, ("a", "b", "c"))


def test_a_killed_run_goes_on_where_it_was(
    examples: list[Example], corpora: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = finetune(SETTINGS, examples, corpora, tmp_path / "whole")
    from earnest.training import finetune as two_head_loop
    from research import finetuning

    def killed(epochs: int, *rest: object, **more: object) -> object:
        trainer = real(epochs, *rest, **more)  # type: ignore[arg-type]
        trainer.fit_loop.max_epochs = 2
        return trainer

    real = two_head_loop.resuming_trainer
    monkeypatch.setattr(two_head_loop, "resuming_trainer", killed)
    monkeypatch.setattr(finetuning, "drop_checkpoint", lambda _: None)
    finetune(SETTINGS, examples, corpora, tmp_path / "killed")
    monkeypatch.undo()
    resumed = finetune(SETTINGS, examples, corpora, tmp_path / "killed")
    assert len(resumed) == 3
    assert resumed[-1]["train_loss"] == pytest.approx(whole[-1]["train_loss"], abs=1e-4)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.allclose(one[name].float(), other[name].float(), atol=1e-4) for name in one)
    with pytest.raises(RecipeError, match="holds another fine-tuning"):
        finetune(replace(SETTINGS, epochs=9), examples, corpora, tmp_path / "killed")


@pytest.mark.parametrize(("quick", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_computed_where_it_is_quick_alone(
    quick: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earnest.training.finetune.bfloat16_is_quick", lambda _: quick)
    embedding, seen = Embedding(network()), list[torch.dtype]()
    embedding.network.trunk.conv1.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    points = embedding(torch.zeros(1, 80, 50), torch.tensor([50]))
    assert (seen, points.dtype) == ([dtype], torch.float32)


def test_held_out_voices_are_scored_and_not_learnt_from(
    corpora: list[str], examples: list[Example], tmp_path: Path
) -> None:
    many = [
        replace(example, utterance=replace(example.utterance, speaker=f"s{number % 16:02d}"))
        for number, example in enumerate(examples * 2)
    ]
    history = finetune(replace(SETTINGS, epochs=1), many, corpora, tmp_path)
    assert 0 <= history[0]["valid_wa"] <= 1
    assert 0 <= history[0]["valid_centred_wa"] <= 1


def test_a_speaker_independent_split_with_known_test_speakers_is_refused(folder: Path) -> None:
    rows = read_manifest(folder)
    split = split_called(protocol_called("speaker-holdout"), None, rows)
    tested = f"made-up/{split.test[0].speaker}"
    refuse_known_speakers(split, frozenset({"made-up/other"}))
    with pytest.raises(RecipeError, match=f"labels of 1 of its test speakers .{tested}"):
        refuse_known_speakers(split, frozenset({tested}))
    with pytest.raises(RecipeError, match="labels of 1 of its test speakers"):  # who sings in another corpus
        refuse_known_speakers(split, frozenset({f"made-up-song/{split.test[0].speaker}"}))
    refuse_known_speakers(replace(split, speaker_independent=False), frozenset({tested}))


def test_a_copy_of_a_known_corpus_is_known_by_the_names_of_its_files(folder: Path) -> None:
    split = split_called(protocol_called("speaker-holdout"), None, read_manifest(folder))
    copied = replace(split.test[0], path=Path("copy/1001_IEO_HAP_HI.wav"), corpus="own", speaker="anna")
    split = replace(split, test=(copied,))
    refuse_known_speakers(split, frozenset({"crema-d/crema-d-1002", "emodb/emodb-03"}))
    with pytest.raises(RecipeError, match=r"of 1 of its test speakers .crema-d/crema-d-1001"):
        refuse_known_speakers(split, frozenset({"crema-d/crema-d-1001"}))


@pytest.mark.parametrize("told", ["no list", "{}", "[1]"])
def test_weights_that_tell_nonsense_about_speakers_are_refused(told: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(save({"a": torch.zeros(1)}, {"known_speakers": told}))
    with pytest.raises(EarnestError, match="'known_speakers' must be a list"):
        read_known_speakers(tmp_path)


def test_speakers_of_the_test_set_are_left_out(folder: Path) -> None:
    rows = read_manifest(folder)
    left = without_test(rows, "speaker-holdout", None)
    assert 0 < len({row.speaker for row in left}) < len({row.speaker for row in rows})
    gone = {row.speaker for row in rows} - {row.speaker for row in left}
    assert not gone & {row.speaker for row in left}
    found, _ = clips_for(SETTINGS, {"made-up": folder}, "speaker-holdout")
    assert {example.utterance.speaker for example in found} == {row.speaker for row in left}


def test_a_corpus_of_two_emotions_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Utterance] = [row for row in read_manifest(folder) if row.emotion in ("angry", "happy")]
    monkeypatch.setattr("research.finetuning.load_utterances", lambda *_: rows)
    with pytest.raises(CorpusError, match="of 2 emotions; 3 or more"):
        clips_for(SETTINGS, {"made-up": folder})


def test_movement_is_the_norm_of_the_change_by_the_norm() -> None:
    start = {"conv1.weight": torch.full((4,), 2.0), "layers.0.fc1.weight": torch.ones(2)}
    moved = movements(start, {"conv1.weight": torch.full((4,), 3.0), "layers.0.fc1.weight": torch.ones(2)})
    assert moved == {"convolutions": pytest.approx(0.5), "block 1": 0.0}


def test_the_recipe_in_the_repository_is_read_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    settings = read_finetuning(Path("recipes/finetuning/encoder.toml"))
    assert settings.front_end.level_dbfs == -20.0
    assert settings.encoder["pooled_blocks"] == [1, 2, 3]
    path = tmp_path / "recipe.toml"
    path.write_text('corpus = "made-up"\nspeakers_a_batch = 1\n')
    with pytest.raises(RecipeError, match="speakers_a_batch must be at least 2"):
        read_finetuning(path)


def test_the_command_says_what_it_reached(folder: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'corpus = "made-up"\nepochs = 1\nspeakers_a_batch = 2\nclips_a_speaker = 4\n'
        '[front_end]\npreset = "whisper"\n'
        "[encoder]\nwidth = 24\nn_heads = 2\nfeed_forward_width = 32\nn_blocks = 1\npooled_blocks = [1]\n"
    )
    words = ["finetune", str(recipe), "--data", f"made-up={folder}", "--output", str(tmp_path / "out")]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert found.exit_code == 0
    assert f'weights = "{tmp_path / "out"}"' in found.output
    assert (tmp_path / "out" / "history.csv").read_text().startswith("epoch,train_loss")


def test_clips_are_padded_and_speakers_numbered() -> None:
    clips = collated([(torch.ones(80, 3), 1, "x"), (torch.ones(80, 5), 0, "y"), (torch.ones(80, 2), 2, "x")])
    assert isinstance(clips, FinetuneBatch)
    assert clips.frames.shape == (3, 80, 5)
    assert float(clips.frames[0, :, 3:].abs().sum()) == 0
    assert (clips.speakers.tolist(), clips.n_frames.tolist()) == ([0, 1, 0], [3, 5, 2])
    assert np.array_equal(clips.targets, [1, 0, 2])
