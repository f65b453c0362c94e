"""Which corpora a protocol reads: those it is defined on, and of several that may be absent, those that are there."""

from dataclasses import replace
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.split_files import protocol_of_files
from earnest.experiments.task import (
    ALL_DATA,
    Task,
    chosen_folds,
    examples_of,
    label_counts,
    protocol_utterances,
    rows_in,
    under,
    with_weights_of,
)
from earnest.settings.recipe import Finetune, Recipe
from earnest.testing.corpora import build_example


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    for name in ("ravdess", "emodb"):
        build_example(name, tmp_path / name)
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    return under(protocol_called("moody-random"), Recipe("crema-d", "cabg", "six"))


def corpora_found(recipe: Recipe, folders: dict[str, Path]) -> set[str]:
    return {row.corpus for row in protocol_utterances(recipe, protocol_called("moody-random"), folders)}


def test_a_protocol_brings_its_corpora_and_classes() -> None:
    recipe = under(protocol_called("ravdess-6fold"), Recipe("crema-d", "cabg", "six"))
    assert (recipe.corpora, recipe.scheme) == (("ravdess",), "ravdess8")
    assert under(protocol_called("speaker-5fold"), Recipe("crema-d", "cabg", "six")).scheme == "six"


def test_corpora_that_may_be_absent_are_read_where_they_are(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert corpora_found(recipe, {"emodb": tmp_path / "emodb"}) == {"emodb"}
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    assert corpora_found(recipe, {}) == {"ravdess", "emodb"}


def test_a_corpus_that_was_named_must_be_there(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such folder"):
        corpora_found(recipe, {"emodb": tmp_path / "emodb", "tess": tmp_path / "absent"})


def test_a_misspelt_corpus_is_refused_before_another_folder_is_read(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    refused = r"emodbb=.*emodb: protocol moody-random reads no corpus 'emodbb' here\. Did you mean 'emodb'\?"
    with pytest.raises(CorpusError, match=refused):
        corpora_found(recipe, {"emodbb": tmp_path / "emodb"})


def test_folders_of_corpora_that_are_not_used_may_be_named_too(recipe: Recipe, tmp_path: Path) -> None:
    assert corpora_found(recipe, {"emodb": tmp_path / "emodb", "crema-d": tmp_path}) == {"emodb"}


def test_own_recordings_that_a_fine_tuning_learns_from_may_be_named(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, finetune=Finetune(corpus=("mine",)))
    assert corpora_found(recipe, {"emodb": tmp_path / "emodb", "mine": tmp_path}) == {"emodb"}


def test_labels_are_counted_of_the_clips_of_the_splits(tmp_path: Path) -> None:
    rows = [
        Utterance(name, tmp_path / f"{name}.wav", corpus="made", speaker=name, emotion=emotion)
        for name, emotion in (("a", "happy"), ("b", "sad"), ("c", "happy"), ("d", "sad"), ("e", "boredom"))
    ]
    (tmp_path / "part.csv").write_text("utterance_id,set\na,train\nb,valid\nc,test\n")
    protocol = protocol_of_files([tmp_path / "part.csv"])
    task = Task(Recipe("made", "cabg", "six"), protocol, rows, chosen_folds(protocol, rows), (1,))
    assert label_counts(task, rows_in(task.splits)).sentence() == "3 kept, 1 boredom dropped"


def test_labels_that_the_scheme_has_not_are_named_with_what_to_do(recipe: Recipe) -> None:
    words = ("cheerful", "gloomy", "livid", "quiet", "tired", "wry")
    rows = [Utterance(word, Path(f"{word}.wav"), corpus="mine", native_emotion=word) for word in words]
    with pytest.raises(CorpusError) as refused:
        examples_of(replace(recipe, scheme="six"), rows)
    assert str(refused.value).startswith(
        "All recordings (6) are left out: their labels (cheerful, gloomy, livid, quiet, tired and 1 more) are not in "
        "the scheme six (neutral, happy, sad, angry, fearful, disgust). Learn them as they are with --scheme native"
    )


def test_one_label_alone_is_nothing_to_learn(recipe: Recipe) -> None:
    words = {"neutral": "neutral", "anger": "other", "joy": "other"}
    rows = [Utterance(word, Path(f"{word}.wav"), emotion=own, native_emotion=word) for word, own in words.items()]
    with pytest.raises(
        CorpusError, match=r"^All recordings but those of 'neutral' \(2\) are left out: .*\(anger, joy\)"
    ):
        examples_of(replace(recipe, scheme="six"), rows)


@pytest.mark.parametrize(("fold", "weights"), [("to-nemo", "encoders/to-nemo"), (ALL_DATA, "encoders/all")])
def test_each_fold_starts_from_weights_of_its_own(fold: str, weights: str) -> None:
    recipe = Recipe("crema-d", "whisper-statistics", network={"weights": "encoders/{fold}", "n_blocks": 2})
    assert with_weights_of(recipe, fold).network == {"weights": weights, "n_blocks": 2}


def test_weights_of_all_folds_stay_as_they_are() -> None:
    recipe = Recipe("crema-d", "whisper-statistics", network={"weights": "whisper-tiny"})
    assert with_weights_of(recipe, "f1") is recipe
