"""A stream's events are those of the whole recording, whatever the size of the pieces, and all faces say the same."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import write_bundle, write_hearing

import earnest
from earnest.runtime.prediction import Event, Span
from earnest.runtime.predictor import Predictor
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing
from earnest.testing.sounds import voice

pytestmark = pytest.mark.long

WINDOWING = Windowing(window_s=1.0, hop_s=0.3)


@cache
def model(sample_rate_hz: int) -> Predictor:
    return earnest.load(write_bundle(Path(mkdtemp()), sample_rate_hz=sample_rate_hz))


@cache
def recording(sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Return eleven seconds: noise, a click, voices of several lengths and levels, pauses, speech up to the end."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, 0.001, sample_rate_hz), rng.normal(0, 0.3, sample_rate_hz // 100)]
    for seconds, level, pause_s in ((2.9, 0.05, 0.6), (0.5, 0.2, 0.3), (1.7, 0.02, 0.9), (3.0, 0.1, 0.0)):
        parts += [
            voice(seconds, sample_rate_hz, level=level, seed=len(parts)),
            np.zeros(round(pause_s * sample_rate_hz)),
        ]
    return np.concatenate(parts).astype(np.float32)


@cache
def whole(sample_rate_hz: int, model_hz: int, activity: str) -> Timeline:
    windowing = Windowing(WINDOWING.window_s, WINDOWING.hop_s, activity)
    return model(model_hz).timeline((recording(sample_rate_hz), sample_rate_hz), windowing)


@pytest.mark.parametrize("activity", ["silero", "energy"])
@pytest.mark.parametrize(("sample_rate_hz", "model_hz"), [(16_000, 16_000), (44_100, 16_000), (8_000, 22_050)])
@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=40))
def test_pieces_of_any_size_give_exactly_the_whole_timeline(
    activity: str, sample_rate_hz: int, model_hz: int, sizes: list[int]
) -> None:
    waveform = recording(sample_rate_hz)
    events: list[Event] = []
    with model(model_hz).stream(sample_rate_hz, Windowing(WINDOWING.window_s, WINDOWING.hop_s, activity)) as stream:
        for piece in np.split(waveform, np.cumsum(sizes)):
            events += stream.accept_waveform(piece)
        events += stream.finish()
    timeline = whole(sample_rate_hz, model_hz, activity)
    streamed = Timeline.of(stream.prediction("array"), events, stream.activity, timeline.classes)
    assert len(timeline.windows) > 10
    assert len(timeline.segments) >= 3
    assert streamed == timeline


@settings(max_examples=10, deadline=None)
@given(size=st.integers(16, 700))
def test_pieces_of_one_small_size_too(size: int) -> None:
    waveform = recording(16_000)
    with model(16_000).stream(16_000, Windowing(1.0, 0.3, "silero")) as stream:
        pieces = [stream.accept_waveform(waveform[at : at + size]) for at in range(0, len(waveform), size)]
        events = [event for piece in [*pieces, stream.finish()] for event in piece]
    spans = tuple(event for event in events if isinstance(event, Span))
    assert spans == whole(16_000, 16_000, "silero").spans


@cache
def hearing(with_sounds: bool) -> Predictor:
    """Return a model that answers windows one by one, so that not even rounding differs."""
    write = write_hearing if with_sounds else write_bundle
    changes = {"longest_s": 8.0, "abstain_below": 0.18, "out_of_domain_from": 0.5 if with_sounds else None}
    return Predictor.load(write(Path(mkdtemp()), **changes), batch_s=0.1)


def pause(seconds: float) -> npt.NDArray[np.float32]:
    return np.zeros(round(16_000 * seconds), np.float32)


RECORDINGS = {
    "silence": [pause(4.0)],
    "too short": [pause(0.05)],
    "no longer than a window": [pause(0.4), voice(1.8), pause(0.5)],
    "a burst no longer than a window": [voice(1.5, level=0.35)],
    "one segment": [pause(0.7), voice(5.5), pause(0.6)],
    "one segment, longer than the model hears at once": [voice(4.0), voice(5.0, level=0.04)],
    "several segments": [voice(2.9, level=0.02), pause(0.6), voice(0.5, level=0.2), pause(1.2), voice(4.2, level=0.1)],
    "two emotions": [voice(4.0), pause(1.0), voice(3.5, level=0.4)],
    "bursts and noise among speech": [
        *(voice(3.0), pause(0.9), voice(1.5, level=0.6), pause(1.3), voice(2.0, level=1.0), pause(0.7), voice(4.0)),
        *(voice(4.0, level=0.4), voice(3.0)),
    ],
}


@cache
def told(name: str, with_sounds: bool) -> Timeline:
    recording = (np.concatenate(RECORDINGS[name]), 16_000)
    timeline = hearing(with_sounds).timeline(recording)
    assert timeline.prediction == hearing(with_sounds).predict(recording)
    return timeline


@pytest.mark.parametrize("with_sounds", [False, True])
@pytest.mark.parametrize("name", RECORDINGS)
@settings(max_examples=5, deadline=None)
@given(sizes=st.lists(st.integers(0, 40_000), min_size=1, max_size=30))
def test_predict_timeline_and_stream_say_the_same(name: str, with_sounds: bool, sizes: list[int]) -> None:
    with hearing(with_sounds).stream(16_000) as stream:
        pieces = np.split(np.concatenate(RECORDINGS[name]), np.cumsum(sizes))
        events = [event for piece in pieces for event in stream.accept_waveform(piece)] + stream.finish()
    streamed = Timeline.of(stream.prediction("array"), events, stream.activity, stream.classes)
    assert streamed == told(name, with_sounds)


def test_the_recordings_get_all_kinds_of_answers() -> None:
    found = {told(name, with_sounds).prediction.status for name in RECORDINGS for with_sounds in (False, True)}
    assert found == {"no-speech", "too-short", "vocal-burst", "ok", "unsure", "mixed"}
    answer = told("bursts and noise among speech", True).prediction
    assert [burst.kind for burst in answer.vocal_bursts] == ["laughter", "laughter"]
