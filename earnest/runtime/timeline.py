"""Emotion over time: what `Predictor.timeline` returns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from earnest.runtime.events import Envelope, Event, Segment, Span, Window, burst_span, span_dict, window_dict
from earnest.runtime.frames import Frame, FrameColumn, Framed
from earnest.runtime.prediction import Prediction, percent


@dataclass(frozen=True)
class Timeline(Framed):
    """Emotion over time in one recording; as a data frame one span a row, as in `to_csv`.

    Attributes
    ----------
    prediction : the recording as a whole, vocal bursts included
    spans, windows, segments : in order of time; spans, vocal bursts and segments don't overlap, windows do
    activity : what told speech from the rest, "silero" or "energy"
    speakers : of each entry, "" where unknown; empty where nobody said who speaks. TextGrid and ELAN have them
    """

    prediction: Prediction
    spans: tuple[Span, ...] = ()
    windows: tuple[Window, ...] = ()
    segments: tuple[Segment, ...] = ()
    activity: str = ""
    classes: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
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
        return cls(prediction, spans, windows, segments, activity, tuple(classes), envelope=envelope)

    @property
    def path(self) -> str:
        """The recording, as it was given."""
        return self.prediction.path

    @property
    def duration_s(self) -> float:
        """Seconds of the recording."""
        return self.prediction.duration_s or 0.0

    @property
    def speech_s(self) -> float:
        """Seconds of speech in it."""
        return self.prediction.speech_s or 0.0

    def entries(self) -> list[Span]:
        """Return spans and vocal bursts in order of time; a burst is labelled with its kind, as in "(laughter)"."""
        return sorted([*self.spans, *map(burst_span, self.prediction.vocal_bursts)], key=lambda entry: entry.start_s)

    def tiers(self) -> dict[str, tuple[str, ...]]:
        """Return the tiers of Praat and ELAN: emotion, confidence and, where it is known, speaker."""
        entries = self.entries()
        said = {
            "emotion": tuple(entry.emotion for entry in entries),
            "confidence": tuple(f"{entry.confidence:.3f}" for entry in entries),
        }
        return said | {"speaker": self.speakers} if len(self.speakers) == len(entries) > 0 else said

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

    def columns(self) -> Mapping[str, FrameColumn]:
        """Return the spans: path, start_s, end_s, emotion, confidence; see `earnest.runtime.frames.Framed`."""
        texts = {
            "path": FrameColumn("text", [self.path] * len(self.spans)),
            "emotion": FrameColumn("text", [span.emotion for span in self.spans]),
        }
        names = ("start_s", "end_s", "confidence")
        numbers = {name: FrameColumn("number", [getattr(span, name) for span in self.spans]) for name in names}
        return {name: (texts | numbers)[name] for name in ("path", "start_s", "end_s", "emotion", "confidence")}

    def window_rows(self) -> Frame:
        """Return the windows as what gives data frames: path, start_s, end_s, and ``p_<class>`` for each class."""
        numbers = {
            "start_s": [window.start_s for window in self.windows],
            "end_s": [window.end_s for window in self.windows],
            **{f"p_{name}": [window.probabilities[name] for window in self.windows] for name in self.classes},
        }
        path = FrameColumn("text", [self.path] * len(self.windows))
        return Frame({"path": path, **{name: FrameColumn("number", values) for name, values in numbers.items()}})

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

        head = escape(f"{self.path}: {self.duration_s:.1f} s, {self.speech_s:.1f} s of speech")
        return f"<p><b>{head}</b></p><table>{''.join(bars())}</table>"
