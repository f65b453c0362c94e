"""Sound that arrives piece by piece → the windows that a network is to hear, and the segments they belong to.

A recording no longer than a window and a hop (4 s) is heard at once. In a longer one speech is found first; each
segment of it is cut into overlapping windows, and at its ends a window is heard with up to half a second of what comes
before and after: faint consonants and breath that voice activity detection leaves out say a lot about an emotion. More
than that would join so much room noise to a short segment that it sounds sad. So of a short recording that begins or
ends with more room noise than that, no more is heard either.

Nothing here depends on how the sound was divided into pieces.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import NamedTuple, TypeAlias

import numpy as np

from earnest.audio.activity import (
    ACTIVITY_HZ,
    FRAME_SAMPLES,
    Activity,
    Extent,
    SpeechFinder,
    WindowCutter,
    activity_called,
    frame_start,
)
from earnest.audio.io import Resampler
from earnest.audio.quality import active_part, levels_dbfs
from earnest.audio.waveform import Waveform
from earnest.errors import EarnestError, shown

CONTEXT_S = 0.5  # of 0, 0.5 and 1 s what serves clips and talks in a noisy room alike (docs/results/experiments.md)
# Room noise of more than `_NOISE_S` at an end: softer than speech, and louder than what front ends cut off (40 dB).
_NOISE_S, _NOISE_DB = CONTEXT_S + 0.1, (20.0, 45.0)  # below the loudest frame
SHORTEST_S, LONGEST_S = 0.1, 60  # of a hop and of a window
_TAIL_SAMPLES = 2**14  # one second at 16 kHz, and a little


@dataclass(frozen=True)
class Windowing:
    """Windowing of sound: windows of ``window_s`` seconds every ``hop_s`` seconds; see `earnest.audio.activity`."""

    window_s: float = 3.0
    hop_s: float = 1.0
    activity: str = "auto"

    def __post_init__(self) -> None:
        are_numbers = isinstance(self.hop_s, Real) and isinstance(self.window_s, Real)
        if not are_numbers or not SHORTEST_S <= self.hop_s <= self.window_s <= LONGEST_S:
            got = f"hop {shown(self.hop_s)} and window {shown(self.window_s)}"
            raise EarnestError(f"Expected {SHORTEST_S:g} ≤ hop ≤ window ≤ {LONGEST_S:g} seconds, got {got}.")


@dataclass(frozen=True)
class WindowSound:
    """A window: the part of the recording that it stands for, and what is heard of it, context included.

    Attributes
    ----------
    extent : in samples at the model's rate
    segment_start : where its segment starts
    """

    extent: Extent
    segment_start: int
    sound: Waveform


@dataclass(frozen=True)
class Over:
    """A segment whose windows have all been handed out."""

    extent: Extent


Job: TypeAlias = WindowSound | Over


class _Planned(NamedTuple):
    """A window with what is to be heard of it, or a segment that is over (``heard`` None), still to be handed out."""

    extent: Extent
    heard: Extent | None = None
    segment_start: int = 0


class Windower:
    """Cuts one recording; memory is bounded by the window's length.

    Attributes
    ----------
    is_whole : whether the recording, now over, was short enough to be heard at once
    """

    def __init__(
        self, model_hz: int, sample_rate_hz: int, windowing: Windowing, needs_activity: bool = True, live: bool = True
    ) -> None:
        """Begin a recording.

        Parameters
        ----------
        needs_activity : whether only activity detection tells what is speech, as the model has no answer of its own
        live : whether `is_speaking` is asked while sound arrives; else a short recording is searched only if it must be
        """
        self._rate, self._needs_activity, self._live = model_hz, needs_activity, live
        self._to_model = Resampler(sample_rate_hz, model_hz)
        self._to_activity = None if model_hz == ACTIVITY_HZ else Resampler(sample_rate_hz, ACTIVITY_HZ)
        self._windowing = windowing
        self._unsearched: list[Waveform] = []  # at 16 kHz
        self._finder = SpeechFinder(judged=not needs_activity)
        self._n_context = round(CONTEXT_S * model_hz)
        self._cutter = WindowCutter(round(windowing.window_s * model_hz), round(windowing.hop_s * model_hz))
        self._n_whole = round((windowing.window_s + windowing.hop_s) * model_hz)  # 4 s by default
        self._tail = _Tail()
        self._closing: Extent | None = None  # a segment that is over: what follows it may still be its context
        self._before = 0  # end of the segment before
        self._planned: deque[_Planned] = deque()
        self._spoken = False  # whether a segment was found
        self._finished = self.is_whole = False

    @cached_property
    def _detector(self) -> Activity:
        return activity_called(self._windowing.activity)

    @property
    def activity(self) -> str:
        """Name of what finds speech: "silero" or "energy"."""
        return self._detector.name

    @property
    def is_speaking(self) -> bool:
        """Whether somebody speaks now."""
        return self._finder.start is not None

    def accept(self, piece: Waveform) -> Iterator[Job]:
        """Take the next samples, at the recording's own rate; yield what is to be heard by now."""
        self._take(self._to_model.accept(piece), self._to_activity.accept(piece) if self._to_activity else None)
        # Up to a window and a hop a recording is heard at once, at its end; a longer one in windows, as they arrive.
        is_long = self._tail.end > self._n_whole
        if is_long or self._live:
            self._find_speech()
        if is_long:
            yield from self._ready()
            self._tail.forget(self._needed_from())

    def finish(self) -> Iterator[Job]:
        """End the recording; yield the rest."""
        self._take(self._to_model.finish(), self._to_activity.finish() if self._to_activity else None)
        self._finished = True
        self.is_whole = self._tail.end <= self._n_whole
        is_noisy = self.is_whole and _has_noisy_end(self._tail.cut(Extent(0, self._tail.end)), self._rate)
        if not self.is_whole or self._live or self._needs_activity or is_noisy:
            self._find_speech()
            if found := self._finder.finish():
                self._end_segment(found)
            self._close(self._tail.end)
        if not self.is_whole:
            yield from self._ready()
        elif self._spoken or not self._needs_activity:
            yield from self._at_once(is_noisy)

    def _at_once(self, is_noisy: bool) -> Iterator[Job]:
        """Hand out a short recording, without the noise far from its speech; the answer stands for its loud part."""
        start, end = 0, self._tail.end
        segments = [extent for extent, heard, _ in self._planned if heard is None]
        if is_noisy and segments:
            start = max(segments[0].start - self._n_context, start)
            end = min(segments[-1].end + self._n_context, end)
        sound = self._tail.cut(Extent(start, end))
        if part := active_part(sound, self._rate):
            loud = Extent(start + part[0], start + part[1])
            yield WindowSound(loud, loud.start, sound)
            yield Over(loud)

    def _take(self, at_model_rate: Waveform, at_activity_rate: Waveform | None) -> None:
        self._tail.append(at_model_rate)
        self._unsearched.append(at_model_rate if at_activity_rate is None else at_activity_rate)

    def _find_speech(self) -> None:
        """Note down windows and segments, in samples at the model's rate, that are to be answered."""
        samples = np.concatenate(self._unsearched)
        # ⌊n / 512⌋ whole frames of (n,) samples; what is left over waits for the next piece.
        n_whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        # The last frame is filled up with silence, so that speech at the very end is found.
        if self._finished and n_whole < len(samples):
            n_whole += FRAME_SAMPLES
            samples = np.concatenate([samples, np.zeros(n_whole - len(samples), np.float32)])
        self._unsearched = [samples[n_whole:].copy()]  # a view would keep all samples in memory
        frames = samples[:n_whole].reshape(-1, FRAME_SAMPLES)
        shares = self._detector.probabilities(frames)
        # Frame by frame, so that windows are the same however the sound was divided into pieces.
        for share, level in zip(shares.tolist(), levels_dbfs(frames).tolist(), strict=True):
            if found := self._finder.accept(share, level):
                self._end_segment(found)
            self._advance()

    def _advance(self) -> None:
        """Close the segment before once its context is known; cut windows out of the one that goes on."""
        start = self._finder.start
        if self._closing is not None:
            # Sound after a segment is its context, but where the next segment starts before.
            until = self._closing.end + self._n_context
            if start is not None:
                self._close(min(frame_start(start, self._rate), until))
            elif frame_start(self._finder.needed_from(), self._rate) >= until:  # no later segment starts before
                self._close(until)
        if start is not None and self._finder.certain_end:
            first, end = frame_start(start, self._rate), frame_start(self._finder.certain_end, self._rate)
            self._plan(self._cutter.grow(first, self._arrived(end)), first)

    def _end_segment(self, frames: tuple[int, int]) -> None:
        start, end = (frame_start(frame, self._rate) for frame in frames)
        self._close(start)  # the segment before, where this one is known only at its end
        self._closing = Extent(start, self._arrived(end))

    def _arrived(self, end: int) -> int:
        """Return a place that is not after the recording's end: its last frame is filled up with silence."""
        return min(end, self._tail.end) if self._finished else end

    def _close(self, context_end: int) -> None:
        """Hand out the last windows of the segment that is over; its last one is heard up to ``context_end``."""
        segment, self._closing = self._closing, None
        if segment is None:
            return
        # At the recording's end ``context_end`` is its last sample, perhaps farther away than the context reaches.
        context_end = min(context_end, segment.end + self._n_context)
        for window in self._cutter.close(segment.start, segment.end):
            self._plan([window], segment.start, context_end if window.end == segment.end else window.end)
        self._planned.append(_Planned(segment))
        self._spoken = True
        self._before = segment.end

    def _plan(self, windows: Iterable[Extent], segment_start: int, heard_to: int = 0) -> None:
        for window in windows:
            is_first = window.start == segment_start
            # Only a segment's first window hears what came before it, and never speech of the segment before.
            heard_from = max(window.start - self._n_context, self._before) if is_first else window.start
            self._planned.append(_Planned(window, Extent(heard_from, max(heard_to, window.end)), segment_start))

    def _ready(self) -> Iterator[Job]:
        """Hand out, in order, what has wholly arrived."""
        while self._planned and (self._planned[0].heard or self._planned[0].extent).end <= self._tail.end:
            # The sound is a copy: a view would keep all of the tail in memory for as long.
            extent, heard, segment_start = self._planned.popleft()
            yield Over(extent) if heard is None else WindowSound(extent, segment_start, self._tail.cut(heard).copy())

    def _needed_from(self) -> int:
        """Return the first sample that a window not handed out yet may hold."""
        if self._closing is not None:
            segment_start, certain_end = self._closing.start, self._closing.end
        else:
            segment_start = frame_start(self._finder.needed_from(), self._rate)
            certain_end = frame_start(self._finder.certain_end, self._rate)
        # None while no window is cut: then the first one is still to come, with the context before its segment.
        needed = self._cutter.needed_from(certain_end)
        if needed is None:
            needed = max(segment_start - self._n_context, self._before)
        # What is planned still needs its sound.
        return min([needed, *(heard.start for _, heard, _ in self._planned if heard)])


def _has_noisy_end(sound: Waveform, rate_hz: int) -> bool:
    """Whether a recording (samples,) begins or ends with room noise."""
    speech, heard = (active_part(sound, rate_hz, range_db) for range_db in _NOISE_DB)
    if speech is None or heard is None:
        return False
    return max(speech[0] - heard[0], heard[1] - speech[1]) > _NOISE_S * rate_hz


class _Tail:
    """The last samples of a stream, by their position in the whole; every sample is moved about once."""

    def __init__(self) -> None:
        self._samples = np.empty(_TAIL_SAMPLES, np.float32)
        self._first = self._end = 0  # of what is kept, in the array
        self._start = 0  # position of what is kept, in the whole

    @property
    def end(self) -> int:
        return self._start + self._end - self._first

    def append(self, samples: Waveform) -> None:
        if self._end + len(samples) > len(self._samples):
            self._make_room(len(samples))
        self._samples[self._end : self._end + len(samples)] = samples
        self._end += len(samples)

    def _make_room(self, n_new: int) -> None:
        kept = self._samples[self._first : self._end]
        # Twice the room of what is kept: so moves become rare, and a sample is moved about once.
        self._samples = np.empty(2 * len(kept) + max(n_new, _TAIL_SAMPLES), np.float32)
        self._samples[: len(kept)] = kept
        self._first, self._end = 0, len(kept)

    def cut(self, extent: Extent) -> Waveform:
        first = self._first - self._start  # from a position in the whole to one in the array
        return self._samples[first + extent.start : first + extent.end]

    def forget(self, before: int) -> None:
        # Nothing where ``before`` is already forgotten, and never more than is kept.
        n_old = min(max(before - self._start, 0), self._end - self._first)
        self._first += n_old
        self._start += n_old
        # Below a quarter only: else growing and shrinking would take turns.
        if 4 * (self._end - self._first) + _TAIL_SAMPLES < len(self._samples):
            self._make_room(0)
