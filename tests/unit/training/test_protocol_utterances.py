"""Which corpora a protocol reads: those it is defined on, and of several that may be absent, those that are there."""

from dataclasses import replace
from pathlib import Path

import pytest
from corpus_examples import build_example

from earnest.errors import CorpusError
from earnest.evaluation.protocols import protocol_called
from earnest.finetune import Finetune
from earnest.recipe import Recipe, Training
from earnest.training.task import protocol_utterances, under


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


def test_a_misspelt_corpus_is_not_passed_over_in_silence(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    corpora_found(recipe, {"emodbb": tmp_path / "emodb", "crema-d": tmp_path})
    assert caplog.messages == ["--data emodbb=… is not used. Did you mean 'emodb'?"]


@pytest.mark.parametrize(("protocol", "is_kept"), [("ravdess-6fold", False), ("cross-corpus", True)])
def test_a_fine_tuning_between_corpora_is_left_out_where_there_is_one(protocol: str, is_kept: bool) -> None:
    recipe = Recipe(
        ("crema-d", "emodb"),
        "student-statistics",
        training=Training(method="discriminant"),
        finetune=Finetune(epochs=2, between_corpora=True),
    )
    assert bool(under(protocol_called(protocol), recipe).finetune) is is_kept
    always = replace(recipe, finetune=replace(recipe.finetune, between_corpora=False))
    assert under(protocol_called(protocol), always).finetune
