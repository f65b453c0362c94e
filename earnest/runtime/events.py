"""Events of sound over time: windows, spans, segments, vocal bursts, gaps, and their form in JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

ENVELOPE_STEPS = 4096


class _Told:
    """Methods of all events."""

    __slots__ = ()
    event: ClassVar[str]  # its kind, in JSON
    start_s: float
    end_s: float

    def values(self) -> dict[str, Any]:
        """Return plain values for JSON, as the lists of a timeline or a prediction hold them."""
        return {"start_s": self.start_s, "end_s": self.end_s}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, as `earnest listen --json` writes them; ``event`` says which kind it is."""
        return {"event": self.event} | self.values()


@dataclass(frozen=True, slots=True)
class Segment(_Told):
    """Somebody speaks; seconds from the start of the recording, to the millisecond, as all times here."""

    event: ClassVar[str] = "segment"
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Window(_Told):
    """The network's answer to one window: class → probability."""

    event: ClassVar[str] = "window"
    start_s: float
    end_s: float
    probabilities: Mapping[str, float]

    def values(self) -> dict[str, Any]:
        """Return plain values for JSON; probabilities are rounded to six decimals."""
        probabilities = {name: round(share, 6) for name, share in self.probabilities.items()}
        return {"start_s": self.start_s, "end_s": self.end_s, "probabilities": probabilities}


@dataclass(frozen=True, slots=True)
class Span(_Told):
    """One emotion, from a segment's start or a change to the next change or the segment's end.

    Attributes
    ----------
    emotion : "unsure" where the likeliest is less likely than the model's threshold
    confidence : mean of the emotion's smoothed probability, 0 to 1; where it is "unsure", of the likeliest's
    """

    event: ClassVar[str] = "span"
    start_s: float
    end_s: float
    emotion: str
    confidence: float

    def values(self) -> dict[str, Any]:
        """Return plain values for JSON; the confidence is rounded to six decimals."""
        confidence = round(self.confidence, 6)
        return {"start_s": self.start_s, "end_s": self.end_s, "emotion": self.emotion, "confidence": confidence}


@dataclass(frozen=True, slots=True)
class VocalBurst(_Told):
    """A laugh, a cry, a scream, a sigh or another sound of a voice without words (Cowen et al., 2019).

    Attributes
    ----------
    kind : "laughter", "crying", "scream", "sigh" or, where none of these is likely, "other"
    """

    event: ClassVar[str] = "vocal-burst"
    start_s: float
    end_s: float
    kind: str
    confidence: float

    def values(self) -> dict[str, Any]:
        """Return plain values for JSON; the confidence is rounded to six decimals."""
        confidence = round(self.confidence, 6)
        return {"start_s": self.start_s, "end_s": self.end_s, "kind": self.kind, "confidence": confidence}


@dataclass(frozen=True, slots=True)
class Gap(_Told):
    """Sound that was lost because the listener was too slow; the clock went on, nothing was heard."""

    event: ClassVar[str] = "gap"
    start_s: float
    end_s: float


Event: TypeAlias = Window | Span | Segment | VocalBurst | Gap
_KINDS: Mapping[str, type[Event]] = {kind.event: kind for kind in get_args(Event)}


class Envelope:
    """The peaks of a recording of any length in at most 4,096 steps: when they are full, pairs are merged."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._step = max(sample_rate_hz // 100, 1)
        self._peaks = np.zeros(ENVELOPE_STEPS, np.float32)
        self._n_samples = 0

    def accept(self, block: npt.NDArray[np.float32]) -> None:
        """Take the next samples."""
        # Full: neighbours become one step of double length, so that memory stays the same for any duration.
        while (self._n_samples + len(block) - 1) // self._step >= ENVELOPE_STEPS:
            # (steps / 2, 2) → the larger of each pair, in the first half of the places; the others are free again.
            self._peaks = np.append(self._peaks.reshape(-1, 2).max(axis=1), np.zeros(ENVELOPE_STEPS // 2, np.float32))
            self._step *= 2
        if not len(block):
            return
        first = self._n_samples // self._step  # step that the block starts in, perhaps half filled
        # Where later steps start in the block.
        edges = np.arange((first + 1) * self._step - self._n_samples, len(block), self._step)
        peaks = np.maximum.reduceat(np.abs(block), [0, *edges])
        part = self._peaks[first : first + len(peaks)]
        np.maximum(part, peaks, out=part)  # in place, through the view
        self._n_samples += len(block)

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self._step / self._rate

    @property
    def peaks(self) -> npt.NDArray[np.float32]:
        """Largest absolute sample of each step, shape (steps,)."""
        return self._peaks[: -(-self._n_samples // self._step)]  # rounded up: the last step may be half filled


class Recorded(Protocol):
    """One recording's events in order of time, as writers and drawings read them: `Timeline` is one."""

    @property
    def path(self) -> str:
        """The recording, as it was given."""

    @property
    def duration_s(self) -> float:
        """Seconds of the recording."""

    @property
    def speech_s(self) -> float:
        """Seconds of speech in it."""

    @property
    def classes(self) -> Sequence[str]:
        """Emotions that were asked for."""

    @property
    def spans(self) -> Sequence[Span]:
        """Emotions of the speech; they don't overlap."""

    @property
    def windows(self) -> Sequence[Window]:
        """Answers of the network; they overlap."""

    @property
    def segments(self) -> Sequence[Segment]:
        """Stretches of speech; they don't overlap."""

    @property
    def envelope(self) -> "Envelope | None":
        """Peaks of the waveform, for drawings."""

    def entries(self) -> Sequence[Span]:
        """Spans and vocal bursts together."""

    def tiers(self) -> Mapping[str, Sequence[str]]:
        """Name of a tier → what it says of each entry: emotion, confidence and, where they are known, speaker."""

    def head_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without spans and windows."""


def burst_span(burst: VocalBurst) -> Span:
    """Return a vocal burst as a span whose label is its kind in parentheses."""
    return Span(burst.start_s, burst.end_s, f"({burst.kind})", burst.confidence)


def event_from_dict(values: Mapping[str, Any]) -> Event:
    """Return the event that its `to_dict` gave, but for rounding."""
    return _KINDS[values["event"]](**{name: value for name, value in values.items() if name != "event"})
