"""Answers of overlapping windows, one after the other: events over time, and one answer about the whole recording.

First comes the gate: is it speech at all? A linear head on the network's own embedding (scripts/graph_heads.py), the
output ``sound`` of the graph, tells speech, vocal bursts by their kind, and all other sound apart. Bundles without it
leave the question to voice activity detection.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from earnest.audio.activity import Extent
from earnest.audio.quality import QualityMeter
from earnest.audio.waveform import Waveform
from earnest.bundle import BURSTS, NO_SPEECH, SPEECH, BundleInfo
from earnest.labels import AFFECT, UNSURE
from earnest.runtime.adaptation import Listener
from earnest.runtime.prediction import (
    OUT_OF_DOMAIN,
    OVERLAPPED,
    ClassChoice,
    Event,
    Options,
    Prediction,
    Segment,
    Span,
    Status,
    VocalBurst,
    Window,
    polarity_of,
    with_notes,
)
from earnest.runtime.windows import Job, Over, Windowing, WindowSound

SPEECH_FROM = 0.5  # probability of speech
BURST_FROM = 0.9  # of a burst among all sound that is no speech: chainsaws, dogs and music are less like one
KIND_FROM = 0.5  # of a burst's kind among all kinds; below it the kind is "other"
SWITCH_MARGIN = 0.1  # probability by which a new emotion must lead
HELD_FROM = 0.6  # of the speech that was answered: what one emotion must hold to be the recording's
ANSWERED_FROM = 0.5  # of all speech: what must have been answered
OVERLAPPED_FROM = 0.5  # the probability of overlapped speech, mean over windows, above which it is said

WindowOutputs = dict[str, npt.NDArray[np.floating]]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """The kind of sound: "speech", "no-speech" or a burst's kind, with its probability."""

    sound: str
    confidence: float

    @property
    def is_speech(self) -> bool:
        """Whether an emotion may be told."""
        return self.sound == SPEECH

    @property
    def is_burst(self) -> bool:
        """Whether it is a laugh, a cry, a scream, a sigh or the like."""
        return self.sound in BURSTS


def verdict_of(outputs: Mapping[str, npt.NDArray[np.floating]], sounds: Sequence[str]) -> Verdict:
    """Judge one window by the graph's output ``sound``, shape (sounds,); without one it is speech.

    Parameters
    ----------
    sounds : names of the output's numbers, as ``bundle.json`` has them; empty without the output
    """
    if not sounds or "sound" not in outputs:
        return Verdict(SPEECH, 1.0)
    shares = dict(zip(sounds, outputs["sound"].tolist(), strict=True))
    if shares[SPEECH] >= SPEECH_FROM:
        return Verdict(SPEECH, shares[SPEECH])
    bursts = {name: shares[name] for name in BURSTS}
    total = sum(bursts.values())
    if total < BURST_FROM * (total + shares[NO_SPEECH]):  # kinds of bursts count together, then compete
        return Verdict(NO_SPEECH, shares[NO_SPEECH])
    # P(kind | burst) = P(kind) / Σ P(kinds)
    kind = max(bursts, key=bursts.__getitem__)
    return Verdict(kind, bursts[kind]) if bursts[kind] >= KIND_FROM * total else Verdict("other", total)


class Label(NamedTuple):
    """The label of a run: an emotion, "unsure", a vocal burst by its kind, or "no-speech"."""

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
        self._start, self._sum = 0, 0.0  # of the run that goes on; Σ samples · confidence
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
        elif window.start - self._next >= self._hop:  # without overlap: now it isn't the last one's step
            yield from self._decide(self._next + self._hop)
        self._windows.append(_Answered(window, verdict, np.asarray(probabilities, np.float64)))
        # Not a segment's only window, nor its last one, which ends with the segment and starts anywhere: see `close`.
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
        # Windows that end before the step can't hold any later one.
        while len(self._windows) > 1 and self._windows[0].extent.end <= self._next:
            self._windows.popleft()
        # All windows that heard the step's start.
        holding = [item for item in self._windows if item.extent.start <= self._next < item.extent.end]
        label, confidence = self._labelled(holding or [self._windows[-1]])
        if label != self._label:
            if self._label is not None:
                yield self._run(self._next)
            self._label, self._start, self._sum = label, self._next, 0.0
        self._sum += (end - self._next) * confidence  # weighted by length: a run's mean over time
        self._next = end

    def _labelled(self, holding: list[_Answered]) -> tuple[Label, float]:
        """Return the label of a step, from the windows that hold its start, and its confidence."""
        spoken = [item.shares for item in holding if item.verdict.is_speech]
        if 2 * len(spoken) < len(holding):  # most windows say that it is no speech
            others = [item.verdict for item in holding if not item.verdict.is_speech]
            verdict = max(others, key=lambda one: one.confidence)
            self._leader = None  # after another sound no emotion has a lead to keep
            return Label("vocal-burst" if verdict.is_burst else "no-speech", verdict.sound), verdict.confidence
        shares = np.mean(spoken, axis=0)  # (classes,), mean over overlapping windows
        best = int(shares.argmax())
        # Hysteresis: a new emotion must lead clearly, so that spans don't flicker between two that are as likely.
        # One that is too unlikely to be told holds no place that another could fill.
        lead = self._leader
        if lead is None or shares[lead] < self._abstain_below or shares[best] - shares[lead] >= self._margin:
            lead = best
        self._leader, confidence = lead, float(shares[lead])
        is_sure = confidence >= self._abstain_below
        return Label("emotion", self._classes[lead]) if is_sure else Label("unsure", UNSURE), confidence

    def _run(self, end: int) -> Run:
        assert self._label is not None
        extent = Extent(self._start, end)
        # Σ_i n_i·c_i / Σ_i n_i over the run's steps i, of n_i samples and confidence c_i.
        return Run(extent, self._label, self._sum / len(extent))


@dataclass
class Tally:
    """Sums over the blocks of one recording, at its own rate, and over its windows' and spans' answers.

    Attributes
    ----------
    classes : those that were asked for
    abstain_below : confidence below which the answer is "unsure"
    n_adapted : samples of answers that were adapted, weighted by how far
    held : label → samples at the model's rate, and their sum weighted by confidence
    other : of windows without speech their samples, and the sum of their embeddings weighted by length
    """

    sample_rate_hz: int
    classes: Sequence[str]
    abstain_below: float = 0.0
    n_samples: int = 0
    n_answered: int = 0
    n_segments: int = 0
    is_adapted: bool = False
    n_adapted: float = 0.0
    sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    held: dict[Label, tuple[int, float]] = field(default_factory=dict)
    bursts: list[VocalBurst] = field(default_factory=list)
    other: tuple[int, npt.NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        self._meter = QualityMeter(self.sample_rate_hz)

    @property
    def duration_s(self) -> float:
        """Seconds heard."""
        return self.n_samples / self.sample_rate_hz

    @property
    def n_speech(self) -> int:
        """Samples of speech at the model's rate, answered or not."""
        return sum(n_samples for label, (n_samples, _) in self.held.items() if label.is_speech)

    def hear(self, block: Waveform) -> None:
        """Take the next samples, shape (samples,)."""
        self.n_samples += len(block)
        self._meter.accept(block)

    def add(self, outputs: Mapping[str, npt.NDArray[np.floating]], n_samples: int) -> None:
        """Add the answer to one window of speech, each output of shape (…,), weighted by the window's length."""
        self.n_answered += n_samples
        for name, values in outputs.items():
            # In float64: sums of hours lose nothing.
            self.sums[name] = self.sums.get(name, np.zeros(values.shape)) + n_samples * values

    def embed_other(self, embedding: npt.NDArray[np.floating], n_samples: int) -> None:
        """Add the embedding of a window without speech, shape (width,), weighted by the window's length."""
        n_before, total = self.other or (0, np.zeros(embedding.shape))
        self.other = (n_before + n_samples, total + n_samples * embedding)

    @property
    def embedding(self) -> npt.NDArray[np.float64] | None:
        """Mean embedding over the windows of speech; without speech over all others; None where there was no window."""
        if "embedding" in self.sums:
            # ē = Σ_w n_w·e_w / Σ_w n_w, with n_w the samples of window w.
            return self.sums["embedding"] / self.n_answered
        return self.other[1] / self.other[0] if self.other else None

    def hold(self, label: Label, n_samples: int, confidence: float) -> None:
        """Add a span: a label that held for so many samples at the model's rate."""
        n_before, sum_before = self.held.get(label, (0, 0.0))  # samples, and samples times confidence
        self.held[label] = (n_before + n_samples, sum_before + n_samples * confidence)

    def quality(self, strange_from: float | None = None, notes: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the words that apply; what the graph says of sound is the mean over windows, weighted by length."""
        words = [*with_notes(self._meter.words(), notes)]
        if self._is_above("overlap", OVERLAPPED_FROM):
            words.append(OVERLAPPED)
        if strange_from is not None and self._is_above("distance", strange_from):
            words.append(OUT_OF_DOMAIN)
        return tuple(words)

    def _is_above(self, output: str, limit: float) -> bool:
        # Mean > limit, without dividing.
        return output in self.sums and float(self.sums[output]) > limit * self.n_answered

    def answer(self, measured: Prediction, is_summary: bool) -> Prediction:
        """Return ``measured`` with the recording's answer.

        Parameters
        ----------
        is_summary : whether it is what held longest over time, and not the mean over windows
        """
        measured = replace(measured, vocal_bursts=tuple(self.bursts))
        if not self.n_answered or (self.held and not self.n_speech):  # windows of speech may be outvoted by others
            return replace(measured, status="vocal-burst") if self.bursts else measured
        means = {name: (total / self.n_answered).tolist() for name, total in self.sums.items()}
        probabilities = dict(zip(self.classes, means["probabilities"], strict=True))
        whole = replace(
            measured,
            probabilities=probabilities,
            polarity=polarity_of(probabilities),
            adapted=self.is_adapted,
            # Σ_w n_w·a_w / Σ_w n_w; rounding may lift it above one.
            adaptation_weight=min(self.n_adapted / self.n_answered, 1.0),
            gender=_named(("female", "male"), means.get("gender")),
            **_affect(means),
            intensity=means.get("intensity"),
        )
        if is_summary and self.n_speech:
            return self._summary(whole)
        emotion = max(probabilities, key=probabilities.__getitem__)
        confidence = probabilities[emotion]
        status: Status = "ok" if confidence >= self.abstain_below else "unsure"
        return replace(whole, status=status, emotion=emotion if status == "ok" else None, confidence=confidence)

    def _summary(self, whole: Prediction) -> Prediction:
        """Find the sound that held longest: "ok" where an emotion holds most of the answered speech, and enough."""
        spoken = {label.name: both for label, both in self.held.items() if label.is_speech}
        held = {name: spoken[name][0] for name in sorted(spoken, key=lambda name: -spoken[name][0])}
        whole = replace(whole, shares={name: n_samples / self.n_speech for name, n_samples in held.items()})
        status, emotion = summary_of(held)
        if emotion is None:
            confidence = max(whole.probabilities.values()) if status == "unsure" else None
            return replace(whole, status=status, confidence=confidence)
        # Mean confidence over the time for which the label held: Σ n·c / Σ n.
        n_samples, weighted = spoken[emotion]
        return replace(whole, status=status, emotion=emotion, confidence=weighted / n_samples)


def summary_of(held: Mapping[str, float]) -> tuple[Status, str | None]:
    """Find the emotion that held longest: "ok" and its name where it holds most of the answered speech, and enough.

    Parameters
    ----------
    held : label → how long it held, in any unit; "unsure" is what was not answered
    """
    answered = {name: time for name, time in held.items() if name != UNSURE}
    time_answered = sum(answered.values())
    if not answered or time_answered < ANSWERED_FROM * sum(held.values()):
        return "unsure", None
    longest = max(answered, key=answered.__getitem__)
    is_held = answered[longest] >= HELD_FROM * time_answered  # of what was answered, not of all speech
    return ("ok", longest) if is_held else ("mixed", None)


def _named(names: tuple[str, ...], values: Sequence[Any] | None) -> dict[str, Any] | None:
    return None if values is None else dict(zip(names, values, strict=True))


def _affect(means: Mapping[str, Any]) -> dict[str, Any]:
    """Return the affect: as a network learnt it from ratings, else as it was derived, without dominance."""
    is_derived = "affect" not in means and "affect_derived" in means
    values = [*means["affect_derived"], None] if is_derived else means.get("affect")
    return {"affect": _named(AFFECT, values), "affect_derived": is_derived}


class AnswerBuilder:
    """Takes the network's outputs for each window of one recording, in order; so every face of it says the same.

    Attributes
    ----------
    classes : those that were asked for
    tally : what the recording is like, and what its answers add up to
    """

    def __init__(
        self,
        info: BundleInfo,
        sample_rate_hz: int,
        windowing: Windowing,
        options: Options,
        adapter: Listener | None = None,
    ) -> None:
        self._info, self._adapter, self._rate = info, adapter, info.sample_rate_hz
        self._choice = ClassChoice(info, options)
        self.classes = self._choice.classes
        below = info.abstain_below if options.abstain_below is None else options.abstain_below
        self.tally = Tally(sample_rate_hz, self.classes, below)
        self._smoother = Smoother(round(windowing.hop_s * self._rate), self.classes, below)
        self._answered_to = 0
        self._has_spoken = False  # in the segment that goes on

    def wants(self, job: Job) -> bool:
        """Whether there is anything to do: a window must be long enough for the network."""
        return isinstance(job, Over) or len(job.sound) >= self._info.shortest_s * self._rate

    def take(self, job: Job, outputs: WindowOutputs) -> Iterator[Event]:
        """Take the next window with what the network says of it, or the end of a segment."""
        return self.segment(job) if isinstance(job, Over) else self.window(job, outputs)

    def window(self, heard: WindowSound, outputs: WindowOutputs) -> Iterator[Event]:
        """Take the network's outputs for one window, each without its batch axis."""
        verdict = verdict_of(outputs, self._info.sounds)
        weight = self._adapt(self._adapter, heard.extent, outputs) if verdict.is_speech and self._adapter else 0.0
        shares = outputs["probabilities"] = self._choice.of(outputs["probabilities"], weight)
        if verdict.is_speech:
            self.tally.add(outputs, len(heard.extent))
            yield Window(*self._seconds(heard.extent), dict(zip(self.classes, shares.tolist(), strict=True)))
        elif "embedding" in outputs:
            self.tally.embed_other(outputs["embedding"], len(heard.extent))
        for run in self._smoother.accept(heard.extent, verdict, shares, heard.segment_start):
            yield from self._told(run)

    def segment(self, over: Over) -> Iterator[Event]:
        """End a segment, whose windows have all been taken."""
        for run in self._smoother.close(over.extent):
            yield from self._told(run)
        if self._has_spoken:
            self.tally.n_segments += 1
            yield Segment(*self._seconds(over.extent))
        self._has_spoken = False

    def prediction(self, path: str, is_whole: bool = False, notes: tuple[str, ...] = ()) -> Prediction:
        """Return the answer of all windows so far together.

        Parameters
        ----------
        is_whole : whether the recording was heard at once
        notes : what was heard of a whole, see `earnest.audio.io.AudioStream`
        """
        duration_s = self.tally.duration_s
        measured = Prediction(
            path,
            "too-short" if duration_s < self._info.shortest_s else "no-speech",
            duration_s=duration_s,
            speech_s=min(self.tally.n_speech / self._rate, duration_s),
            quality=self.tally.quality(self._info.out_of_domain_from, notes),
            model=self._info.name,
        )
        is_summary = not is_whole and (self.tally.n_segments > 1 or duration_s > self._info.longest_s)
        return self.tally.answer(measured, is_summary)

    def _adapt(self, adapter: Listener, extent: Extent, outputs: WindowOutputs) -> float:
        """Put the adapted answer in the plain one's place, where the adapter knows enough; return its weight."""
        # Windows overlap: only what is new counts, else a speaker would seem to have spoken for longer.
        new = extent.end - max(extent.start, self._answered_to)
        adapted = adapter.hear(outputs["probabilities"], len(extent) / self._rate, new / self._rate)
        if adapted is not None:
            outputs["probabilities"], self.tally.is_adapted = adapted.probabilities, True
            self.tally.n_adapted += adapted.weight * len(extent)
        self._answered_to = extent.end
        return 0.0 if adapted is None else adapted.weight

    def _told(self, run: Run) -> Iterator[Event]:
        start_s, end_s = self._seconds(run.extent)
        self.tally.hold(run.label, len(run.extent), run.confidence)
        if run.label.is_speech:
            self._has_spoken = True
            yield Span(start_s, end_s, run.label.name, run.confidence)
        elif run.label.kind == "vocal-burst":
            burst = VocalBurst(start_s, end_s, run.label.name, run.confidence)
            self.tally.bursts.append(burst)
            yield burst

    def _seconds(self, extent: Extent) -> tuple[float, float]:
        return round(extent.start / self._rate, 3), round(extent.end / self._rate, 3)
