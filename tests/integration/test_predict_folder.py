"""`earnest predict` over a thousand clips with odd and broken ones among them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from csv_tables import rows_of
from stand_in import write_bundle

from earnest.testing.sounds import voice, write_voice

N_PLAIN = 980
BROKEN = ("cut.wav", "dir.wav", "empty.wav", "header.wav", "infinite.wav", "nan.wav", "noise.flac", "page.ogg")
BROKEN = (*BROKEN, "short.mp3", "words.wav")


def write_odd(folder: Path) -> None:
    """Write ten recordings of unusual form."""
    eight = np.stack([voice(seed=number) for number in range(8)], axis=1)
    soundfile.write(folder / "eight.wav", eight, 16_000)
    soundfile.write(folder / "fast.wav", voice(1.0, 192_000), 192_000)
    soundfile.write(folder / "a-law.wav", voice(1.0, 8_000), 8_000, subtype="ALAW")
    soundfile.write(folder / "deep.wav", voice(), 16_000, subtype="PCM_24")
    soundfile.write(folder / "double.wav", voice(), 16_000, subtype="DOUBLE")
    soundfile.write(folder / "song.mp3", voice(1.0, 44_100), 44_100)
    soundfile.write(folder / "opus.opus", voice(1.0, 48_000), 48_000, format="OGG", subtype="OPUS")
    soundfile.write(folder / "vorbis.OGG", voice(1.0, 22_050), 22_050, format="OGG")
    soundfile.write(folder / "mac.aiff", voice(1.0, 11_025), 11_025)
    soundfile.write(folder / "really-flac.wav", voice(), 16_000, format="FLAC")


def write_broken(folder: Path) -> None:
    """Write the ten of `BROKEN`."""
    (folder / "dir.wav").mkdir()
    write_voice(folder / "dir.wav" / "inside.wav")
    (folder / "empty.wav").touch()
    (folder / "words.wav").write_text("not a recording")
    (folder / "noise.flac").write_bytes(bytes(range(256)) * 9)
    soundfile.write(folder / "header.wav", np.zeros(0), 16_000)
    for name, value in (("nan.wav", np.nan), ("infinite.wav", np.inf)):
        samples = voice()
        samples[99] = value
        soundfile.write(folder / name, samples, 16_000, subtype="FLOAT")
    for name in ("cut.wav", "page.ogg", "short.mp3"):
        path = write_voice(folder / name, 2.0)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("thousand")
    originals = [write_voice(root / f"original-{number}.wav", 0.3 + 0.2 * number, seed=number) for number in range(10)]
    clips = root / "clips"
    for number in range(N_PLAIN):
        target = clips / f"{number % 7}" / f"{number}.wav"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(originals[number % 10], target)
    write_odd(clips)
    write_broken(clips)
    write_bundle(root / "bundle")
    return root


def earnest(
    root: Path, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[bytes]":
    program = [sys.executable, "-c", "from earnest.apps.cli.main import main; main()"]
    command = [*program, "predict", *words, "--model", "bundle"]
    return subprocess.run(command, cwd=root, input=stdin, capture_output=True, check=False, env=env)


def test_a_thousand_clips_give_990_answers_ten_errors_and_exit_code_3(corpus: Path) -> None:
    done = earnest(corpus, "clips", "--json")
    rows = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert done.returncode == 3
    assert len(rows) == 1_000
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    failed = {Path(row["path"]).name: row["error"] for row in rows if row["status"] == "error"}
    assert sorted(failed) == sorted(BROKEN)
    assert all(message.startswith("clips/") and message.endswith(".") for message in failed.values())
    answered = [row for row in rows if row["status"] == "ok"]
    assert len(answered) == 990
    assert all(sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-5) for row in answered)
    assert done.stderr == b""


def test_csv_by_the_name_of_the_output_holds_the_same_rows(corpus: Path) -> None:
    done = earnest(corpus, "clips/1", "clips/words.wav", "clips/eight.wav", "--output", "rows.csv")
    rows = rows_of(corpus / "rows.csv")
    assert done.returncode == 3
    assert done.stdout == b""
    assert done.stderr.decode() == "141 answered, 1 failed: rows.csv, whose column 'error' says why\n"
    assert [row["status"] for row in rows] == ["ok"] * 140 + ["error", "ok"]


def test_the_table_fits_80_columns_and_says_why(corpus: Path) -> None:
    done = earnest(corpus, "clips/eight.wav", "clips/words.wav", "clips/6")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 3
    assert lines[0] == "clips/"
    assert lines[1].split() == ["File", "Emotion", "Confidence", "Next"]
    assert re.fullmatch(r"eight\.wav +sad +█\S* +\d\d% +. \w+ \d+ +. \w+ \d+", lines[2])
    assert re.match(r"words\.wav +error +no sound but text, it begins with", lines[3])
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout.decode()  # colours are for terminals


def test_an_empty_folder_is_an_error_that_says_so(corpus: Path) -> None:
    (corpus / "nothing").mkdir()
    done = earnest(corpus, "nothing")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("earnest: nothing: no recordings in this folder")


@pytest.mark.parametrize(
    "words",
    [
        ["x.wav", "--output", "rows.doc"],
        ["x.wav", "--output", "rows.csv", "--json"],
        ["x.wav", "--output", "rows.doc", "--format", "table"],
        ["x.wav", "--resume"],
        ["x.wav", "--json", "--format", "csv"],
        ["x.wav", "--threads", "0"],
    ],
)
def test_wrong_usage_is_exit_code_2(corpus: Path, words: list[str]) -> None:
    assert earnest(corpus, *words).returncode == 2


def test_any_file_name_is_written_in_any_locale(corpus: Path) -> None:
    folder = corpus / "names"
    folder.mkdir()
    for name in (b"\xff\xfe.wav", "ünï漢字.wav".encode(), b"two\nlines\x1b[31m.wav", b"[bold]x[red].wav"):
        write_voice(folder / "clip.wav").rename(os.fsdecode(os.fsencode(folder) + b"/" + name))
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    for form in ("table", "json", "csv"):
        done = earnest(corpus, "names", "--format", form, env=os.environ | ascii_only)
        assert (done.returncode, done.stderr) == (0, b"")
        if form == "json":
            paths = [json.loads(line)["path"] for line in done.stdout.decode("utf-8").splitlines()]
            assert {"names/ünï漢字.wav", "names/[bold]x[red].wav", "names/two\nlines\x1b[31m.wav"} < set(paths)
        if form == "table":
            assert b"\x1b" not in done.stdout
            assert done.stdout.count(b"\n") == 6


def test_standard_input_is_a_recording(corpus: Path) -> None:
    data = (corpus / "clips" / "song.mp3").read_bytes()
    done = earnest(corpus, "-", "--json", stdin=data)
    row = json.loads(done.stdout)
    assert done.returncode == 0
    assert (row["path"], row["status"]) == ("-", "ok")
    assert earnest(corpus, "-", stdin=b"").returncode == 3


def test_files_without_a_header_in_a_folder_are_counted(corpus: Path) -> None:
    calls = corpus / "calls"
    calls.mkdir()
    (calls / "call.ulaw").write_bytes(b"\xff" * 800)
    (calls / "other.GSM").write_bytes(b"\xd0" * 330)
    told = "2 files without a header can't be read (.gsm .ulaw). With ffmpeg: ffmpeg -f mulaw"
    alone = earnest(corpus, "calls")
    assert alone.returncode == 1
    assert told in alone.stderr.decode()
    write_voice(calls / "talk.wav")
    beside = earnest(corpus, "calls")
    assert beside.returncode == 0
    assert f"calls: {told}" in beside.stderr.decode()
