"""Ctrl-C in the middle of an --output: what is done is kept, and the way on is told; while the command starts, too."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from stand_in import write_bundle

from earnest.apps.cli.main import cli
from earnest.runtime.predictor import Predictor
from earnest.testing.sounds import write_voice


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.mark.parametrize(("command", "heard", "name"), [
    ("predict", "predict_many", "found.csv"),
    ("embed", "embed_many", "found.npz"),
])  # fmt: skip
def test_a_run_that_was_stopped_says_how_to_go_on(
    command: str, heard: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        write_voice(tmp_path / f"{seed}.wav", seed=seed)
    output, bundle = tmp_path / name, write_bundle(tmp_path / "bundle")
    words = (command, tmp_path / "0.wav", tmp_path / "1.wav", "--model", bundle, "-o", output)
    whole = getattr(Predictor, heard)

    def stopped_after_one(self: Predictor, sources: Any, *more: Any, **named: Any) -> Iterator[Any]:
        yield next(iter(whole(self, sources, *more, **named)))
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, heard, stopped_after_one)
    result = run(*words)
    assert result.exit_code == 1
    assert f"What is done is in {output}.partial; the same command with --resume continues." in result.stderr
    assert not output.exists()
    monkeypatch.setattr(Predictor, heard, whole)
    assert "1 were there already" in run(*words, "--resume").stderr


INSIDE_A_LOCK = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background ignores it
class Lock:
    def __del__(self):  # whose errors Python drops
        signal.raise_signal(signal.SIGINT)
class Finder:
    def find_spec(self, name, *_):
        if name == "fastapi":
            Lock()
sys.meta_path.insert(0, Finder())
from earnest.__main__ import main
main()
"""


def test_ctrl_c_while_the_server_is_imported_is_not_lost() -> None:
    # A port that nobody may have: without the first Ctrl-C it would be told, with 1.
    command = [sys.executable, "-c", INSIDE_A_LOCK, "serve", "--host", "203.0.113.9"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


CHAINED = "raise {error}('initialization failed') from KeyboardInterrupt()\n"  # as modules in C, and classes, do


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("onnxruntime", "ImportError"),
        ("onnxruntime", "RuntimeError"),
        ("click", "RuntimeError"),
        ("click", "ImportError"),
    ],
)
def test_ctrl_c_while_modules_are_imported_is_no_module_that_is_missing(
    module: str, error: str, tmp_path: Path
) -> None:
    (tmp_path / f"{module}.py").write_text(CHAINED.format(error=error))
    clip = write_voice(tmp_path / "clip.wav")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from earnest.__main__ import main; main()"
    command = [sys.executable, "-c", code, "predict", clip, "--model", "small"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")
