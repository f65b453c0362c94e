"""Made-up sounds: each class makes finite sounds that follow from their number, and files that are there stay."""

import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.long

SCRIPTS = Path(__file__).parents[3] / "scripts"


@pytest.fixture(scope="module")
def script() -> Iterator[dict[str, Any]]:
    pytest.importorskip("scipy")
    sys.path.insert(0, str(SCRIPTS))
    yield runpy.run_path(str(SCRIPTS / "make_sounds.py"))
    sys.path.remove(str(SCRIPTS))


def classes_without_music(script: dict[str, Any]) -> list[str]:
    return [name for name in script["classes"]() if not name.startswith("music-")]


def test_each_class_makes_finite_sounds_that_differ_and_follow_from_their_number(script: dict[str, Any]) -> None:
    names = classes_without_music(script)
    assert len(names) >= 80
    for name in names:
        once, again, other = (script["make"](name, number, 16_000) for number in (0, 0, 1))
        for waveform in (once, other):
            assert waveform.dtype == np.float32 and waveform.shape == (16_000,), name
            assert np.isfinite(waveform).all() and 0 < np.abs(waveform).max() <= 1, name
        assert np.array_equal(once, again), name
        assert not np.array_equal(once, other), name


def test_quiet_classes_stay_below_60_dbfs(script: dict[str, Any]) -> None:
    for name in ("room-noise", "near-silence"):
        rms = [np.sqrt(np.mean(script["make"](name, number, 16_000) ** 2)) for number in range(10)]
        assert 20 * np.log10(max(rms)) <= -59.9, name


def test_a_midi_file_is_one_track_whose_length_is_written(script: dict[str, Any]) -> None:
    music = script["music"]
    assert [music.variable_length(number).hex() for number in (0, 127, 128, 16_383)] == ["00", "7f", "8100", "ff7f"]
    written = music.midi_file(music.note(0, 0, 96, 60, 100), 0.5)
    assert written[:4] == b"MThd" and written[14:18] == b"MTrk"
    assert int.from_bytes(written[18:22], "big") == len(written) - 22
    assert written.endswith(b"\0\x90\x3c\x64\x60\x80\x3c\0\0\xff\x2f\0")


@pytest.mark.skipif(not shutil.which("fluidsynth"), reason="fluidsynth is missing")
def test_music_is_played_alike_twice(script: dict[str, Any]) -> None:
    if not script["music"].font():
        pytest.skip("no General MIDI sound font")
    once, again, other = (script["make"]("music-choir", number, 16_000) for number in (0, 0, 1))
    assert np.array_equal(once, again) and not np.array_equal(once, other)
    assert once.shape == (16_000,) and 0 < np.abs(once).max() <= 1


def test_it_writes_what_is_missing(script: dict[str, Any], tmp_path: Path) -> None:
    paths = [tmp_path / "tone" / f"{number:03d}.flac" for number in range(2)]
    paths[0].parent.mkdir()
    for number in range(2):
        script["write"](tmp_path, "tone", number)
    assert [soundfile.info(path).samplerate for path in paths] == [16_000, 16_000]
    assert all(1 <= soundfile.info(path).duration <= 8 for path in paths)
    first, kept = paths[0].read_bytes(), paths[1].stat().st_mtime_ns
    paths[0].unlink()
    for number in range(2):
        script["write"](tmp_path, "tone", number)
    assert paths[0].read_bytes() == first and paths[1].stat().st_mtime_ns == kept
    assert sorted(tmp_path.rglob("*.*")) == paths
