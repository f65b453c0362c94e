"""All channels → one: channels that take turns like two sides of a call are noticed, one speaker in stereo is not."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

import earnest
from earnest.audio.mixing import Mixer
from earnest.audio.waveform import Waveform
from earnest.testing.sounds import write_voice

RATE_HZ = 16_000


def turns(*levels: tuple[float, float]) -> Waveform:
    """Half seconds of noise at these levels of two channels; neither is ever silent."""
    rng = np.random.default_rng(3)
    parts = [rng.normal(0, 0.1, (RATE_HZ // 2, 1)) * np.array(level) for level in levels]
    sound = np.concatenate(parts) + rng.normal(0, 1e-3, (RATE_HZ // 2 * len(levels), 2))
    return np.asarray(sound, np.float32)


def are_separate(sound: Waveform, *pieces: int) -> bool:
    mixer = Mixer(RATE_HZ)
    for piece in np.split(sound, pieces):
        mixer.mean(piece)
    return mixer.has_separate_channels()


def test_a_call_takes_turns_also_with_an_echo_of_the_other_side() -> None:
    assert are_separate(turns((1, 0), (0, 1), (1, 0)))
    assert are_separate(turns((1, 0.056), (0.056, 1)))  # −25 dB


@pytest.mark.parametrize(
    "sound",
    [
        turns((1, 1), (1, 1)),
        turns((1, 0.4), (0.4, 1)),  # one speaker moves from one microphone to the other
        turns((1, 0), (1, 0)),  # one side alone
        turns((1, 0), *[(1, 0)] * 12, (0, 1)),  # less than a tenth
        turns((0.01, 0), (0, 0.01)),  # nothing is heard
        np.repeat(turns((1, 0)), 8, axis=0)[:, :1],
    ],
)
def test_one_speaker_in_stereo_does_not(sound: Waveform) -> None:
    assert not are_separate(sound)


def test_neither_does_a_spaced_pair_of_microphones() -> None:
    mono = turns((1, 0), (0.1, 0), (1, 0), (0.02, 0))[:, 0]
    assert not are_separate(np.stack([mono, 0.4 * np.roll(mono, RATE_HZ // 1000)], axis=1))


def test_where_pieces_end_changes_nothing() -> None:
    levels = [(1.0, 0.0), (0.0, 1.0)], [(1.0, 0.2), (0.0, 1.0)], [(1.0, 1.0), (0.5, 1.0)]
    sounds = [turns(*both) for both in levels]
    assert [are_separate(sound, 1, 700, 701, 9_000) for sound in sounds] == [are_separate(sound) for sound in sounds]
    assert {are_separate(sound) for sound in sounds} == {True, False}


def test_every_answer_tells_it_unless_one_channel_was_asked_for(tmp_path: Path) -> None:
    voice, _ = soundfile.read(write_voice(tmp_path / "voice.wav"), dtype="float32")
    silence = np.zeros_like(voice)
    call = np.stack([np.concatenate([voice, silence]), np.concatenate([silence, voice])], axis=1)
    soundfile.write(tmp_path / "call.wav", call, RATE_HZ)
    model = earnest.load("small")
    stream = model.stream(RATE_HZ)
    for start in range(0, len(call), 5_000):
        stream.accept_waveform(call[start : start + 5_000])
    stream.finish()
    answers = {
        "file": model.predict(tmp_path / "call.wav"),
        "array": model.predict((RATE_HZ, call)),
        "timeline": model.timeline(tmp_path / "call.wav").prediction,
        "stream": stream.prediction(),
        "many": next(iter(model.predict_many([tmp_path / "call.wav"]))),
    }
    assert {name: "separate-channels" in answer.quality for name, answer in answers.items()} == dict.fromkeys(
        answers, True
    )
    assert "separate-channels" not in model.predict(earnest.Channel(tmp_path / "call.wav", 1)).quality
    assert "separate-channels" not in model.predict(tmp_path / "voice.wav").quality
