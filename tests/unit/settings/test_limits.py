"""Limits beside fields: what they refuse, in which words, and that no settings class forgets to have them checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import pytest

from earnest.bundle import BundleInfo
from earnest.errors import RecipeError
from earnest.models.cabg import CabgSettings
from earnest.models.multitask import PooledSettings
from earnest.models.whisper import WhisperAttentionSettings, WhisperSettings
from earnest.settings.front_end import FrontEnd, Image, Segments
from earnest.settings.limits import Bounds, Count, LowHigh, NotEmpty, Share, Validated, from_mapping, require
from earnest.settings.recipe import Finetune, FrameChanges, Training, Tune, Unfreezing


@dataclass(frozen=True)
class Example(Validated):
    rate: Annotated[float, Bounds(gt=0, lt=10)] = 1.0
    level: Annotated[float, Bounds()] = 0.0
    share: Share = 0.5
    epochs: Count = 3
    longest_s: Annotated[float, Bounds(gt=0, le=60)] | None = None
    gain_db: Annotated[tuple[float, float], LowHigh(ge=-6, le=6)] = (-1.0, 1.0)
    widths: Annotated[tuple[Count, ...], NotEmpty()] = (1, 2)
    levels: Mapping[str, Annotated[float, Bounds(ge=-60)]] = field(default_factory=dict)


@dataclass(frozen=True)
class Derived(Example):
    last: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.epochs <= self.last, f"epochs must be at most last ({self.last}), got {self.epochs}")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rate": 0.0}, "rate must be above 0 and below 10, got 0.0."),
    ({"rate": 10}, "rate must be above 0 and below 10, got 10"),
    ({"share": 1.5}, "share must be from 0 to 1, got 1.5."),
    ({"epochs": 0}, "epochs must be at least 1, got 0."),
    ({"longest_s": 61.0}, "longest_s must be above 0 and at most 60, got 61.0."),
    ({"gain_db": (1.0, -1.0)}, "gain_db must be [low, high] from -6 to 6, got [1.0, -1.0]."),
    ({"gain_db": (-7.0, 0.0)}, "gain_db must be [low, high] from -6 to 6, got [-7.0, 0.0]."),
    ({"widths": ()}, "widths must be a list of at least one, got []."),
    ({"widths": (3, 0)}, "widths must each be at least 1, got 0."),
    ({"levels": {"rain": -61.0}}, "levels.rain must be at least -60, got -61.0."),
]


@pytest.mark.parametrize(("values", "message"), WRONG)
@pytest.mark.parametrize("kind", [Example, Derived])
def test_one_check_refuses_what_a_file_says_and_what_python_says(
    kind: type[Example], values: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError) as in_python:
        kind(**values)
    assert str(in_python.value).startswith(message)
    with pytest.raises(RecipeError) as in_file:
        from_mapping(kind, values, "a.toml: table")
    assert str(in_file.value).startswith(f"a.toml: table: {message.split(', got', maxsplit=1)[0]}, got")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "3", True])
def test_a_limited_number_is_a_finite_number(value: Any) -> None:
    with pytest.raises(RecipeError, match="level must be a finite number, got"):
        Example(level=value)


def test_a_whole_number_is_whole() -> None:
    with pytest.raises(RecipeError, match=r"epochs must be a whole number, got 2\.5"):
        Example(epochs=2.5)  # type: ignore[arg-type]


def test_the_ends_of_a_range_none_and_huge_numbers_are_right() -> None:
    made = Example(share=1, gain_db=(-6, 6), longest_s=None, levels={"rain": -60}, epochs=10**400)
    assert replace(made, longest_s=60.0).longest_s == 60.0


def test_rules_between_fields_come_after_the_limits() -> None:
    with pytest.raises(RecipeError, match=r"epochs must be at most last \(5\), got 6"):
        Derived(epochs=6)


OUTSIDE: list[tuple[Any, dict[str, Any]]] = [
    (FrontEnd, {"n_mels": 0}),
    (FrontEnd, {"top_db": 0.0}),
    (Image, {"height": -1}),
    (Segments, {"length_s": -1.0}),
    (Training, {"milestones": (0,)}),
    (Training, {"head_learning_rate": 10.0}),
    (Training, {"seed": 2**31}),
    (FrameChanges, {"narrow": 1.1}),
    (FrameChanges, {"stretch_range": (0.4, 1.0)}),
    (Finetune, {"learning_rate": 1.0}),
    (Tune, {"trials": 0}),
    (WhisperSettings, {"pooled_blocks": (0,)}),
    (WhisperSettings, {"key_width": -1}),
    (WhisperAttentionSettings, {"n_blocks": 0}),
    (PooledSettings, {"dropout": 1.0}),
    (PooledSettings, {"kernels": (7, 5, 3, 0)}),
    (CabgSettings, {"width": 0}),
]


@pytest.mark.parametrize(("kind", "values"), OUTSIDE)
def test_settings_outside_their_limits_are_refused_by_name(kind: Any, values: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=f"^{next(iter(values))} must"):
        kind(**values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate_hz": 4_000}, "sample_rate_hz must be from 8000 to 192000, got 4000"),
        ({"temperature": 0.0}, r"temperature must be above 0, got 0\.0"),
        ({"abstain_below": 2.0}, r"abstain_below must be from 0 to 1, got 2\.0"),
        ({"shortest_s": 30.0}, r"shortest_s must be below longest_s \(30\), got 30"),
    ],
)
def test_a_bundle_says_what_is_possible(changes: dict[str, Any], message: str) -> None:
    right = BundleInfo("m", "1", ("happy", "sad"), 16_000, "MIT", {})
    with pytest.raises(RecipeError, match=message):
        replace(right, **changes)


def test_what_is_trained_later_has_a_name() -> None:
    with pytest.raises(RecipeError, match="names must be a list of at least one"):
        Unfreezing(3, ())
