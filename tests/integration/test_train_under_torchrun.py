"""``torchrun -m earnest train``: a recipe as it is, learnt by two processes; one of them runs the command."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from csv_tables import rows_of
from made_up_corpus import recipe_text

from earnest.corpora.manifest import read_manifest, write_manifest

pytestmark = pytest.mark.slow
# All that draws random numbers, augmentation on the fly, and the second training on all clips.
EXTRA = """\
refit = true
mixup_alpha = 0.3
time_mask_frames = 8
oversample = "balanced"
clean_share = 0.3
[[augment]]
name = "gaussian-noise"
deviation = [0.0, 0.1]
"""


def train(recipe: Path, manifest: Path, output: Path) -> "subprocess.CompletedProcess[str]":
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "earnest"]
    words: list[Any] = ["train", recipe, "--data", f"made-up={manifest}", "--output", output]
    return subprocess.run([*launch, *map(str, words)], capture_output=True, text=True, check=False, timeout=300)


def test_a_recipe_is_learnt_by_two_processes(made_up: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(3, EXTRA), encoding="utf-8")
    done = train(recipe, made_up, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("speaker-independent test") == 1  # said by one of them
    assert "Warning" not in done.stderr
    for part in (tmp_path / "run", tmp_path / "run" / "refit"):
        assert [row["epoch"] for row in rows_of(part / "history.csv")][:1] == ["1"]
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert not list(tmp_path.glob("run/**/last.ckpt"))


def test_what_is_wrong_is_said_once_and_ends_all(made_up: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(3), encoding="utf-8")
    first, *others = read_manifest(made_up)
    write_manifest([replace(first, path=tmp_path / "gone.wav"), *others], tmp_path / "gone.csv")
    done = train(recipe, tmp_path / "gone.csv", tmp_path / "run")
    assert done.returncode == 1
    assert done.stderr.count("earnest: 1 recording can't be read") == 1

    recipe.write_text(recipe_text(3, 'method = "discriminant"').replace("width = 32", ""), encoding="utf-8")
    done = train(recipe, made_up, tmp_path / "closed")
    assert done.returncode == 1
    assert done.stderr.count("earnest: This recipe has no epochs that processes could share") == 1
