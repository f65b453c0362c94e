"""Predictions of real recordings: speech is hardly ever taken for silence, silence never for speech."""

import os
from collections import Counter
from pathlib import Path

import pytest
from stand_in import write_bundle

import earnest
from earnest.corpora.manifest import AUDIO_SUFFIXES

DATA = os.environ.get("EARNEST_DATA")
pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(not DATA, reason="EARNEST_DATA is not set: needs the real corpora"),
]


@pytest.mark.parametrize("corpus", ["ravdess", "ravdess-song", "emodb", "crema-d"])
def test_real_speech_gets_an_answer(corpus: str, tmp_path: Path) -> None:
    root = Path(str(DATA)) / corpus
    if not root.is_dir():
        pytest.skip(f"{corpus} is not in EARNEST_DATA")
    paths = sorted(path for path in root.rglob("*") if path.suffix in AUDIO_SUFFIXES)[::25]
    rows = list(earnest.load(write_bundle(tmp_path)).predict_many(paths))
    found = Counter(row.status for row in rows)
    assert found.keys() <= {"ok", "mixed", "no-speech"}
    # The stand-in has no head for sounds, so voice activity decides what is speech.
    assert found["no-speech"] <= max(1, 0.01 * len(paths)), found
    assert all(0.25 <= float(row.speech_s or 0) <= float(row.duration_s or 0) for row in rows if row.probabilities)


def test_the_silent_clip_of_crema_d_has_no_emotion(tmp_path: Path) -> None:
    found = sorted((Path(str(DATA)) / "crema-d").rglob("1076_MTI_SAD_XX.*"))
    if not found:
        pytest.skip("1076_MTI_SAD_XX of CREMA-D is not in EARNEST_DATA")
    result = earnest.load(write_bundle(tmp_path)).predict(found[0])
    assert (result.status, result.emotion) == ("no-speech", None)
