"""Real clips in the window: what `earnest predict` says of them, and the same of pictures of their spectrograms."""

from pathlib import Path
from typing import Any

import pytest
from real_clips import needs_real_clips, real_clips

import earnest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.corpora,
    needs_real_clips,
]


def test_fifty_clips_and_their_pictures_are_answered_as_predict_does(opened: Any, tmp_path: Path) -> None:
    recordings, model = real_clips(), earnest.load("base")
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
