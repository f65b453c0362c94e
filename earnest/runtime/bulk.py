"""Many recordings → predictions: decoded ahead by some threads, answered in batches of similar length, in order."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.audio.io import AudioStream, open_audio, resampled
from earnest.audio.segment import Levels, frame_levels_dbfs, is_silent, speech_seconds, windows
from earnest.audio.source import Source, path_of
from earnest.audio.waveform import Waveform
from earnest.bundle import BundleInfo
from earnest.errors import AudioError, MissingExtraError
from earnest.runtime.adapter import Adapter
from earnest.runtime.domain import Domain
from earnest.runtime.graph import Network, Outputs
from earnest.runtime.picture import is_picture
from earnest.runtime.picture_answer import answer_picture
from earnest.runtime.prediction import Prediction
from earnest.runtime.tally import Tally

BATCH_S = 20.0  # padded seconds in one run of the network; more fit no cache and need more padding
WAITING_S = 240.0  # seconds decoded before the network runs: enough to find neighbours of similar length
WAITING_CLIPS = 64
AHEAD_CLIPS = 32
AHEAD_S = 60.0  # longer recordings are not decoded ahead but window by window, when it is their turn


@dataclass
class Clip:
    """One recording on its way."""

    source: Source
    path: str
    tally: Tally | None = None
    n_heard: int = 0  # at the model's rate
    levels: list[Levels] = field(default_factory=list)
    windows: list[Waveform] | None = None  # None while it has not been decoded
    answers: list[tuple[int, "Row"]] = field(default_factory=list)  # samples and outputs of each window, in order
    error: str | None = None
    answered: Prediction | None = None  # a picture is, as soon as it is read

    def measured(self, stream: AudioStream) -> Iterator[Waveform]:
        """Pass the blocks on, taking down what they are like."""
        self.tally = Tally(stream.sample_rate_hz)
        for block in stream.blocks:
            self.tally.hear(block)
            yield block


Pending: TypeAlias = list[tuple[Clip, Waveform]]
"""Windows that wait for the network, each with its recording."""

Row: TypeAlias = dict[str, npt.NDArray[np.floating]]
Batch: TypeAlias = tuple[list[int], Outputs | Future[Outputs]]
"""Places in a list of windows, and what the network says about those, or will say."""


@dataclass
class Group:
    """Recordings that are answered together."""

    clips: list[Clip] = field(default_factory=list)
    pending: Pending = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)


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
        graph: Network,
        info: BundleInfo,
        max_seconds: float,
        adapter: Adapter | None = None,
        batch_s: float = BATCH_S,
        domain: Domain | None = None,
    ) -> None:
        self._graph, self._info, self._adapter, self._domain = graph, info, adapter, domain
        self._max_seconds, self._batch_s = max_seconds, batch_s
        self._outputs = (*graph.predicted, "embedding") if adapter or domain else graph.predicted

    def predict_one(self, source: Source) -> Prediction:
        """Predict one recording; what can't be read is raised."""
        if is_picture(source):
            return answer_picture(self._graph, self._info, source)
        clip = Clip(source, path_of(source))
        self._run([(clip, window) for window in self._windows(clip)])
        return self._prediction(clip)

    def embeddings(self, sources: Iterable[Source]) -> tuple[list[npt.NDArray[np.floating]], float]:
        """Return the embeddings of all windows of recordings, and their seconds; what can't be read is raised."""
        answers: list[tuple[int, Row]] = []
        for source in sources:
            clip = Clip(source, path_of(source))
            self._run([(clip, window) for window in self._windows(clip)])
            answers += clip.answers
        n_samples = sum(n_window for n_window, _ in answers)
        return [answer["embedding"] for _, answer in answers], n_samples / self._info.sample_rate_hz

    def predict(self, sources: Iterable[Source], jobs: int) -> Iterator[Prediction]:
        """Predict in order; what can't be read is a row with status "error".

        With several jobs, decoding and the network share as many threads; while one group of recordings is answered,
        the next one is decoded.
        """
        with _workers(jobs) as pool:
            running: deque[Group] = deque()
            for group in self._groups(self._decoded(sources, pool)):
                group.batches = self._started(group.pending, pool)
                running.append(group)
                if pool is None or len(running) > 1:
                    yield from self._answered(running.popleft())
            while running:
                yield from self._answered(running.popleft())

    def _groups(self, clips: Iterable[Clip]) -> Iterator[Group]:
        """Gather recordings until there are enough to find neighbours of similar length."""
        group = Group()
        for clip in clips:
            group.clips.append(clip)
            if clip.windows is None:
                self._predict_long(clip)
            else:
                group.pending += [(clip, window) for window in clip.windows]
                clip.windows = []
            if len(group.clips) >= WAITING_CLIPS or self._seconds(group.pending) > WAITING_S:
                yield group
                group = Group()
        yield group

    def _answered(self, group: Group) -> Iterator[Prediction]:
        self._finish(group.pending, group.batches)
        yield from map(self._prediction, group.clips)

    def _decoded(self, sources: Iterable[Source], pool: ThreadPoolExecutor | None) -> Iterator[Clip]:
        if pool is None:
            yield from map(self._decode, sources)
            return
        ahead: deque[Future[Clip]] = deque()
        for source in sources:
            ahead.append(pool.submit(self._decode, source))
            if len(ahead) >= AHEAD_CLIPS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def _decode(self, source: Source) -> Clip:
        """Decode a short recording; a long one, or one that can be read only once, is left for its turn."""
        clip = Clip(source, path_of(source))
        if not isinstance(source, str | bytes | tuple | PathLike):
            return clip
        found, seconds = [], 0.0
        try:
            if is_picture(source):
                return Clip(source, clip.path, windows=[], answered=answer_picture(self._graph, self._info, source))
            for window in self._windows(clip):
                found.append(window)
                seconds += len(window) / self._info.sample_rate_hz
                if seconds > AHEAD_S:
                    return Clip(source, clip.path)
        except (AudioError, MissingExtraError) as error:
            clip.error = str(error)
        clip.windows = [] if clip.error else found
        return clip

    def _predict_long(self, clip: Clip) -> None:
        pending: Pending = []
        try:
            for window in self._windows(clip):
                pending.append((clip, window))
                if self._seconds(pending) > self._batch_s:
                    self._run(pending)
                    pending = []
        except (AudioError, MissingExtraError) as error:
            clip.error = str(error)
        else:
            self._run(pending)

    def _seconds(self, pending: Pending) -> float:
        return sum(len(window) for _, window in pending) / self._info.sample_rate_hz

    def _windows(self, clip: Clip) -> Iterator[Waveform]:
        """Yield the windows that the network is to hear: long enough and not silent."""
        rate = self._info.sample_rate_hz
        with open_audio(clip.source, self._max_seconds) as stream:
            blocks = resampled(clip.measured(stream), stream.sample_rate_hz, rate)
            for window in windows(blocks, round(self._info.longest_s * rate)):
                levels = frame_levels_dbfs(window, rate)
                clip.levels.append(levels)
                clip.n_heard += len(window)
                if len(window) >= self._info.shortest_s * rate and not is_silent(levels):
                    yield window

    def _run(self, pending: Pending) -> None:
        """Answer windows at once."""
        self._finish(pending, self._started(pending, None))

    def _started(self, pending: Pending, pool: ThreadPoolExecutor | None) -> list[Batch]:
        """Start the network on batches of windows of similar length, or run it where there is no pool."""
        batches: list[Batch] = []
        longest_first = sorted(range(len(pending)), key=lambda number: -len(pending[number][1]))
        while longest_first:
            n_rows = max(1, int(self._batch_s * self._info.sample_rate_hz) // len(pending[longest_first[0]][1]))
            numbers, longest_first = longest_first[:n_rows], longest_first[n_rows:]
            sound = [pending[number][1] for number in numbers]
            run = partial(self._graph.run, sound, self._outputs)
            batches.append((numbers, pool.submit(run) if pool else run()))
        return batches

    def _finish(self, pending: Pending, batches: list[Batch]) -> None:
        """Give each recording the answers of its windows, in the windows' order."""
        rows: list[Row] = [{}] * len(pending)
        for numbers, running in batches:
            outputs = running.result() if isinstance(running, Future) else running
            for row, number in enumerate(numbers):
                rows[number] = {name: values[row] for name, values in outputs.items()}
        for (clip, window), answer in zip(pending, rows, strict=True):
            clip.answers.append((len(window), answer))

    def _add_up(self, clip: Clip, tally: Tally) -> None:
        """Average the answers; with adaptation, each is heard in turn."""
        for n_samples, answer in clip.answers:
            embedding = answer.pop("embedding", np.empty(0))
            if self._domain:
                tally.judge(self._domain, embedding, n_samples, self._info.sample_rate_hz)
            if self._adapter:
                seconds = n_samples / self._info.sample_rate_hz
                adapted = self._adapter.hear(embedding, answer["probabilities"], seconds, seconds)
                if adapted is not None:
                    answer["probabilities"], tally.is_adapted = adapted, True
            tally.add(answer, n_samples)
        clip.answers = []

    def _prediction(self, clip: Clip) -> Prediction:
        if clip.answered:
            return clip.answered
        if clip.error is not None or clip.tally is None:
            return Prediction(clip.path, "error", model=self._info.name, error=clip.error)
        self._add_up(clip, clip.tally)
        levels = np.concatenate(clip.levels) if clip.levels else np.empty(0)
        measured = Prediction(
            clip.path,
            "too-short" if clip.n_heard < self._info.shortest_s * self._info.sample_rate_hz else "no-speech",
            duration_s=clip.tally.duration_s,
            speech_s=min(speech_seconds(levels), clip.tally.duration_s),
            quality=clip.tally.quality(self._domain),
            model=self._info.name,
        )
        return clip.tally.answer(measured, self._info.classes)
