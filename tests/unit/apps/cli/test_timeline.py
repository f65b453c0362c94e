"""`earnest timeline` and `earnest listen` on made-up voices."""

import csv
import json
import math
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from csv_tables import rows_of
from stand_in import write_bundle, write_hearing

import earnest
from earnest.apps.cli import _recordings, say
from earnest.apps.cli import listen as _live_view
from earnest.apps.cli import timeline as _timeline_command
from earnest.apps.cli._answers import exact_clock
from earnest.apps.cli.main import cli
from earnest.audio.feed import Lost
from earnest.errors import AudioError, EarnestError, MissingExtraError
from earnest.progress import Progress
from earnest.runtime import bulk
from earnest.runtime.prediction import Gap, Segment, Span, VocalBurst, Window
from earnest.runtime.timeline import Timeline
from earnest.runtime.timeline_plot import BURST_COLOUR, COLOURS, UNSURE_COLOUR, clock
from earnest.testing.sounds import voice

SECONDS_OF_BOTH = 10 + 11  # talk.flac and laughs.wav
PAUSE = np.zeros(16_000, np.float32)
TALK = np.concatenate([PAUSE, voice(5.0), PAUSE, voice(2.0, level=0.3, seed=1), PAUSE])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("talk")
    write_bundle(root / "bundle")
    write_hearing(root / "hearing", abstain_below=0.18)
    soundfile.write(root / "talk.flac", TALK, 16_000)
    soundfile.write(root / "clip.wav", voice(3.0), 16_000)
    laughs = [voice(3.0, level=0.04), PAUSE, voice(3.0, level=0.4), PAUSE, voice(3.0)]
    soundfile.write(root / "laughs.wav", np.concatenate(laughs), 16_000)
    return root


def run(folder: Path, *words: str, stdin: bytes = b"", bundle: str = "bundle") -> Result:
    command, *rest = words
    names = [str(folder / word) if "." in word else word for word in rest]
    return CliRunner().invoke(cli, [command, *names, "--model", str(folder / bundle)], input=stdin)


def test_the_table_has_a_chart_and_a_row_a_span(folder: Path) -> None:
    lines = run(folder, "timeline", "talk.flac").output.splitlines()
    assert lines[0].endswith(f"talk.flac  {lines[0].split()[-5]} of speech in 0:10.0")
    chart = [line for line in lines if "▅" in line or "▆" in line or "▇" in line or "█" in line]
    assert chart
    assert lines[-1].split()[-1].endswith("%")
    assert all(len(line) <= 80 for line in lines[1:])


def test_the_table_tells_unsure_spans_and_bursts_and_how_the_whole_is_answered(folder: Path) -> None:
    lines = run(folder, "timeline", "laughs.wav", bundle="hearing").output.splitlines()
    assert lines[1].split()[0] in ("sad", "mixed", "unsure")
    rows = [line.split() for line in lines[lines.index(next(line for line in lines if "Confidence" in line)) + 1 :]]
    assert [row[2] for row in rows] == ["unsure", "(laughter)", "sad"]
    assert rows[1][-2:] == [">", "95%"]
    told = run(folder, "timeline", "laughs.wav", "--abstain-below", "0", bundle="hearing").output
    assert "unsure" not in told
    asked = json.loads(run(folder, "timeline", "laughs.wav", "--classes", "angry,sad", "--json").output)
    assert list(asked["windows"][0]["probabilities"]) == ["angry", "sad"]
    refused = run(folder, "timeline", "laughs.wav", "--classes", "angry,sda")
    assert "Did you mean 'sad'" in str(refused.exception)
    wrong = run(folder, "timeline", "laughs.wav", "--no-abstain", "--abstain-below", "0")
    assert wrong.exit_code == 2


def test_a_burst_alone_is_told_as_one(folder: Path) -> None:
    soundfile.write(folder / "laugh.wav", voice(2.0, level=0.35), 16_000)
    lines = run(folder, "timeline", "laugh.wav", bundle="hearing").output.splitlines()
    assert lines[1] == "vocal-burst (laughter)"
    assert lines[-1].split()[2] == "(laughter)"
    assert run(folder, "timeline", "laugh.wav", "--plot", "laugh.png", bundle="hearing").exit_code == 0


def test_every_format_can_be_written_to_a_file_by_its_suffix(folder: Path) -> None:
    for suffix in ("json", "jsonl", "csv", "srt", "vtt", "TextGrid", "eaf", "rttm", "txt"):
        done = run(folder, "timeline", "talk.flac", "--output", f"out.{suffix}")
        assert done.exit_code == 0, done.output
    spans = json.loads((folder / "out.json").read_text("utf-8"))["spans"]
    assert [float(row["end_s"]) for row in rows_of(folder / "out.csv")] == [span["end_s"] for span in spans]
    assert (folder / "out.vtt").read_text("utf-8").startswith("WEBVTT\n")
    assert (folder / "out.TextGrid").read_text("utf-8").startswith('File type = "ooTextFile"')


def test_json_is_one_object_with_the_fields_of_a_prediction(folder: Path) -> None:
    value = json.loads(run(folder, "timeline", "talk.flac", "--json").output)
    assert {"path", "status", "duration_s", "probabilities", "spans", "windows", "segments", "activity"} <= set(value)
    assert len(value["segments"]) == 2
    assert value["spans"][-1]["end_s"] == value["segments"][-1]["end_s"]


def test_the_speakers_of_a_list_are_a_column_of_its_spans(folder: Path, tmp_path: Path) -> None:
    listed = tmp_path / "calls.csv"
    listed.write_text(f"path,speaker\n{folder / 'talk.flac'},Ann\n{folder / 'clip.wav'},\n")
    rows = list(csv.DictReader(StringIO(run(folder, "timeline", str(listed), "--format", "csv").stdout)))
    assert {(Path(row["path"]).name, row["speaker"]) for row in rows} == {("talk.flac", "Ann"), ("clip.wav", "")}
    lines = map(json.loads, run(folder, "timeline", str(listed), "--format", "jsonl").stdout.splitlines())
    assert {line.get("speaker") for line in lines} == {"Ann", None}
    listed.write_text(f"path\n{folder / 'talk.flac'}\n")
    assert "speaker" not in run(folder, "timeline", str(listed), "--format", "csv").stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "--format", "csv"],
        ["--output", "x.doc"],
        ["--format", "word"],
        ["--json", "--output", "x.srt"],
        ["--plot", "x.gif"],
    ],
)
def test_wrong_usage_is_exit_code_2(folder: Path, words: list[str]) -> None:
    assert run(folder, "timeline", "talk.flac", *words).exit_code == 2


def test_the_spans_of_a_folder_are_the_rows_of_one_table(folder: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    for name in ("talk.flac", "laughs.wav"):
        (calls / name).write_bytes((folder / name).read_bytes())
    laughs, talk = (run(folder, "timeline", str(path), "--format", "csv").stdout for path in sorted(calls.iterdir()))
    output = tmp_path / "spans.csv"
    done = run(folder, "timeline", str(calls), "--output", str(output))
    assert done.exit_code == 0
    assert output.read_text(encoding="utf-8") == laughs + "".join(talk.splitlines(keepends=True)[1:])
    n_rows = output.read_text(encoding="utf-8").count("\n") - 1
    assert f"{n_rows} spans of 2 recordings: {output}" in done.stderr
    lines = run(folder, "timeline", str(calls), "--format", "jsonl").stdout.splitlines()
    assert len(lines) == n_rows and {json.loads(line)["path"] for line in lines} == set(map(str, calls.iterdir()))


def test_one_of_several_recordings_that_cannot_be_read_is_told_and_the_others_are_rows(
    folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    done = run(folder, "timeline", str(broken), str(folder / "talk.flac"), "--format", "csv")
    assert done.exit_code == 3 and f"earnest: {broken}" in done.stderr
    assert {row["path"] for row in csv.DictReader(StringIO(done.stdout))} == {str(folder / "talk.flac")}
    done = run(folder, "timeline", str(broken), str(folder / "talk.flac"), "-o", str(tmp_path / "spans.csv"))
    assert " of 1 recording, 1 failed: " in done.stderr


def test_the_work_on_many_recordings_is_counted_while_it_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(say, "progress", lambda: Progress(not say.is_quiet()))
    both = [str(folder / "talk.flac"), str(folder / "laughs.wav")]
    for more in (["--output", str(tmp_path / "spans.csv")], ["--format", "csv"]):
        told = run(folder, "timeline", *both, *more).stderr
        assert "Hearing" in told and "2/2" in told and f"{SECONDS_OF_BOTH} s heard" in told
        assert "Hearing" not in run(folder, "timeline", *both, *more, "--quiet").stderr


def test_a_terminal_shows_how_much_of_a_long_recording_was_heard(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(_recordings, "SLOW_S", 0)
    monkeypatch.setattr(say, "progress", lambda: Progress(not (say.is_quiet() or say.is_json())))
    talk, output = str(folder / "talk.flac"), str(tmp_path / "talk.srt")
    told = run(folder, "timeline", talk, "--output", output).stderr
    assert "Seconds heard" in told and f"{len(TALK) // 16_000}/?" in told
    assert "heard" not in run(folder, "timeline", talk, "--output", output, "--overwrite", "--quiet").stderr
    assert "heard" not in run(folder, "timeline", talk, "--json").stderr


@pytest.mark.parametrize("more", [[], ["--isolate"], ["--adapt", "off", "--json"]])
def test_predict_shows_on_a_terminal_how_much_of_one_recording_it_has_heard(
    folder: Path, more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(say, "progress", lambda with_json: Progress(not say.is_quiet()))
    monkeypatch.setattr(_recordings, "SLOW_S", math.inf)
    assert "heard" not in run(folder, "predict", "talk.flac", *more).stderr  # done before a bar is drawn
    monkeypatch.setattr(_recordings, "SLOW_S", 0)
    ran = run(folder, "predict", "talk.flac", *more)
    assert "Seconds heard" in ran.stderr and f"{len(TALK) // 16_000}/?" in ran.stderr
    assert "heard" not in run(folder, "predict", "talk.flac", "--quiet").stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_of_several_recordings_predict_shows_how_much_it_has_heard_before_the_first_one_ends(
    folder: Path, jobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(say, "progress", lambda with_json: Progress(not say.is_quiet()))
    monkeypatch.setattr(bulk, "AHEAD_S", 1.0)  # longer ones are opened twice
    told = run(folder, "predict", "talk.flac", "laughs.wav", "--jobs", jobs).stderr
    assert "Predicting" in told and "2/2" in told and f"{SECONDS_OF_BOTH} s heard" in told


def test_among_rows_on_a_terminal_how_much_was_heard_goes_away_before_the_next_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(_recordings, "SLOW_S", 0)
    hearing = _recordings.Hearing(earnest.load("small"), Progress(visible=True))
    sounds = [(voice(1.0), 16_000), (voice(2.0), 16_000)]
    told = []
    for row in hearing.among(map(hearing.predictor.predict, sounds)):
        hearing.predictor.predict((voice(3.0), 16_000))  # while nobody waits, nothing is drawn
        told.append((row.duration_s, capsys.readouterr().err))
    assert [seconds for seconds, _ in told] == [1.0, 2.0]
    assert all("Seconds heard" in shown for _, shown in told)
    assert "1/?" in told[0][1] and "3/?" in told[1][1] and "3/?" not in told[0][1]


@pytest.mark.parametrize("command", [["timeline", "clip.wav"], ["listen", "-"]])
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--window", "1", "--hop", "2"], "--hop 2 is longer than --window 1: what lies between two windows would"),
        (["--hop", "0"], "'--hop'"),
        (["--window", "nan"], "'--window'"),
    ],
)
def test_windows_that_leave_holes_are_wrong_usage(
    folder: Path, command: list[str], words: list[str], told: str
) -> None:
    ran = run(folder, *command, *words)
    assert ran.exit_code == 2
    assert told in ran.stderr


def test_lines_of_json_have_two_names(folder: Path, tmp_path: Path) -> None:
    lines = run(folder, "predict", "clip.wav", "--json").stdout
    assert lines and lines == run(folder, "predict", "clip.wav", "--format", "jsonl").stdout
    ran = run(folder, "predict", str(folder / "clip.wav"), "--format", "jsonl", "--output", str(tmp_path / "a.jsonl"))
    assert ran.exit_code == 0 and (tmp_path / "a.jsonl").read_text() == lines


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_predict_that_ends_with_an_error_before_its_first_row_prints_no_head(folder: Path, form: str) -> None:
    ran = run(folder, "predict", "picture.png", "--tta", "speed", "--format", form)
    assert "can't answer about pictures" in str(ran.exception)
    assert ran.stdout == ""


def test_a_list_that_is_not_there_is_told_before_the_format_that_it_needs(folder: Path) -> None:
    assert "nope.csv: no such file" in str(run(folder, "timeline", "nope.csv").exception)


@pytest.mark.parametrize("more", [[], ["--output", "x.srt"], ["--json"], ["--plot", "x.png", "--format", "csv"]])
@pytest.mark.parametrize("words", [["talk.flac", "laughs.wav"], ["."]], ids=["two", "a folder"])
def test_what_holds_one_recording_alone_is_refused_for_several(folder: Path, words: list[str], more: list[str]) -> None:
    result = CliRunner().invoke(cli, ["timeline", *(str(folder / word) for word in words), *more])
    assert result.exit_code == 2
    assert "Name one recording. A table of the spans of many: earnest timeline" in result.output


def test_a_picture_is_drawn(folder: Path) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    done = run(folder, "timeline", "laughs.wav", "--plot", "talk.png", "--format", "srt", bundle="hearing")
    assert done.exit_code == 0, done.output
    pixels = imread(folder / "talk.png")[:, :, :3]
    assert pixels.shape[0] > 500
    colours = np.unique(np.round(255 * pixels.reshape(-1, 3)).astype(int), axis=0).tolist()
    assert len(colours) > 20
    for colour in (UNSURE_COLOUR, BURST_COLOUR, COLOURS["sad"]):
        assert [round(255 * part) for part in to_rgb(colour)] in colours


def test_a_picture_is_drawn_also_where_nobody_reads_the_spans(folder: Path) -> None:
    words = ["timeline", "talk.flac", "--model", "bundle", "--plot", "unread.png"]
    with subprocess.Popen(
        [sys.executable, "-m", "earnest", *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        _, said = process.communicate()
    assert "not writable" not in said
    assert (folder / "unread.png").exists()


def test_the_file_of_the_spans_stays_where_the_picture_cannot_be_drawn(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise EarnestError("can't be drawn")

    monkeypatch.setattr(Timeline, "plot", fail)
    result = run(folder, "timeline", "talk.flac", "-o", str(tmp_path / "a.csv"), "--plot", str(tmp_path / "a.png"))
    assert isinstance(result.exception, EarnestError)
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_picture_that_cannot_be_drawn_is_told_before_anything_is_heard(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_timeline_command, "find_spec", lambda name: None)
    result = run(folder, "timeline", "none.wav", "--plot", "none.png")
    assert isinstance(result.exception, MissingExtraError)
    assert result.stdout == ""


def test_timeline_loads_nothing_heavy(folder: Path) -> None:
    code = """
import sys
from earnest.apps.cli.main import cli
cli(["timeline", sys.argv[1], "--model", sys.argv[2], "--format", "srt"], standalone_mode=False)
from earnest.audio.activity import silero_session
assert silero_session.cache_info().currsize == 1
print(*sorted({name.split(".")[0] for name in sys.modules}))"""
    arguments = [str(folder / "talk.flac"), str(folder / "bundle")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
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
    laughs = run(folder, "listen", "-", stdin=(folder / "laughs.wav").read_bytes(), bundle="hearing")
    assert [line.split()[2] for line in laughs.output.splitlines()] == ["unsure", "(laughter)", "sad"]


def test_a_pipe_has_channels_too(folder: Path) -> None:
    stereo = np.stack([0 * TALK, TALK], axis=1)
    soundfile.write(folder / "sides.wav", stereo, 16_000)
    soundfile.write(folder / "side.wav", TALK, 16_000)
    data = (folder / "sides.wav").read_bytes()
    expected = run(folder, "listen", "-", "--json", stdin=(folder / "side.wav").read_bytes())
    assert run(folder, "listen", "-", "--json", "--channel", "2", stdin=data).stdout == expected.stdout != ""
    assert "no speech" in run(folder, "listen", "-", "--channel", "1", stdin=data).stderr
    assert "there is no channel 3" in str(run(folder, "listen", "-", "--channel", "3", stdin=data).exception)
    for words in (("--channel", "1"), ("--channels", "2")):
        assert "--channel and --channels are for a pipe" in run(folder, "listen", *words).stderr


def gone() -> None:
    raise AudioError("The microphone stopped.")


@pytest.mark.parametrize(
    ("end", "exit_code"), [(gone, 1), (partial(signal.raise_signal, signal.SIGTERM), 128 + signal.SIGTERM)]
)
def test_what_was_heard_is_told_before_listen_ends_by_a_lost_microphone_or_a_signal(
    end: Callable[[], None], exit_code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard() -> Iterator[Any]:
        yield TALK[: 5 * 16_000]  # in the middle of speech
        end()
        yield TALK

    monkeypatch.setattr(_live_view, "microphone", lambda *_: nullcontext(heard()))
    result = run(folder, "listen", "--json")
    assert result.exit_code == exit_code
    (segment,) = (line for line in map(json.loads, result.stdout.splitlines()) if line["event"] == "segment")
    assert segment["end_s"] == 5.0


def test_the_live_view_shows_now_the_last_spans_and_what_was_lost() -> None:
    from rich.console import Console

    view = _live_view.LiveView(("happy", "sad"))
    view.hear(np.full(100, 0.1) * (-1) ** np.arange(100), 63.0, True)
    view.take(Window(60.0, 63.0, {"happy": 0.25, "sad": 0.75}))
    for number in range(9):
        view.take(Span(number, number + 1, "happy", 0.6))
    view.take(Span(9.0, 10.0, "unsure", 0.37))
    view.take(VocalBurst(10.0, 11.0, "laughter", 0.99))
    view.take(Gap(1.0, 3.5))
    view.hear(Lost(2.5), 66.0, True)
    console = Console(width=80, record=True, file=StringIO())
    console.print(view.picture())
    text = console.export_text()
    assert "1:06.0" in text
    assert "● speech" in text
    assert "75%" in text
    assert text.count("60%") == _live_view.N_SPANS - 2
    assert re.search(r"unsure +37%", text)
    assert re.search(r"\(laughter\) +> 95%", text)
    assert "2.5 s of sound were lost" in text
    view.take(Segment(0.0, 70.0))
    console.print(view.picture())
    assert "75%" not in console.export_text()


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (3723.44, "1:02:03.4")])
def test_a_time_reads_as_people_write_it(seconds: float, text: str) -> None:
    assert exact_clock(seconds) == text


def test_a_length_is_told_in_the_units_that_it_needs() -> None:
    assert [clock(seconds) for seconds in (0.0, 7.5, 67.0, 7387.0)] == ["0 s", "7.5 s", "1:07", "2:03:07"]


def test_a_file_handed_to_listen_is_told_the_command_for_it(folder: Path) -> None:
    result = run(folder, "listen", "talk.flac")
    assert result.exit_code == 2
    assert f"earnest timeline {folder / 'talk.flac'}" in result.stderr


def test_listen_never_ends_without_a_word(folder: Path) -> None:
    silence = PAUSE.astype("<i2").tobytes()
    assert run(folder, "listen", "-", stdin=silence).stderr == "no speech in 1.0 s of sound\n"
    assert run(folder, "listen", "-", "--quiet", stdin=silence).stderr == ""


@pytest.mark.parametrize("command", ["predict", "timeline", "listen"])
def test_an_empty_pipe_is_an_error_of_every_command(folder: Path, command: str) -> None:
    result = run(folder, command, "-", "--json")
    assert result.exit_code != 0
    assert "no bytes" in (result.stdout if command == "predict" else str(result.exception))


def test_vocal_bursts_are_counted_where_the_file_holds_them(folder: Path, tmp_path: Path) -> None:
    words = ("timeline", "laughs.wav", "--plot", str(tmp_path / "a.png"))
    told = run(folder, *words, "-o", str(tmp_path / "a.srt"), bundle="hearing").stderr
    assert [line.partition(":")[0] for line in told.splitlines()] == 2 * ["2 spans, 1 vocal burst"]
    told = run(folder, *words[:2], "-o", str(tmp_path / "a.csv"), bundle="hearing").stderr
    assert told.startswith("2 spans: ")


def test_a_document_of_elan_links_to_the_recording_from_its_folder(folder: Path, tmp_path: Path) -> None:
    talk, document = folder / "talk.flac", tmp_path / "far" / "talk.eaf"
    assert run(folder, "timeline", "talk.flac", "-o", str(document)).exit_code == 0
    (link,) = re.findall(r' MEDIA_URL="([^"]+)"', document.read_text("utf-8"))
    assert link.startswith("../") and (document.parent / link).samefile(talk)
    assert run(folder, "timeline", "talk.flac", "-o", str(folder / "talk.eaf"), "--overwrite").exit_code == 0
    text = (folder / "talk.eaf").read_text("utf-8")
    assert ' MEDIA_URL="./talk.flac"' in text and 'MIME_TYPE="audio/flac"' in text
    assert "MEDIA_URL" not in run(folder, "timeline", "-", "--format", "eaf", stdin=talk.read_bytes()).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_formats_for_machines_hold_whole_paths(folder: Path, tmp_path: Path) -> None:
    red = tmp_path / "\x1b[31mred.wav"
    red.write_bytes((folder / "laughs.wav").read_bytes())
    for command in ("predict", "timeline"):
        table = run(folder, command, str(red), "--format", "csv").stdout
        assert {row["path"] for row in csv.DictReader(StringIO(table))} == {str(red)}
    assert "\x1b[31mred" in run(folder, "timeline", str(red), "--format", "rttm").stdout
    run(folder, "timeline", str(red), "-o", str(tmp_path / "spans.csv"))
    assert str(red) in (tmp_path / "spans.csv").read_text("utf-8")
