"""`earnest timeline` and `earnest listen` on made-up voices."""

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from stand_in import write_bundle
from voices import voice

from earnest.apps.cli import _live_view
from earnest.apps.cli._timeline_chart import exact_clock
from earnest.apps.cli.main import cli
from earnest.audio.feed import Lost
from earnest.runtime.timeline import Gap, Segment, Span, Window

PAUSE = np.zeros(16_000, np.float32)
TALK = np.concatenate([PAUSE, voice(5.0), PAUSE, voice(2.0, level=0.3, seed=1), PAUSE])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("talk")
    write_bundle(root / "bundle")
    soundfile.write(root / "talk.flac", TALK, 16_000)
    return root


def run(folder: Path, *words: str, stdin: bytes = b"") -> Result:
    command, *rest = words
    names = [str(folder / word) if "." in word else word for word in rest]
    return CliRunner().invoke(cli, [command, *names, "--model", str(folder / "bundle")], input=stdin)


def test_the_table_has_a_chart_and_a_row_a_span(folder: Path) -> None:
    lines = run(folder, "timeline", "talk.flac").output.splitlines()
    assert lines[0].endswith(f"talk.flac  {lines[0].split()[-5]} of speech in 0:10.0")
    chart = [line for line in lines if "▅" in line or "▆" in line or "▇" in line or "█" in line]
    assert chart
    assert lines[-1].split()[-1].endswith("%")
    assert all(len(line) <= 80 for line in lines[1:])


def test_every_format_can_be_written_to_a_file_by_its_suffix(folder: Path) -> None:
    for suffix in ("json", "jsonl", "csv", "srt", "vtt", "TextGrid", "eaf", "rttm", "txt"):
        done = run(folder, "timeline", "talk.flac", "--output", f"out.{suffix}")
        assert done.exit_code == 0, done.output
    spans = json.loads((folder / "out.json").read_text("utf-8"))["spans"]
    with (folder / "out.csv").open(newline="") as file:
        assert [float(row["end_s"]) for row in csv.DictReader(file)] == [span["end_s"] for span in spans]
    assert (folder / "out.vtt").read_text("utf-8").startswith("WEBVTT\n")
    assert (folder / "out.TextGrid").read_text("utf-8").startswith('File type = "ooTextFile"')


def test_json_is_one_object_with_the_fields_of_a_prediction(folder: Path) -> None:
    value = json.loads(run(folder, "timeline", "talk.flac", "--json").output)
    assert {"path", "status", "duration_s", "probabilities", "spans", "windows", "segments", "activity"} <= set(value)
    assert len(value["segments"]) == 2
    assert value["spans"][-1]["end_s"] == value["segments"][-1]["end_s"]


@pytest.mark.parametrize("words", [["--json", "--format", "csv"], ["--output", "x.doc"], ["--format", "word"]])
def test_wrong_usage_is_exit_code_2(folder: Path, words: list[str]) -> None:
    assert run(folder, "timeline", "talk.flac", *words).exit_code == 2


def test_a_picture_is_drawn(folder: Path) -> None:
    done = run(folder, "timeline", "talk.flac", "--plot", "talk.png", "--format", "srt")
    assert done.exit_code == 0, done.output
    from matplotlib.image import imread

    pixels = imread(folder / "talk.png")
    assert pixels.shape[0] > 500
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 20


def test_timeline_loads_nothing_heavy(folder: Path) -> None:
    code = """
import sys
from earnest.apps.cli.main import cli
cli(["timeline", sys.argv[1], "--model", sys.argv[2], "--format", "srt"], standalone_mode=False)
print(*sorted({name.split(".")[0] for name in sys.modules} | ({"earnest.audio.silero"} & set(sys.modules))))"""
    arguments = [str(folder / "talk.flac"), str(folder / "bundle")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "earnest.audio.silero" in loaded
    assert not loaded & {"torch", "librosa", "sklearn", "scipy", "matplotlib", "pandas", "onnx", "av", "rich"}


def test_a_pipe_gives_the_spans_of_the_file(folder: Path) -> None:
    integers = np.round(TALK * 32_768).astype("<i2")
    soundfile.write(folder / "same.wav", integers, 16_000)
    spans = json.loads(run(folder, "timeline", "same.wav", "--json").output)["spans"]
    piped = run(folder, "listen", "-", "--json", stdin=integers.tobytes())
    events = [json.loads(line) for line in piped.output.splitlines()]
    assert [{**span, "event": "span"} for span in spans] == [event for event in events if event["event"] == "span"]
    assert [event["event"] for event in events].count("segment") == 2
    plain = run(folder, "listen", "-", stdin=(folder / "same.wav").read_bytes())
    assert len(plain.output.splitlines()) == len(spans)


def test_the_live_view_shows_now_the_last_spans_and_what_was_lost() -> None:
    from rich.console import Console

    view = _live_view.LiveView(("happy", "sad"))
    view.hear(np.full(100, 0.1) * (-1) ** np.arange(100), 63.0, True)
    view.take(Window(60.0, 63.0, {"happy": 0.25, "sad": 0.75}))
    for number in range(9):
        view.take(Span(number, number + 1, "happy", 0.6))
    view.take(Gap(1.0, 3.5))
    view.hear(Lost(2.5), 66.0, True)
    console = Console(width=80, record=True, file=StringIO())
    console.print(view.picture())
    text = console.export_text()
    assert "1:06.0" in text
    assert "● speech" in text
    assert "75%" in text
    assert text.count("60%") == _live_view.N_SPANS
    assert "2.5 s of sound were lost" in text
    view.take(Segment(0.0, 70.0))
    console.print(view.picture())
    assert "75%" not in console.export_text()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (3723.44, "1:02:03.4")])
def test_a_time_reads_as_people_write_it(seconds: float, text: str) -> None:
    assert exact_clock(seconds) == text
