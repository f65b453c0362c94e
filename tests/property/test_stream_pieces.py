"""A stream's events are those of the whole recording, whatever the size of the pieces."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import write_bundle
from voices import voice

import earnest
from earnest.runtime.predictor import Predictor
from earnest.runtime.stream import Windowing
from earnest.runtime.timeline import Event, Span, Timeline

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
