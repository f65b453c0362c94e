"""A fold's own fine-tuning: on training clips alone, rounded as it ships, and said."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from made_up_corpus import write_corpus
from torch import Tensor

from earnest.apps.cli.main import cli
from earnest.corpora.manifest import read_manifest
from earnest.errors import RecipeError
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.splits import Split
from earnest.experiments.task import SharedClips, auxiliary_utterances, split_called
from earnest.models.classifier import SpeechClassifier
from earnest.models.pretrained import packed, unpacked
from earnest.models.student import StudentStatistics
from earnest.settings.front_end import PRESETS
from earnest.settings.limits import from_mapping
from earnest.settings.recipe import Finetune, Recipe, Training, read_recipe
from earnest.training import finetune as finetuned_module
from earnest.training.closed_form import EmbeddingCache, discriminant_logits, fit_discriminant
from earnest.training.examples import Example
from earnest.training.finetune import finetune_embedding
from earnest.training.learn import Clips
from earnest.training.record import read_record
from earnest.training.run import initial_classifier, load_run, run_split

pytestmark = pytest.mark.long

SMALL = {"width": 16, "feed_forward_width": 32, "token_width": 24, "frozen": True}
FINETUNE = Finetune(epochs=2, steps_an_epoch=3, speakers_a_batch=2, clips_a_speaker=4, learning_rate=1e-2)
RECIPE = Recipe(
    "made-up",
    "student-statistics",
    front_end=PRESETS["whisper"],
    network=SMALL,
    training=Training(method="discriminant"),
    finetune=FINETUNE,
)
PLAIN = replace(RECIPE, finetune=Finetune())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"), n_speakers=5, n_takes=2)


@pytest.fixture(scope="module")
def split(folder: Path) -> Split:
    return split_called(protocol_called("speaker-holdout"), None, read_manifest(folder))


@pytest.fixture(scope="module")
def shared(folder: Path) -> SharedClips:
    return SharedClips(read_manifest(folder))


@pytest.fixture(scope="module")
def train(shared: SharedClips, split: Split) -> list[Example]:
    return shared.of(RECIPE).of(split.train)


def classifier(shared: SharedClips, recipe: Recipe = RECIPE) -> SpeechClassifier:
    return initial_classifier(recipe, shared.classes(recipe))


def trunk(of: SpeechClassifier) -> dict[str, Tensor]:
    assert isinstance(of.network, StudentStatistics)
    return of.network.trunk.state_dict()


def test_it_moves_rounds_and_remembers_whose_labels_it_saw(
    shared: SharedClips, train: list[Example], tmp_path: Path
) -> None:
    tuned, start = classifier(shared), trunk(classifier(shared))
    said = finetune_embedding(tuned, train, (), RECIPE, tmp_path)
    after = trunk(tuned)
    assert not any(torch.equal(start[name], after[name]) for name in ("conv1.weight", "tokens.weight"))
    assert all(torch.equal(kernel, unpacked(*packed(kernel))) for kernel in after.values() if kernel.ndim > 1)
    assert said.startswith("; fine-tuned on the labels of made-up; weights moved by: convolutions")
    assert "last layer" in said
    assert tuned.network.known_speakers == {example.speaker for example in train}
    assert not any(tensor.requires_grad for tensor in tuned.network.student.parameters())  # type: ignore[union-attr]
    assert (tmp_path / "finetuning" / "history.csv").read_text().count("\n") == 3
    assert not list((tmp_path / "finetuning").glob("*.ckpt"))


def test_the_same_seed_gives_the_same_and_another_one_another(
    shared: SharedClips, train: list[Example], tmp_path: Path
) -> None:
    found = []
    for number, seed in enumerate((0, 0, 1)):
        tuned = classifier(shared)
        recipe = replace(RECIPE, training=replace(RECIPE.training, seed=seed))
        finetune_embedding(tuned, train, (), recipe, tmp_path / str(number))
        found.append(trunk(tuned)["tokens.weight"])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_corpora_have_classes_of_their_own(
    shared: SharedClips, train: list[Example], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = [
        replace(one, utterance=replace(one.utterance, corpus="other", speaker=f"o{one.speaker}")) for one in train
    ]
    second = [one for one in second if one.target != 0]
    asked: list[tuple[list[int], list[str]]] = []

    def noted(_network: object, examples: list[Example], _: object, corpora: list[str], *_rest: object) -> object:
        asked.append(([one.target for one in examples], corpora))
        return trunk(classifier(shared)), [{"epoch": 1.0}]

    monkeypatch.setattr(finetuned_module, "train_two_heads", noted)
    finetune_embedding(classifier(shared), train, second, RECIPE, tmp_path)
    ((targets, corpora),) = asked
    n_classes = len(shared.classes(RECIPE))
    assert corpora == ["made-up"] * n_classes + ["other"] * (n_classes - 1)
    assert targets == [one.target for one in train] + [one.target - 1 + n_classes for one in second]


def test_a_run_is_of_its_own_embedding_and_hears_no_validation_or_test_label(
    shared: SharedClips, split: Split, tmp_path: Path
) -> None:
    predicted = run_split(RECIPE, split, shared.of(RECIPE), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert "fine-tuned on the labels of made-up" in record.origin
    plain = run_split(PLAIN, split, shared.of(PLAIN), tmp_path / "plain")
    assert "fine-tuned" not in read_record(tmp_path / "plain").origin
    assert predicted is not None
    assert plain is not None
    assert predicted.probabilities is not None
    assert plain.probabilities is not None
    assert not (predicted.probabilities == plain.probabilities).all()
    clips = shared.of(RECIPE)
    n_classes = len(clips.classes)
    wrong = {
        key: one if key in {row.key for row in split.train} else replace(one, target=(one.target + 1) % n_classes)
        for key, one in clips.examples.items()
    }
    run_split(RECIPE, split, Clips(wrong, classes=clips.classes), tmp_path / "wrong")
    one, other = (trunk(load_run(tmp_path / name)) for name in ("run", "wrong"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_corpora_teach_the_embedding_but_for_speakers_who_are_tested(
    shared: SharedClips, folder: Path, split: Split, tmp_path: Path
) -> None:
    rows = [replace(row, corpus="other") for row in read_manifest(folder)]
    copies = [replace(row, speaker=f"voice {row.speaker}") for row in rows]  # the same people, called otherwise
    for members, prefix in ((copies, "other/voice "), (rows, "other/")):
        clips = SharedClips(shared.rows, auxiliary=members).of(RECIPE)
        heard = {example.speaker for example in clips.auxiliary_of(split)}
        assert heard == {f"{prefix}{row.speaker}" for row in split.train}
    run_split(RECIPE, split, clips, tmp_path)
    record = read_record(tmp_path)
    assert "fine-tuned on the labels of made-up, other" in record.origin
    assert {line.name for line in record.training_corpora} == {"made-up", "other"}


def test_a_refit_learns_from_validation_clips_too_but_no_test_label(
    shared: SharedClips, split: Split, tmp_path: Path
) -> None:
    refit = replace(RECIPE, training=replace(RECIPE.training, refit=True))
    run_split(RECIPE, split, shared.of(RECIPE), tmp_path / "plain")
    predicted = run_split(refit, split, shared.of(refit), tmp_path / "refit")
    one, other = (load_run(tmp_path / name) for name in ("plain", "refit"))
    assert not torch.equal(trunk(one)["tokens.weight"], trunk(other)["tokens.weight"])
    assert read_record(tmp_path / "plain").temperature == read_record(tmp_path / "refit").temperature
    both = classifier(shared)
    clips = shared.of(RECIPE)
    cache = EmbeddingCache()
    finetune_embedding(both, [*clips.of(split.train), *clips.of(split.valid)], (), RECIPE, tmp_path / "both")
    assert all(torch.equal(trunk(both)[name], trunk(other)[name]) for name in trunk(both))
    fit_discriminant(
        both.network, [*clips.of(split.train), *clips.of(split.valid)], 0.6, len(clips.classes), EmbeddingCache()
    )
    assert torch.allclose(both.network.output.weight, other.network.output.weight)  # type: ignore[union-attr]
    logits = discriminant_logits(both.network, clips.of(split.test), cache)
    assert predicted is not None
    assert (predicted.predicted == logits.argmax(dim=1).numpy()).all()
    assert not list((tmp_path / "refit").rglob("finetuning/*.safetensors"))


def test_a_finished_fine_tuning_of_a_killed_run_is_not_done_again(
    shared: SharedClips, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refit = replace(RECIPE, training=replace(RECIPE.training, refit=True))
    run_split(refit, split, shared.of(refit), tmp_path / "whole")
    done, train_two_heads = [], finetuned_module.train_two_heads

    def killed(*words: object) -> object:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(words)
        return train_two_heads(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(finetuned_module, "train_two_heads", killed)
    with pytest.raises(KeyboardInterrupt):
        run_split(refit, split, shared.of(refit), tmp_path / "killed")
    done[:] = []  # so that one more is allowed, that of the refit
    run_split(refit, split, shared.of(refit), tmp_path / "killed")
    for name in ("model.safetensors", "predictions.csv", "run.json", "adaptation.onnx"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_corpora_beside_are_those_that_are_not_the_protocols_own(folder: Path) -> None:
    recipe = replace(RECIPE, corpus="other", finetune=replace(FINETUNE, corpus=("other", "made-up")))
    found = auxiliary_utterances(recipe, {"made-up": folder})
    assert len(found) == len(read_manifest(folder))
    assert auxiliary_utterances(replace(recipe, corpus="made-up", finetune=FINETUNE), EmbeddingCache()) == []
    assert auxiliary_utterances(replace(recipe, finetune=Finetune(corpus=("made-up",))), EmbeddingCache()) == []


def test_folds_do_not_share_embeddings_that_are_their_own(shared: SharedClips, train: list[Example]) -> None:
    network = classifier(shared).network
    shared.of(RECIPE).cache.embed(network, train[:1])
    assert not len(shared.of(RECIPE).cache)
    cache = EmbeddingCache()
    plain = replace(PLAIN, network={**SMALL, "width": 8})
    assert shared.of(plain).cache is shared.of(plain).cache
    cache.embed(network, train[:1])
    assert (len(cache), len(cache.for_another_network())) == (1, 0)


def test_networks_without_pooled_tokens_are_refused(shared: SharedClips, train: list[Example], tmp_path: Path) -> None:
    recipe = replace(RECIPE, model="cabg", network={})
    with pytest.raises(RecipeError, match=r"\[finetune\] changes pooled tokens"):
        finetune_embedding(classifier(shared, recipe), train, (), recipe, tmp_path)


def test_it_goes_with_the_closed_form_alone() -> None:
    with pytest.raises(RecipeError, match=r"\[finetune\] needs method"):
        replace(RECIPE, training=Training())


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", -1), ("steps_an_epoch", -1), ("clips_a_speaker", 1), ("learning_rate", 0.0), ("warm_up_steps", 0)],
)
def test_wrong_settings_are_refused(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"{name} must"):
        from_mapping(Finetune, {name: value}, "[finetune]")


def test_the_command_trains_such_a_recipe(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'corpus = "made-up"\nmodel = "student-statistics"\n[front_end]\npreset = "whisper"\n'
        "[network]\nwidth = 16\nfeed_forward_width = 32\ntoken_width = 24\nfrozen = true\n"
        '[training]\nmethod = "discriminant"\n'
        "[finetune]\nepochs = 1\nsteps_an_epoch = 2\nspeakers_a_batch = 2\nclips_a_speaker = 4\n"
    )
    words = ["train", str(path), "--data", f"made-up={folder}", "--output", str(tmp_path / "run")]
    found = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    assert read_recipe(tmp_path / "run").finetune.steps_an_epoch == 2
