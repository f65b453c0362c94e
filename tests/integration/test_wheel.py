"""The wheel of a bare clone: what is inside, and that it works from another folder."""

import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import earnest
from scripts.wheel import BUILD, HOLDS, SKIPPED, extras

pytest.importorskip("setuptools", reason="needs setuptools, with which wheels are built")
pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
SOURCES = (
    *("LICENSE", "README.md", "THIRD_PARTY_NOTICES.md", "pyproject.toml", "setup.py", "MANIFEST.in"),
    *("Makefile", "SECURITY.md", "CITATION.cff", "constraints.txt"),
)
FOLDERS = ("earnest", "recipes", "locks", "deploy")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Sdist and wheel of a clone without the page, and what the build said."""
    clone, dist = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        shutil.copy(ROOT / name, clone)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__", "web"))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(dist)], cwd=clone, capture_output=True, text=True, check=True
    )
    return dist, done.stderr


@pytest.fixture(scope="module")
def installed(built: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    (wheel,) = built[0].glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def python(installed: Path, code: str, *words: str, cwd: Path) -> str:
    """Run code with the installed earnest; return what it wrote."""
    environ = {**os.environ, "PYTHONPATH": str(installed)}
    code = f"import earnest; assert earnest.__file__.startswith({str(installed)!r}); {code}"
    words = (sys.executable, "-c", code, *words)
    return subprocess.run(words, env=environ, cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_the_wheel_holds_recipes_types_models_and_the_command(installed: Path) -> None:
    assert [file for file in HOLDS if not (installed / "earnest" / file).is_file()] == []
    names = {path.name for path in (ROOT / "recipes").glob("*.toml")}
    assert {path.name for path in (installed / "earnest" / "recipes").iterdir()} == names
    (entries,) = installed.glob("*.dist-info/entry_points.txt")
    assert "earnest = earnest.__main__:main" in entries.read_text()
    assert not (installed / "research").exists()


def test_the_time_of_the_build_is_not_in_the_wheel(built: tuple[Path, str]) -> None:
    (wheel,) = built[0].glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}


def test_without_the_page_the_build_says_so(built: tuple[Path, str]) -> None:
    assert "earnest: this wheel has no page for `earnest serve`" in built[1]
    assert "`make wheel` builds the page first" in built[1]


def test_the_source_package_holds_what_the_wheel_is_built_from(built: tuple[Path, str]) -> None:
    (sdist,) = built[0].glob("*.tar.gz")
    listed = subprocess.run(["tar", "--list", "-f", str(sdist)], capture_output=True, text=True, check=True).stdout
    held = {line.partition("/")[2] for line in listed.splitlines()}
    assert {*SOURCES, "recipes/emocatcher.toml", "earnest/py.typed", "earnest/bundles/base/model.onnx"} <= held
    assert {
        "locks/light.txt",
        "recipes/finetuning/encoder.toml",
    } <= held  # what `make demo` and the weights are made by


def test_every_folder_of_the_repository_is_in_the_source_package() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    folders = {name.partition("/")[0] for name in tracked.splitlines() if "/" in name}
    named = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").split()
    assert not folders - {*named, "earnest"}


def test_recipes_are_found_by_name_from_any_folder(installed: Path, tmp_path: Path) -> None:
    code = "from earnest.settings.recipe import recipe_file; print(recipe_file('emocatcher'))"
    found = Path(python(installed, code, cwd=tmp_path).strip())
    assert found == installed / "earnest" / "recipes" / "emocatcher.toml"


def test_it_predicts(installed: Path, tmp_path: Path) -> None:
    clip = installed / "earnest" / "demo" / "whispered.flac"
    code = "from earnest.apps.cli.main import main; main()"
    assert ",angry," in python(installed, code, "predict", str(clip), "--format", "csv", cwd=tmp_path)


def test_every_extra_of_pyproject_is_tried_by_make_wheel() -> None:
    assert {"light", "train", "server", "dev"} <= set(extras())


def test_what_the_trials_expect_of_the_demo_clips_is_what_the_default_model_says() -> None:
    smoke, trials = (runpy.run_path(str(SCRIPTS / name)) for name in ("smoke.py", "wheel_trials.py"))
    assert trials["SAID"] == smoke["SAID"][trials["CLIP"].name]
    answers = earnest.load().predict_many([smoke["DEMO"] / name for name in smoke["SAID"]])
    assert [answer.emotion for answer in answers] == list(smoke["SAID"].values())


def test_every_extra_has_a_trial_of_its_own() -> None:
    tried = runpy.run_path(str(SCRIPTS / "wheel_trials.py"))["TRIALS"]
    assert tried.keys() == set(extras()) - SKIPPED.keys()
