"""Sound that arrives piece by piece → events, as soon as they are certain.

A recording's timeline is the same machine fed with the file's blocks, so the size of the pieces changes nothing: every
window is cut at the same samples and answered alone.
"""

import math
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from earnest.audio.io import mono_chunk, notes_of
from earnest.audio.quality import Mixer
from earnest.audio.waveform import Waveform
from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, shown
from earnest.runtime.adaptation import Listener
from earnest.runtime.answers import AnswerBuilder
from earnest.runtime.graph import WindowNetwork
from earnest.runtime.prediction import Event, Gap, Options, Prediction
from earnest.runtime.windows import Job, Over, Windower, Windowing

PIECE_S = 10.0  # what is worked on at a time, however much is handed over


class Stream:
    """Listens to one recording; call `finish` at its end. Leaving a ``with`` block without it gives up what is left.

    What is no longer than a window and a hop is answered at its end; in what is longer, windows are told as soon as
    they are whole. Memory is bounded by the window's length: nothing that was told is kept.
    """

    def __init__(
        self,
        network: WindowNetwork,
        info: BundleInfo,
        sample_rate_hz: int,
        windowing: Windowing,
        adapter: Listener | None,
        options: Options,
    ) -> None:
        self._network, self._input_rate = network, sample_rate_hz
        self._answers = AnswerBuilder(info, sample_rate_hz, windowing, options, adapter)
        self._windower = Windower(info.sample_rate_hz, sample_rate_hz, windowing, needs_activity=not info.sounds)
        self.activity, self.classes = self._windower.activity, self._answers.classes
        self._mixer, self._finished = Mixer(sample_rate_hz), False
        self._n_piece = max(round(PIECE_S * sample_rate_hz), 1)
        self._in_use = threading.RLock()  # after a Ctrl-C just there, its own thread goes on

    def __repr__(self) -> str:
        finished = ", finished" if self._finished else ""
        return f"<Stream at {self._input_rate} Hz, {self.received_s:.1f} s handed over{finished}>"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: it listens to one recording, where the model is."""
        raise EarnestError(
            "A stream can't be pickled or copied. Make it where the sound comes: model.stream(sample_rate_hz). A model "
            "can be pickled."
        )

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self._finished = True

    @property
    def received_s(self) -> float:
        """Seconds that were handed over."""
        return self._answers.tally.duration_s

    @property
    def is_speaking(self) -> bool:
        """Whether somebody speaks now."""
        return self._windower.is_speaking

    def accept_waveform(self, waveform: npt.ArrayLike) -> list[Event]:
        """Take the next samples, any number of them, and return what became certain.

        Parameters
        ----------
        waveform : shape (samples,) or (samples, channels); floats in [-1, 1], integers scaled by their type's range
        """
        return self._accept(waveform)

    def accept_frames(self, frames: npt.NDArray[np.floating | np.integer]) -> list[Event]:
        """Accept frames as `accept_waveform` does, without a guess: here one sample of 16 channels is one frame.

        Parameters
        ----------
        frames : shape (samples, channels)
        """
        return self._accept(frames, are_frames=True)

    def _accept(self, waveform: npt.ArrayLike, are_frames: bool = False) -> list[Event]:
        with self._one_thread():
            chunk = mono_chunk(waveform, self._mixer, are_frames=are_frames)
            pieces = (chunk[start : start + self._n_piece] for start in range(0, len(chunk), self._n_piece))
            return [event for piece in pieces for event in self._heard(piece)]

    def skip(self, seconds: float) -> list[Event]:
        """Skip lost sound: it is heard as silence, so speech ends there where the gap is as long as a pause.

        Raises `EarnestError` when that is no time: negative, endless, or no number.
        """
        if not (isinstance(seconds, Real) and 0 <= seconds < math.inf):
            raise EarnestError(f"seconds: expected how much was lost, a number from 0 on, got {shown(seconds)}.")
        with self._one_thread():
            start_s = self.received_s
            n_lost = round(seconds * self._input_rate)
            events: list[Event] = []
            for n_done in range(0, n_lost, self._n_piece):
                events += self._heard(np.zeros(min(self._n_piece, n_lost - n_done), np.float32))
            return [*events, Gap(round(start_s, 3), round(self.received_s, 3))]

    def finish(self) -> list[Event]:
        """End the recording and return the rest; nothing can be handed over afterwards.

        Raises `AudioError` when its channels cancelled each other, so that next to silence was heard.
        """
        with self._one_thread():
            self._finished = True
            self._mixer.check("stream")
            return list(self._answered(self._windower.finish()))

    def prediction(self, path: str = "-", *, notes: tuple[str, ...] = ()) -> Prediction:
        """Return the answer of all windows so far together; see `earnest.runtime.prediction`.

        Parameters
        ----------
        notes : what was found where the recording was read, see `earnest.audio.io.AudioStream`
        """
        return self._answers.prediction(path, self._windower.is_whole, notes or notes_of(self._mixer))

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        """Refuse what comes after the end, or from another thread meanwhile: windows would be cut at wrong samples."""
        if not self._in_use.acquire(blocking=False):
            raise EarnestError("Two threads use this stream at once. Hand it sound, and finish it, from one alone.")
        try:
            if self._finished:
                raise EarnestError("This stream is finished. Open another one with model.stream(…).")
            yield
        finally:
            self._in_use.release()

    def _heard(self, piece: Waveform) -> Iterator[Event]:
        self._answers.tally.hear(piece)
        return self._answered(self._windower.accept(piece))

    def _answered(self, jobs: Iterable[Job]) -> Iterator[Event]:
        for job in filter(self._answers.wants, jobs):
            batch = {} if isinstance(job, Over) else self._network.run([job.sound])
            yield from self._answers.take(job, {name: values[0] for name, values in batch.items()})
