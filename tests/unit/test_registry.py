"""Registries find their entries by reading files, and import one when it is used."""

import sys
from pathlib import Path

import pytest

from earnest.errors import EarnestError
from earnest.registry import Registry

MODULE = """
from animals_registry import ANIMALS

@ANIMALS.register("{first}")
class First: ...

@ANIMALS.register("{second}")
class Second: ...
"""


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[type]:
    package = tmp_path / "animals"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cats.py").write_text(MODULE.format(first="lion", second="tiger"))
    (package / "birds.py").write_text(MODULE.format(first="crow", second="tern"))
    (package / "_hidden.py").write_text(MODULE.format(first="ghost", second="ghoul"))
    registry: Registry[type] = Registry("ANIMALS", "animal", "animals")
    (tmp_path / "animals_registry.py").write_text("ANIMALS = None")
    monkeypatch.syspath_prepend(str(tmp_path))
    import animals_registry

    monkeypatch.setattr(animals_registry, "ANIMALS", registry)
    yield registry
    for name in [name for name in sys.modules if name.split(".")[0] in ("animals", "animals_registry")]:
        del sys.modules[name]


def test_names_are_listed_without_importing(animals: Registry[type]) -> None:
    assert animals.names() == ["crow", "lion", "tern", "tiger"]
    assert not {"animals.cats", "animals.birds"} & set(sys.modules)


def test_getting_one_imports_its_module_only(animals: Registry[type]) -> None:
    assert animals.get("tiger").__name__ == "Second"
    assert "animals.cats" in sys.modules
    assert "animals.birds" not in sys.modules


def test_a_wrong_name_is_told_the_nearest(animals: Registry[type]) -> None:
    with pytest.raises(EarnestError, match=r"no animal called 'tigre'\. Did you mean 'tiger'"):
        animals.get("tigre")


def test_two_entries_of_one_name_are_refused(animals: Registry[type]) -> None:
    animals.get("lion")
    with pytest.raises(EarnestError, match="Two animal entries are called 'lion'"):
        animals.register("lion")(int)
