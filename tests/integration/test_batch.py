"""earnest batch: whatever is killed, there is exactly one row an input, and no file is ever half there."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from batches import finished, flac, keys_in, rows_in, started, write_clips, write_tar
from command_line import earnest_cli
from patience import wait_for
from server_process import workers_of
from stand_in import write_bundle

import earnest
from earnest.apps.cli.batch import command
from earnest.testing.sounds import voice

pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
pytestmark = pytest.mark.long
N_CLIPS, N_BROKEN = 500, 5


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("batch")
    write_bundle(root / "bundle")
    write_clips(root / "clips", N_CLIPS, N_BROKEN)
    return root


def of(root: Path, output: str, *more: object) -> tuple[object, ...]:
    return (root / "clips", "--output", root / output, "--model", root / "bundle", "--shard-size", 20, *more)


def planned(root: Path) -> list[str]:
    return sorted(map(str, (root / "clips").iterdir()))


def summary(output: Path, exit_code: int = 0) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(earnest_cli("batch", "summary", output, "--json", exit_code=exit_code))
    return told


def wait_for_shards(output: Path, count: int) -> None:
    wait_for(lambda: len(list(output.glob("shards/*.sha256"))) >= count)


@pytest.fixture(scope="module")
def same(root: Path) -> Path:
    """Return the output of a run that nothing disturbed."""
    finished("run", *of(root, "same", "--jobs", 2), exit_code=3)
    return root / "same"


def test_rows_are_those_of_predict(root: Path, same: Path) -> None:
    earnest_cli(
        "predict", root / "clips", "--model", root / "bundle", "--output", root / "same.jsonl", "-q", exit_code=3
    )
    predicted = {row["path"]: row for row in map(json.loads, (root / "same.jsonl").read_text("utf-8").splitlines())}
    rows = rows_in(same)
    assert [row["path"] for row in rows] == sorted(predicted)
    for row in rows:
        one = predicted[row["path"]]
        assert (row["status"], row["emotion"], row["error"]) == (one["status"], one["emotion"], one["error"])
        assert row["confidence"] == pytest.approx(one["confidence"], abs=1e-5)
    assert sum(row["status"] == "error" for row in rows) == N_BROKEN
    told = summary(same)
    assert (told["complete"], told["rows"], told["statuses"]["error"]) == (True, N_CLIPS + N_BROKEN, N_BROKEN)
    assert told["qualities"] == Counter(word for row in rows for word in row["quality"].split())
    lines = earnest_cli("batch", "summary", same)
    assert re.search(r"^5:00 of sound, 5:00 of speech; [\d.:]+( s)? of workers$", lines, re.MULTILINE), lines


@pytest.mark.parametrize("table", ["predictions", "timelines", "embeddings"])
def test_every_table_says_who_speaks_where_a_list_does(root: Path, tmp_path: Path, table: str) -> None:
    clips = [*sorted((root / "clips").glob("*.wav"))[:2], tmp_path / "missing.wav"]
    rows = [f"{clip},{name}" for clip, name in zip(clips, ("anna", "", "bob"), strict=True)]
    (tmp_path / "list.csv").write_text("\n".join(["path,participant", *rows]))
    words = ("--model", root / "bundle", "--output", tmp_path / "out", "--table", table, "--jobs", 1)
    finished("run", tmp_path / "list.csv", *words, exit_code=3)
    assert [row["speaker"] for row in rows_in(tmp_path / "out")] == ["anna", None, "bob"]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the workers in /proc")
def test_a_killed_worker_costs_nothing(root: Path) -> None:
    run = started("run", *of(root, "worker", "--jobs", 2))
    wait_for_shards(root / "worker", 3)
    os.kill(workers_of(run)[0], signal.SIGKILL)
    _, said = run.communicate(timeout=500)
    assert "its worker died (SIGKILL)" in said
    assert run.returncode == 3
    assert keys_in(root / "worker") == planned(root)


def test_a_killed_run_is_gone_on_with(root: Path) -> None:
    for n_shards in (2, 8):
        run = started("run", *of(root, "killed", "--jobs", 2, "-q"))
        wait_for_shards(root / "killed", n_shards)
        run.send_signal(signal.SIGKILL)
        run.communicate()
    assert 0 < len(keys_in(root / "killed")) < N_CLIPS
    summary(root / "killed", exit_code=1)
    finished("run", *of(root, "killed", "--jobs", 2), exit_code=3)
    assert keys_in(root / "killed") == planned(root)
    assert summary(root / "killed")["complete"]
    said = finished("run", *of(root, "killed"), exit_code=3)  # a task that is tried again has not become a good one
    assert f"0 answered, 0 failed, all were there already, {N_BROKEN} of them failed" in said


def test_what_failed_is_named_and_answered_again_if_asked(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for one in sorted((root / "clips").glob("*.wav"))[:2]:
        shutil.copy(one, folder / one.name)
    good = sorted(folder.iterdir())[0]
    (folder / "bad.wav").write_text("no sound")
    asked = (folder, "--model", root / "bundle", "--output", tmp_path / "out")
    said = finished("run", *asked, exit_code=3)
    assert "2 answered, 1 failed (which: earnest batch summary; again: --retry-failed)" in said
    assert [one["path"] for one in summary(tmp_path / "out")["failed"]] == [str(folder / "bad.wav")]
    shutil.copy(good, folder / "bad.wav")
    shutil.copy(good, folder / "new.wav")
    said = finished("run", f"{folder}/", *asked[1:], "--retry-failed")
    assert "1 answered, 0 failed" in said
    assert "came 1 more of" in finished("run", *asked)
    shutil.rmtree(folder)
    assert "all were there already" in finished("run", *asked)  # a plan can be done without the list of its source
    assert summary(tmp_path / "out")["statuses"].get("error") is None


def test_parts_of_an_array_make_the_whole(root: Path) -> None:
    runs = [started("run", *of(root, "parts", "--jobs", 1, "--shard", f"{number}/3")) for number in (1, 2, 3)]
    for run in runs:
        run.communicate(timeout=500)
    assert {run.returncode for run in runs} <= {0, 3}
    assert keys_in(root / "parts") == planned(root)


def test_a_damaged_shard_is_told_and_done_again(root: Path, same: Path) -> None:
    shard = same / "shards" / "000003.parquet"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert summary(same, exit_code=1)["shards_damaged"] == [3]
    assert "20 answered" in finished("run", *of(root, "same", "--jobs", 1), exit_code=3)
    assert keys_in(same) == planned(root)


def test_another_question_is_refused_where_a_run_was_begun(root: Path, same: Path) -> None:
    said = finished("run", *of(root, same.name, "--table", "timelines"), exit_code=1)
    assert "was started with table predictions, not timelines" in said
    (root / "foreign" / "shards").mkdir(parents=True)
    assert "holds shards of something else" in finished("run", *of(root, "foreign"), exit_code=1)


def test_one_channel_is_part_of_the_question(root: Path) -> None:
    calls = root / "calls"
    calls.mkdir()
    sides = [voice(2.0, seed=seed) for seed in (1, 2)]
    soundfile.write(calls / "call.wav", np.stack(sides, axis=1), 16_000)
    soundfile.write(calls / "note.wav", sides[0], 16_000)
    words = ("run", calls, "--output", root / "right", "--model", root / "bundle", "--jobs", 1)
    finished(*words, "--channel", 2, exit_code=3)
    call, note = sorted(rows_in(root / "right"), key=lambda row: row["path"])
    expected = earnest.load(root / "bundle").predict(earnest.Channel(calls / "call.wav", 2))
    assert call["path"] == f"{calls / 'call.wav'}#2"
    assert call["confidence"] == pytest.approx(expected.confidence, abs=1e-6)
    assert note["error"] == f"{calls / 'note.wav'}#2: there is no channel 2, only one channel."
    assert "was started with channel 2, not 1" in finished(*words, "--channel", 1, exit_code=1)
    assert summary(root / "right")["complete"]
    assert "one channel at a time" in finished(*words, "--channel", 1, "--channel", 2, exit_code=2)
    rows = ("calls/call.wav,1", "calls/call.wav,2.0", "calls/note.wav,", "calls/note.wav,2")
    (root / "list.csv").write_text("\n".join(("path,channel", *rows)))
    listed = ("run", root / "list.csv", "--output", root / "listed", "--model", root / "bundle")
    finished(*listed, "--jobs", 1, exit_code=3)
    found = {row["path"]: row for row in rows_in(root / "listed")}
    model = earnest.load(root / "bundle")
    for name, channel in (("call.wav", 1), ("call.wav", 2), ("note.wav", None)):
        path = calls / name
        alone = model.predict(earnest.Channel(path, channel) if channel else path)
        row = found.pop(f"{path}#{channel}" if channel else str(path))
        assert row["confidence"] == pytest.approx(alone.confidence, abs=1e-6)
        assert row["read_s"] > 0
    assert [row["error"] for row in found.values()] == [note["error"]]
    told = finished(*listed[:2], "--output", root / "more", *listed[4:], "--channel", 1, exit_code=1)
    assert "names a channel already" in told


def test_timelines_of_tar_members(root: Path) -> None:
    keys = write_tar(root / "some-000.tar", 5)
    finished(
        "run",
        root / "some-000.tar",
        "-o",
        root / "tars",
        "--model",
        root / "bundle",
        "--table",
        "timelines",
        "--jobs",
        1,
    )
    rows = rows_in(root / "tars")
    assert [row["path"] for row in rows] == keys
    for row in rows:
        assert [span["emotion"] for span in row["spans"]]
        classes = [name for name in row if name.startswith("p_")]
        assert all(len(window["probabilities"]) == len(classes) for window in row["windows"])


def test_embeddings_of_a_table_of_sounds(root: Path) -> None:
    import pyarrow.parquet

    sounds: list[bytes | None] = [flac(seed) for seed in range(7)]
    table = pyarrow.table({"audio": [*sounds, None], "id": [f"call {number}" for number in range(8)]})
    pyarrow.parquet.write_table(table, root / "calls.parquet", row_group_size=3)
    words = (root / "calls.parquet", "-o", root / "vectors", "--model", root / "bundle", "--table", "embeddings")
    finished(*words, "--jobs", 1, exit_code=3)
    *rows, last = rows_in(root / "vectors")
    assert [row["path"] for row in rows] == [f"{root}/calls.parquet/call {number}" for number in range(7)]
    expected = earnest.load(root / "bundle").embed(filter(None, sounds))
    assert np.array([row["embedding"] for row in rows]) == pytest.approx(expected.vectors, abs=1e-6)
    assert (last["status"], last["embedding"]) == ("error", None)


def test_a_folder_called_as_a_shipped_bundle_is_not_taken_for_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)
    finished(root / "clips", "--output", "out", "--model", "small", "--jobs", 1, exit_code=3)
    assert {row["model"] for row in rows_in(tmp_path / "out")} == {"small"}


def test_a_run_without_a_bundle_says_so_at_once(root: Path) -> None:
    said = finished(root / "clips", "--output", root / "none", "--model", root / "absent", exit_code=1)
    assert "absent" in said
    assert not (root / "none").exists()


def test_no_file_beside_recordings_is_ever_run(root: Path) -> None:
    folder = root / "of a stranger"
    write_clips(folder / "clips", 3)
    for name in ("struct", "multiprocessing", "numpy"):
        (folder / f"{name}.py").write_text("open('RAN', 'a').close()\nraise SystemExit(71)\n")
    as_installed = "import sys; sys.path.remove(''); from earnest.__main__ import main; main()"
    words = ("batch", "clips", "--output", "out", "--model", str(root / "bundle"), "--jobs", "2")
    command = [sys.executable, "-c", as_installed, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (folder / "RAN").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_folder_whose_name_is_no_text_is_answered(root: Path) -> None:
    write_clips(root / "z", 3)
    folder = (root / "z").rename(os.fsdecode(os.fsencode(root) + b"/z\xff"))
    assert "3 answered, 0 failed" in finished(folder, "--output", root / "of z", "--model", root / "bundle")


def test_the_page_says_what_works(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EARNEST_MODEL", str(root / "bundle"))
    keys = write_clips(Path("recordings"), 6)
    for block in re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            earnest_cli(*shlex.split(line)[1:])
    assert keys_in(Path("answers")) == keys_in(Path("shared")) == keys
    (one_table,) = re.findall(r"`python -c '(.*?)'`", page)
    exec(one_table)
    earnest_cli("report", "answers.parquet", "--output", "page.html")
    names: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0], names)
    told = names["Emotions"]()({"bytes": [flac(1)], "path": ["a"]})
    answer = earnest.load().predict(flac(1))
    assert told["emotion"] == [answer.emotion or answer.status]
    assert told["path"] == ["a"]


def test_deployed_commands_have_options_that_exist() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    known = {name for parameter in command.commands["run"].params for name in parameter.opts}
    for name in ("slurm.sh", "ray-job.yaml"):
        line = next(
            line
            for line in (deploy / name).read_text("utf-8").splitlines()
            if "earnest batch s3:" in line or "exec" in line
        )
        assert set(re.findall(r"--[a-z-]+", line)) <= known
