"""Overlapping windows → one emotion at a time.

Time inside a segment is divided into steps as long as the hop between windows. The probabilities of a step are the mean
over the windows that hold its beginning; the emotion changes only when another one leads by a margin, so that two
classes of equal probability don't flicker.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.audio.speech import Extent

SWITCH_MARGIN = 0.1  # probability by which a new emotion must lead

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """Steps of one emotion: an extent in samples, the class' number, its mean probability over the extent."""

    extent: Extent
    emotion: int
    confidence: float


class Smoother:
    """Takes the windows of one segment after the other and gives back runs of one emotion, as soon as they are certain.

    Memory: the windows that overlap, and the run that is going on.
    """

    def __init__(self, hop: int, margin: float = SWITCH_MARGIN) -> None:
        self._hop, self._margin = hop, margin
        self._windows: deque[tuple[Extent, Shares]] = deque()
        self._next = 0  # start of the first step that is not decided
        self._start, self._sum = 0, 0.0
        self._emotion: int | None = None

    def accept(self, window: Extent, probabilities: npt.ArrayLike, segment_start: int) -> Iterator[Run]:
        """Take the next window of a segment; decide the step at its start, which no later window holds.

        Parameters
        ----------
        probabilities : shape (classes,)
        segment_start : sample at which the segment of this window starts
        """
        if not self._windows:
            self._next = segment_start
        self._windows.append((window, np.asarray(probabilities, np.float64)))
        if window.start == self._next and len(window) > self._hop:
            yield from self._decide(self._next + self._hop)

    def close(self, segment: Extent) -> Iterator[Run]:
        """End the segment: decide its last steps; what is left below half a step belongs to the one before."""
        while self._windows and segment.end - self._next >= 1.5 * self._hop:
            yield from self._decide(self._next + self._hop)
        if self._windows and self._next < segment.end:
            yield from self._decide(segment.end)
        if self._emotion is not None:
            yield self._run(self._next)
        self._windows.clear()
        self._emotion = None

    def _decide(self, end: int) -> Iterator[Run]:
        while len(self._windows) > 1 and self._windows[0][0].end <= self._next:
            self._windows.popleft()
        holding = [shares for extent, shares in self._windows if extent.start <= self._next < extent.end]
        shares = np.mean(holding or [self._windows[-1][1]], axis=0)
        leader = int(shares.argmax())
        if self._emotion is None:
            self._begin(leader)
        elif leader != self._emotion and shares[leader] - shares[self._emotion] >= self._margin:
            yield self._run(self._next)
            self._begin(leader)
        assert self._emotion is not None
        self._sum += (end - self._next) * float(shares[self._emotion])
        self._next = end

    def _begin(self, emotion: int) -> None:
        self._emotion, self._start, self._sum = emotion, self._next, 0.0

    def _run(self, end: int) -> Run:
        assert self._emotion is not None
        extent = Extent(self._start, end)
        return Run(extent, self._emotion, self._sum / len(extent))
