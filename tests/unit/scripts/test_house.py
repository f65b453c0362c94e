"""The measurements of the package's shape, on a made-up package of three files."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

FILES = {
    "earnest/__init__.py": '"""A package."""\n\nfrom earnest.audio.io import Clip  # what people need\n',
    "earnest/audio/io.py": '''\
"""Sound."""

from earnest import labels

# A comment on a line of its own, and "# not one" in a string.
NAME = "# no comment"


class Clip:
    """One."""

    def length(self) -> int:
        return 1


class _Hidden:
    pass
''',
    "earnest/labels.py": '''\
"""Names."""


class Clip:
    def shown(self) -> str:
        """Later."""
        from earnest.audio import io  # noqa: PLC0415

        return io.NAME
''',
}


@pytest.fixture
def house() -> ModuleType:
    import house

    return house


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_each_number_is_the_one_that_can_be_counted_by_hand(house: ModuleType, folder: Path) -> None:
    table = house.House.read(folder).table()
    assert table["files"] == "3"
    assert table["lines"] == "29"
    assert table["non-blank lines"] == "18"
    assert table["lines a file"] == "9 / 17"
    assert table["comments"] == "11.1 %"  # 2 of 18
    assert table["public docstrings"] == "71.4 %"  # not Clip.length, not labels.Clip
    assert table["modules with one importer"] == "1 / 1"  # labels by audio.io; audio.io has two
    assert table["public class names that mean two things"] == "1"
    assert table["lines a function"] == "4 / 5 / 5"


def test_a_circle_that_an_import_inside_a_function_closes_is_none_at_loading(house: ModuleType, folder: Path) -> None:
    read = house.House.read(folder)
    table = read.table()
    assert (table["circles of modules"], table["circles of rooms"]) == ("0 / 1", "0 / 1")
    assert house.circles(read.graph()) == [{"earnest.audio.io", "earnest.labels"}]
    assert read.ambiguous == {"Clip": ["earnest.audio.io", "earnest.labels"]}


def test_rooms_are_the_top_folders_and_what_lies_beside_them(house: ModuleType, folder: Path) -> None:
    assert house.House.read(folder).rooms == {"(top)": (2, 12), "audio/": (1, 17)}


def test_the_page_has_a_column_for_each_state_and_says_how_it_was_written(house: ModuleType, folder: Path) -> None:
    read = house.House.read(folder)
    text = house.page(house.tables({"005c22a": read, ".": read}), "python scripts/house.py 005c22a .")
    assert "| | `005c22a` | working tree |" in text
    assert "| files | 3 | 3 |" in text
    assert "| audio/ | 1, 17 | 1, 17 |" in text
    assert "`python scripts/house.py 005c22a .`" in text


def test_strongly_connected_groups_are_found_apart(house: ModuleType) -> None:
    graph = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": ["e"], "e": ["d"], "f": ["a"]}
    assert house.circles(graph) == [{"a", "b", "c"}, {"d", "e"}]


def test_a_walk_counts_files_of_which_a_function_is_called_and_those_that_are_handed_a_waveform(
    house: ModuleType, tmp_path: Path
) -> None:
    import house_walk

    def file(name: str, text: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile(text, str(tmp_path / name), "exec"), names)
        return names

    wave = file("wave.py", "def loudness(waveform):\n    return abs(waveform).max()")
    helper = file("helper.py", "def named(text):\n    return text")
    file("silent.py", "def never():\n    pass")
    outside: dict[str, Any] = {}
    exec("def elsewhere(waveform):\n    return waveform", outside)

    def call() -> None:
        wave["loudness"](np.zeros(house_walk.WAVEFORM_SAMPLES, np.float32))
        helper["named"]("a")
        outside["elsewhere"](np.zeros(house_walk.WAVEFORM_SAMPLES, np.float32))
        file("imported.py", "def register():\n    pass\nregister()")

    # This test's own functions are not below the folder; what a module calls while it is loaded doesn't count.
    assert house_walk.walked(tmp_path, call) == {"on the way": ["wave.py"], "called": ["helper.py", "wave.py"]}
