"""Real recordings and the pictures of them get the same answer from OpenVINO, onnxruntime blocked from import."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile
from real_clips import N_CLIPS, needs_real_clips, real_clips

import earnest
from earnest.runtime.windows import Windowing

MOST_DIFFERENT = 1e-3
pytestmark = [
    pytest.mark.corpora,
    needs_real_clips,
]
EDGE = """
import sys
sys.modules["onnxruntime"] = None
from earnest.apps.cli.main import cli
cli(["edge", *sys.argv[1:]], standalone_mode=False)
"""


def clips(folder: Path) -> list[Path]:
    """Write the first three seconds of recordings, as much as is heard at once and seen in a picture."""
    found = real_clips()
    for number, path in enumerate(found):
        samples, rate_hz = soundfile.read(path)
        soundfile.write(folder / f"{number}.wav", samples[: int(Windowing.window_s * rate_hz)], rate_hz)
    return [folder / f"{number}.wav" for number in range(len(found))]


def answers(model: str, paths: list[Path]) -> list[dict[str, Any]]:
    words = [*map(str, paths), "--model", model, "--json", "--no-abstain"]
    done = subprocess.run([sys.executable, "-c", EDGE, *words], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["small", "base"])
def test_a_recording_and_its_picture_get_the_same_label(name: str, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("PIL")
    model = earnest.load(name)
    recordings = clips(tmp_path)
    assert len(recordings) == N_CLIPS
    pictures = []
    for number, path in enumerate(recordings):
        pictures.append(tmp_path / f"{number}.png")
        pictures[-1].write_bytes(model.spectrogram(path).to_png())
    heard, seen = answers(name, recordings), answers(name, pictures)
    assert [row["emotion"] for row in seen] == [row["emotion"] for row in heard]
    for one, other in zip(heard, seen, strict=True):
        assert one["status"] == "ok"
        assert other["probabilities"] == pytest.approx(one["probabilities"], abs=MOST_DIFFERENT)
