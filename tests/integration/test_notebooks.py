"""The notebooks of docs/notebooks run from start to end, on made-up voices and a bundled clip alone."""

import json
import re
import shutil
from pathlib import Path

import pytest

from scripts import notebooks

pytestmark = pytest.mark.long

NAMES = [path.name for path in sorted(notebooks.FOLDER.glob("*.ipynb"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks") / "notebooks"
    shutil.copytree(notebooks.FOLDER, folder, ignore=shutil.ignore_patterns("work", "__pycache__"))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_shows_what_is_kept_of_it(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    kept = json.loads((notebooks.FOLDER / name).read_text(encoding="utf-8"))
    again = notebooks.executed(folder / name)
    assert [shape(cell) for cell in again["cells"]] == [shape(cell) for cell in kept["cells"]]


def shape(cell: dict) -> tuple:
    """What is the same on every machine: the source, the kinds of output, and the words that Python prints."""
    source, outputs = "".join(cell["source"]), cell.get("outputs", [])
    kinds = [(output["output_type"], sorted(output.get("data", ()))) for output in outputs]
    printed = "" if source.startswith("!") else "".join(line for output in outputs for line in output.get("text", ()))
    return cell["cell_type"], source, kinds, set(re.findall(r"[a-z]+", printed))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_and_names_no_place_of_the_machine_it_ran_on(name: str) -> None:
    text = (notebooks.FOLDER / name).read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert not [word for word in ("/work/", "/tmp/", "/home/") if word in text]


def test_the_five_steps_are_there() -> None:
    assert [f"{name}.ipynb" for name in ("1-data", "2-training", "3-testing", "4-explanation", "5-own-data")] == NAMES


def test_a_cell_that_fails_ends_the_run_with_its_error(folder: Path) -> None:
    broken = {"cells": [{"cell_type": "code", "source": ["1 / 0"], "outputs": [], "metadata": {}}]}
    (folder / "broken.ipynb").write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(SystemExit, match="ZeroDivisionError"):
        notebooks.executed(folder / "broken.ipynb")
