"""One channel of a recording: the same samples from files, arrays and decoder processes; opposite ones are refused."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import earnest
from earnest.audio.io import BLOCK_S, Mixer, decode, mono_chunk, open_audio
from earnest.audio.source import Channel, file_and_channel, path_of, refuse_single, source_name, source_of
from earnest.errors import AudioError
from earnest.runtime.decoders import start_decoders
from earnest.testing.sounds import voice

RATE_HZ = 16_000
LEFT, RIGHT = voice(0.5, seed=1), voice(0.5, seed=2)
CALL = np.stack([LEFT, RIGHT], axis=1)


def wav(samples: Any = CALL) -> bytes:
    file = BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize("number", [1, np.int64(2)])
@pytest.mark.parametrize(
    "source", [wav(), bytearray(wav()), (CALL, RATE_HZ), (CALL.T, RATE_HZ), {"array": CALL, "sampling_rate": RATE_HZ}]
)
def test_a_channel_is_that_channel_of_every_form(source: Any, number: int) -> None:
    heard = decode(source_of(earnest.Channel(source, number)))
    np.testing.assert_array_equal(heard.waveform, CALL[:, number - 1])
    assert heard.n_channels == 2


def test_a_decoder_process_gives_the_same_channel(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(wav())
    decoders = start_decoders(1)
    try:
        for source in (Channel(tmp_path / "call.wav", 2), tmp_path / "call.wav#2", Channel((CALL, RATE_HZ), 2)):
            with decoders.open_audio(source, 60) as stream:
                np.testing.assert_array_equal(np.concatenate(list(stream.blocks)), RIGHT)
        with (
            pytest.raises(AudioError, match=r"call\.wav#3: there is no channel 3, only 2 channels"),
            decoders.open_audio(Channel(tmp_path / "call.wav", 3), 60),
        ):
            pass
    finally:
        decoders.close()


def test_what_a_channel_is_called() -> None:
    assert path_of(Channel("calls/a.wav", 2)) == "calls/a.wav#2"
    assert source_name(Channel(b"1234", 1)) == "recording of 4 bytes, channel 1"
    assert path_of(Channel({"path": "a.wav", "array": CALL, "sampling_rate": RATE_HZ}, 1)).endswith("#1")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("calls/a.wav#2", ("calls/a.wav", 2)),
        ("-#1", ("-", 1)),
        ("bytes#12", ("bytes", 12)),
        ("a.wav", ("a.wav", None)),
        ("take#2", ("take#2", None)),
        ("take#2.wav", ("take#2.wav", None)),
        ("a.wav#0", ("a.wav#0", None)),
        ("b.c/take#2", ("b.c/take#2", None)),
    ],
)
def test_such_a_path_is_read_back(path: str, expected: tuple[str, int | None]) -> None:
    assert file_and_channel(path) == expected


def test_such_a_path_is_that_channel_unless_a_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "call.wav").write_bytes(wav())
    for path in (f"{tmp_path}/call.wav#2", tmp_path / "call.wav#2"):
        np.testing.assert_array_equal(decode(path).waveform, RIGHT)
    with pytest.raises(AudioError, match=r"call\.wav#3: there is no channel 3, only 2 channels"):
        decode(tmp_path / "call.wav#3")
    with pytest.raises(AudioError, match=r"gone\.wav#1: no such file"):
        decode(tmp_path / "gone.wav#1")
    (tmp_path / "call.wav#2").write_bytes(wav(LEFT))
    np.testing.assert_array_equal(decode(tmp_path / "call.wav#2").waveform, LEFT)


@pytest.mark.parametrize("number", [0, -1, 257, 1.0, True, "1", None])
def test_numbers_of_no_channel_are_refused(number: Any) -> None:
    with pytest.raises(AudioError, match=r"a\.wav: channel .* expected a whole number from 1 to 256"):
        Channel("a.wav", number)


def test_a_channel_of_a_channel_and_one_for_many_are_refused() -> None:
    with pytest.raises(AudioError, match="is one channel already"):
        Channel(Channel("a.wav", 1), 1)
    with pytest.raises(AudioError, match="Expected several recordings, got one"):
        refuse_single(Channel("a.wav", 1))


@pytest.mark.parametrize("source", [wav(np.stack([LEFT, LEFT], 1)), (LEFT, RATE_HZ)], ids=["stereo", "mono"])
def test_a_channel_that_isn_t_there_is_named(source: Any) -> None:
    with pytest.raises(AudioError, match=r"3: there is no channel 3, only (one channel|2 channels)"):
        decode(Channel(source, 3))


def test_channels_that_cancel_each_other_are_not_taken_for_silence() -> None:
    opposite = np.stack([LEFT, -LEFT], axis=1)
    for source in (wav(opposite), (opposite, RATE_HZ)):
        with pytest.raises(AudioError, match=r"2 channels cancel each other.*--channel 1"):
            decode(source)
        np.testing.assert_array_equal(decode(Channel(source, 1)).waveform, LEFT)
    mono_chunk(opposite, Mixer(RATE_HZ))  # too little to judge by


@pytest.mark.parametrize(
    "samples",
    [
        CALL,
        np.zeros_like(CALL),
        np.stack([LEFT, 0 * LEFT], 1),
        np.stack([LEFT, -0.9 * LEFT], 1),
        np.stack([LEFT, -LEFT, LEFT], 1),
    ],
    ids=["two voices", "silence", "one side", "nearly opposite", "three"],
)
def test_what_is_left_of_other_channels_is_heard(samples: Any) -> None:
    np.testing.assert_allclose(decode(wav(samples)).waveform, samples.mean(axis=1), atol=1e-7)


def test_a_long_recording_that_is_opposite_for_a_while_is_heard() -> None:
    n_block = round(BLOCK_S * RATE_HZ)
    left = np.resize(LEFT, 3 * n_block)
    right = np.concatenate([-left[: 2 * n_block], left[2 * n_block :]])
    with open_audio((np.stack([left, right], axis=1), RATE_HZ)) as stream:
        assert sum(map(len, stream.blocks)) == 3 * n_block
