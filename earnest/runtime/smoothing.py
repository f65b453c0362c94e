"""Overlapping windows → one answer at a time.

Time inside a segment is divided into steps as long as the hop between windows. A step is speech where at least half of
the windows that hold its beginning are; its probabilities are the mean over those. The emotion changes only when
another one leads by a margin, so that two classes of equal probability don't flicker.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from earnest.audio.speech import Extent
from earnest.runtime.gate import Verdict

SWITCH_MARGIN = 0.1  # probability by which a new emotion must lead
UNSURE = "unsure"

Shares = npt.NDArray[np.float64]


class Label(NamedTuple):
    """What a run is, and which: an emotion, "unsure", a vocal burst by its kind, or "no-speech"."""

    kind: Literal["emotion", "unsure", "vocal-burst", "no-speech"]
    name: str

    @property
    def is_speech(self) -> bool:
        """Whether it was answered, or would have been if it were surer."""
        return self.kind in ("emotion", "unsure")


@dataclass(frozen=True)
class Run:
    """Steps of one label: an extent in samples, and the mean probability over the extent of what leads."""

    extent: Extent
    label: Label
    confidence: float


class _Answered(NamedTuple):
    extent: Extent
    verdict: Verdict
    shares: Shares


class Smoother:
    """Takes the windows of one segment after the other and gives back runs of one label, as soon as they are certain.

    Memory: the windows that overlap, and the run that is going on.
    """

    def __init__(
        self, hop: int, classes: tuple[str, ...], abstain_below: float = 0.0, margin: float = SWITCH_MARGIN
    ) -> None:
        self._hop, self._classes, self._abstain_below, self._margin = hop, classes, abstain_below, margin
        self._windows: deque[_Answered] = deque()
        self._next = 0  # start of the first step that is not decided
        self._start, self._sum = 0, 0.0
        self._label: Label | None = None
        self._leader: int | None = None

    def accept(
        self, window: Extent, verdict: Verdict, probabilities: npt.ArrayLike, segment_start: int
    ) -> Iterator[Run]:
        """Take the next window of a segment; decide the step at its start, which no later window holds.

        Parameters
        ----------
        verdict : whether the window is speech
        probabilities : shape (classes,); of no meaning where it isn't
        segment_start : sample at which the segment of this window starts
        """
        if not self._windows:
            self._next = segment_start
        self._windows.append(_Answered(window, verdict, np.asarray(probabilities, np.float64)))
        if window.start == self._next and len(window) > self._hop:
            yield from self._decide(self._next + self._hop)

    def close(self, segment: Extent) -> Iterator[Run]:
        """End the segment: decide its last steps; what is left below half a step belongs to the one before."""
        while self._windows and segment.end - self._next >= 1.5 * self._hop:
            yield from self._decide(self._next + self._hop)
        if self._windows and self._next < segment.end:
            yield from self._decide(segment.end)
        if self._label is not None:
            yield self._run(self._next)
        self._windows.clear()
        self._label = self._leader = None

    def _decide(self, end: int) -> Iterator[Run]:
        while len(self._windows) > 1 and self._windows[0].extent.end <= self._next:
            self._windows.popleft()
        holding = [item for item in self._windows if item.extent.start <= self._next < item.extent.end]
        label, confidence = self._labelled(holding or [self._windows[-1]])
        if label != self._label:
            if self._label is not None:
                yield self._run(self._next)
            self._label, self._start, self._sum = label, self._next, 0.0
        self._sum += (end - self._next) * confidence
        self._next = end

    def _labelled(self, holding: list[_Answered]) -> tuple[Label, float]:
        """Return what a step is, from the windows that hold its start, and how sure that is."""
        spoken = [item.shares for item in holding if item.verdict.is_speech]
        if 2 * len(spoken) < len(holding):
            others = [item.verdict for item in holding if not item.verdict.is_speech]
            verdict = max(others, key=lambda one: one.confidence)
            self._leader = None
            return Label("vocal-burst" if verdict.is_burst else "no-speech", verdict.sound), verdict.confidence
        shares = np.mean(spoken, axis=0)
        best = int(shares.argmax())
        if self._leader is None or shares[best] - shares[self._leader] >= self._margin:
            self._leader = best
        confidence = float(shares[self._leader])
        is_sure = confidence >= self._abstain_below
        return Label("emotion", self._classes[self._leader]) if is_sure else Label("unsure", UNSURE), confidence

    def _run(self, end: int) -> Run:
        assert self._label is not None
        extent = Extent(self._start, end)
        return Run(extent, self._label, self._sum / len(extent))
