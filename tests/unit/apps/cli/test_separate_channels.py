"""Commands tell that a recording's channels take turns, or that it has more tracks, and how to hear each by itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from stand_in import write_bundle

from earnest.apps.cli.main import cli
from earnest.testing.sounds import voice

RATE_HZ = 16_000
TOLD = "take turns, like two sides of a call"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("calls")
    write_bundle(root / "bundle")
    sides = np.stack([voice(2.0), np.zeros(2 * RATE_HZ, np.float32)], axis=1)
    soundfile.write(root / "call.wav", np.concatenate([sides, sides[:, ::-1]]), RATE_HZ)
    soundfile.write(root / "plain.wav", voice(2.0), RATE_HZ)
    return root


def run(folder: Path, *words: str) -> Result:
    names = [str(folder / word) if word.endswith(".wav") else word for word in words]
    stdin = (folder / "call.wav").read_bytes()
    return CliRunner().invoke(cli, [*names, "--model", str(folder / "bundle")], input=stdin)


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("words", [("predict", "call.wav"), ("timeline", "call.wav"), ("listen", "-")])
def test_a_call_is_told_beside_its_answer(folder: Path, words: tuple[str, ...], form: list[str]) -> None:
    told = run(folder, *words, *form).stderr
    assert f"Its channels {TOLD}: the answer is about all channels together." in told
    assert "--channel 1" in told


def test_of_several_recordings_it_is_told_how_many_are_calls(folder: Path, tmp_path: Path) -> None:
    words = "predict", "call.wav", "plain.wav"
    for more in [], ["--adapt", "auto"], ["--output", str(tmp_path / "rows.csv")]:
        assert f"In 1 of 2 recordings channels {TOLD}" in run(folder, *words, *more).stderr


@pytest.mark.parametrize("words", [("predict",), ("predict", "--isolate"), ("timeline",)])
def test_of_a_film_with_two_tracks_it_is_told_that_the_first_was_heard(
    folder: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    av = pytest.importorskip("av", reason="needs PyAV, earnest[media]")
    for name, n_tracks in (("one.mkv", 1), ("two.mkv", 2)):
        with av.open(str(tmp_path / name), "w", format="matroska") as file:
            tracks = [file.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono") for _ in range(n_tracks)]
            for track in tracks:
                samples = (voice(2.0) * 2**15).astype(np.int16)[None]
                frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE_HZ, 0
                file.mux(track.encode(frame))
    command = [*words, str(tmp_path / "two.mkv"), "--json"]
    answer = run(folder, *command)
    assert "It has more sound tracks, of which the first was heard. For the second: ffmpeg" in answer.stderr
    assert "other-tracks" in json.loads(answer.stdout)["quality"]
    command[-2] = str(tmp_path / "one.mkv")
    answer = run(folder, *command)
    assert "tracks" not in answer.stderr and "other-tracks" not in answer.stdout
    if words == ("predict",):
        told = run(folder, *words, str(tmp_path / "one.mkv"), str(tmp_path / "two.mkv")).stderr
        assert "In 1 of 2 recordings there are more sound tracks" in told


@pytest.fixture
def small_device() -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO: pip install 'earnest[openvino]'")


@pytest.mark.usefixtures("small_device")
def test_on_a_small_device_a_call_is_told_too(folder: Path) -> None:
    for form in [], ["--json"]:
        told = run(folder, "edge", "call.wav", *form).stderr
        assert f"Its channels {TOLD}" in told and "For each by itself: --channel 1 --channel 2" in told
    assert TOLD not in run(folder, "edge", "call.wav", "-q").stderr + run(folder, "edge", "plain.wav").stderr


@pytest.mark.usefixtures("small_device")
def test_on_a_small_device_each_channel_is_heard_by_itself_as_predict_hears_it(folder: Path) -> None:
    both = "--channel", "1", "--channel", "2"
    rows = [json.loads(line) for line in run(folder, "edge", "call.wav", *both, "--json").stdout.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["call.wav#1", "call.wav#2"]
    found = [
        Path(json.loads(line)["path"]).name
        for line in run(folder, "edge", str(folder), *both, "--json").stdout.splitlines()
    ]
    assert found == ["call.wav#1", "call.wav#2", "plain.wav#1"]  # of a folder, those that there are
    for words in ("call.wav", "--channel", "0"), ("plain.wav", "--channel", "2", "-q"):
        edge, predict = run(folder, "edge", *words), run(folder, "predict", *words)
        assert edge.exit_code == predict.exit_code
    assert "there is no channel 2" in run(folder, "edge", "plain.wav", "--channel", "2").stdout
    assert "expected 1 for the left one" in run(folder, "edge", "call.wav", "--channel", "0").stderr
    assert "--channel is for PATHS" in run(folder, "edge", "--microphone", "--channel", "1").stderr


@pytest.mark.parametrize(
    "words",
    [
        ("predict", "plain.wav"),
        ("predict", "call.wav", "-q"),
        ("predict", "call.wav", "--channel", "1", "--channel", "2"),
        ("timeline", "call.wav", "--channel", "2"),
        ("timeline", "call.wav", "-q"),
        ("listen", "-", "--channel", "1"),
        ("listen", "-", "-q"),
    ],
)
def test_it_is_not_told_where_it_is_not_so_one_channel_is_asked_for_or_nothing_is_to_be_told(
    folder: Path, words: tuple[str, ...]
) -> None:
    found = run(folder, *words)
    assert TOLD not in found.stderr
    assert found.exit_code == 0
