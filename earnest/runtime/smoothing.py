"""Overlapping windows to one answer at a time, behind the gate: is it speech at all?

The gate is what a network's output ``sound`` says about one window.

A linear head on the network's own embedding (scripts/graph_heads.py) tells speech, vocal bursts by their kind, and all
other sound apart; it is part of the graph, so that every runtime has it. Bundles without it leave the question to voice
activity detection.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from earnest.audio.activity import Extent
from earnest.bundle import BURSTS, NO_SPEECH, SPEECH
from earnest.labels import UNSURE

SPEECH_FROM = 0.5  # probability of speech
KIND_FROM = 0.5  # of a burst's kind among all kinds; below it the kind is "other"


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
    if total < shares[NO_SPEECH]:  # kinds of bursts compete together, then among themselves
        return Verdict(NO_SPEECH, shares[NO_SPEECH])
    # P(kind | burst) = P(kind) / Σ P(kinds)
    kind = max(bursts, key=bursts.__getitem__)
    return Verdict(kind, bursts[kind]) if bursts[kind] >= KIND_FROM * total else Verdict("other", total)


SWITCH_MARGIN = 0.1  # probability by which a new emotion must lead

Shares = npt.NDArray[np.float64]


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
