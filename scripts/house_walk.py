"""Print as JSON which files of the package in TREE an evaluation and a prediction go through.

Usage: python scripts/house_walk.py TREE

Both are command lines as people type them: `earnest evaluate` of one fold of the golden recipe "cabg" on made-up
recordings, and `earnest predict` of one demo clip with the default bundle. A file counts when one of its functions is
called, in any thread, from the command line's first function to its end. What is called because a module is being
imported (decorators, registries, classes being made) doesn't count, nor does the body of a module or class.
"""

import importlib
import inspect
import json
import os
import shlex
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from types import CodeType, FrameType

import golden_runs

WALKS = {
    "an evaluation": "evaluate inputs/cabg.toml --protocol speaker-3fold --folds f1 --output run -q "
    "--data made-up=inputs/corpus/manifest.csv",
    "a prediction": "predict inputs/demo/plain.flac -q",
}


class Walk:
    """Notes down the files in which functions are called.

    Attributes
    ----------
    folder : of the files that count
    files : paths below it
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder) + os.sep
        self.files: set[str] = set()
        self._of_thread = threading.local()

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Be called by the interpreter at each call and return."""
        code = frame.f_code
        if event == "call" and code.co_name == "<module>":
            self._of_thread.importing = self._importing + 1
        elif event == "return" and code.co_name == "<module>":
            self._of_thread.importing = self._importing - 1
        elif event == "call" and not self._importing and self._counts(code):
            self.files.add(code.co_filename[len(self.folder) :])

    @property
    def _importing(self) -> int:
        """How many modules are being imported in this thread, one by another."""
        return getattr(self._of_thread, "importing", 0)

    def _counts(self, code: CodeType) -> bool:
        """Tell whether it is a function of the package; bodies of classes are not optimised."""
        return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_filename.startswith(self.folder)


def walked(folder: Path, call: Callable[[], object]) -> list[str]:
    """Call, and return the files below ``folder`` that had a function called."""
    walk = Walk(folder)
    threading.setprofile(walk)
    sys.setprofile(walk)
    try:
        call()
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return sorted(walk.files)


def main(tree: Path) -> dict[str, list[str]]:
    """Go both ways through the package in ``tree``."""
    os.environ |= golden_runs.ENVIRONMENT
    sys.path.insert(0, str(tree))
    with (tree / "pyproject.toml").open("rb") as file:
        module, _, name = tomllib.load(file)["project"]["scripts"]["earnest"].partition(":")
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        golden_runs.write_inputs(Path("inputs").resolve())
        command_line = getattr(importlib.import_module(module), name)
        found = {}
        for way, words in WALKS.items():
            sys.argv = ["earnest", *shlex.split(words)]
            with redirect_stdout(sys.stderr):
                found[way] = walked(tree / "earnest", command_line)
        os.chdir(tree)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]).resolve())))
