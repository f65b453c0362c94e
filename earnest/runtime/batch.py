"""Batch adaptation: all recordings of a speaker are heard first, and then all answered, from one set.

What was heard is kept window by window, without sound: a few hundred bytes each. From that a recording is answered
again by the same steps as when it was heard, so the two ways can't differ but by what adaptation does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from earnest.audio.activity import Extent
from earnest.bundle import SOUNDS, BundleInfo
from earnest.runtime.adaptation import Adaptation, BatchAdapter, Listener
from earnest.runtime.answers import AnswerBuilder, Outputs
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.windows import Job, Over, Windowing, WindowSound

KEPT = ("probabilities", "sound")  # outputs of a window that an emotion is told from
_ANSWER = ("status", "emotion", "confidence", "probabilities", "polarity", "adapted", "adaptation_weight", "shares")
_FORGOTTEN = np.empty(0, np.float32)
_DIGITS = 7  # of what is kept in a file
_TOLERANCE = 1e-2
_LONGEST_STEP = 1 << 24  # samples from one window of a segment to the next


@dataclass(frozen=True, eq=False)
class AnsweredRecording:
    """A recording that was answered, and what the network said about each of its windows.

    Attributes
    ----------
    plain : its answer without adaptation
    is_whole : whether it was heard at once
    steps : windows with their outputs called `KEPT`, and ends of segments with none, in order
    """

    plain: Prediction
    is_whole: bool = True
    steps: tuple[tuple[Job, Outputs], ...] = ()

    def answered(self, info: BundleInfo, windowing: Windowing, options: Options, adapter: Listener) -> Prediction:
        """Return the answer of an adapter that is told the windows in turn."""
        if not self.steps:
            return self.plain
        answers = AnswerBuilder(info, info.sample_rate_hz, windowing, options, adapter)
        answers.tally.n_samples = round((self.plain.duration_s or 0.0) * info.sample_rate_hz)
        for job, outputs in self.steps:
            events = answers.segment(job) if isinstance(job, Over) else answers.window(job, dict(outputs))
            deque(events, maxlen=0)
        again = answers.prediction(self.plain.path, self.is_whole)
        return replace(self.plain, **{name: getattr(again, name) for name in _ANSWER})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; numbers are rounded to seven decimals."""
        return {"plain": self.plain.to_dict(), "is_whole": self.is_whole, "steps": [_plain(*one) for one in self.steps]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "AnsweredRecording":
        """Read the values of `to_dict`, which were rounded.

        Raises
        ------
        ValueError, TypeError, KeyError, AttributeError
            For what can't have come from there.
        """
        steps = tuple(_step(one) for one in values["steps"])
        _check_order(steps)
        return cls(Prediction.from_dict(values["plain"]), bool(values["is_whole"]), steps)


def _plain(job: Job, outputs: Outputs) -> list[Any]:
    if isinstance(job, Over):
        return [job.extent.start, job.extent.end]
    kept = {name: [round(share, _DIGITS) for share in values.tolist()] for name, values in outputs.items()}
    return [job.extent.start, job.extent.end, job.segment_start, kept]


def _step(values: Any) -> tuple[Job, Outputs]:
    start, end, *more = values
    extent = Extent(int(start), int(end))
    if not more:
        return Over(extent), {}
    segment_start, kept = more
    if not {"probabilities"} <= kept.keys() <= set(KEPT):
        raise ValueError(f"a window's numbers must be {' and '.join(KEPT)}")
    outputs: Outputs = {name: np.array(shares, np.float32) for name, shares in kept.items()}
    if "sound" in kept and len(kept["sound"]) != len(SOUNDS):
        raise ValueError(f"'sound' must hold {len(SOUNDS)} numbers")
    for name, shares in outputs.items():
        if shares.ndim != 1 or not (shares.min() >= 0 and abs(shares.sum() - 1) < _TOLERANCE):
            raise ValueError(f"'{name}' holds no probabilities")
    return WindowSound(extent, int(segment_start), _FORGOTTEN), outputs


def _check_order(steps: Iterable[tuple[Job, Outputs]]) -> None:
    """Raise `ValueError` for windows and segments that no recording has, of which answering would not end."""
    before: WindowSound | None = None  # in the segment that goes on
    for job, _ in steps:
        extent = job.extent
        if isinstance(job, Over):
            # A segment begins and ends in order, and its end is not behind that of its last window.
            is_right = 0 <= extent.start < extent.end and (before is None or extent.end <= before.extent.end)
            before = None
        else:
            known = before.extent if before else Extent(job.segment_start, job.segment_start)
            # A window starts no earlier than the one before it, and its end is not too far behind that one's.
            is_right = 0 <= known.start <= extent.start < extent.end <= known.end + _LONGEST_STEP
            before = job
        if not is_right:
            raise ValueError("windows or segments are out of order")


class BatchAnswers:
    """Answers recordings of several speakers again, each adapted to its own speaker's."""

    def __init__(self, adaptation: Adaptation, info: BundleInfo, windowing: Windowing, options: Options) -> None:
        self._adaptation, self._info = adaptation, info
        self._windowing, self._options = windowing, options

    def answered(self, heard: Callable[[], Iterable[tuple[str, AnsweredRecording]]]) -> Iterator[Prediction]:
        """Yield adapted answers in the recordings' order.

        Parameters
        ----------
        heard : gives speaker and recording, twice the same: from a list, or from a file with more than fits in memory;
            the answer is plain where the speaker is ""
        """
        adapters: dict[str, BatchAdapter] = {}
        for speaker, recording in heard():
            if not speaker:
                continue
            if speaker not in adapters:
                adapters[speaker] = BatchAdapter(self._adaptation)
            self._again(recording, adapters[speaker])
        for adapter in adapters.values():
            adapter.finish()
        for speaker, recording in heard():
            yield self._again(recording, adapters[speaker]) if speaker else recording.plain

    def _again(self, recording: AnsweredRecording, adapter: BatchAdapter) -> Prediction:
        return recording.answered(self._info, self._windowing, self._options, adapter)
