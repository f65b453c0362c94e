"""Many recordings to predictions: decoded ahead by some threads, answered in batches of similar length, in order.

For batch adaptation all recordings of a speaker are heard first, and then all answered, from one set. What was heard is
kept window by window, without sound: a few hundred bytes each. From that a recording is answered again by the same
steps as when it was heard, so the two ways can't differ but by what adaptation does.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from typing import Any, TypeAlias

import numpy as np

from earnest.audio.activity import Extent
from earnest.audio.deadline import check_deadline
from earnest.audio.parts import by_start, in_order
from earnest.audio.source import AudioInput, Source, path_of, source_name, source_of, whole_and_channel
from earnest.bundle import SOUNDS, BundleInfo
from earnest.errors import AudioError, MissingExtraError
from earnest.runtime.adaptation import Adaptation, BatchAdapter, Listener
from earnest.runtime.answers import AnswerBuilder, WindowOutputs
from earnest.runtime.decoders import Reading
from earnest.runtime.formats import EmbeddedRecording
from earnest.runtime.graph import Outputs, WindowNetwork
from earnest.runtime.picture import is_picture
from earnest.runtime.prediction import Options, Prediction
from earnest.runtime.spectrogram import answer_picture
from earnest.runtime.windows import Job, Over, Windower, Windowing, WindowSound

BATCH_S = 20.0  # padded seconds in one run of the network; more fit no cache and need more padding
WAITING_S = 240.0  # seconds decoded before rows are handed on: enough to find neighbours of similar length
WAITING_CLIPS = 64
AHEAD_CLIPS = 32
AHEAD_S = 60.0  # longer recordings are not decoded ahead but window by window, when it is their turn
_FORGOTTEN = np.empty(0, np.float32)
KEPT = ("probabilities", "sound")  # outputs of a window that an emotion is told from
_ANSWER = ("status", "emotion", "confidence", "probabilities", "polarity", "adapted", "adaptation_weight", "shares")
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
    steps: tuple[tuple[Job, WindowOutputs], ...] = ()

    def spoken_by(self, speaker: str | None) -> "AnsweredRecording":
        """Return the same, with the name of who speaks; None where it is unknown."""
        return replace(self, plain=replace(self.plain, speaker=speaker))

    def answered(self, info: BundleInfo, windowing: Windowing, options: Options, adapter: Listener) -> Prediction:
        """Return the answer of an adapter that is told the windows in turn."""
        if not self.steps:
            return self.plain
        answers = AnswerBuilder(info, info.sample_rate_hz, windowing, options, adapter)
        answers.tally.n_samples = round((self.plain.duration_s or 0.0) * info.sample_rate_hz)
        for job, outputs in self.steps:
            deque(answers.take(job, dict(outputs)), maxlen=0)
        again = answers.prediction(self.plain.path, self.is_whole)
        return replace(self.plain, **{name: getattr(again, name) for name in _ANSWER})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; numbers are rounded to seven decimals."""
        return {"plain": self.plain.to_dict(), "is_whole": self.is_whole, "steps": [_plain(*one) for one in self.steps]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "AnsweredRecording":
        """Read the values of `to_dict`, which were rounded.

        Raises `ValueError`, `TypeError`, `KeyError` or `AttributeError` for what can't have come from there.
        """
        steps = tuple(_step(one) for one in values["steps"])
        _check_order(steps)
        return cls(Prediction.from_dict(values["plain"]), bool(values["is_whole"]), steps)


def _plain(job: Job, outputs: WindowOutputs) -> list[Any]:
    if isinstance(job, Over):
        return [job.extent.start, job.extent.end]
    kept = {name: [round(share, _DIGITS) for share in values.tolist()] for name, values in outputs.items()}
    return [job.extent.start, job.extent.end, job.segment_start, kept]


def _step(values: Any) -> tuple[Job, WindowOutputs]:
    start, end, *more = values
    extent = Extent(int(start), int(end))
    if not more:
        return Over(extent), {}
    segment_start, kept = more
    if not {"probabilities"} <= kept.keys() <= set(KEPT):
        raise ValueError(f"a window's numbers must be {' and '.join(KEPT)}")
    outputs: WindowOutputs = {name: np.array(shares, np.float32) for name, shares in kept.items()}
    if "sound" in kept and len(kept["sound"]) != len(SOUNDS):
        raise ValueError(f"'sound' must hold {len(SOUNDS)} numbers")
    for name, shares in outputs.items():
        if shares.ndim != 1 or not (shares.min() >= 0 and abs(shares.sum() - 1) < _TOLERANCE):
            raise ValueError(f"'{name}' holds no probabilities")
    return WindowSound(extent, int(segment_start), _FORGOTTEN), outputs


def _check_order(steps: Iterable[tuple[Job, WindowOutputs]]) -> None:
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


@dataclass
class PendingRecording:
    """One recording on its way."""

    source: Source
    path: str
    answers: AnswerBuilder | None = None  # None while it has not been opened
    jobs: list[Job] | None = None  # None while it has not been decoded
    outputs: list[tuple[Job, WindowOutputs]] = field(default_factory=list)  # what the network said, in the jobs' order
    kept: list[tuple[Job, WindowOutputs]] = field(default_factory=list)  # of those, what is needed to answer again
    is_whole: bool = False
    notes: tuple[str, ...] = ()
    error: str | None = None
    answered: Prediction | None = None  # a picture is as soon as it is read, or, with an adapter, in its turn


Pending: TypeAlias = list[tuple[PendingRecording, Job]]
"""Windows that wait for the network, and ends of segments between them, each with its recording."""

Batch: TypeAlias = tuple[list[int], Outputs | Future[Outputs]]
"""Places in a list of windows, and what the network says about those, or will say."""


@dataclass
class Group:
    """Recordings that are answered together; ``heard_s`` is their length."""

    clips: list[PendingRecording] = field(default_factory=list)
    heard_s: float = 0.0
    pending: Pending = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    @property
    def is_heard(self) -> bool:
        """Whether nothing is left for the network to do."""
        return all(outputs.done() for _, outputs in self.batches if isinstance(outputs, Future))


@contextmanager
def _workers(jobs: int) -> Iterator[ThreadPoolExecutor | None]:
    """Give a pool of threads, none for one job; what has not begun when the caller leaves is dropped."""
    if jobs == 1:
        yield None
        return
    pool = ThreadPoolExecutor(jobs, "earnest")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Bulk:
    """One pass over many recordings; memory is bounded, however many and long they are."""

    def __init__(
        self,
        graph: WindowNetwork,
        info: BundleInfo,
        reading: Reading,
        adapter: Listener | None,
        batch_s: float,
        options: Options,
        windowing: Windowing,
        outputs: Sequence[str] | None,
    ) -> None:
        """Take the network, and its outputs that are wanted; None for those of a prediction."""
        self._graph, self._info, self._adapter, self._options = graph, info, adapter, options
        self._reading, self._batch_s, self._windowing, self._outputs = reading, batch_s, windowing, outputs
        self._keeps = False

    def predict_one(self, given: AudioInput) -> Prediction:
        """Predict one recording; what can't be read is raised."""
        source = source_of(given)
        with self._reading.deadline(source):
            if is_picture(source):
                return self._answer_picture(source)
            clip = PendingRecording(source, path_of(source))
            self._run([(clip, job) for job in self._jobs(clip)])
            return self._prediction(clip)

    def _answer_picture(self, source: Source) -> Prediction:
        if self._outputs is not None:
            raise AudioError(f"{source_name(source)}: a spectrogram. Only recordings have an embedding.")
        read = self._reading.decoders.read_picture
        return answer_picture(self._graph, self._info, source, self._options, read, self._adapter)

    def _answer_in_turn(self, clip: PendingRecording) -> None:
        """Answer a picture now that its adapter has heard what comes before it."""
        try:
            with self._reading.deadline(clip.source):
                clip.answered = self._answer_picture(clip.source)
        except (AudioError, MissingExtraError) as error:
            clip.error = str(error)

    def predict(self, sources: Iterable[AudioInput], jobs: int) -> Iterator[Prediction]:
        """Predict in order; what can't be read is a row with status "error"."""
        for clip in self._clips(sources, jobs):
            yield self._prediction(clip)

    def embed(self, sources: Iterable[AudioInput], jobs: int) -> Iterator[EmbeddedRecording]:
        """Embed in order, where the output "embedding" is among those wanted; what can't be read is a row too."""
        for clip in self._clips(sources, jobs):
            answer = self._prediction(clip)
            yield EmbeddedRecording.of(answer, clip.answers.tally.embedding if clip.answers else None)

    def hear(self, sources: Iterable[AudioInput], jobs: int) -> Iterator[AnsweredRecording]:
        """Predict as `predict` does, and keep what was heard, so that it can be answered again."""
        self._keeps = True
        for clip in self._clips(sources, jobs):
            plain = self._prediction(clip)
            yield AnsweredRecording(plain, clip.is_whole, () if clip.error else tuple(clip.kept))

    def _clips(self, sources: Iterable[AudioInput], jobs: int) -> Iterator[PendingRecording]:
        """Yield recordings, in order, whose windows have all been answered.

        Parts of one recording are read by their starts, unless somebody adapts to one after the other.
        """
        if self._adapter is not None:
            yield from self._clips_in_turn(sources, jobs)
            return
        numbers = deque[int]()

        def noted() -> Iterator[AudioInput]:
            for number, source in by_start(sources):
                numbers.append(number)
                yield source

        yield from in_order((numbers.popleft(), clip) for clip in self._clips_in_turn(noted(), jobs))

    def _clips_in_turn(self, sources: Iterable[AudioInput], jobs: int) -> Iterator[PendingRecording]:
        """Yield answered recordings in the order in which they are read.

        With several jobs, decoding and the network share as many threads; while one group of recordings is answered,
        the next one is decoded.
        """
        with self._reading.decoders.kept_open(), _workers(jobs) as pool:
            running: deque[Group] = deque()
            for group in self._groups(self._decoded(sources, pool)):
                group.batches = self._started(group.pending, pool)
                running.append(group)
                while running and (len(running) > 1 or running[0].is_heard):
                    yield from self._answered(running.popleft())
            while running:
                yield from self._answered(running.popleft())

    def _groups(self, clips: Iterable[PendingRecording]) -> Iterator[Group]:
        """Gather recordings until there are enough to find neighbours of similar length.

        Long ones need no neighbours: they are handed on soon, so that a stop loses minutes of sound and not hours.
        """
        group = Group()
        for clip in clips:
            group.clips.append(clip)
            if clip.jobs is None:
                self._predict_long(clip)
            else:
                group.pending += [(clip, job) for job in clip.jobs]
                clip.jobs = []
            group.heard_s += clip.answers.tally.duration_s if clip.answers else 0.0
            waits_s = max(group.heard_s, self._seconds(group.pending))
            if len(group.clips) >= WAITING_CLIPS or waits_s > WAITING_S:
                yield group
                group = Group()
        yield group

    def _answered(self, group: Group) -> Iterator[PendingRecording]:
        self._finish(group.pending, group.batches)
        yield from group.clips

    def _decoded(self, sources: Iterable[AudioInput], pool: ThreadPoolExecutor | None) -> Iterator[PendingRecording]:
        if pool is None:
            yield from map(self._decode, sources)
            return
        ahead: deque[Future[PendingRecording]] = deque()
        for source in sources:
            check_deadline()  # which the threads don't know
            ahead.append(pool.submit(self._decode, source))
            if len(ahead) >= AHEAD_CLIPS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _decode(self, given: AudioInput) -> PendingRecording:
        """Decode a short recording; a long one, or one that can be read only once, is left for its turn."""
        try:
            source = source_of(given)
        except AudioError as error:
            return PendingRecording(b"", path_of(given), jobs=[], error=str(error))
        clip = PendingRecording(source, path_of(source))
        if not isinstance(whole_and_channel(source)[0], str | bytes | tuple | PathLike):
            return clip
        found: list[Job] = []
        seconds = 0.0
        try:
            with self._reading.deadline(source):
                if is_picture(source):
                    answered = None if self._adapter else self._answer_picture(source)
                    return PendingRecording(source, clip.path, jobs=[], answered=answered)
                for job in self._jobs(clip):
                    found.append(job)
                    seconds += self._seconds([(clip, job)])
                    if seconds > AHEAD_S:
                        return PendingRecording(source, clip.path)
        except (AudioError, MissingExtraError) as error:
            clip.error = str(error)
        clip.jobs = [] if clip.error else found
        return clip

    def _predict_long(self, clip: PendingRecording) -> None:
        pending: Pending = []
        try:
            with self._reading.deadline(clip.source):
                for job in self._jobs(clip):
                    pending.append((clip, job))
                    if self._seconds(pending) > self._batch_s:
                        self._run(pending)
                        pending = []
                        if self._adapter is None:  # an adapter must hear the recordings before this one first
                            self._take_in(clip)
        except (AudioError, MissingExtraError) as error:
            clip.error = str(error)
        else:
            self._run(pending)

    def _seconds(self, pending: Pending) -> float:
        return sum(len(job.sound) for _, job in pending if isinstance(job, WindowSound)) / self._info.sample_rate_hz

    def _jobs(self, clip: PendingRecording) -> Iterator[Job]:
        """Yield the windows that the network is to hear, and the ends of their segments."""
        info = self._info
        with self._reading.open_audio(clip.source) as stream:
            rate_hz = stream.sample_rate_hz
            clip.answers = AnswerBuilder(info, rate_hz, self._windowing, self._options, self._adapter)
            windower = Windower(info.sample_rate_hz, rate_hz, self._windowing, not info.sounds, live=False)
            for block in stream.blocks:
                clip.answers.tally.hear(block)
                yield from filter(clip.answers.wants, windower.accept(block))
            yield from filter(clip.answers.wants, windower.finish())
            clip.is_whole, clip.notes = windower.is_whole, stream.notes()

    def _run(self, pending: Pending) -> None:
        """Answer windows at once."""
        self._finish(pending, self._started(pending, None))

    def _started(self, pending: Pending, pool: ThreadPoolExecutor | None) -> list[Batch]:
        """Start the network on batches of windows of similar length, or run it where there is no pool."""
        batches: list[Batch] = []
        sounds = {number: job.sound for number, (_, job) in enumerate(pending) if isinstance(job, WindowSound)}
        longest_first = sorted(sounds, key=lambda number: -len(sounds[number]))
        while longest_first:
            # All rows are padded to the first, the longest: rows · its samples ≤ batch_s · rate, or it is alone.
            n_rows = max(1, int(self._batch_s * self._info.sample_rate_hz) // len(sounds[longest_first[0]]))
            numbers, longest_first = longest_first[:n_rows], longest_first[n_rows:]
            run = partial(self._graph.run, [sounds[number] for number in numbers], self._outputs)
            batches.append((numbers, pool.submit(run) if pool else run()))
        return batches

    def _finish(self, pending: Pending, batches: list[Batch]) -> None:
        """Give each recording the answers of its windows, in the windows' order."""
        rows: list[WindowOutputs] = [{}] * len(pending)
        for numbers, running in batches:
            check_deadline()
            outputs = running.result() if isinstance(running, Future) else running
            for place, number in enumerate(numbers):
                rows[number] = {name: values[place] for name, values in outputs.items()}
        for (clip, job), row in zip(pending, rows, strict=True):
            clip.outputs.append((replace(job, sound=_FORGOTTEN) if isinstance(job, WindowSound) else job, row))

    def _take_in(self, clip: PendingRecording) -> None:
        """Add the answers up; with adaptation, each is heard in turn. What they say over time is not kept."""
        assert clip.answers is not None
        for job, row in clip.outputs:
            if self._keeps:  # before it is changed
                clip.kept.append((job, {name: row[name].copy() for name in KEPT if name in row}))
            deque(clip.answers.take(job, row), maxlen=0)
        clip.outputs = []

    def _prediction(self, clip: PendingRecording) -> Prediction:
        if clip.answers is None and clip.error is None and clip.answered is None:
            self._answer_in_turn(clip)
        if clip.answered:
            return clip.answered
        if clip.error is not None or clip.answers is None:
            return Prediction(clip.path, "error", model=self._info.name, error=clip.error)
        self._take_in(clip)
        return clip.answers.prediction(clip.path, clip.is_whole, clip.notes)


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
