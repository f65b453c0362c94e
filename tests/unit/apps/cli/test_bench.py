"""`earnest bench` measures what it says, on a stand-in."""

import json
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stand_in import write_bundle

from earnest.apps.cli.bench import run_child
from earnest.apps.cli.main import cli
from earnest.errors import EarnestError
from earnest.testing.sounds import write_voice

pytestmark = pytest.mark.long

FAKE = """
import json, sys
if sys.argv[2] == "warm":
    print(json.dumps([1000.0] * 5 + [8.0] * 10))
elif sys.argv[2] == "folder":
    print(json.dumps({"recordings": 3, "seconds": 1.5}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bench")
    write_bundle(root / "bundle")
    (root / "clips").mkdir()
    for number in range(3):
        write_voice(root / "clips" / f"{number}.wav", 2.0, seed=number)
    (root / "baseline.py").write_text(FAKE)
    return root


def bench(folder: Path, *words: str) -> Result:
    fixed = ["--model", str(folder / "bundle"), "--folder", str(folder / "clips"), "--repeats", "10"]
    return CliRunner().invoke(cli, ["bench", *fixed, *words])


def test_a_clip_is_compared_with_the_floor_and_the_baselines(folder: Path) -> None:
    result = bench(folder, "--parts", "clip,folder", "--baseline", str(folder / "baseline.py"), "--json")
    rows = {row["what"]: row for row in json.loads(result.output)["rows"]}
    own = rows["clip, bytes to answer, p50"]["value"]
    theirs = rows["clip, emocatcher with torch, p50"]
    assert 0 < rows["clip, floor"]["value"] < own < 1_000
    assert (theirs["value"], theirs["ratio"]) == (8.0, pytest.approx(8.0 / own))
    assert rows["folder, librosa with torch"]["ratio"] == pytest.approx(rows["folder"]["value"] / 2)


def test_recordings_that_cannot_be_read_are_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    for number in range(2):
        write_voice(tmp_path / f"{number}.wav", 2.0, seed=number)
        (tmp_path / f"torn{number}.wav").touch()
    counts = "import json, os, sys; print(json.dumps({'recordings': len(os.listdir(sys.argv[3])), 'seconds': 1.0}))"
    (tmp_path / "counts.py").write_text(counts)
    words = ["--folder", str(tmp_path), "--parts", "folder", "--jobs", "1", "--baseline", str(tmp_path / "counts.py")]
    result = bench(folder, *words, "--json")
    assert result.exit_code == 3
    assert all(f"torn{number}.wav: empty" in result.stderr for number in range(2))
    measured = json.loads(result.stdout)
    assert measured["recordings"] == 2
    assert measured["rows"][1]["value"] == 2.0  # of the baseline: it got the same recordings


def test_all_parts_in_one_run_are_about_the_model_that_was_named(folder: Path) -> None:
    result = bench(folder, "--hours", "0.02", "--baseline", str(folder / "baseline.py"), "--json", "--jobs", "2")
    assert result.exit_code == 0, result.output
    assert "0.02 h of speech with pauses, times faster" in {row["what"] for row in json.loads(result.output)["rows"]}


def test_results_are_written_with_a_picture(folder: Path) -> None:
    done = bench(folder, "--parts", "clip", "--baseline", str(folder / "baseline.py"), "--output", str(folder / "out"))
    assert done.exit_code == 0, done.output
    assert len(json.loads((folder / "out" / "bench.json").read_text("utf-8"))["rows"]) == 4
    assert (folder / "out" / "bench.png").stat().st_size > 5_000
    (folder / "out" / "bench.json").unlink()
    again = bench(folder, "--parts", "clip", "--output", str(folder / "out"))
    assert "bench.png: already exists" in str(again.exception)


def test_long_recordings_are_split_into_stages(folder: Path) -> None:
    rows = json.loads(bench(folder, "--parts", "long", "--hours", "0.02", "--json").output)["rows"]
    assert [row["what"] for row in rows[:2]] == [
        "one minute, peak memory",
        "0.02 h of speech with pauses, times faster",
    ]
    assert all(stage in rows[1]["note"] for stage in ("decode", "activity", "network"))
    assert all(40 < row["value"] < 400 for row in rows if row["unit"] == "MiB")


def test_a_childs_peak_is_its_own_not_its_parents() -> None:
    ballast = bytearray(400 * 2**20)
    ballast[:: 2**12] = b"x" * len(ballast[:: 2**12])
    code = 'import sys; sys.stderr.write(open("/proc/self/status").read())'
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    assert run_child([sys.executable, "-c", code]).peak_mib < 100


def test_a_child_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(EarnestError, match="failed: ValueError: no luck"):
        run_child([sys.executable, "-c", "raise ValueError('no luck')"])


def test_a_baseline_that_writes_no_json_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('8 ms')")
    found = bench(folder, "--parts", "clip", "--baseline", str(tmp_path / "mine.py")).exception
    assert isinstance(found, EarnestError) and str(found).startswith(f"{tmp_path / 'mine.py'}: wrote no JSON.")


def test_where_children_cannot_be_measured_the_parts_that_can_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "wait4")
    monkeypatch.delattr(os, "posix_spawnp")
    assert "Give --parts clip,folder" in str(bench(folder).exception)
    assert bench(folder, "--parts", "clip", "--repeats", "10").exit_code == 0


@pytest.mark.parametrize("words", [["--parts", "moon"], ["--hours", "x"], ["--hours", "0"]])
def test_wrong_usage_is_exit_code_2(folder: Path, words: list[str]) -> None:
    assert bench(folder, *words).exit_code == 2
