"""Emotion over time: what `Predictor.timeline` returns and what a stream tells."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.runtime.prediction import Prediction, VocalBurst, percent

ENVELOPE_STEPS = 4096


@dataclass(frozen=True, slots=True)
class Segment:
    """Somebody speaks; seconds from the start of the recording, to the millisecond, as all times here."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """What the network said about one window: class → probability."""

    start_s: float
    end_s: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Span:
    """One emotion, from a segment's start or a change to the next change or the segment's end.

    Attributes
    ----------
    emotion : "unsure" where the likeliest is less likely than the model's threshold
    confidence : mean of the emotion's smoothed probability, 0 to 1; where it is "unsure", of the likeliest's
    """

    start_s: float
    end_s: float
    emotion: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound that was lost because the listener was too slow; the clock went on, nothing was heard."""

    start_s: float
    end_s: float


Event: TypeAlias = Window | Span | Segment | VocalBurst | Gap
_EVENT_NAMES: Mapping[type[Event], str] = {
    Window: "window",
    Span: "span",
    Segment: "segment",
    VocalBurst: "vocal-burst",
    Gap: "gap",
}


class Envelope:
    """The peaks of a recording of any length in at most 4,096 steps: when they are full, pairs are merged."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._step = max(sample_rate_hz // 100, 1)
        self._peaks = np.zeros(ENVELOPE_STEPS, np.float32)
        self._n_samples = 0

    def accept(self, block: npt.NDArray[np.float32]) -> None:
        """Take the next samples."""
        while (self._n_samples + len(block) - 1) // self._step >= ENVELOPE_STEPS:
            self._peaks = np.append(self._peaks.reshape(-1, 2).max(axis=1), np.zeros(ENVELOPE_STEPS // 2, np.float32))
            self._step *= 2
        if not len(block):
            return
        first = self._n_samples // self._step
        edges = np.arange((first + 1) * self._step - self._n_samples, len(block), self._step)
        peaks = np.maximum.reduceat(np.abs(block), [0, *edges])
        part = self._peaks[first : first + len(peaks)]
        np.maximum(part, peaks, out=part)
        self._n_samples += len(block)

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self._step / self._rate

    @property
    def peaks(self) -> npt.NDArray[np.float32]:
        """Largest absolute sample of each step, shape (steps,)."""
        return self._peaks[: -(-self._n_samples // self._step)]


@dataclass(frozen=True)
class Timeline:
    """Emotion over time in one recording.

    Attributes
    ----------
    prediction : the recording as a whole, vocal bursts included
    spans, windows, segments : in order of time; spans, vocal bursts and segments don't overlap, windows do
    activity : what told speech from the rest, "silero" or "energy"
    """

    prediction: Prediction
    spans: tuple[Span, ...] = ()
    windows: tuple[Window, ...] = ()
    segments: tuple[Segment, ...] = ()
    activity: str = ""
    classes: tuple[str, ...] = ()
    envelope: Envelope | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        prediction: Prediction,
        events: Iterable[Event],
        activity: str,
        classes: Sequence[str],
        envelope: Envelope | None = None,
    ) -> "Timeline":
        """Sort a stream's events."""
        kinds: dict[type, list[Any]] = {Span: [], Window: [], Segment: []}
        for event in events:
            kinds.setdefault(type(event), []).append(event)
        spans, windows, segments = (tuple(kinds[kind]) for kind in (Span, Window, Segment))
        return cls(prediction, spans, windows, segments, activity, tuple(classes), envelope)

    @property
    def path(self) -> str:
        """The recording, as it was given."""
        return self.prediction.path

    @property
    def duration_s(self) -> float:
        """Seconds of the recording."""
        return self.prediction.duration_s or 0.0

    def entries(self) -> list[Span]:
        """Return spans and vocal bursts in order of time; a burst is labelled with its kind, as in "(laughter)"."""
        return sorted([*self.spans, *map(burst_span, self.prediction.vocal_bursts)], key=lambda entry: entry.start_s)

    def seconds_by_emotion(self) -> dict[str, float]:
        """Return emotion → seconds of speech, the longest first; "unsure" is among them."""
        seconds: dict[str, float] = {}
        for span in self.spans:
            seconds[span.emotion] = seconds.get(span.emotion, 0.0) + span.end_s - span.start_s
        return dict(sorted(seconds.items(), key=lambda item: -item[1]))

    def head_dict(self) -> dict[str, Any]:
        """Return what `to_dict` does, without spans and windows."""
        segments = [{"start_s": segment.start_s, "end_s": segment.end_s} for segment in self.segments]
        return self.prediction.to_dict() | {"activity": self.activity, "segments": segments}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the prediction's, and ``activity``, ``segments``, ``spans``, ``windows``."""
        return self.head_dict() | {
            "spans": [span_dict(span) for span in self.spans],
            "windows": [window_dict(window) for window in self.windows],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Timeline":
        """Return the timeline that `to_dict` was made from, but for rounding and the envelope."""
        spans = tuple(Span(**item) for item in values["spans"])
        windows = tuple(Window(**item) for item in values["windows"])
        segments = tuple(Segment(**item) for item in values["segments"])
        own = {"spans", "windows", "segments", "activity"}
        prediction = Prediction.from_dict({name: value for name, value in values.items() if name not in own})
        return cls(prediction, spans, windows, segments, values["activity"], tuple(prediction.probabilities))

    def to(self, form: str) -> str:
        """Return the timeline as a file's text; ``form`` is one of the nine of `earnest.runtime.timeline_formats`."""
        from earnest.runtime.timeline_formats import written

        return "".join(written(self, form))

    def to_json(self) -> str:
        """Return all that is known, as JSON."""
        return self.to("json")

    def to_jsonl(self) -> str:
        """Return one span a line, as JSON."""
        return self.to("jsonl")

    def to_csv(self) -> str:
        """Return one span a row."""
        return self.to("csv")

    def to_srt(self) -> str:
        """Return SubRip subtitles."""
        return self.to("srt")

    def to_vtt(self) -> str:
        """Return WebVTT subtitles."""
        return self.to("vtt")

    def to_textgrid(self) -> str:
        """Return a Praat TextGrid with the tiers "emotion" and "confidence"."""
        return self.to("textgrid")

    def to_eaf(self) -> str:
        """Return an ELAN annotation document with the tiers "emotion" and "confidence"."""
        return self.to("eaf")

    def to_rttm(self) -> str:
        """Return Rich Transcription Time Marked lines, the emotion in the speaker's place."""
        return self.to("rttm")

    def to_audacity(self) -> str:
        """Return an Audacity label track."""
        return self.to("audacity")

    def plot(self, path: str | Path, title: str | None = None) -> None:
        """Draw waveform, probabilities over time and spans; the suffix (.png, .svg, .pdf) chooses the kind of file.

        Raises
        ------
        MissingExtraError
            Where matplotlib is not installed.
        """
        from earnest.runtime.timeline_plot import plot_timeline

        plot_timeline(self, Path(path), title)

    def _repr_html_(self) -> str:
        def bars() -> Iterator[str]:
            for span in self.entries():
                share = f"<td>{escape(span.emotion)}</td><td>{escape(percent(span.confidence))}</td>"
                yield f"<tr><td>{span.start_s:.1f}–{span.end_s:.1f} s</td>{share}</tr>"

        head = escape(f"{self.path}: {self.duration_s:.1f} s, {self.prediction.speech_s or 0:.1f} s of speech")
        return f"<p><b>{head}</b></p><table>{''.join(bars())}</table>"


def burst_span(burst: VocalBurst) -> Span:
    """Return a vocal burst as a span whose label is its kind in parentheses."""
    return Span(burst.start_s, burst.end_s, f"({burst.kind})", burst.confidence)


def span_dict(span: Span) -> dict[str, Any]:
    """Return a span's values for JSON."""
    confidence = round(span.confidence, 6)
    return {"start_s": span.start_s, "end_s": span.end_s, "emotion": span.emotion, "confidence": confidence}


def window_dict(window: Window) -> dict[str, Any]:
    """Return a window's values for JSON."""
    probabilities = {name: round(share, 6) for name, share in window.probabilities.items()}
    return {"start_s": window.start_s, "end_s": window.end_s, "probabilities": probabilities}


def event_dict(event: Event) -> dict[str, Any]:
    """Return an event's values for JSON; ``event`` says which it is: window, span, segment, vocal-burst or gap."""
    values: dict[str, Any] = {"event": _EVENT_NAMES[type(event)]}
    if isinstance(event, Span):
        return values | span_dict(event)
    if isinstance(event, Window):
        return values | window_dict(event)
    if isinstance(event, VocalBurst):
        return values | asdict(event) | {"confidence": round(event.confidence, 6)}
    return values | {"start_s": event.start_s, "end_s": event.end_s}


def event_from_dict(values: Mapping[str, Any]) -> Event:
    """Return the event that `event_dict` was made from, but for rounding."""
    kinds: dict[str, type[Event]] = {name: kind for kind, name in _EVENT_NAMES.items()}
    return kinds[values["event"]](**{name: value for name, value in values.items() if name != "event"})


def shares_over_time(timeline: Timeline, n_columns: int) -> npt.NDArray[np.float64]:
    """Return, for each of equal parts of a recording, the mean probability of each class over the windows in it.

    Returns
    -------
    shape (classes, columns), 0 where nobody speaks
    """
    sums = np.zeros((len(timeline.classes), n_columns))
    counts = np.zeros(n_columns)
    scale = n_columns / max(timeline.duration_s, 1e-3)
    for window in timeline.windows:
        first = min(int(window.start_s * scale), n_columns - 1)
        last = min(max(first + 1, round(window.end_s * scale)), n_columns)
        sums[:, first:last] += np.array([window.probabilities[name] for name in timeline.classes])[:, None]
        counts[first:last] += 1
    return sums / np.maximum(counts, 1)
