"""Sound that arrives piece by piece → events, as soon as they are certain.

A recording's timeline is the same machine fed with the file's blocks, so the size of the pieces changes nothing: every
window is cut at the same samples and answered alone.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import numpy.typing as npt

from earnest.audio.activity import ACTIVITY_HZ, activity_called
from earnest.audio.io import Resampler, mono_chunk
from earnest.audio.silero import FRAME_SAMPLES
from earnest.audio.speech import Extent, SpeechFinder, WindowCutter, frame_start
from earnest.audio.waveform import Waveform
from earnest.bundle import BundleInfo
from earnest.errors import EarnestError
from earnest.runtime.adapter import Adapter
from earnest.runtime.domain import Domain
from earnest.runtime.graph import Network
from earnest.runtime.prediction import Prediction
from earnest.runtime.smoothing import Run, Smoother
from earnest.runtime.tally import Tally
from earnest.runtime.timeline import Event, Gap, Segment, Span, Window

_TAIL_SAMPLES = 2**14
PIECE_S = 10.0  # what is worked on at a time, however much is handed over


@dataclass(frozen=True)
class Windowing:
    """How a stream is cut: windows of ``window_s`` seconds every ``hop_s`` seconds; see `earnest.audio.activity`."""

    window_s: float = 3.0
    hop_s: float = 1.0
    activity: str = "auto"

    def __post_init__(self) -> None:
        if not 0.1 <= self.hop_s <= self.window_s <= 60:
            raise EarnestError(
                f"Expected 0.1 ≤ hop ≤ window ≤ 60 seconds, got hop {self.hop_s:g} s and window {self.window_s:g} s."
            )


class Stream:
    """Listens to one recording; use it in a ``with`` block, or call `finish` at the end.

    Memory is bounded by the window's length: nothing that was told is kept.
    """

    def __init__(
        self,
        network: Network,
        info: BundleInfo,
        sample_rate_hz: int,
        windowing: Windowing | None = None,
        adapter: Adapter | None = None,
        domain: Domain | None = None,
    ) -> None:
        self._network, self._info, self._adapter, self._domain = network, info, adapter, domain
        self._outputs = (*network.predicted, "embedding") if adapter or domain else network.predicted
        self._windowing = windowing or Windowing()
        self._rate, self._input_rate = info.sample_rate_hz, sample_rate_hz
        self._tally = Tally(sample_rate_hz)
        self._n_speech = 0
        self._answered_to = 0
        self._to_model = Resampler(sample_rate_hz, self._rate)
        self._to_activity = Resampler(sample_rate_hz, ACTIVITY_HZ)
        self._activity = activity_called(self._windowing.activity)
        self.activity = self._activity.name
        self._frames = np.empty(0, np.float32)  # at 16 kHz, less than one frame
        self._finder = SpeechFinder()
        hop = round(self._windowing.hop_s * self._rate)
        self._cutter = WindowCutter(round(self._windowing.window_s * self._rate), hop)
        self._smoother = Smoother(hop)
        self._tail = _Tail()
        self._jobs: deque[tuple[Extent, int | None]] = (
            deque()
        )  # a window and its segment's start, or a segment and None
        self._finished = False

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished = True

    @property
    def received_s(self) -> float:
        """Seconds that were handed over."""
        return self._tally.duration_s

    @property
    def is_speaking(self) -> bool:
        """Whether somebody speaks now."""
        return self._finder.start is not None

    def accept_waveform(self, waveform: npt.ArrayLike) -> list[Event]:
        """Take the next samples, any number of them, and return what became certain.

        Parameters
        ----------
        waveform : shape (samples,) or (samples, channels); floats in [-1, 1], integers scaled by their type's range
        """
        self._refuse_when_finished()
        chunk = mono_chunk(waveform, "chunk")
        n_piece = max(round(PIECE_S * self._input_rate), 1)
        pieces = (chunk[start : start + n_piece] for start in range(0, len(chunk), n_piece))
        return [event for piece in pieces for event in self._heard(piece)]

    def skip(self, seconds: float) -> list[Event]:
        """Tell that sound was lost: the clock goes on, speech before the gap ends there."""
        self._refuse_when_finished()
        start_s = self.received_s
        n_lost = round(seconds * self._input_rate)
        events: list[Event] = []
        n_piece = max(round(PIECE_S * self._input_rate), 1)
        for n_done in range(0, n_lost, n_piece):
            events += self._heard(np.zeros(min(n_piece, n_lost - n_done), np.float32))
        return [*events, Gap(round(start_s, 3), round(self.received_s, 3))]

    def finish(self) -> list[Event]:
        """End the recording and return the rest; nothing can be handed over afterwards."""
        self._refuse_when_finished()
        self._finished = True
        self._tail.append(self._to_model.finish())
        rest = np.concatenate([self._frames, self._to_activity.finish()])
        padded = np.zeros(-(-len(rest) // FRAME_SAMPLES) * FRAME_SAMPLES, np.float32)
        padded[: len(rest)] = rest
        self._find_speech(padded)
        if found := self._finder.finish():
            self._close(found)
        return list(self._answered())

    def _refuse_when_finished(self) -> None:
        if self._finished:
            raise EarnestError("This stream is finished. Open another one with model.stream(…).")

    def _heard(self, piece: Waveform) -> Iterator[Event]:
        self._tally.hear(piece)
        self._tail.append(self._to_model.accept(piece))
        same = self._rate == self._input_rate == ACTIVITY_HZ
        heard = np.concatenate([self._frames, piece if same else self._to_activity.accept(piece)])
        n_whole = len(heard) // FRAME_SAMPLES * FRAME_SAMPLES
        self._frames = heard[n_whole:].copy()
        self._find_speech(heard[:n_whole])
        yield from self._answered()
        self._tail.forget(self._needed_from())

    def _find_speech(self, samples: Waveform) -> None:
        """Note down windows and segments, in samples at the model's rate, that are to be answered."""
        for share in self._activity.probabilities(samples.reshape(-1, FRAME_SAMPLES)).tolist():
            found = self._finder.accept(share)
            if found:
                self._close(found)
            elif self._finder.start is not None and self._finder.certain_end:
                start, end = self._in_samples(self._finder.start, self._finder.certain_end)
                self._jobs.extend((window, start) for window in self._cutter.grow(start, end))

    def _close(self, frames: tuple[int, int]) -> None:
        start, end = self._in_samples(*frames)
        if self._finished:
            end = min(end, self._tail.end)
        self._jobs.extend((window, start) for window in self._cutter.close(start, end))
        self._jobs.append((Extent(start, end), None))

    def _in_samples(self, first: int, end: int) -> tuple[int, int]:
        return frame_start(first, self._rate), frame_start(end, self._rate)

    def _needed_from(self) -> int:
        candidates = [frame_start(self._finder.needed_from(), self._rate)]
        if self._finder.start is not None:
            end = frame_start(self._finder.certain_end, self._rate)
            needed = self._cutter.needed_from(end)
            candidates = candidates if needed is None else [needed]
        return min(candidates + [extent.start for extent, _ in self._jobs])

    def prediction(self, path: str = "-") -> Prediction:
        """Return what all windows so far say together, the mean weighted by length."""
        too_short = self.received_s < self._info.shortest_s
        measured = Prediction(
            path,
            "too-short" if too_short else "no-speech",
            duration_s=self.received_s,
            speech_s=self._n_speech / self._rate,
            quality=self._tally.quality(self._domain),
            model=self._info.name,
        )
        return self._tally.answer(measured, self._info.classes)

    def _answered(self) -> Iterator[Event]:
        """Do the jobs whose samples have arrived, in order."""
        while self._jobs and self._jobs[0][0].end <= self._tail.end:
            extent, segment_start = self._jobs.popleft()
            if segment_start is None:
                yield from map(self._span, self._smoother.close(extent))
                self._n_speech += len(extent)
                yield Segment(*self._seconds(extent))
            elif len(extent) >= self._info.shortest_s * self._rate:
                outputs = self._answer(extent)
                shares = outputs["probabilities"]
                named = dict(zip(self._info.classes, shares.tolist(), strict=True))
                yield Window(*self._seconds(extent), named)
                yield from map(self._span, self._smoother.accept(extent, shares, segment_start))

    def _answer(self, extent: Extent) -> Mapping[str, npt.NDArray[np.floating]]:
        batch = self._network.run([self._tail.cut(extent)], self._outputs)
        outputs: dict[str, npt.NDArray[np.floating]] = {name: values[0] for name, values in batch.items()}
        embedding = outputs.pop("embedding", np.empty(0))
        if self._domain:
            self._tally.judge(self._domain, embedding, len(extent), self._rate)
        if self._adapter:
            new = extent.end - max(extent.start, self._answered_to)
            adapted = self._adapter.hear(
                embedding, outputs["probabilities"], len(extent) / self._rate, new / self._rate
            )
            if adapted is not None:
                outputs["probabilities"], self._tally.is_adapted = adapted, True
        self._answered_to = extent.end
        self._tally.add(outputs, len(extent))
        return outputs

    def _span(self, run: Run) -> Span:
        return Span(*self._seconds(run.extent), self._info.classes[run.emotion], run.confidence)

    def _seconds(self, extent: Extent) -> tuple[float, float]:
        return round(extent.start / self._rate, 3), round(extent.end / self._rate, 3)


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
        self._samples = np.empty(2 * len(kept) + max(n_new, _TAIL_SAMPLES), np.float32)
        self._samples[: len(kept)] = kept
        self._first, self._end = 0, len(kept)

    def cut(self, extent: Extent) -> Waveform:
        first = self._first - self._start
        return self._samples[first + extent.start : first + extent.end]

    def forget(self, before: int) -> None:
        n_old = min(max(before - self._start, 0), self._end - self._first)
        self._first += n_old
        self._start += n_old
        if 4 * (self._end - self._first) + _TAIL_SAMPLES < len(self._samples):
            self._make_room(0)
