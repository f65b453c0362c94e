"""The notebooks of docs/notebooks run from start to end, on made-up voices and a bundled clip alone."""

import json
import os
import re
import shlex
import shutil
import sys
import traceback
import warnings
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from command_line import forked

from scripts import notebooks

pytestmark = pytest.mark.long

NAMES = [path.name for path in sorted(notebooks.FOLDER.glob("*.ipynb"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks") / "notebooks"
    shutil.copytree(notebooks.FOLDER, folder, ignore=shutil.ignore_patterns("work", "__pycache__"))
    return folder


def enter(folder: Path) -> None:
    """Go to a notebook's folder in a child process, which has an environment from before."""
    os.chdir(folder)
    os.environ.pop("EARNEST_DATA", None)
    os.environ.update(notebooks.ENVIRONMENT)
    matplotlib.use(notebooks.ENVIRONMENT["MPLBACKEND"])


def command(line: str, folder: Path, said: Path) -> None:
    """Run a notebook's command as a child process, with both outputs in a file."""
    from earnest.apps.cli.main import main

    enter(folder)
    for descriptor in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    sys.argv = shlex.split(line)
    assert sys.argv[0] == "earnest"
    main()


def notebook(path: Path, link: Connection) -> None:
    """Run a notebook as a child process, which sends its commands, and at the end what failed."""

    def shell(line: str) -> None:
        link.send((line, None))
        code, told = link.recv()
        sys.stdout.write(told)
        assert code == 0, f"{line}: exit code {code}\n{told}"

    enter(path.parent)
    warnings.simplefilter("error", FutureWarning)
    notebooks.shell = shell
    try:
        notebooks.run_here(path)
    except BaseException:
        link.send(("", traceback.format_exc()))


def executed(path: Path, said: Path) -> dict[str, Any]:
    """Run a notebook as `scripts.notebooks` does, but in processes that have loaded PyTorch before they start."""
    link, theirs = Pipe()
    running = forked(notebook, path, theirs)
    running.start()
    theirs.close()
    while True:
        try:
            line, failed = link.recv()
        except EOFError:
            break
        assert not failed, failed
        said.unlink(missing_ok=True)
        process = forked(command, line, path.parent, said)
        process.start()
        process.join()
        link.send((process.exitcode, said.read_text(encoding="utf-8")))
    running.join()
    assert running.exitcode == 0
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_shows_what_is_kept_of_it(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    kept = json.loads((notebooks.FOLDER / name).read_text(encoding="utf-8"))
    as_people_do = name == NAMES[0]
    again = notebooks.executed(folder / name) if as_people_do else executed(folder / name, tmp_path / "said")
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
