"""What a stream tells, when, and what it keeps."""

import copy
import pickle
import threading
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from stand_in import write_bundle

import earnest
from earnest.errors import AudioError, EarnestError
from earnest.runtime.prediction import Event, Gap, Segment, Span, Window
from earnest.runtime.predictor import Predictor
from earnest.runtime.windows import CONTEXT_S, Windowing
from earnest.testing.sounds import voice

PAUSE = np.zeros(16_000, np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return earnest.load(write_bundle(tmp_path_factory.mktemp("bundle")))


def told(model: Predictor, *pieces: np.ndarray, windowing: Windowing | None = None) -> list[Event]:
    with model.stream(16_000, windowing) as stream:
        events = [event for piece in pieces for event in stream.accept_waveform(piece)]
        return events + stream.finish()


def test_speech_between_pauses_is_a_segment_whose_spans_fill_it(model: Predictor) -> None:
    events = told(model, PAUSE, voice(4.0), PAUSE, voice(0.8, seed=3), PAUSE)
    segments = [event for event in events if isinstance(event, Segment)]
    assert [segment.start_s for segment in segments] == pytest.approx([1.0, 6.0], abs=0.2)
    assert [segment.end_s for segment in segments] == pytest.approx([5.0, 6.8], abs=0.2)
    for segment in segments:
        spans = [
            event for event in events if isinstance(event, Span) and segment.start_s <= event.start_s < segment.end_s
        ]
        assert [spans[0].start_s, spans[-1].end_s] == [segment.start_s, segment.end_s]
        assert all(before.end_s == after.start_s for before, after in pairwise(spans))


def test_a_window_holds_what_the_network_says_about_that_part_and_a_second_around_its_segment(model: Predictor) -> None:
    whole = np.concatenate([PAUSE, PAUSE, voice(5.0), PAUSE, PAUSE])
    events = told(model, whole)
    (segment,) = [event for event in events if isinstance(event, Segment)]
    windows = [event for event in events if isinstance(event, Window)]
    assert len(windows) >= 3
    for window in windows:
        start_s = window.start_s - (CONTEXT_S if window.start_s == segment.start_s else 0)
        end_s = window.end_s + (CONTEXT_S if window.end_s == segment.end_s else 0)
        part = whole[round(start_s * 16_000) : round(end_s * 16_000)]
        expected = model.graph.run([part])["probabilities"][0]
        assert list(window.probabilities.values()) == expected.tolist()


def test_windows_are_told_as_soon_as_their_samples_are_there_and_the_recording_is_not_a_short_one(
    model: Predictor,
) -> None:
    with model.stream(16_000, Windowing(1.0, 0.5)) as stream:
        for piece in np.split(voice(10.0), 100):
            for event in stream.accept_waveform(piece):
                assert isinstance(event, Window | Span)
                if isinstance(event, Window):
                    assert stream.received_s - max(event.end_s, 1.5) < 0.15
        assert stream.is_speaking


def test_silence_tells_nothing_and_the_recording_has_no_speech(model: Predictor) -> None:
    timeline = model.timeline((np.zeros(80_000), 16_000))
    assert (timeline.prediction.status, timeline.spans, timeline.windows) == ("no-speech", (), ())
    assert timeline.prediction.emotion is None
    assert model.timeline((np.zeros(100), 16_000)).prediction.status == "too-short"


def test_lost_sound_is_told_and_the_clock_goes_on(model: Predictor) -> None:
    with model.stream(16_000) as stream:
        events = stream.accept_waveform(voice(2.0)) + stream.skip(30.0) + stream.accept_waveform(voice(2.0, seed=1))
        events += stream.finish()
    assert [event for event in events if isinstance(event, Gap)] == [Gap(2.0, 32.0)]
    segments = [event for event in events if isinstance(event, Segment)]
    assert [segment.start_s for segment in segments] == pytest.approx([0, 32], abs=0.2)


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "3", None])
def test_what_was_lost_must_be_a_time(model: Predictor, seconds: Any) -> None:
    with model.stream(16_000) as stream, pytest.raises(EarnestError, match="seconds: expected how much was lost"):
        stream.skip(seconds)


@pytest.mark.long
def test_memory_stays_flat_over_an_hour_of_speech_and_an_hour_of_silence(model: Predictor) -> None:
    minute = voice(60.0)
    with model.stream(16_000, Windowing(3.0, 1.0, "energy")) as stream:
        stream.accept_waveform(minute)
        tracemalloc.start()
        for _ in range(59):
            stream.accept_waveform(minute)
        stream.skip(3600.0)
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert kept < 1e6
    assert peak < 20e6  # one minute as float32 is 3.8 MB


def test_integers_and_channels_are_understood(model: Predictor) -> None:
    whole = np.concatenate([voice(4.0), PAUSE])
    integers = np.round(whole * 32_768).astype(np.int16)
    floats = told(model, (integers / 32_768).astype(np.float32))
    assert told(model, integers) == floats
    assert told(model, np.stack([integers, integers], axis=1)) == floats


@pytest.mark.parametrize("piece", [np.array([0.0, np.nan]), np.zeros((2, 2, 2)), np.array(["a"]), np.full(9, np.inf)])
def test_a_piece_that_is_no_sound_is_an_error_of_the_stream(model: Predictor, piece: np.ndarray) -> None:
    with pytest.raises(AudioError, match=r"^stream: "):
        model.stream(16_000).accept_waveform(piece)


@pytest.mark.parametrize("sent", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_stream_that_is_pickled_or_copied_says_where_to_make_it(
    model: Predictor, sent: Callable[[object], object]
) -> None:
    with pytest.raises(EarnestError, match=r"A stream can't be pickled or copied\. Make it where the sound comes"):
        sent(model.stream(16_000))


def test_an_empty_piece_is_nothing(model: Predictor) -> None:
    assert told(model, np.empty(0), np.empty((0, 2)), np.empty(0, np.int16)) == []


def test_a_finished_stream_takes_no_more(model: Predictor) -> None:
    with model.stream(16_000) as stream:
        stream.finish()
    with pytest.raises(EarnestError, match="finished"):
        stream.accept_waveform(PAUSE)


def test_a_second_thread_at_the_same_time_is_refused_and_the_first_goes_on(model: Predictor) -> None:
    stream = model.stream(16_000)
    refused: list[EarnestError] = []

    def meanwhile() -> Any:
        calls = (lambda: stream.accept_waveform(voice(1.0)), stream.finish, lambda: stream.skip(1.0))

        def ask() -> None:
            for call in calls:
                with pytest.raises(EarnestError, match="Two threads use this stream at once") as told:
                    call()
                refused.append(told.value)

        (other := threading.Thread(target=ask)).start()
        other.join()
        return voice(1.0)

    class Slow:
        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            return np.asarray(meanwhile())  # in the middle of `accept_waveform`

    stream.accept_waveform(Slow())
    assert len(refused) == 3
    stream.finish()
    assert stream.received_s == 1.0
