"""A killed run loses nothing and doubles nothing; files appear whole; a watched folder is followed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from command_line import started_interruptible
from csv_tables import rows_of
from patience import PATIENCE_S, wait_for
from stand_in import write_bundle, write_hearing

from earnest.testing.sounds import voice, write_voice

N_CLIPS = 300
PROGRAM = [sys.executable, "-c", "from earnest.apps.cli.main import main; main()", "predict"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("resume")
    write_bundle(root / "bundle")
    (root / "clips").mkdir()
    for number in range(7):
        write_voice(root / f"{number}.wav", 0.5 + 0.4 * number, seed=number)
    for number in range(N_CLIPS):
        os.link(root / f"{number % 7}.wav", root / "clips" / f"{number:04d}.wav")
    (root / "clips" / "0100.wav").unlink()
    (root / "clips" / "0100.wav").write_text("not a recording")
    return root


def predict(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [*PROGRAM, *words, "--model", "bundle"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def killed(root: Path, output: str, after_rows: int) -> int:
    """Start a run, kill it with SIGKILL when that many rows are there; return how many were there then."""
    partial = root / f"{output}.partial"
    run = subprocess.Popen([*PROGRAM, "clips", "--output", output, "--resume", "--model", "bundle", "-q"], cwd=root)
    while run.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") > after_rows):
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    return partial.read_bytes().count(b"\n") - 1 if partial.exists() else N_CLIPS  # the first line says who made it


def held_in(path: Path) -> list[dict[str, str]]:
    if path.suffix == ".csv":
        return rows_of(path)
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, earnest[parquet]")
        return list(parquet.read_table(path).to_pylist())
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_run_that_is_killed_three_times_ends_as_one_that_was_not(root: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    whole, output = root / f"whole.{suffix}", root / f"rows.{suffix}"
    assert predict(root, "clips", "--output", whole.name).returncode == 3
    counts = [killed(root, output.name, after_rows) for after_rows in (1, 50, 110)]
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[2] < N_CLIPS
    assert not output.exists()
    with (root / f"{output.name}.partial").open("ab") as file:
        file.write(b'{"path": "clips/0')  # a row that was being written
    done = predict(root, "clips", "--output", output.name, "--resume")
    assert f"{counts[2]} were there already" in done.stderr
    assert len(held_in(output)) == N_CLIPS
    assert held_in(output) == held_in(whole)
    assert [path.name for path in root.glob(f"*rows.{suffix}*") if path != output] == [f"rows.{suffix}.sha256"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_resuming_a_whole_file_adds_only_what_is_new(root: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    output = root / f"some.{suffix}"
    predict(root, "clips/0000.wav", "clips/0100.wav", "--output", output.name)
    before = held_in(output)
    done = predict(root, "clips/0000.wav", "clips/0000.wav", "clips/0003.wav", "--output", output.name, "--resume")
    assert "2 answered, 0 failed, 2 were there already" in done.stderr
    paths = [row["path"] for row in held_in(output)]
    assert paths == ["clips/0000.wav", "clips/0100.wav", "clips/0000.wav", "clips/0003.wav"]
    assert held_in(output)[:2] == before


def test_an_unfinished_run_is_not_overwritten_unasked(root: Path) -> None:
    (root / "kept.csv.partial").write_text("")
    done = predict(root, "clips/0000.wav", "--output", "kept.csv")
    assert done.returncode == 1
    assert "Continue it with --resume, replace it with --overwrite" in done.stderr


def test_rows_of_another_model_are_not_mixed(root: Path) -> None:
    write_bundle(root / "other", name="other")
    predict(root, "clips/0000.wav", "--output", "mixed.csv")
    command = [*PROGRAM, "clips/0001.wav", "--output", "mixed.csv", "--resume", "--model", "other"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds answers of the model 'stand-in'" in done.stderr


def test_rows_about_other_classes_are_not_mixed(root: Path) -> None:
    words = ("--classes", "sad,angry", "--output", "two.csv")
    predict(root, "clips/0000.wav", *words)
    done = predict(root, "clips/0001.wav", *words, "--resume")
    assert "1 answered, 0 failed, 1 were there already" in done.stderr
    assert [name for name in held_in(root / "two.csv")[1] if name.startswith("p_")] == ["p_sad", "p_angry"]
    done = predict(root, "clips/0003.wav", "--output", "two.csv", "--resume")
    assert done.returncode == 1
    assert "was made with --classes angry,sad --adapt off, and here it is --adapt off" in done.stderr


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_speakers_of_a_list_are_in_the_table(root: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    output = f"speakers.{suffix}"
    (root / "list.csv").write_text("path,speaker\n0.wav,anna\n1.wav,=bob\n2.wav,\n")
    for words in (("3.wav",), ("3.wav", "list.csv", "--resume")):  # an earlier run named nobody
        done = predict(root, *words, "--output", output, "--adapt", "off")
        assert done.returncode == 0, done.stderr
    named = [row.get("speaker") or None for row in held_in(root / output)]
    assert named == [None, "anna", "=bob" if suffix != "csv" else "'=bob", None]
    assert predict(root, "list.csv", "--output", output, "--resume", "--adapt", "off").returncode == 0
    rows = [json.loads(line) for line in predict(root, "list.csv", "--adapt", "auto", "--json").stdout.splitlines()]
    assert [row.get("speaker") for row in rows] == ["anna", "=bob", None]
    lines = predict(root, "list.csv", "--format", "csv").stdout.splitlines()
    assert [line.rpartition(",")[2] for line in lines] == ["speaker", "anna", "'=bob", ""]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_subtitles_are_answered_turn_by_turn_and_stand_beside_the_answers(root: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    soundfile.write(root / "said.wav", voice(4.0), 16_000)
    cues = ((0.0, 1.5, "[Anna]: Hello, you"), (1.5, 3.0, "=1+1"), (3.5, 9.0, "Late"), (7.0, 9.0, "Never"))
    lines = (f"{n}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{said}\n" for n, (a, b, said) in enumerate(cues, 1))
    (root / "said.srt").write_text("\n".join(lines).replace(".", ","))
    for adapt in ("off", "auto"):
        output = f"said-{adapt}.{suffix}"
        done = predict(root, "said.srt", "--output", output, "--adapt", adapt)
        assert done.returncode == 3, done.stderr
        rows = list(held_in(root / output))
        assert [row["path"] for row in rows] == [f"said.wav@{times}" for times in ("0-1.5", "1.5-3", "3.5-9", "7-9")]
        assert [row["status"] == "error" for row in rows] == [False, False, False, True]
        assert [row.get("speaker") or None for row in rows] == ["Anna", None, None, None]
        assert [row["text"] for row in rows] == ["Hello, you", "'=1+1" if suffix == "csv" else "=1+1", "Late", "Never"]
        done = predict(root, "said.srt", "--output", output, "--adapt", adapt, "--resume")
        assert "4 were there already" in done.stderr


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_shares_and_vocal_bursts_are_kept_in_every_kind_of_file(root: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    write_hearing(root / "hearing")
    pause = np.zeros(16_000)
    talk = np.concatenate([voice(3.0), pause, voice(3.0, level=0.4), pause, voice(3.0, seed=1)])
    soundfile.write(root / "talk.wav", talk, 16_000)
    for more in ((), ("--resume",)):
        command = [*PROGRAM, "talk.wav", "--output", f"talk.{suffix}", "--model", "hearing", *more]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert "0 answered, 0 failed, 1 were there already" in done.stderr
    (row,) = held_in(root / f"talk.{suffix}")
    shares, bursts = (
        json.loads(row[name]) if isinstance(row[name], str) else row[name] for name in ("shares", "vocal_bursts")
    )
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
    assert [burst["kind"] for burst in bursts] == ["laughter"]


def test_watching_answers_what_arrives_when_it_is_whole(root: Path) -> None:
    folder = root / "inbox"
    folder.mkdir()
    write_voice(folder / "first.wav")
    command = [*PROGRAM, "inbox", "--watch", "--output", "inbox.jsonl", "--model", "bundle"]
    run = started_interruptible(command, cwd=root, stderr=subprocess.PIPE, text=True)
    try:
        wait_for((root / "inbox.jsonl").exists)
        wait_for(lambda: len(held_in(root / "inbox.jsonl")) == 1)
        data = write_voice(root / "second.wav", 2.0).read_bytes()
        for part in (data[:20_000], data[20_000:40_000], data[40_000:]):
            with (folder / "second.wav").open("ab") as file:
                file.write(part)
            time.sleep(0.7)
        wait_for(lambda: len(held_in(root / "inbox.jsonl")) == 2)
    finally:
        run.send_signal(signal.SIGINT)
        _, messages = run.communicate(timeout=PATIENCE_S)
    rows = held_in(root / "inbox.jsonl")
    assert [(row["path"], row["status"]) for row in rows] == [("inbox/first.wav", "ok"), ("inbox/second.wav", "ok")]
    assert run.returncode == 0
    assert messages == "2 answered, 0 failed: inbox.jsonl\n"


def test_a_copy_that_is_slow_and_begun_before_the_watching_has_one_row(root: Path) -> None:
    folder = root / "slow"
    folder.mkdir()
    data = write_voice(root / "large.wav", 2.0).read_bytes()
    (folder / "large.wav").write_bytes(data[:20_000])
    command = [*PROGRAM, "slow", "--watch", "--output", "slow.jsonl", "--model", "bundle"]
    run = started_interruptible(command, cwd=root, stderr=subprocess.PIPE, text=True)
    try:
        wait_for((root / "slow.jsonl").exists)
        for part in (data[20_000:40_000], data[40_000:]):
            time.sleep(3.0)  # longer than from one look to the next
            with (folder / "large.wav").open("ab") as file:
                file.write(part)
        wait_for(lambda: len(held_in(root / "slow.jsonl")) > 0)
    finally:
        run.send_signal(signal.SIGINT)
        _, messages = run.communicate(timeout=PATIENCE_S)
    assert [row["status"] for row in held_in(root / "slow.jsonl")] == ["ok"]
    assert messages == "1 answered, 0 failed: slow.jsonl\n"


def test_an_empty_folder_is_watched_and_its_table_has_room_for_names(root: Path) -> None:
    (root / "empty").mkdir()
    command = [*PROGRAM, "empty", "--watch", "--model", "bundle"]
    run = started_interruptible(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        header = run.stdout.readline()
        write_voice(root / "empty" / "customer-0012.wav")
        row = run.stdout.readline()
    finally:
        run.send_signal(signal.SIGINT)
        _, messages = run.communicate(timeout=PATIENCE_S)
    assert header.startswith("File ") and row.startswith("empty/customer-0012.wav ")
    assert (run.returncode, messages) == (0, "")


def test_unsure_rows_are_told(root: Path) -> None:
    sure = json.loads(predict(root, "clips/0000.wav", "--json").stdout)
    for words, status in ((("--abstain-below", "0.999"), "unsure"), (("--abstain-below", "0.01"), "ok"), ((), "ok")):
        row = json.loads(predict(root, "clips/0000.wav", "--json", *words).stdout)
        assert (row["status"], row["emotion"]) == (status, sure["emotion"] if status == "ok" else None)
        assert row["probabilities"] == sure["probabilities"]
    assert "unsure" in predict(root, "clips/0000.wav", "--abstain-below", "0.999").stdout
