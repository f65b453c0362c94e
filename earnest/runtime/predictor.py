"""Recordings → predictions, without torch."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from earnest.audio.io import MAX_SECONDS, AudioStream, open_audio, resampled
from earnest.audio.segment import Levels, frame_levels_dbfs, is_silent, speech_seconds, windows
from earnest.audio.source import Source, path_of
from earnest.audio.waveform import Waveform
from earnest.bundle import DEFAULT_BUNDLE, Bundle, load_bundle
from earnest.errors import AudioError, MissingExtraError
from earnest.runtime.graph import Graph
from earnest.runtime.prediction import Prediction
from earnest.runtime.stream import Stream, Windowing
from earnest.runtime.tally import Tally
from earnest.runtime.timeline import Envelope, Event, Timeline

BATCH_S = 60.0  # padded seconds in one run of the network
WAITING_S = 240.0  # seconds decoded before the network runs: enough to find neighbours of similar length
WAITING_CLIPS = 64
TIMELINE_MAX_SECONDS = 48 * 3600.0  # blocks pass through; what grows is the answer


@dataclass
class _Clip:
    """One recording on its way."""

    path: str
    tally: Tally = field(default_factory=Tally)
    n_heard: int = 0  # at the model's rate
    levels: list[Levels] = field(default_factory=list)
    error: str | None = None

    def measured(self, stream: AudioStream) -> Iterator[Waveform]:
        """Pass the blocks on, taking down what they are like."""
        self.tally.sample_rate_hz = stream.sample_rate_hz
        for block in stream.blocks:
            self.tally.hear(block)
            yield block


Pending: TypeAlias = list[tuple[_Clip, Waveform]]
"""Windows that wait for the network, each with its recording."""


class Predictor:
    """A bundle, ready to answer.

    Recordings longer than the bundle's ``longest_s`` are cut into windows of that length; their probabilities are
    averaged, weighted by length, and silent windows are left out.
    """

    def __init__(self, bundle: Bundle, threads: int = 1, max_seconds: float = MAX_SECONDS) -> None:
        self.info = bundle.info
        self.max_seconds = max_seconds
        self.graph = Graph(bundle, threads)

    @classmethod
    def load(cls, name_or_path: str | Path = DEFAULT_BUNDLE, threads: int = 1) -> "Predictor":
        """Load a bundle by name (shipped) or by path.

        Raises
        ------
        BundleError
            When it is missing, damaged or no bundle.
        """
        return cls(load_bundle(name_or_path), threads)

    def predict(self, source: Source) -> Prediction:
        """Predict the emotion of one recording.

        Parameters
        ----------
        source : path, bytes, open binary file, or (array, sample rate in Hz)

        Raises
        ------
        AudioError
            When the recording can't be read.
        """
        clip = _Clip(path_of(source))
        self._run([(clip, window) for window in self._windows(source, clip)])
        return self._prediction(clip)

    def predict_many(self, sources: Iterable[Source]) -> Iterator[Prediction]:
        """Predict many recordings, in their order; what can't be read is a row with status "error".

        Recordings of similar length share a run of the network; at most some minutes of sound are held at a time.
        """
        waiting: deque[_Clip] = deque()
        pending: Pending = []
        for source in sources:
            clip = _Clip(path_of(source))
            waiting.append(clip)
            try:
                for window in self._windows(source, clip):
                    pending.append((clip, window))
                    if self._seconds(pending) > WAITING_S:
                        self._run(pending)
                        pending = []
            except (AudioError, MissingExtraError) as error:
                clip.error = str(error)
                pending = [item for item in pending if item[0] is not clip]
            if len(waiting) >= WAITING_CLIPS or self._seconds(pending) > WAITING_S:
                self._run(pending)
                pending = []
                while waiting:
                    yield self._prediction(waiting.popleft())
        self._run(pending)
        for clip in waiting:
            yield self._prediction(clip)

    def _seconds(self, pending: Pending) -> float:
        return sum(len(window) for _, window in pending) / self.info.sample_rate_hz

    def _windows(self, source: Source, clip: _Clip) -> Iterator[Waveform]:
        """Yield the windows that the network is to hear: long enough and not silent."""
        rate = self.info.sample_rate_hz
        with open_audio(source, self.max_seconds) as stream:
            blocks = resampled(clip.measured(stream), stream.sample_rate_hz, rate)
            for window in windows(blocks, round(self.info.longest_s * rate)):
                levels = frame_levels_dbfs(window, rate)
                clip.levels.append(levels)
                clip.n_heard += len(window)
                if len(window) >= self.info.shortest_s * rate and not is_silent(levels):
                    yield window

    def _run(self, pending: Pending) -> None:
        """Run the windows in batches of similar length."""
        longest_first = sorted(pending, key=lambda item: -len(item[1]))
        while longest_first:
            n_rows = max(1, int(BATCH_S * self.info.sample_rate_hz) // len(longest_first[0][1]))
            batch, longest_first = longest_first[:n_rows], longest_first[n_rows:]
            outputs = self.graph.run([window for _, window in batch])
            for row, (clip, window) in enumerate(batch):
                clip.tally.add(outputs, row, len(window))

    def _prediction(self, clip: _Clip) -> Prediction:
        if clip.error is not None:
            return Prediction(clip.path, "error", model=self.info.name, error=clip.error)
        levels = np.concatenate(clip.levels) if clip.levels else np.empty(0)
        measured = Prediction(
            clip.path,
            "too-short" if clip.n_heard < self.info.shortest_s * self.info.sample_rate_hz else "no-speech",
            duration_s=clip.tally.duration_s,
            speech_s=min(speech_seconds(levels), clip.tally.duration_s),
            quality=clip.tally.quality(),
            model=self.info.name,
        )
        return clip.tally.answer(measured, self.info.classes)

    def stream(self, sample_rate_hz: int, windowing: Windowing | None = None) -> Stream:
        """Open a stream; hand it sound with `Stream.accept_waveform`, end it with `Stream.finish`.

        Parameters
        ----------
        sample_rate_hz : of what will be handed over
        """
        return Stream(self.graph, self.info, sample_rate_hz, windowing)

    def timeline(self, source: Source, windowing: Windowing | None = None) -> Timeline:
        """Tell the emotion over time of a recording of any length; memory stays bounded.

        Parameters
        ----------
        source : path, bytes, open binary file, or (array, sample rate in Hz)

        Raises
        ------
        AudioError
            When the recording can't be read.
        """
        with open_audio(source, TIMELINE_MAX_SECONDS) as audio:
            stream, envelope = self.stream(audio.sample_rate_hz, windowing), Envelope(audio.sample_rate_hz)
            events: list[Event] = []
            for block in audio.blocks:
                envelope.accept(block)
                events += stream.accept_waveform(block)
            events += stream.finish()
        return Timeline.of(stream.prediction(path_of(source)), events, stream.activity, self.info.classes, envelope)
