"""Sound from the microphone, through PortAudio."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from earnest.audio.feed import CHUNK_S, Feed
from earnest.errors import AudioError, MissingExtraError


@contextmanager
def microphone(sample_rate_hz: int, device: str | None = None) -> Iterator[Feed]:
    """Open a microphone; the feed fills while the block lasts.

    Parameters
    ----------
    device : number or part of a name, None for the system's default

    Raises
    ------
    MissingExtraError
        Where sounddevice is not installed.
    AudioError
        When PortAudio or the device is missing, or refuses the rate.
    """
    sounddevice = _sounddevice()
    feed = Feed(sample_rate_hz)

    def heard(data: Any, _frames: int, _time: Any, _status: Any) -> None:
        feed.put(data)

    try:
        stream = sounddevice.InputStream(
            samplerate=sample_rate_hz,
            channels=1,
            dtype="float32",
            blocksize=round(CHUNK_S * sample_rate_hz),
            device=int(device) if device and device.isdigit() else device,
            callback=heard,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise AudioError(
            f"The microphone can't be opened ({reason}). List devices: earnest listen --devices."
        ) from error
    with stream:
        try:
            yield feed
        finally:
            feed.close()


def microphones() -> list[tuple[int, str]]:
    """Return number and name of each device that can record."""
    devices = _sounddevice().query_devices()
    return [(number, str(item["name"])) for number, item in enumerate(devices) if item["max_input_channels"] > 0]


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError:
        raise MissingExtraError("the microphone", "live") from None
    except OSError as error:  # the package is there, PortAudio is not
        raise AudioError(f"{error}. Install PortAudio (Debian, Ubuntu: apt install libportaudio2).") from error
    return sounddevice
