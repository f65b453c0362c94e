"""What the README shows is what happens."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from earnest.bundle import DEFAULT_BUNDLE, load_bundle
from earnest.files.reading import read_toml

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def run(command: str) -> str:
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    words = [sys.executable, "-m", "earnest", *shlex.split(command)[1:]]
    words = [path for word in words for path in (sorted(map(str, ROOT.glob(word))) if "*" in word else [word])]
    words = [str(Path(word).relative_to(ROOT)) if word.startswith(str(ROOT / "earnest")) else word for word in words]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.parametrize("block", blocks("console"))
def test_a_command_prints_what_the_readme_shows(block):
    command, _, expected = block.removeprefix("$ ").partition("\n")
    assert lines(run(command)) == lines(expected)


@pytest.mark.parametrize("block", blocks("python"))
def test_the_python_of_the_readme_runs(block):
    subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=ROOT, check=True, capture_output=True)


def test_every_command_of_the_readme_exists_with_its_options():
    from click.testing import CliRunner

    from earnest.apps.cli.main import cli

    shell = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("earnest ")]
    assert len(shell) > 5
    for line in shell:
        words = shlex.split(line, comments=True)[1:]
        n_names = 2 if words[0] == "corpus" else 1
        usage = CliRunner().invoke(cli, [*words[:n_names], "--help"])
        assert usage.exit_code == 0, line
        for option in (word for word in words if word.startswith("--")):
            assert option in usage.output, line


def test_files_that_the_readme_names_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_default_bundle_is_checked_small_and_permissive():
    bundle = load_bundle(DEFAULT_BUNDLE)
    assert bundle.info.classes == ("neutral", "happy", "sad", "angry", "fearful", "disgust")
    heard = {line.name for line in bundle.info.training_corpora}
    assert heard == {"crema-d", "emodb", "emogator", "noise-esc10"}
    assert not bundle.info.forbidden_use
    assert bundle.info.results, "a shipped bundle says how good it is"
    assert all(result.speaker_independent for result in bundle.info.results)
    assert len(bundle.model_bytes()) < 9e6


def test_the_default_bundle_was_made_by_the_recipe_that_is_in_the_repository():
    recipe = load_bundle(DEFAULT_BUNDLE).info.recipe
    written = read_toml(ROOT / "recipes" / f"{DEFAULT_BUNDLE}.toml")
    assert {**recipe["front_end"], **written["front_end"]} == recipe["front_end"]
    assert recipe["model"] == written["model"]
    assert recipe["training"]["shrinkage"] == written["training"]["shrinkage"]
