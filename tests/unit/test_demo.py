"""The bundled clips: synthetic, small, described, and made by the script that says so."""

import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import earnest
from earnest.audio.io import decode, load_waveform
from earnest.audio.quality import active_part
from earnest.audio.waveform import Waveform
from earnest.augment.level import at_level

REPOSITORY = Path(__file__).parents[2]
CLIPS = sorted((Path(earnest.__file__).parent / "demo").glob("*.flac"))


def test_the_clips_are_small_16_khz_and_of_a_few_seconds() -> None:
    assert len(CLIPS) == 5
    for path in CLIPS:
        recording = decode(path)
        assert path.stat().st_size < 100_000
        assert recording.sample_rate_hz == 16_000
        assert 1 < recording.duration_s < 6
        assert abs(recording.waveform).max() < 0.999


def test_the_page_beside_them_names_every_clip_and_calls_them_synthetic() -> None:
    page = (CLIPS[0].parent / "README.md").read_text(encoding="utf-8")
    assert "synthetic" in page
    script = runpy.run_path(str(REPOSITORY / "scripts" / "make_demo_clips.py"))
    assert {path.stem for path in CLIPS} == {clip.name for clip in script["CLIPS"]}
    for clip in script["CLIPS"]:
        assert f"| `{clip.name}.flac` | {clip.text} |" in page


@pytest.mark.parametrize("name", ["base", "large", "small"])
def test_the_bundles_that_ship_derive_valence_and_arousal_and_say_so(name: str) -> None:
    said = earnest.load(name).predict(CLIPS[0])
    assert said.affect is not None and said.affect_derived
    assert said.affect.keys() == {"valence", "arousal", "dominance"} and said.affect["dominance"] is None
    assert all(0 <= said.affect[side] <= 1 for side in ("valence", "arousal"))


@pytest.mark.parametrize("name", ["base", "large", "small"])
def test_two_voices_at_once_are_overlapped_speech_and_one_alone_is_none(name: str) -> None:
    model, (one, other) = earnest.load(name), (alone("lively"), alone("whispered"))
    n_samples = min(len(one), len(other))
    both = model.predict((one[:n_samples] + other[:n_samples], 16_000))
    assert (both.status, both.quality) == ("unsure", ("overlapped-speech",))
    assert max(both.probabilities.values()) < 0.4
    for clip in (alone("plain"), other, np.concatenate([alone("plain"), other])):
        assert "overlapped-speech" not in model.predict((clip, 16_000)).quality


def alone(name: str) -> Waveform:
    """Read a clip without the silence at its ends, at one level."""
    waveform = load_waveform(CLIPS[0].with_stem(name), 16_000)
    first, end = active_part(waveform, 16_000) or (0, 0)
    return at_level(waveform[first:end], -26.0)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_script_makes_the_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = REPOSITORY / "scripts" / "make_demo_clips.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    runpy.run_path(str(script), run_name="__main__")
    for path in CLIPS:  # another version of espeak-ng may differ a little
        assert decode(tmp_path / path.name).duration_s == pytest.approx(decode(path).duration_s, rel=0.2)
