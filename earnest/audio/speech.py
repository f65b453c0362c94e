"""Segments of speech and the windows in them, found while the sound arrives.

All positions are samples at the model's rate. Nothing here depends on how the sound was divided into blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from earnest.audio.activity import FRAME_S

BEGINS_AT, ENDS_BELOW = 0.5, 0.35  # probability of speech: what began ends later than it would not have begun
LONGEST_GAP = 12  # frames of 32 ms: pauses up to 0.38 s are within speech
SHORTEST_SPEECH = 8  # frames: what is shorter than 0.26 s is a click or a cough
MARGIN = 4  # frames: 0.13 s before and after, where consonants are too faint to be noticed


@dataclass(frozen=True)
class Extent:
    """A part of a recording, in samples: first one and the one after the last."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class SpeechFinder:
    """Turns probabilities of speech, frame by frame, into extents of speech.

    Attributes
    ----------
    start : first frame of the speech that is going on, None in a pause
    certain_end : speech is certain to last until this frame, margin included; 0 while it is too short to count
    """

    def __init__(self) -> None:
        self.n_frames = 0
        self.start: int | None = None
        self.certain_end = 0
        self._first = 0
        self._last_end = 0

    def accept(self, share: float) -> tuple[int, int] | None:
        """Take the next frame's probability; return (first, end) in frames when a segment is over."""
        self.n_frames += 1
        if self.start is None:
            # Two thresholds (hysteresis): speech begins at the higher one, so that it doesn't flicker, and ends below
            # the lower.
            if share >= BEGINS_AT:
                self._first, self._last_end = self.n_frames - 1, self.n_frames
                self.start = max(self._first - MARGIN, 0)
        elif share >= ENDS_BELOW:
            self._last_end = self.n_frames
        elif self.n_frames - self._last_end > LONGEST_GAP:  # a shorter pause is part of the speech
            return self.finish()
        if self.start is not None and self._last_end - self._first >= SHORTEST_SPEECH:
            self.certain_end = min(self._last_end + MARGIN, self.n_frames)
        return None

    def finish(self) -> tuple[int, int] | None:
        """End the speech that is going on."""
        found = (self.start, self.certain_end) if self.start is not None and self.certain_end else None
        self.start, self.certain_end = None, 0
        return found

    def needed_from(self) -> int:
        """Return the first frame that a later segment may hold."""
        return self.start if self.start is not None else max(self.n_frames - MARGIN, 0)


class WindowCutter:
    """Cuts segments, while they grow, into overlapping windows; a short segment is one window.

    Windows start every ``hop`` samples from the segment's start; one more ends with the segment.
    """

    def __init__(self, window: int, hop: int) -> None:
        self._window, self._hop = window, hop
        self._start: int | None = None
        self._n_cut = 0

    def grow(self, start: int, end: int) -> Iterator[Extent]:
        """Yield the windows that are whole by now."""
        self._start = start
        while (first := start + self._n_cut * self._hop) + self._window <= end:
            self._n_cut += 1
            yield Extent(first, first + self._window)

    def close(self, start: int, end: int) -> Iterator[Extent]:
        """Yield the remaining windows of a segment that is over."""
        yield from self.grow(start, end)
        # End of the last whole window.
        covered_to = start + (self._n_cut - 1) * self._hop + self._window if self._n_cut else start
        if covered_to < end:
            yield Extent(max(start, end - self._window), end)  # overlaps more than a hop; no shorter than it must be
        self._start, self._n_cut = None, 0

    def needed_from(self, certain_end: int) -> int | None:
        """Return the first sample that a later window of the growing segment may hold; None before the first window."""
        return max(self._start, certain_end - self._window) if self._start is not None and self._n_cut else None


def frame_start(frame: int, sample_rate_hz: int) -> int:
    """Return the sample at which a frame of the activity detector starts."""
    return round(frame * FRAME_S * sample_rate_hz)
