"""Chains: what a recipe says is what is done, in its order; mistakes are named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, build_chain, build_choice
from earnest.augment.gain import with_gain
from earnest.augment.telephone import over_telephone
from earnest.errors import EarnestError, RecipeError
from earnest.settings.recipe import Recipe, read_recipe, recipe_to_toml
from earnest.testing.augmentations import resolved_tables
from earnest.testing.sounds import voice

RATE_HZ = 16_000
SHARES = {6.0: 0.1, -6.0: 0.3, 12.0: 0.0}  # gain in dB → probability
SIX_DB = {"name": "gain", "gain_db": [6, 6]}


def test_transforms_are_applied_in_their_order() -> None:
    chain = build_chain([{"name": "telephone"}, SIX_DB], RATE_HZ)
    expected = with_gain(over_telephone(voice(), RATE_HZ), 6)
    np.testing.assert_array_equal(chain(voice(), np.random.default_rng(0)), expected)


def test_without_tables_a_clip_comes_back_as_it_is() -> None:
    clip = voice()
    assert build_chain([], RATE_HZ)(clip, np.random.default_rng(0)) is clip


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "reverbb"}, "augment 2: there is no augmentation called 'reverbb'. Did you mean 'reverb'?"),
        ({}, "augment 2: the key 'name' is missing."),
        ({"name": ["gain"]}, "augment 2: there is no augmentation called ['gain']."),
        ({"name": "gain", "gain": [1, 2]}, "augment 2 (gain): unknown key 'gain'. Did you mean 'gain_db'?"),
        ({"name": "gain", "gain_db": [6, -6]}, "augment 2 (gain): gain_db must be [low, high] from -60 to 60"),
        ({"name": "gain", "gain_db": 6}, "augment 2 (gain): gain_db must be a list, got 6."),
        ({"name": "gain", "probability": 1.5}, "augment 2 (gain): probability must be from 0 to 1, got 1.5."),
        (
            {"name": "coloured-noise", "colours": ["pinc"]},
            "augment 2 (coloured-noise): colours is 'pinc'. Did you mean",
        ),
        ({"name": "noise-files"}, "augment 2 (noise-files): the key 'folder' is missing."),
    ],
)
def test_a_mistake_is_named_with_its_table_and_the_nearest_right_word(table: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as error:
        build_chain([SIX_DB, table], RATE_HZ)
    assert str(error.value).startswith(message)


def test_one_of_several_is_drawn_a_clip_in_proportion_to_their_probabilities() -> None:
    tables = [{"name": "gain", "gain_db": [level, level], "probability": share} for level, share in SHARES.items()]
    choice, rng = build_choice(tables, RATE_HZ), np.random.default_rng(0)
    clip = voice()[:100]
    found = [float(choice(clip, rng).max() / clip.max()) for _ in range(2_000)]
    for level, share in SHARES.items():
        drawn = np.isclose(found, 10 ** (level / 20), rtol=1e-4).mean()
        assert drawn == pytest.approx(share / sum(SHARES.values()), abs=0.04)


def test_nothing_to_draw_from_is_refused() -> None:
    with pytest.raises(RecipeError, match="a probability above 0"):
        build_choice([{**SIX_DB, "probability": 0.0}], RATE_HZ)
    with pytest.raises(RecipeError, match="a probability above 0"):
        build_choice([], RATE_HZ)


def test_resolved_tables_spell_every_default_out() -> None:
    assert resolved_tables([{"name": "speed"}]) == ({"name": "speed", "probability": 1.0, "rate": (0.9, 1.1)},)


def test_a_recipe_that_was_written_and_read_makes_the_same_chain(tmp_path: Path) -> None:
    tables = ({"name": "reverb", "probability": 0.5}, {"name": "align", "top_db": "none", "sides": ["right"]}, SIX_DB)
    recipe = Recipe("emodb", "cabg", augment=resolved_tables(tables))
    (tmp_path / "recipe.toml").write_text(recipe_to_toml(recipe), encoding="utf-8")
    again = build_chain(read_recipe(tmp_path).augment, RATE_HZ)
    for seed in range(4):
        expected = build_chain(tables, RATE_HZ)(voice(), np.random.default_rng(seed))
        np.testing.assert_array_equal(again(voice(), np.random.default_rng(seed)), expected)


@dataclass(frozen=True)
class Giving(Augmentation):
    """Give what somebody else's augmentation may.

    Attributes
    ----------
    what : which of them
    """

    what: str

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Any:
        given = {"nothing": None, "none left": waveform[:0], "a row": waveform[None], "half": waveform[::2]}
        return given.get(self.what, waveform * np.nan)


class GivingAnyLength(Giving):
    keeps_length: ClassVar[bool] = False


@pytest.mark.parametrize("build", [build_chain, build_choice])
@pytest.mark.parametrize(
    ("kind", "what", "told"),
    [
        (Giving, "nothing", r"\(8,\), got \(\), 0 finite"),
        (Giving, "none left", r"\(8,\), got \(0,\), 0 finite"),
        (Giving, "a row", r"\(8,\), got \(1, 8\), 8 finite"),
        (Giving, "half", r"\(8,\), got \(4,\), 4 finite"),
        (Giving, "not a number", r"\(8,\), got \(8,\), 0 finite"),
        (GivingAnyLength, "none left", r"\(samples,\), got \(0,\), 0 finite"),
        (GivingAnyLength, "a row", r"\(samples,\), got \(1, 8\), 8 finite"),
        (GivingAnyLength, "not a number", r"\(samples,\), got \(8,\), 0 finite"),
    ],
)
def test_an_augmentation_that_breaks_its_promise_is_named_with_what_it_gave(
    build: Any, kind: type[Giving], what: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(AUGMENTATIONS._entries, "giving", kind)
    change = build([{"name": "giving", "what": what}], 16_000)
    with pytest.raises(EarnestError, match=rf"^augment 1 \(giving\): must give finite samples of the shape {told}\.$"):
        change(np.ones(8, np.float32), np.random.default_rng(0))


def test_an_augmentation_that_says_so_may_change_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AUGMENTATIONS._entries, "giving", GivingAnyLength)
    change = build_chain([{"name": "giving", "what": "half"}], 16_000)
    assert change(np.ones(8, np.float32), np.random.default_rng(0)).shape == (4,)
