"""Real recordings and the pictures of them get the same answer from OpenVINO, onnxruntime blocked from import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

import earnest
from earnest.corpora.manifest import AUDIO_SUFFIXES
from earnest.runtime.windows import Windowing

DATA = os.environ.get("EARNEST_DATA")
CORPORA = ("ravdess", "emodb", "crema-d")
N_CLIPS = 50
MOST_DIFFERENT = 1e-3
pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(not DATA, reason="EARNEST_DATA is not set: needs the real corpora"),
]
EDGE = """
import sys
sys.modules["onnxruntime"] = None
from earnest.apps.cli.main import cli
cli(["edge", *sys.argv[1:]], standalone_mode=False)
"""


def clips(folder: Path) -> list[Path]:
    """Write the first three seconds of recordings, as much as is heard at once and seen in a picture."""
    found = []
    for corpus in CORPORA:
        root = Path(str(DATA)) / corpus
        if not root.is_dir():
            pytest.skip(f"{corpus} is not in EARNEST_DATA")
        paths = sorted(path for path in root.rglob("*") if path.suffix in AUDIO_SUFFIXES)
        found += paths[:: len(paths) // 20][:17]
    for number, path in enumerate(found):
        samples, rate_hz = soundfile.read(path)
        soundfile.write(folder / f"{number}.wav", samples[: int(Windowing.window_s * rate_hz)], rate_hz)
    return [folder / f"{number}.wav" for number in range(N_CLIPS)]


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
