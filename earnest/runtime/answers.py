"""What windows say, one after the other → events over time, and one answer about the whole recording."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from earnest.audio.speech import Extent
from earnest.bundle import BundleInfo
from earnest.runtime.adapter import Adapter
from earnest.runtime.gate import verdict_of
from earnest.runtime.options import ClassChoice, Options
from earnest.runtime.prediction import Prediction, VocalBurst
from earnest.runtime.smoothing import Run, Smoother
from earnest.runtime.tally import Tally
from earnest.runtime.timeline import Event, Segment, Span, Window
from earnest.runtime.windows import Heard, Job, Over, Windowing

Outputs = dict[str, npt.NDArray[np.floating]]


class Answers:
    """Takes the network's outputs for each window of one recording, in order; so every face of it says the same.

    Attributes
    ----------
    classes : those that were asked for
    needed : names of the outputs that it takes
    tally : what the recording is like, and what its answers add up to
    """

    def __init__(
        self,
        info: BundleInfo,
        predicted: tuple[str, ...],
        sample_rate_hz: int,
        windowing: Windowing,
        options: Options,
        adapter: Adapter | None = None,
    ) -> None:
        self._info, self._adapter, self._rate = info, adapter, info.sample_rate_hz
        self._choice = ClassChoice(info, options)
        self.classes = self._choice.classes
        below = info.abstain_below if options.abstain_below is None else options.abstain_below
        self.needed = (*predicted, "embedding") if adapter else predicted
        self.tally = Tally(sample_rate_hz, self.classes, below)
        self._smoother = Smoother(round(windowing.hop_s * self._rate), self.classes, below)
        self._answered_to = 0
        self._has_spoken = False  # in the segment that goes on

    def wants(self, job: Job) -> bool:
        """Whether there is anything to do: a window must be long enough for the network."""
        return isinstance(job, Over) or len(job.sound) >= self._info.shortest_s * self._rate

    def window(self, heard: Heard, outputs: Outputs) -> Iterator[Event]:
        """Take what the network says about one window, each output without its batch axis."""
        verdict = verdict_of(outputs, self._info.sounds)
        embedding = outputs.pop("embedding", np.empty(0))
        if verdict.is_speech and self._adapter:
            self._adapt(self._adapter, heard.extent, embedding, outputs)
        shares = outputs["probabilities"] = self._choice.of(outputs["probabilities"])
        if verdict.is_speech:
            self.tally.add(outputs, len(heard.extent))
            yield Window(*self._seconds(heard.extent), dict(zip(self.classes, shares.tolist(), strict=True)))
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

    def prediction(self, path: str, is_whole: bool = False) -> Prediction:
        """Return what all windows so far say together.

        Parameters
        ----------
        is_whole : whether the recording was heard at once
        """
        duration_s = self.tally.duration_s
        measured = Prediction(
            path,
            "too-short" if duration_s < self._info.shortest_s else "no-speech",
            duration_s=duration_s,
            speech_s=min(self.tally.n_speech / self._rate, duration_s),
            quality=self.tally.quality(self._info.out_of_domain_from),
            model=self._info.name,
        )
        is_summary = not is_whole and (self.tally.n_segments > 1 or duration_s > self._info.longest_s)
        return self.tally.answer(measured, is_summary)

    def _adapt(self, adapter: Adapter, extent: Extent, embedding: npt.NDArray[np.floating], outputs: Outputs) -> None:
        """Put the adapted answer in the plain one's place, where the adapter knows enough."""
        new = extent.end - max(extent.start, self._answered_to)
        adapted = adapter.hear(embedding, outputs["probabilities"], len(extent) / self._rate, new / self._rate)
        if adapted is not None:
            outputs["probabilities"], self.tally.is_adapted = adapted, True
        self._answered_to = extent.end

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
