"""Real clips in the window: what `earnest predict` says of them, and the same of pictures of their spectrograms."""

import os
from pathlib import Path
from typing import Any

import pytest

import earnest
from earnest.corpora.manifest import AUDIO_SUFFIXES

DATA = os.environ.get("EARNEST_DATA")
CORPORA = ("ravdess", "emodb", "crema-d")
N_CLIPS = 50
pytestmark = [
    pytest.mark.slow,
    pytest.mark.corpora,
    pytest.mark.skipif(not DATA, reason="EARNEST_DATA is not set: needs the real corpora"),
]


def clips() -> list[Path]:
    """Return recordings of three corpora, of 1.6 to 5 s: heard at once or, the longer ones, in windows."""
    found = []
    for corpus in CORPORA:
        root = Path(str(DATA)) / corpus
        if not root.is_dir():
            pytest.skip(f"{corpus} is not in EARNEST_DATA")
        paths = sorted(path for path in root.rglob("*") if path.suffix in AUDIO_SUFFIXES)
        found += paths[:: len(paths) // 20][:17]
    return found[:N_CLIPS]


def test_fifty_clips_and_their_pictures_are_answered_as_predict_does(opened: Any, tmp_path: Path) -> None:
    recordings, model = clips(), earnest.load("base")
    pictures = [tmp_path / f"{number}.png" for number in range(len(recordings))]
    for recording, picture in zip(recordings, pictures, strict=True):
        picture.write_bytes(model.spectrogram(recording).to_png())
    driver = opened(*recordings, *pictures, model=Path("base"))
    driver.answered()
    rows = [entry.prediction for entry in driver.window.files.model.entries]
    heard, seen = rows[: len(recordings)], rows[len(recordings) :]
    expected = list(model.predict_many(recordings))
    assert max(row.duration_s for row in expected) > 4.5
    for told, sound, picture in zip(expected, heard, seen, strict=True):
        for row in (sound, picture):
            assert (row.status, row.emotion) == (told.status, told.emotion)
            assert dict(row.probabilities) == pytest.approx(dict(told.probabilities), abs=1e-3)
