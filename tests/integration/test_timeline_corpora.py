"""Timelines of real recordings: speech is found where it is, and noise is no speech."""

import os
from pathlib import Path

import numpy as np
import pytest
from stand_in import write_bundle

import earnest
from earnest.audio.io import load_waveform
from earnest.runtime.predictor import Predictor

DATA = os.environ.get("EARNEST_DATA")
pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(not DATA, reason="EARNEST_DATA is not set: needs the real corpora"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return earnest.load(write_bundle(tmp_path_factory.mktemp("bundle")))


def corpus(name: str) -> Path:
    folder = Path(str(DATA)) / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in EARNEST_DATA")
    return folder


def test_eight_clips_in_a_row_are_eight_segments_or_more_each_inside_its_clip(model: Predictor) -> None:
    paths = sorted(corpus("ravdess").rglob("03-01-0[1-8]-01-01-01-05.*"))
    clips = [load_waveform(path, 16_000) for path in paths]
    edges = np.cumsum([0, *map(len, clips)]) / 16_000
    timeline = model.timeline((np.concatenate(clips), 16_000))
    owners = [int(np.searchsorted(edges, segment.start_s, side="right")) for segment in timeline.segments]
    assert len(clips) == 8
    assert set(owners) == set(range(1, 9))
    assert all(segment.end_s <= edges[owner] for segment, owner in zip(timeline.segments, owners, strict=True))
    assert 0.4 < (timeline.prediction.speech_s or 0) / timeline.duration_s < 0.8


@pytest.mark.parametrize("kind", ["rain", "sea-waves", "fire-crackling", "helicopter", "clock-tick"])
def test_noise_is_no_speech(model: Predictor, kind: str) -> None:
    paths = sorted((corpus("noise-esc10") / kind).iterdir())
    speech_s = [model.timeline(path).prediction.speech_s or 0.0 for path in paths]
    assert sum(speech_s) < 0.03 * 5.0 * len(paths)


def test_speech_in_rain_is_still_found(model: Predictor) -> None:
    noises = sorted((corpus("noise-esc10") / "rain").iterdir())
    paths = sorted(corpus("emodb").glob("*.flac"))[::40]
    for number, path in enumerate(paths):
        clip = load_waveform(path, 16_000)
        noise = np.resize(load_waveform(noises[number % len(noises)], 16_000), len(clip) + 64_000)
        noise *= np.float32(np.sqrt(np.mean(clip**2) / np.mean(noise**2) / 10))  # 10 dB
        mixture = noise + np.pad(clip, 32_000)
        timeline = model.timeline((mixture, 16_000))
        assert timeline.segments, path.name
        assert all(1.5 < segment.start_s < segment.end_s < 2.5 + len(clip) / 16_000 for segment in timeline.segments)
