"""A part of a recording is heard as if it had been cut out, in every form, by this process and by decoders' own."""

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import earnest
from earnest.audio.io import decode
from earnest.audio.source import Channel, Part, path_of, recording_and_start, source_name, source_of, whole_and_channel
from earnest.errors import AudioError, RecordingTooLongError
from earnest.runtime.decoders import start_decoders

RATE_HZ = 8_000
SOUND = (np.arange(4 * RATE_HZ)[:, None] % [101, 67] / 100 - 0.3).astype(np.float32)  # two channels


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "talk.wav", SOUND, RATE_HZ, subtype="FLOAT")
    return tmp_path / "talk.wav"


def test_a_part_is_that_part_of_every_form(talk: Path) -> None:
    wanted = SOUND[12_000:20_000]
    mean, left = wanted.mean(axis=1), wanted[:, 0]
    sources: list[Any] = [talk, talk.read_bytes(), (SOUND, RATE_HZ), {"path": str(talk)}]
    for source in sources:
        np.testing.assert_allclose(decode(source_of(Part(source, 1.5, 2.5))).waveform, mean, atol=1e-7)
        np.testing.assert_array_equal(decode(source_of(Part(Channel(source, 1), 1.5, 2.5))).waveform, left)
    assert len(decode(Part(talk, 3.5)).waveform) == len(decode(Part(talk, 3.5, 9)).waveform) == RATE_HZ // 2
    assert whole_and_channel(Part(Channel(talk, 2), 1)) == (talk, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors don't travel there")
def test_a_decoder_process_gives_the_same_part_also_of_what_is_too_long_as_a_whole(talk: Path) -> None:
    with start_decoders(1) as decoders:
        for source in (Part(talk, 1.5, 2.5), Part(Channel(talk, 2), 1.5, 2.5), Part((SOUND, RATE_HZ), 1.5, 2.5)):
            with decoders.open_audio(source, 1.0) as stream:
                assert stream.name == source_name(source)
                np.testing.assert_array_equal(np.concatenate([*stream.blocks]), decode(source, 1.0).waveform)
        soundfile.write(talk.with_name("long.wav"), np.tile(SOUND, (40, 1)), RATE_HZ)
        late = Part(talk.with_name("long.wav"), 100, 101)
        with decoders.open_audio(late, 1.0) as stream:
            np.testing.assert_array_equal(np.concatenate([*stream.blocks]), decode(late, 1.0).waveform)
        with pytest.raises(RecordingTooLongError, match=r"talk\.wav@1-3: longer than 1 s"):
            decode(Part(talk, 1, 3), 1.0)
        with pytest.raises(RecordingTooLongError), decoders.open_audio(Part(talk, 1), 1.0) as stream:
            list(stream.blocks)


def test_what_is_none_is_told(talk: Path) -> None:
    with pytest.raises(AudioError, match=r"talk\.wav@4\.5-5: the recording has ended before this part begins"):
        decode(Part(talk, 4.5, 5))
    with pytest.raises(AudioError, match="end after it begins"):
        Part("a.wav", 2, 1)
    wrong: list[tuple[Any, Any]] = [(-1, 1), ("1", 2), (0, math.nan), (math.inf, None)]
    for start, end in wrong:
        with pytest.raises(AudioError, match="expected seconds from the start"):
            Part("a.wav", start, end)
    for source in (Part("a.wav", 1), Channel("a.wav", 1)):
        with pytest.raises(AudioError, match="already"):
            Channel(source, 1)
    with pytest.raises(AudioError, match="is a part already"):
        Part(Part("a.wav", 1), 1)


def test_what_a_part_is_called() -> None:
    names = {"a/b.wav@12.5-14.25": Part("a/b.wav", 12.5, 14.25)}
    names["a.wav#2@3600.001-"] = Part(Channel("a.wav", 2), 3600.001)
    assert [path_of(part) for part in names.values()] == [*names]
    assert [recording_and_start(name) for name in names] == [("a/b.wav", 12.5), ("a.wav#2", 3600.001)]
    assert source_name(Part(b"1234", 1, 2)) == "recording of 4 bytes@1-2"
    for other in ("a.wav", "me@home.wav", "a@1-2/b.wav"):
        assert recording_and_start(other) == (other, None)


def test_a_part_is_answered_as_the_file_that_would_be_cut_out(talk: Path, tmp_path: Path) -> None:
    demo = Path(earnest.__file__).parent / "demo" / "lively.flac"
    sound, rate_hz = soundfile.read(demo, dtype="float32")
    model = earnest.load("small")
    (answer,) = model.predict_many([Part(demo, 0.5, 2.0)])
    cut = model.predict((sound[rate_hz // 2 : 2 * rate_hz], rate_hz))
    assert answer.path.endswith("lively.flac@0.5-2")
    assert answer.duration_s == 1.5
    assert answer.probabilities == cut.probabilities
    assert answer.probabilities != model.predict(demo).probabilities
