"""The voice activity detectors: what they call speech, and that the division of calls changes nothing."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import earnest
from earnest.audio.activity import (
    CONTEXT,
    FRAME_SAMPLES,
    NETWORK,
    STATE_WIDTH,
    Extent,
    SileroActivity,
    SpeechFinder,
    WindowCutter,
    activity_called,
    silero_session,
)
from earnest.audio.io import load_waveform
from earnest.errors import EarnestError
from earnest.onnx.check import check_onnx
from earnest.testing.sounds import voice

DEMO = sorted((Path(earnest.__file__).parent / "demo").glob("*.flac"))
NETWORK_SHA256 = "d1c787fef94f50df9f5f2bbe84ba97e7a3deb256f01376e39754ae15071eeb5e"


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


@pytest.mark.parametrize(("peak_dbfs", "share"), [(-30, 0.85), (-40, 0.6)])  # the rest is below -65 dBFS
def test_quiet_speech_is_heard_as_loud_speech_is(peak_dbfs: float, share: float) -> None:
    def n_heard(peak: float) -> int:
        clips = [
            np.float32(peak / np.abs(clip).max()) * clip for clip in (load_waveform(path, 16_000) for path in DEMO)
        ]
        return sum(int(np.sum(activity_called("silero").probabilities(frames(clip)) >= 0.5)) for clip in clips)

    assert n_heard(10 ** (peak_dbfs / 20)) > share * n_heard(0.5)


@pytest.mark.parametrize("offset", [-0.6, 0.2, 0.6])
def test_speech_is_found_on_an_offset_that_it_never_crosses(offset: float) -> None:
    for path in DEMO:
        clip = load_waveform(path, 16_000)
        clip *= np.float32(0.1 / np.abs(clip).max())
        alone, found = (
            activity_called("silero").probabilities(frames(sound)) for sound in (clip, clip + np.float32(offset))
        )
        assert np.mean((found >= 0.5) == (alone >= 0.5)) > 0.85, path


@pytest.mark.parametrize("gap_s", [0.3, 2.0])
def test_a_soft_speaker_is_heard_after_a_loud_one(gap_s: float) -> None:
    loud, soft = (load_waveform(path, 16_000) for path in DEMO[:2])
    before = np.concatenate([0.7 * loud / np.abs(loud).max(), np.zeros(round(gap_s * 16_000), np.float32)])
    for level in (0.07, 0.02):  # 20 and 31 dB softer
        softly = level * soft / np.abs(soft).max()
        alone = activity_called("silero").probabilities(frames(softly))
        after = activity_called("silero").probabilities(frames(np.concatenate([before, softly])))[-len(alone) :]
        assert np.sum(after >= 0.5) >= 0.7 * np.sum(alone >= 0.5) > 20


def test_the_network_is_the_file_that_was_compared_with_the_published_one() -> None:
    assert hashlib.sha256(NETWORK.read_bytes()).hexdigest() == NETWORK_SHA256, "see scripts/make_silero.py"
    assert (
        NETWORK.with_suffix(".txt").read_text(encoding="utf-8").startswith("MIT License\n\nCopyright (c) 2020-present")
    )


def test_the_network_is_one_that_a_bundle_might_hold() -> None:
    onnx = pytest.importorskip("onnx")
    check_onnx(NETWORK.read_bytes(), NETWORK)
    model = onnx.load(NETWORK)
    onnx.checker.check_model(model, full_check=True)
    inputs = {
        value.name: [size.dim_value or size.dim_param for size in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }
    state = [1, 1, STATE_WIDTH]
    assert inputs == {"frames": ["frames", CONTEXT + FRAME_SAMPLES], "hidden": state, "cell": state}


def test_two_detectors_at_work_do_not_disturb_each_other() -> None:
    first, second = activity_called("silero"), activity_called("silero")
    spoken = frames(voice(2.0))
    alone = activity_called("silero").probabilities(spoken)
    found = []
    for number in range(len(spoken)):
        found += first.probabilities(spoken[number : number + 1]).tolist()
        second.probabilities(spoken[::-1][number : number + 1].copy())
    assert found == alone.tolist()


def test_where_openvino_runs_the_network_it_hears_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="needs openvino")
    spoken = frames(load_waveform(str(DEMO[0]), 16_000))
    expected = SileroActivity().probabilities(spoken)
    silero_session.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = SileroActivity().probabilities(spoken)
    silero_session.cache_clear()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_a_runtime_the_level_decides_and_asking_for_silero_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    silero_session.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert activity_called("auto").name == "energy"
    with pytest.raises(
        EarnestError, match=r"'silero' needs onnxruntime or OpenVINO\. Install it with: pip install onnxruntime"
    ):
        activity_called("silero")


def test_an_unknown_detector_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(EarnestError, match=r"no voice activity detector 'silreo'\. Did you mean 'silero'"):
        activity_called("silreo")


SOFT_DBFS = -51.0


def segments(shares: list[float], level_dbfs: float = -20.0, judged: bool = True) -> list[tuple[int, int]]:
    finder = SpeechFinder(judged)
    found = [finder.accept(share, level_dbfs) for share in shares]
    return [segment for segment in [*found, finder.finish()] if segment]


def test_speech_has_a_margin_and_short_pauses_do_not_end_it() -> None:
    assert segments([0] * 10 + [1] * 10 + [0] * 12 + [1] * 10 + [0] * 20) == [(6, 46)]
    assert segments([0] * 10 + [1] * 10 + [0] * 13 + [1] * 10 + [0] * 20) == [(6, 24), (29, 47)]


def test_a_click_is_no_speech() -> None:
    assert segments([0] * 10 + [1] * 7 + [0] * 30) == []
    assert segments([0] * 10 + [1] * 8 + [0] * 30) == [(6, 22)]


def test_what_would_not_begin_speech_can_go_on_with_it() -> None:
    assert segments([0.4] * 50, SOFT_DBFS) == []
    assert segments([0] * 10 + [0.6] * 8 + [0.4] * 30 + [0] * 20) == [(6, 52)]


def test_loud_sound_that_is_perhaps_speech_is_a_segment_once_it_is_over() -> None:
    assert segments([0] * 10 + [0.1] * 16 + [0] * 20) == [(6, 30)]
    assert segments([0] * 10 + [0.1] * 15 + [0] * 20) == []  # too short
    assert segments([0] * 10 + [0.04] * 30 + [0] * 20) == []  # surely no speech
    assert segments([0] * 10 + [0.1] + [0.04] * 29 + [0] * 20) == [(6, 44)]
    assert segments([0] * 10 + [0.1] * 30 + [0] * 20, SOFT_DBFS) == []
    assert segments([0] * 10 + [0.1] * 30 + [0] * 20, judged=False) == []  # nobody says whether it is speech


def test_loud_is_what_is_near_the_loudest_so_far() -> None:
    finder = SpeechFinder(judged=True)
    heard = [(0.0, 0.0)] * 10 + [(0.1, -21.0)] * 30 + [(0.0, -60.0)] * 20
    assert not any(finder.accept(*frame) for frame in heard)
    heard = [(0.1, -19.0)] * 30 + [(0.0, -60.0)] * 20
    assert any(finder.accept(*frame) for frame in heard)


def test_what_leads_to_speech_or_hangs_on_it_is_no_segment_of_its_own() -> None:
    assert segments([0.1] * 30 + [1] * 20 + [0] * 30) == [(26, 54)]
    assert segments([1] * 20 + [0.1] * 12 + [0] * 30) == [(0, 24)]
    assert segments([1] * 20 + [0.1] * 40 + [0] * 30) == [(0, 24), (29, 64)]


def test_what_is_long_in_doubt_is_cut_and_segments_never_overlap() -> None:
    assert segments([0.1] * 300) == [(0, 125), (125, 250), (250, 300)]
    assert segments([0.1] * 125 + [1] * 20) == [(0, 125), (125, 145)]


def test_the_sound_of_what_is_in_doubt_is_needed() -> None:
    finder = SpeechFinder(judged=True)
    for _ in range(20):
        finder.accept(0.1, -20.0)
    assert finder.needed_from() == 0
    for _ in range(200):
        finder.accept(0.1, -20.0)
    assert finder.needed_from() == 121
    assert finder.start is None  # nobody is said to speak while it is in doubt


def test_segments_stay_inside_the_recording() -> None:
    assert segments([1] * 20) == [(0, 20)]
    assert segments([0, 0] + [1] * 20 + [0, 0]) == [(0, 24)]


def test_segments_never_touch_or_shrink_while_they_grow() -> None:
    finder = SpeechFinder()
    certain = 0
    for share in [1.0] * 9 + [0.0] * 12 + [1.0] * 9:
        finder.accept(share, -20.0)
        assert finder.certain_end >= certain
        certain = finder.certain_end
    assert finder.finish() == (0, certain)


def test_windows_overlap_and_the_last_one_ends_with_the_segment() -> None:
    cutter = WindowCutter(30, 10)
    assert [*cutter.grow(5, 34)] == []
    assert [*cutter.grow(5, 45)] == [Extent(5, 35), Extent(15, 45)]
    assert [*cutter.close(5, 52)] == [Extent(22, 52)]
    assert [*cutter.close(100, 130)] == [Extent(100, 130)]
    assert [*cutter.close(200, 240)] == [Extent(200, 230), Extent(210, 240)]


def test_a_segment_shorter_than_a_window_is_one_window() -> None:
    assert [*WindowCutter(30, 10).close(5, 17)] == [Extent(5, 17)]
