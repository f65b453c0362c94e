"""Kinds of noise: some for training, the others for the test, none for both."""

import os
from pathlib import Path

import pytest

from earnest.augment.noise_files import NoiseFiles
from earnest.settings.recipe import read_recipe

ROOT = Path(__file__).parents[3]
PAGES = {
    "emocatcher-noise": "noise.md",
    "emocatcher-stability": "noise.md",
    "base": "stress.md",
    "small": "stress.md",
}
TEST_ONLY = ("baby-cry", "helicopter", "person-sneeze", "sea-waves")
each_recipe = pytest.mark.parametrize("name", PAGES)


def training_kinds(name: str) -> tuple[str, ...]:
    tables = read_recipe(ROOT / "recipes" / f"{name}.toml").augment
    (table,) = (table for table in tables if table["name"] == "noise-files")
    return tuple(table["names"])


@each_recipe
def test_no_kind_of_noise_is_for_training_and_for_the_test(name: str) -> None:
    kinds = training_kinds(name)
    assert len(kinds) == 6
    # A name is looked for anywhere in a path, so none may be a part of another either.
    assert not [(one, other) for one in kinds for other in TEST_ONLY if one in other or other in one]


@each_recipe
def test_the_recipe_and_the_docs_say_which_kinds_are_only_for_the_test(name: str) -> None:
    text = (ROOT / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    comments = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert all(kind in comments for kind in TEST_ONLY)
    assert f"--noise-names {','.join(TEST_ONLY)}" in (ROOT / "docs" / PAGES[name]).read_text(encoding="utf-8")


def test_the_two_recipes_differ_in_stability_alone() -> None:
    noise, stability = (
        read_recipe(ROOT / "recipes" / f"emocatcher-{name}.toml").to_dict() for name in ("noise", "stability")
    )
    assert stability["training"].pop("stability_weight") > noise["training"].pop("stability_weight") == 0
    assert {**noise, "description": ""} == {**stability, "description": ""}


@pytest.mark.corpora
def test_no_recording_of_the_test_comes_from_the_same_source_as_one_of_training() -> None:
    data = os.environ.get("EARNEST_DATA")
    if not data or not (Path(data) / "noise-esc10").is_dir():
        pytest.skip("noise-esc10 is not in EARNEST_DATA")

    def sources(names: tuple[str, ...]) -> set[str]:
        return {path.stem.split("-")[1] for path, _ in NoiseFiles("noise-esc10", names=names).recordings}

    heard, tested = sources(training_kinds("emocatcher-noise")), sources(TEST_ONLY)
    assert heard and tested
    assert not heard & tested
