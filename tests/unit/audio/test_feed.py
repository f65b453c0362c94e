"""Live sound: nothing grows, what is lost is told, and pipes are read as they come."""

import sys
import wave
from collections.abc import Callable
from io import BytesIO
from threading import Thread
from types import ModuleType
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
import soundfile
from patience import PATIENCE_S

from earnest.audio.feed import Feed, Lost, microphone, microphones, open_pipe
from earnest.errors import AudioError, MissingExtraError

RAMP = np.arange(-32_768, 32_767, 5, dtype=np.int16)


def test_a_slow_listener_is_told_what_was_lost_and_nothing_grows() -> None:
    feed = Feed(100, queue_s=1.0)
    for number in range(25):
        feed.put(np.full(10, number, np.float32))
    feed.close()
    items = list(feed)
    assert [item[0] for item in items[:10] if not isinstance(item, Lost)] == [*range(10)]
    assert items[10:] == [Lost(1.5)]


def test_what_was_lost_stands_between_the_sound_before_and_after() -> None:
    feed = Feed(100, queue_s=0.1)
    feed.put(np.zeros(10, np.float32))
    feed.put(np.zeros(7, np.float32))
    listener = iter(feed)
    assert len(next(listener)) == 10  # type: ignore[arg-type]
    feed.put(np.ones(10, np.float32))
    assert next(listener) == Lost(0.07)
    assert next(listener).tolist() == [1.0] * 10  # type: ignore[union-attr]


def test_a_listener_in_another_thread_hears_all_in_order() -> None:
    feed, heard = Feed(16_000, queue_s=100), []

    def listen() -> None:
        heard.extend(int(chunk[0]) for chunk in feed if not isinstance(chunk, Lost))

    listener = Thread(target=listen)
    listener.start()
    for number in range(500):
        feed.put(np.full(3, number, np.float32))
    feed.close()
    listener.join(PATIENCE_S)
    assert heard == list(range(500))


def test_a_microphone_from_which_nothing_comes_any_more_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earnest.audio.feed.LOOK_S", 0.001)
    feed = Feed(16_000)
    feed.put(np.zeros(10, np.float32))
    listener = iter(feed)
    assert len(next(listener)) == 10  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="The microphone stopped"):
        next(listener)


class Trickle(BytesIO):
    """A pipe that gives odd little amounts."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read(min(7, size or 7))


def wav(n_channels: int = 1) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(n_channels)
        writer.setsampwidth(2)
        writer.setframerate(22_050)
        writer.writeframes(RAMP[: len(RAMP) // 2 * 2].tobytes())
    return file.getvalue()


@pytest.mark.parametrize("kind", [BytesIO, Trickle])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_wav_in_a_pipe_is_read_by_its_header(kind: Callable[[bytes], BytesIO], n_channels: int) -> None:
    pipe = open_pipe(kind(wav(n_channels)), 8_000, 1)
    samples = np.concatenate(list(pipe.chunks))
    assert pipe.sample_rate_hz == 22_050
    expected = RAMP[: len(RAMP) // 2 * 2].reshape(-1, n_channels) / 32_768
    np.testing.assert_array_equal(samples, expected.astype(np.float32))


@pytest.mark.parametrize("kind", [BytesIO, Trickle])
def test_bare_samples_are_16_bit(kind: Callable[[bytes], BytesIO]) -> None:
    pipe = open_pipe(kind(RAMP.tobytes() + b"\1"), 16_000, 1)
    np.testing.assert_array_equal(np.concatenate(list(pipe.chunks))[:, 0], (RAMP / 32_768).astype(np.float32))


def test_the_sizes_that_ffmpeg_writes_into_a_pipe_are_not_believed() -> None:
    data = wav()
    unknown = data[:4] + b"\xff" * 4 + data[8:40] + b"\xff" * 4 + data[44:]
    assert sum(map(len, open_pipe(BytesIO(unknown), 8_000, 1).chunks)) == len(RAMP) // 2 * 2


@pytest.mark.parametrize("kind", [BytesIO, Trickle])
def test_what_is_behind_the_sound_of_a_wav_is_not_heard(kind: Callable[[bytes], BytesIO]) -> None:
    tagged = wav() + b"id3 \x40\x1f\0\0" + bytes(range(1, 251)) * 32
    assert sum(map(len, open_pipe(kind(tagged), 8_000, 1).chunks)) == len(RAMP) // 2 * 2


@pytest.mark.parametrize("data", [b"\0", b"RIFF"])
def test_next_to_nothing_is_no_sound(data: bytes) -> None:
    assert sum(map(len, open_pipe(BytesIO(data), 16_000, 1).chunks)) == len(data) // 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "-: no bytes. It is empty"),
        (b"fLaC" + bytes(40), "FLAC can't be read as a stream"),
        (b"OggS" + bytes(40), "Ogg can't be read"),
        (b"RF64\xff\xff\xff\xffWAVEds64" + bytes(40), "RF64 can't be read"),  # ffmpeg -rf64 always
        (b"\0\0\0\x20ftypM4A " + bytes(40), "MP4 can't be read"),
        (b"#!AMR\n" + bytes(40), "AMR can't be read"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(40), "WMA can't be read"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(40), "AVI can't be read"),
        (wav()[:20] + b"\7\0" + wav()[22:], "WAV of µ-law, 1 channel, 22050 Hz can"),
        (wav()[:20] + b"\2\0" + wav()[22:], r"WAV of 16 bits.*ffmpeg -i RECORDING .* \| earnest listen -"),
        (wav()[:36], "a WAV header without sound"),
        (b"RIFF\0\0\0\0WAVE" + bytes(100), "a WAV header without sound"),
    ],
)
def test_other_formats_in_a_pipe_are_an_error_that_says_what_to_do(data: bytes, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        open_pipe(BytesIO(data), 16_000, 1)


@pytest.mark.parametrize("kind", [BytesIO, Trickle])
def test_bare_floats_are_told_and_no_16_bit_sound_is_taken_for_them(kind: Callable[[bytes], BytesIO]) -> None:
    rng = np.random.default_rng(0)
    for level in (1e-4, 0.01, 0.3):
        floats = (level * rng.uniform(-1, 1, 4_000)).astype("<f4").tobytes()
        with pytest.raises(AudioError, match=r"32-bit floats.*ffmpeg -f f32le"):
            open_pipe(kind(floats), 16_000, 1)
        with pytest.raises(AudioError, match="32-bit floats"):
            open_pipe(kind(bytes(400) + floats), 16_000, 1)
    time_s = np.arange(4_000) / 16_000
    for level in (1, 100, 12_000, 16_000, 32_767):
        for sound in (rng.uniform(-1, 1, 4_000), np.sin(99 * time_s), np.sign(np.sin(99 * time_s)), np.ones(4_000)):
            samples = (level * sound).astype("<i2")
            heard = np.concatenate(list(open_pipe(kind(samples.tobytes()), 16_000, 1).chunks))
            np.testing.assert_array_equal(heard[:, 0] * 32_768, samples)


@pytest.mark.parametrize("sample_rate_hz", [44_100, 48_000, 32_000, 24_000, 16_000, 8_000])
def test_mp3_in_a_pipe_is_told_by_its_frames_and_samples_that_begin_alike_are_heard(sample_rate_hz: int) -> None:
    file = BytesIO()
    soundfile.write(file, np.sin(np.arange(sample_rate_hz) / 9), sample_rate_hz, format="MP3")
    data = file.getvalue()
    assert data[0] == 0xFF  # no ID3 before it
    with pytest.raises(AudioError, match="MP3 can't be read as a stream"):
        open_pipe(Trickle(data), 16_000, 1)
    samples = data[:4] + RAMP.tobytes()
    for cut in (4, 20, len(samples) // 2 * 2):  # also a pipe that ends within what would be the first frame
        chunks = open_pipe(Trickle(samples[:cut]), 16_000, 1).chunks
        np.testing.assert_array_equal(np.concatenate(list(chunks))[:, 0] * 32_768, np.frombuffer(samples[:cut], "<i2"))


def fake_sounddevice(refuses: bool = False, has_none: bool = False) -> Any:
    module: Any = ModuleType("sounddevice")
    module.PortAudioError = type("PortAudioError", (Exception,), {})

    class InputStream:
        def __init__(self, callback: Callable[..., None], **settings: Any) -> None:
            if refuses:
                raise module.PortAudioError("Invalid sample rate\nPaErrorCode -9997")
            self.callback, self.settings, self.closed = callback, settings, False

        def __enter__(self) -> None:
            for number in range(3):
                self.callback(np.full((self.settings["blocksize"], 1), number / 4, np.float32), 0, None, None)

        def __exit__(self, *_: object) -> None:
            self.closed = True

    module.InputStream = InputStream
    plugged = {"Speaker": 0} if has_none else {"Speaker": 0, "Headset": 1}
    devices: list[dict[str, object]] = []

    def begin() -> None:
        devices[:] = [{"name": name, "max_input_channels": n, "hostapi": 0} for name, n in module.plugged.items()]

    module.plugged, module._terminate, module._initialize = plugged, devices.clear, begin
    module.query_devices, module.query_hostapis = lambda: devices, lambda: [{"name": "ALSA"}]
    begin()
    return module


def test_a_microphone_fills_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice())
    with microphone(16_000) as feed:
        pass
    chunks = [chunk for chunk in feed if not isinstance(chunk, Lost)]
    assert [(chunk.shape, float(chunk[0, 0])) for chunk in chunks] == [
        ((1_600, 1), 0),
        ((1_600, 1), 0.25),
        ((1_600, 1), 0.5),
    ]
    assert microphones() == [(1, "Headset, ALSA")]


def test_a_microphone_that_is_plugged_in_later_is_found_when_nothing_records(monkeypatch: pytest.MonkeyPatch) -> None:
    module = fake_sounddevice()
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr("earnest.audio.feed._opened", WeakSet())  # of this test alone
    with microphone(16_000):
        module.plugged = {"Camera": 1, **module.plugged}
        assert microphones() == [(1, "Headset, ALSA")]
    assert microphones() == [(0, "Camera, ALSA"), (2, "Headset, ALSA")]


def test_sound_devices_that_could_not_be_listed_once_are_listed_later(monkeypatch: pytest.MonkeyPatch) -> None:
    module = fake_sounddevice()
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    monkeypatch.setattr("earnest.audio.feed._opened", WeakSet())

    def end() -> None:
        raise module.PortAudioError("PortAudio not initialized")

    monkeypatch.setattr(module, "_terminate", end)
    assert microphones() == [(1, "Headset, ALSA")]


def test_a_microphone_that_refuses_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(refuses=True))
    with pytest.raises(AudioError, match=r"can't be opened \(Invalid sample rate\)"), microphone(16_000):
        pass


def test_a_computer_without_a_microphone_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(refuses=True, has_none=True))
    with pytest.raises(AudioError, match="There is no microphone"), microphone(16_000):
        pass


def test_without_sounddevice_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtraError, match=r"earnest\[live\]"), microphone(16_000):
        pass


def test_without_portaudio_the_package_of_the_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(AudioError, match="libportaudio2"), microphone(16_000):
        pass
