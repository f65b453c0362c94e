"""Decoders: this process, or child processes that have nothing to lose."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from earnest.audio.deadline import Deadline
from earnest.audio.io import MAX_SECONDS, AudioStream, open_audio
from earnest.audio.source import Source, source_name
from earnest.errors import AudioError
from earnest.runtime.picture import Picture, read_picture


class Decoders(Protocol):
    """Opens recordings and pictures; see `InProcess` and `earnest.runtime.decoder_pool.DecoderPool`."""

    def open_audio(self, source: Source, max_seconds: float) -> AbstractContextManager[AudioStream]:
        """Open a recording for reading block by block; see `earnest.audio.io.open_audio`."""

    def read_picture(self, source: Source) -> Picture:
        """Read a spectrogram; see `earnest.runtime.picture.read_picture`."""

    def close(self) -> None:
        """End the processes, if there are any."""


class InProcess:
    """Decodes in the thread that asks."""

    def open_audio(self, source: Source, max_seconds: float) -> AbstractContextManager[AudioStream]:
        """See `Decoders`."""
        return open_audio(source, max_seconds)

    def read_picture(self, source: Source) -> Picture:
        """See `Decoders`."""
        return read_picture(source)

    def close(self) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Reading:
    """Settings of reading recordings.

    Attributes
    ----------
    max_seconds : longer ones are refused
    file_s : seconds in which one must be decoded and cut into windows, a long one answered; infinity for no bound
    """

    max_seconds: float = MAX_SECONDS
    decoders: Decoders = field(default_factory=InProcess)
    file_s: float = math.inf

    def open_audio(self, source: Source) -> AbstractContextManager[AudioStream]:
        """Open a recording; see `Decoders`."""
        return self.decoders.open_audio(source, self.max_seconds)

    def deadline(self, source: Source) -> Deadline:
        """Start the clock for one recording; its error is one of the recording's own."""
        told = f"{source_name(source)}: not read within {self.file_s:g} s. Leave it out, or allow more time."
        return Deadline(self.file_s, told, AudioError)
