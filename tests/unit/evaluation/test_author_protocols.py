from dataclasses import replace
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError
from earnest.evaluation.author_protocols import (
    AUTHOR_PROTOCOLS,
    STAMP,
    ChosenOnTest,
    author_protocol,
    chosen_on_test,
    honest_protocol,
    is_chosen_on_test,
)
from earnest.evaluation.protocols import PROTOCOLS, protocol_called, splits_of
from earnest.evaluation.split_files import protocol_of_files
from earnest.evaluation.splits import Split
from earnest.settings.recipe import read_recipe

RECIPES = Path(__file__).parents[3] / "recipes"
FIVE = ("emocatcher", "moody", "ntu", "vino", "multitask")
OURS = ("emocatcher-noise", "emocatcher-refit", "emocatcher-stability")  # their network, trained otherwise


def row(name: str) -> Utterance:
    return Utterance(name, Path(f"{name}.wav"), corpus="made", speaker="ann")


HONEST = Split([row("a")], [row("b")], [row("c")], "f1", speaker_independent=False, protocol="emocatcher-5fold")


def test_the_author_trains_on_all_but_the_test_clips_and_chooses_on_those():
    split = chosen_on_test(HONEST)
    assert split.train == (*HONEST.train, *HONEST.valid)
    assert split.valid == split.test == HONEST.test


def test_protocol_and_fold_say_it_in_every_file():
    split = chosen_on_test(HONEST)
    assert split.protocol == "emocatcher-5fold-epoch-on-test"
    assert split.fold == "f1-epoch-on-test"
    assert chosen_on_test(replace(HONEST, fold="f1#2")).fold == "f1-epoch-on-test#2"
    assert is_chosen_on_test(split.protocol)
    assert not is_chosen_on_test(HONEST.protocol)


def test_no_plain_split_can_hold_what_it_holds(tmp_path):
    split = chosen_on_test(HONEST)
    with pytest.raises(SplitError, match="valid and test share the utterance made/c"):
        Split(split.train, split.valid, split.test, speaker_independent=False)
    (tmp_path / "split.json").write_text(split.to_json())
    with pytest.raises(SplitError, match="valid and test share the utterance"):
        splits_of(protocol_of_files([tmp_path / "split.json"]), [row("a"), row("b"), row("c")])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"valid": [row("b")]}, "validation and test recordings must be the same"),
        ({"protocol": "emocatcher-5fold"}, "must end in -epoch-on-test"),
        ({"fold": "f1"}, "must end in -epoch-on-test"),
        ({"train": [row("a"), row("c")]}, "train and test share the utterance made/c"),
    ],
)
def test_it_can_not_pass_for_anything_else(change, message):
    with pytest.raises(SplitError, match=message):
        replace(chosen_on_test(HONEST), **change)


def test_the_stamp_is_in_every_title():
    protocol = author_protocol(protocol_called("emocatcher-5fold"))
    assert protocol.kind == f"speaker-dependent; {STAMP}"
    assert is_chosen_on_test(protocol.name)


def test_no_protocol_that_can_be_named_chooses_on_test():
    assert not any(is_chosen_on_test(name) or protocol.stamp for name, protocol in PROTOCOLS.items())
    with pytest.raises(RecipeError, match="no protocol 'emocatcher-5fold-epoch-on-test'"):
        protocol_called("emocatcher-5fold-epoch-on-test")


def test_only_of_known_authors_is_it_said_that_they_chose_on_test():
    told = r"ravdess-6fold is not the protocol of a published number\. Take a recipe of the five systems"
    with pytest.raises(RecipeError, match=told):
        author_protocol(protocol_called("ravdess-6fold"))
    with pytest.raises(RecipeError, match="iemocap-10speaker: its authors chose on validation recordings"):
        author_protocol(protocol_called("iemocap-10speaker"))


@pytest.mark.parametrize("name", AUTHOR_PROTOCOLS)
def test_a_published_number_stands_beside_one_on_unseen_speakers(name):
    assert honest_protocol(name).speaker_independent
    stays = honest_protocol(name).name == name
    assert stays == protocol_called(name).speaker_independent


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_the_five_systems_names_the_authors_protocol(path):
    recipe = read_recipe(path)
    if path.stem.startswith(FIVE) and path.stem not in OURS:
        assert recipe.authors_protocol in AUTHOR_PROTOCOLS
    elif recipe.authors_protocol:
        raise AssertionError(f"{path.stem} is none of theirs")


def test_the_type_says_what_it_is():
    assert isinstance(chosen_on_test(HONEST), ChosenOnTest)
