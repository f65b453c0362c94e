"""Folds on a Ray cluster: the same files as one after the other, the same sentences where something is wrong."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import earnest_cli
from made_up_corpus import recipe_text

from earnest.corpora.manifest import read_manifest, write_manifest

pytest.importorskip("ray", reason="needs Ray, earnest[ray]")
pytestmark = pytest.mark.slow


def on_ray(*words: Any) -> "subprocess.CompletedProcess[str]":
    """Run ``earnest evaluate`` in a process of its own: Ray starts threads, which the other tests do without."""
    command = [sys.executable, "-m", "earnest", "evaluate", *map(str, words), "--engine", "ray", "--jobs", "2", "-q"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_folds_on_ray_give_the_same_files_and_a_bad_recording_is_named(made_up: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(epochs=2), encoding="utf-8")
    words = (recipe, "--protocol", "speaker-3fold", "--data")
    earnest_cli("evaluate", *words, f"made-up={made_up}", "--output", tmp_path / "one", "--json")
    done = on_ray(*words, f"made-up={made_up}", "--output", tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    for name in ("predictions.csv", "metrics.json", "f2/model.safetensors"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()

    first, *others = read_manifest(made_up)
    write_manifest([replace(first, path=tmp_path / "gone.wav"), *others], tmp_path / "gone.csv")
    failed = on_ray(*words, f"made-up={tmp_path / 'gone.csv'}", "--output", tmp_path / "gone")
    assert failed.returncode == 1
    assert "gone.wav" in failed.stderr
    assert "Traceback" not in failed.stderr
