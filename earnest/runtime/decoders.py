"""What decodes: this process, or child processes that have nothing to lose."""

from contextlib import AbstractContextManager
from typing import Protocol

from earnest.audio.io import AudioStream, open_audio
from earnest.audio.source import Source
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
