"""The campaign of `make five`, on one tiny recipe and made-up voices."""

import json
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from command_line import earnest_cli
from made_up_corpus import NAME, recipe_text

from earnest.evaluation.protocols import protocol_called
from earnest.settings.recipe import read_recipe
from scripts import five

pytestmark = pytest.mark.long

TRAINED = five.Row("tiny", "one split", "train", ("--protocol", "speaker-3fold"), (NAME,))
EVALUATED = five.Row("tiny", "three folds", "evaluate", ("--protocol", "speaker-3fold"), (NAME,), 3.0)
ABSENT = five.Row("tiny", "elsewhere", "train", (), ("iemocap",))
ROWS = (TRAINED, EVALUATED, ABSENT)


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    text = recipe_text(epochs=2).replace("width = 32", "width = 8").replace("= 40", "= 16")
    (tmp_path / "recipes" / "tiny.toml").write_text(text, encoding="utf-8")
    return tmp_path / "recipes"


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands here, where all is imported; the next test starts them, as people do."""

    def run(command: list[str], **_: Any) -> "CompletedProcess[str]":
        python, dash_m, program, *words = command
        assert (python, dash_m, program) == (sys.executable, "-m", "earnest")
        return CompletedProcess(command, 0, earnest_cli(*words))

    monkeypatch.setattr(five.subprocess, "run", run)


@pytest.mark.usefixtures("in_this_process")
def test_rows_run_once_each_and_leave_a_line(
    recipes: Path, made_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    words = ["--data", f"{NAME}={made_up}", "--output", str(tmp_path / "out")]
    assert five.main(words, ROWS, recipes) == 0
    shown = capsys.readouterr().out
    assert "tiny, elsewhere  skipped: not at hand: iemocap" in shown
    assert "2 rows to run" in shown
    journal = tmp_path / "out" / "campaign.jsonl"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert [line["folder"] for line in lines] == ["tiny-one-split", "tiny-three-folds"]
    assert set(lines[0]["scores"]) == {"test"}
    metrics = json.loads((tmp_path / "out" / "tiny-three-folds" / "metrics.json").read_text(encoding="utf-8"))
    assert lines[1]["scores"]["over_folds"]["wa"] == metrics["over_folds"]["wa"]["mean"]
    assert five.main(words, ROWS, recipes) == 0
    shown = capsys.readouterr().out
    assert "0 rows to run" in shown
    assert shown.count("done before") == 2
    assert len(journal.read_text(encoding="utf-8").splitlines()) == 2


def test_a_row_that_fails_is_told_and_the_others_run(
    recipes: Path, made_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = five.Row("tiny", "wrong", "train", ("--set", "training.epoch=3"), (NAME,))
    words = ["--data", f"{NAME}={made_up}", "--output", str(tmp_path / "out")]
    assert five.main(words, (wrong, TRAINED), recipes) == 1
    shown = capsys.readouterr().out
    assert "tiny, wrong: failed with exit code 1: earnest train" in shown
    assert "tiny, one split: test WA" in shown


def test_a_row_above_the_hours_allowed_is_skipped_with_its_cost(
    recipes: Path, made_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(five, "_seconds_an_epoch", lambda: {"tiny": 3600.0})
    words = ["--plan", "--hours", "3", "--data", f"{NAME}={made_up}", "--output", str(tmp_path / "out")]
    assert five.main(words, ROWS, recipes) == 0
    shown = capsys.readouterr().out
    assert "   6.0 h  tiny, three folds  skipped: about 6 core hours, --hours allows 3" in shown
    assert "1 rows to run, about 2.0 core hours" in shown
    assert not (tmp_path / "out").exists()


def test_a_run_begun_here_says_what_an_epoch_takes_here(
    recipes: Path, made_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(five, "_seconds_an_epoch", lambda: {"tiny": 3600.0})
    history = tmp_path / "out" / TRAINED.folder / "history.csv"
    history.parent.mkdir(parents=True)
    history.write_text("epoch,seconds\n1,1000\n2,1800\n3,90000\n", encoding="utf-8")
    words = ["--plan", "--data", f"{NAME}={made_up}", "--output", str(tmp_path / "out")]
    assert five.main(words, (TRAINED,), recipes) == 0
    assert "1 rows to run, about 1.0 core hours" in capsys.readouterr().out


def test_optional_corpora_are_those_at_hand_and_the_row_says_so(
    recipes: Path, made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    row = five.Row("tiny", "some", "train", (), (f"?{NAME}", "?tess"))
    plan = five.planned(row, {NAME: made_up}, 1.0, recipes, tmp_path)
    assert plan.note == f"on {NAME} of {NAME}, tess"
    assert f'corpus=["{NAME}"]' in plan.words
    assert five.planned(row, {}, 1.0, recipes, tmp_path).skipped == f"not at hand: {NAME}, tess"


def test_three_ways_as_published_are_told_apart() -> None:
    over = {"wa": {"mean": 0.5}, "ua": {"mean": 0.4}}
    document = {"epoch_on_test": {"over_folds": over}, "same_split": {"over_folds": over}, "gaps_in_points_of_wa": {}}
    assert five.scores_of(document) == {name: {"wa": 0.5, "ua": 0.4} for name in ("epoch_on_test", "same_split")}


@pytest.mark.parametrize("row", five.ROWS, ids=lambda row: row.folder)
def test_every_row_names_a_recipe_that_ships_and_a_protocol_that_exists(row: five.Row) -> None:
    assert read_recipe(five.ROOT / "recipes" / f"{row.recipe}.toml").training.epochs >= 50
    protocol_called(row.words[row.words.index("--protocol") + 1])


def test_no_two_rows_share_a_folder() -> None:
    folders = [row.folder for row in five.ROWS]
    assert len(set(folders)) == len(folders)
