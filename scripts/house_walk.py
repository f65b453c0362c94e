"""Print as JSON which files of the package in TREE an evaluation and a prediction go through.

Usage: python scripts/house_walk.py TREE

Both are command lines as people type them: `earnest evaluate` of one fold of the golden recipe "cabg" on made-up
recordings, and `earnest predict` of one demo recording with the default bundle. Two things are counted:

called: files of which a function is called, in any thread, from the command line's first function to its end. What is
called because a module is being imported (decorators, registries, classes being made) doesn't count, nor does the
body of a module or class.

on the way: those that the task or a waveform passes through, so what a reader has to follow. A file is on the way when
one of its functions is on the stack at a moment that the command is about (`MOMENTS`: a recording is opened, a network
or its gradient is computed, a result file takes its place), or is handed a waveform (an array or a tensor of float32
whose last axis has `WAVEFORM_SAMPLES` or more) or one of the objects that stand for the task (`SEAMS`), alone or first
in a list. Helpers that are handed less are not on it.
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
from typing import Any

import golden_runs

WALKS = {
    "an evaluation": "evaluate inputs/cabg.toml --protocol speaker-3fold --folds f1 --output run -q "
    "--data made-up=inputs/corpus/manifest.csv",
    "a prediction": "predict inputs/demo/plain.flac -q",
}


MOMENTS = {
    ("soundfile.py", "__init__"),
    ("_tensor.py", "backward"),
    ("module.py", "_call_impl"),
    ("onnxruntime_inference_collection.py", "run"),
}
SEAMS = {"Recipe", "Utterance", "Split", "Predictions"}  # of the handbook's seams, by name
WAVEFORM_SAMPLES = 4_000  # a quarter of a second; a log-mel spectrogram and an embedding have shorter axes


class Walk:
    """Notes down the files in which functions are called.

    Attributes
    ----------
    folder : of the files that count
    called, on_the_way : paths below it
    """

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder) + os.sep
        self.called: set[str] = set()
        self.on_the_way: set[str] = set()
        self._of_thread = threading.local()

    def __call__(self, frame: FrameType, event: str, called: object) -> None:
        """Be called by the interpreter at each call and return."""
        code = frame.f_code
        if code.co_name == "<module>" and event in {"call", "return"}:
            self._of_thread.importing = self._importing + (1 if event == "call" else -1)
        elif self._importing:
            return
        elif event == "c_call" and called is os.replace:
            self._note_stack(frame)
        elif event == "call" and self._counts(code):
            self.called.add(code.co_filename[len(self.folder) :])
            if _is_handed_the_task(frame):
                self.on_the_way.add(code.co_filename[len(self.folder) :])
        elif event == "call" and (Path(code.co_filename).name, code.co_name) in MOMENTS:
            self._note_stack(frame)

    def _note_stack(self, frame: FrameType | None) -> None:
        """Note down the files of all functions that wait for this one."""
        while frame is not None:
            if self._counts(frame.f_code):
                self.on_the_way.add(frame.f_code.co_filename[len(self.folder) :])
            frame = frame.f_back

    @property
    def _importing(self) -> int:
        """Number of modules being imported in this thread, one by another."""
        return getattr(self._of_thread, "importing", 0)

    def _counts(self, code: CodeType) -> bool:
        """Whether it is a function of the package; bodies of classes are not optimised."""
        return bool(code.co_flags & inspect.CO_OPTIMIZED) and code.co_filename.startswith(self.folder)


def _is_handed_the_task(frame: FrameType) -> bool:
    """Whether a function that begins is given a waveform, or an object for the task."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return any(_is_of_the_task(frame.f_locals.get(name)) for name in names)


def _is_of_the_task(value: Any) -> bool:
    """Whether it is a waveform, a batch of them, one of `SEAMS`, or a list that begins with one of these."""
    if isinstance(value, list | tuple) and value:
        value = value[0]
    kind = type(value)
    if kind.__name__ in {"ndarray", "Tensor"}:
        return str(value.dtype).endswith("float32") and value.ndim in {1, 2} and value.shape[-1] >= WAVEFORM_SAMPLES
    return kind.__name__ in SEAMS and kind.__module__.startswith("earnest.")


def walked(folder: Path, call: Callable[[], object]) -> dict[str, list[str]]:
    """Call, and return the files below ``folder`` that are on the way, and those that are called."""
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
    return {"on the way": sorted(walk.on_the_way), "called": sorted(walk.called)}


def main(tree: Path) -> dict[str, dict[str, list[str]]]:
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
