"""Registries find their entries in files and in metadata of other packages, and import one when it is used."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from earnest.errors import EarnestError
from earnest.registry import Registry


class Animal(ABC):
    """What entries of other packages must be."""

    legs: int
    tail: bool = True

    @abstractmethod
    def sound(self) -> str: ...


class Winged(Protocol):
    wings: int


MODULE = """
from animals_registry import ANIMALS

@ANIMALS.register("{first}")
class First: ...

@ANIMALS.register("{second}")
class Second: ...
"""


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[type]]:
    package = tmp_path / "animals"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "cats.py").write_text(MODULE.format(first="lion", second="tiger"))
    (package / "birds.py").write_text(MODULE.format(first="crow", second="tern"))
    (package / "_hidden.py").write_text(MODULE.format(first="ghost", second="ghoul"))
    registry: Registry[type] = Registry("ANIMALS", "animal", "animals", group="zoo.animals", contract=Animal)
    (tmp_path / "animals_registry.py").write_text("ANIMALS = None")
    monkeypatch.syspath_prepend(str(tmp_path))
    import animals_registry

    monkeypatch.setattr(animals_registry, "ANIMALS", registry)
    yield registry
    for name in [name for name in sys.modules if name.split(".")[0] in ("animals", "animals_registry", "farm", "pond")]:
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


FARM = f"""
from {__name__} import Animal

class Goat(Animal):
    legs = 4

    def sound(self):
        return "maa"

class Statue:
    legs = 4

class Silent(Animal):
    pass

@property
def nothing(self): ...
"""


def install(folder: Path, package: str, source: str, **entries: str) -> None:
    """Write a module and the metadata that pip would write: names of entries → their objects."""
    (folder / f"{package}.py").write_text(source)
    about = folder / f"{package}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    lines = [f"{name} = {package}:{value}" for name, value in entries.items()]
    (about / "entry_points.txt").write_text("\n".join(["[zoo.animals]", *lines]))


def test_entries_of_another_package_are_listed_without_importing_it(animals: Registry[type], tmp_path: Path) -> None:
    install(tmp_path, "farm", FARM, goat="Goat")
    assert animals.names() == ["crow", "goat", "lion", "tern", "tiger"]
    assert [animals.package_of(name) for name in ("goat", "lion", "nothing")] == ["farm 1.2", "", ""]
    assert "farm" not in sys.modules
    assert animals.get("goat")().sound() == "maa"
    assert animals.get("goat") is animals.get("goat")


def test_a_name_of_ours_is_refused_to_another_package_and_the_others_stay(
    animals: Registry[type], tmp_path: Path
) -> None:
    install(tmp_path, "farm", FARM, lion="Goat", goat="Goat")
    with pytest.raises(
        EarnestError, match=r"Two animal entries are called 'lion': those of earnest and farm 1\.2\. Un"
    ):
        animals.get("lion")
    assert animals.get("goat").__name__ == "Goat"
    assert animals.get("tiger").__name__ == "Second"


def test_one_name_of_two_packages_is_refused_and_both_are_named(animals: Registry[type], tmp_path: Path) -> None:
    install(tmp_path, "farm", FARM, goat="Goat")
    install(tmp_path, "pond", FARM, goat="Goat")
    with pytest.raises(EarnestError) as error:
        animals.get("goat")
    assert all(package in str(error.value) for package in ("farm 1.2", "pond 1.2", "'zoo.animals'"))


def test_a_decorator_elsewhere_takes_no_name_of_ours_even_before_ours_is_imported(animals: Registry[type]) -> None:
    with pytest.raises(EarnestError, match="Two animal entries are called 'lion'"):
        animals.register("lion")(int)
    assert animals.get("lion").__name__ == "First"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def :", "SyntaxError: invalid syntax"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("Dog = 1", "AttributeError: module 'farm' has no attribute 'Goat'"),
    ],
)
def test_an_entry_that_cannot_be_imported_is_an_error_in_words_that_names_its_package(
    source: str, why: str, animals: Registry[type], tmp_path: Path
) -> None:
    install(tmp_path, "farm", source, goat="Goat")
    install(tmp_path, "pond", FARM, duck="Goat")
    with pytest.raises(EarnestError) as error:
        animals.get("goat")
    assert str(error.value).startswith(f"The animal 'goat' of the package farm 1.2 can't be imported ({why}")
    assert str(error.value).endswith("Update or uninstall that package.")
    assert animals.get("duck").__name__ == "Goat"
    assert animals.get("tern").__name__ == "Second"
    assert "goat" in animals.names()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("Statue", "is no Animal: farm:Statue"),
        ("nothing", "is no Animal: farm:nothing"),
        ("Silent", "has no legs, sound (farm:Silent)"),
    ],
)
def test_an_entry_of_another_kind_is_refused_by_what_it_lacks(
    value: str, why: str, animals: Registry[type], tmp_path: Path
) -> None:
    install(tmp_path, "farm", FARM, goat=value)
    with pytest.raises(EarnestError) as error:
        animals.get("goat")
    assert f"The animal 'goat' of the package farm 1.2 {why}. Update" in str(error.value)


def test_a_protocol_asks_for_names_and_not_for_a_base(animals: Registry[type], tmp_path: Path) -> None:
    install(tmp_path, "pond", "class Duck: wings = 2\nclass Stone: ...", duck="Duck", stone="Stone")
    birds: Registry[type] = Registry("BIRDS", "bird", "animals", group="zoo.animals", contract=Winged)
    assert birds.get("duck").wings == 2
    with pytest.raises(EarnestError, match="has no wings"):
        birds.get("stone")
