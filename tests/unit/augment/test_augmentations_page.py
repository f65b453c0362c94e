"""The page on augmentations: its recipes and its code work, and it leaves none out."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earnest.augment.base import AUGMENTATIONS, build_chain
from earnest.settings.recipe import read_recipe
from earnest.testing.augmentations import resolved_tables
from earnest.testing.sounds import write_voice

PAGE = Path(__file__).parents[3] / "docs" / "augmentations.md"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_its_recipes_are_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    for name in ("noise-esc10/rain.wav", "DEMAND/NPARK.wav"):
        (tmp_path / name).parent.mkdir()
        write_voice(tmp_path / name)
    for number, text in enumerate(blocks("toml")):
        path = tmp_path / f"{number}.toml"
        head = "" if "corpus =" in text else 'corpus = "emodb"\nmodel = "cabg"\n'
        path.write_text(head + text.replace("/data/DEMAND", "DEMAND"), encoding="utf-8")
        augment = read_recipe(path).augment
        assert len(build_chain(augment, 16_000).transforms) == len(augment) > 0


def test_its_code_does_what_it_says() -> None:
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    again = names["chain"](names["clip"], np.random.default_rng(1))
    np.testing.assert_array_equal(names["changed"], again)
    assert len(names["heard"]) == 5


def test_its_table_has_every_augmentation_with_its_own_defaults() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == AUGMENTATIONS.names()
    for name, row in rows:
        table = {"name": name, **AUGMENTATIONS.get(name).example_settings(Path("x"))}
        (settings,) = resolved_tables([table])
        for key, value in re.findall(r"`(\w+) = ([^`]*)`", row):
            expected = settings[key]
            given = toml_value(value)
            assert given == (list(expected) if isinstance(expected, tuple) else expected), f"{name}: {key}"
        own = settings.keys() - {"name", "probability"}
        assert not own - set(re.findall(r"\w+", row)), f"{name}: the table leaves out a setting"


def toml_value(value: str) -> Any:
    return tomllib.loads(f"value = {value}")["value"]
