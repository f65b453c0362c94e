"""`make wheel`: what is tried, what is not done again, and what a wheel may not lack."""

import json
import tomllib
import zipfile
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import pytest

from scripts import wheel, wheel_trials
from scripts.wheel import HOLDS, Outcome, before, extras, lacking, main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up wheel, and a folder of outcomes."""
    monkeypatch.setattr(wheel, "WORK", tmp_path)
    monkeypatch.setattr(wheel, "ROOT", tmp_path)  # where no page is built
    with zipfile.ZipFile(tmp_path / "earnest-1-py3-none-any.whl", "w") as archive:
        for file in HOLDS:
            archive.writestr(f"earnest/{file}", "")
    return tmp_path / "earnest-1-py3-none-any.whl"


def remember(path: Path, extra: str, passed: bool, digest: str) -> None:
    (path.parent / f"{extra}.json").write_text(json.dumps(asdict(Outcome(extra, digest, passed, "Said.", 1.0))))


def test_every_extra_is_tried_or_skipped_with_a_reason() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert extras() == ["light", *declared]
    assert wheel.SKIPPED.keys() <= set(extras())
    assert wheel_trials.TRIALS.keys() <= set(extras())


def test_what_passed_for_this_wheel_is_not_done_again(built: Path) -> None:
    digest = sha256(built.read_bytes()).hexdigest()
    remember(built, "server", True, digest)
    remember(built, "client", False, digest)
    remember(built, "image", True, "of another wheel")
    assert before("server", built) == Outcome("server", digest, True, "Said.", 1.0)
    assert [before(extra, built) for extra in ("client", "image", "media")] == [None, None, None]


def test_the_run_says_each_outcome_and_ends_with_one_where_something_failed(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remember(built, "server", True, sha256(built.read_bytes()).hexdigest())
    (built.parent / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    failed = Outcome("client", "", False, "No such package.", 2.0)
    monkeypatch.setattr(wheel.Trial, "run", lambda trial: failed)
    assert main(["--built", str(built), "--extras", "server", "dev"]) == 0
    assert main(["--built", str(built), "--extras", "client"]) == 1
    said = capsys.readouterr().out
    assert "server     works" in said
    assert "dev        skipped: everything at once" in said
    assert "client     FAILED" in said


def test_a_wheel_without_recipes_is_refused(built: Path) -> None:
    assert lacking(built) == []
    with zipfile.ZipFile(built, "w") as archive:
        archive.writestr("earnest/py.typed", "")
    assert "recipes/emocatcher.toml" in lacking(built)
    (built.parent / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    with pytest.raises(SystemExit, match=r"lacks recipes/emocatcher\.toml"):
        main(["--built", str(built), "--extras", "light"])
