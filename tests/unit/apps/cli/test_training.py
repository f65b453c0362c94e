"""A recipe with other settings than its own."""

import re
from pathlib import Path

import click
import pytest
from made_up_corpus import write_corpus

from earnest.apps.cli import say
from earnest.apps.cli._training import RecipeOptions, changes_of
from earnest.errors import RecipeError
from earnest.settings.recipe import read_recipe


def test_values_are_toml_and_anything_else_a_word() -> None:
    typed = (
        "training.epochs=3",
        "training.freeze=[]",
        "training.precision=bf16",
        'model="cabg"',
        "training.refit = true",
    )
    assert changes_of(typed) == {
        "training.epochs": 3,
        "training.freeze": [],
        "training.precision": "bf16",
        "model": "cabg",
        "training.refit": True,
    }


def test_the_scheme_has_an_option_of_its_own() -> None:
    assert RecipeOptions("six", (), ()).changes == {"scheme": "six"}
    assert RecipeOptions(None, (), ()).changes == {}


def test_what_was_typed_can_be_typed_again() -> None:
    assert RecipeOptions("six", (), ("a=1", "b=2")).words == ["--scheme", "six", "--set", "a=1", "--set", "b=2"]
    assert RecipeOptions(None, (), ()).words == []


@pytest.mark.parametrize("text", ["training.epochs", "=3", " = 3"])
def test_half_a_setting_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError, match="KEY=VALUE"):
        changes_of((text,))


def test_what_is_said_twice_is_a_usage_error() -> None:
    for options in (RecipeOptions("six", (), ("scheme=iemocap4",)), RecipeOptions(None, ("emodb",), ("corpus=savee",))):
        with pytest.raises(click.UsageError, match="are one setting"):
            _ = options.changes
    assert RecipeOptions(None, ("emodb",), ("scheme=six",)).changes == {"corpus": ["emodb"], "scheme": "six"}


def test_a_protocol_that_was_set_is_that_of_own_recordings(tmp_path: Path) -> None:
    options = RecipeOptions(None, (str(write_corpus(tmp_path, 3, 1)),), ("protocol=loso",))
    recipe = options.read(Path(__file__).parents[4] / "recipes" / "own.toml")
    assert options.protocol_of(recipe, options.own)[0] == "loso"
    other = RecipeOptions(None, options.corpora, ())
    assert other.protocol_of(recipe, other.own)[0] == "speaker-3fold"  # which suits so few speakers


def test_settings_in_vain_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, options = Path(__file__).parents[4] / "recipes" / "base.toml", RecipeOptions(None, (), ("training.epochs=7",))
    with click.Context(click.Command("train")) as context:
        context.meta[say.QUIET] = True
        assert options.read(base) == read_recipe(base, {"training.epochs": 7})
    assert capsys.readouterr().err == ""
    options.read(base)
    assert capsys.readouterr().err == 'method = "discriminant" makes no use of training.epochs.\n'
    short = tmp_path / "short.toml"
    short.write_text(
        'corpus = "ravdess"\nmodel = "cabg"\n[training]\nepochs = 1\nschedule = "multistep"\nmilestones = [1]\n'
    )
    RecipeOptions(None, (), ("training.clean_share=0.5",)).read(short)
    told = "The recipe makes no use of training.milestones, training.clean_share.\n"  # which needs [[augment]]
    assert capsys.readouterr().err == told


def test_what_is_wrong_with_a_typed_setting_is_not_told_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('corpus = "ravdess"\nmodel = "cabg"\n')
    typed = RecipeOptions(None, (), ("training.epoch=4",))
    with pytest.raises(RecipeError, match=r"mine\.toml with --set training\.epoch=4: training: unknown key 'epoch'"):
        typed.read(path)
    with pytest.raises(RecipeError, match="with --scheme sixx: There is no label scheme"):
        RecipeOptions("sixx", (), ()).read(path)
    path.write_text('corpus = "ravdess"\nmodel = "cabg"\n[training]\nepoch = 3\n')
    with pytest.raises(RecipeError, match=r"mine\.toml: training: unknown key 'epoch'"):
        typed.read(path)


WRONG = {
    'model = "cagb"': "There is no model called 'cagb'",
    'model = "cabg"\nprotocol = "losso"': "There is no protocol 'losso'",
    'model = "cabg"\n[network]\nwidht = 3': "[network]: unknown key 'widht'",
    'model = "cabg"\n[[augment]]\nname = "gian"': "augment 1: there is no augmentation called 'gian'",
}


@pytest.mark.parametrize("words", [(), ("training.seed=3",)])
@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_recipe_is_told_with_its_file(text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="networks need the extra 'train'")
    path = tmp_path / "mine.toml"
    path.write_text(f'corpus = "emodb"\n{text}\n')
    options = RecipeOptions(None, (), words)
    with pytest.raises(RecipeError, match=f"^{re.escape(f'{path}: {WRONG[text]}')}"):
        options.check(path, options.read(path).protocol)


def test_a_network_that_was_typed_wrongly_is_told_with_what_was_typed(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="networks need the extra 'train'")
    path = tmp_path / "mine.toml"
    path.write_text('corpus = "emodb"\nmodel = "cabg"\nprotocol = "losso"\n')
    told = f"{path} with --set network.widht=3: [network]: unknown key 'widht'"
    with pytest.raises(RecipeError, match=f"^{re.escape(told)}"):
        RecipeOptions(None, (), ("network.widht=3",)).check(path, "loso")  # a protocol that is not used may be wrong
