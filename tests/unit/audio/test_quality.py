"""Quality words on made-up voices of known quality; the level says what is silence; channels that take turns."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

import earnest
from earnest.audio.quality import Mixer, QualityMeter, active_part, frame_levels_dbfs, is_silent
from earnest.audio.waveform import Waveform
from earnest.testing.sounds import voice, write_voice

Sound = npt.NDArray[np.float32]


def words(waveform: Sound, sample_rate_hz: int = 16_000) -> tuple[str, ...]:
    meter = QualityMeter(sample_rate_hz)
    meter.accept(waveform)
    return meter.words()


def spoken(seed: int = 0) -> Sound:
    """Return speech with hissing sounds and a pause."""
    rng = np.random.default_rng(seed)
    hiss = rng.normal(0, 0.03, 3_200)
    return np.concatenate([voice(1.0, seed=seed), hiss, np.zeros(8_000)]).astype(np.float32)


def with_noise(snr_db: float) -> Sound:
    clean = spoken()
    noise = np.random.default_rng(1).normal(0, 1, len(clean))
    return (clean + noise * np.sqrt(np.mean(clean[:19_200] ** 2) / 10 ** (snr_db / 10))).astype(np.float32)


def test_a_good_recording_has_no_words() -> None:
    assert words(spoken()) == ()
    assert words(with_noise(20.0)) == ()


@pytest.mark.parametrize("sample_rate_hz", [16_000, 44_100, 48_000])
def test_telephone_band_is_measured_in_the_spectrum_whatever_the_rate_says(sample_rate_hz: int) -> None:
    telephone = soxr.resample(soxr.resample(spoken(), 16_000, 8_000), 8_000, sample_rate_hz)
    assert words(telephone, sample_rate_hz) == ("low-bandwidth",)
    assert words(soxr.resample(spoken(), 16_000, sample_rate_hz), sample_rate_hz) == ()


def test_images_that_a_resampler_leaves_above_the_telephone_band_hide_it_not() -> None:
    telephone = soxr.resample(soxr.resample(spoken(), 16_000, 8_000), 8_000, 16_000)
    noise = np.random.default_rng(0).normal(0, 0.01, len(telephone))
    image = butter(8, [4_100, 4_400], "bandpass", fs=16_000, output="sos")  # ffmpeg's reach up to about 4.5 kHz
    assert words((telephone + sosfilt(image, noise)).astype(np.float32)) == ("low-bandwidth",)


def test_rumble_below_a_voice_makes_no_bandwidth_low() -> None:
    rumble = np.sin(2 * np.pi * 20 * np.arange(len(spoken())) / 16_000)
    assert "low-bandwidth" not in words((0.1 * spoken() + 0.5 * rumble).astype(np.float32))


def test_sound_sampled_at_8_khz_has_a_low_bandwidth() -> None:
    assert words(voice(1.0, 8_000), 8_000) == ("low-bandwidth",)


def test_clipped_is_more_than_a_thousandth_at_full_scale() -> None:
    wave = spoken()
    wave[: len(wave) // 1_000] = 1.0
    assert "clipped" not in words(wave)
    wave[: len(wave) // 1_000 + 1] = -1.0
    assert "clipped" in words(wave)


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "PCM_U8", "PCM_16"])
def test_clipped_is_told_of_telephone_formats_too(subtype: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", np.clip(spoken() * 20, -1, 1), 8_000, subtype)
    assert "clipped" in words(soundfile.read(tmp_path / "loud.wav", dtype="float32")[0], 8_000)


def test_noise_as_loud_as_the_voice_is_noisy() -> None:
    assert words(with_noise(-3.0)) == ("noisy",)


@pytest.mark.parametrize("sample_rate_hz", [22_050, 44_100, 48_000, 192_000])
def test_what_no_model_hears_is_neither_noise_nor_sound_nor_bandwidth(sample_rate_hz: int) -> None:
    speech = soxr.resample(spoken(), 16_000, sample_rate_hz)
    tone_hz = min(19_000, 0.48 * sample_rate_hz)
    tone = (0.05 * np.sin(2 * np.pi * tone_hz / sample_rate_hz * np.arange(len(speech)))).astype(np.float32)
    assert words(speech + tone, sample_rate_hz) == ()
    assert words(tone, sample_rate_hz) == ("too-quiet",)
    noisy = soxr.resample(with_noise(-3.0), 16_000, sample_rate_hz)
    assert words(noisy, sample_rate_hz) == words(noisy + tone, sample_rate_hz) == ("noisy",)
    telephone = soxr.resample(soxr.resample(spoken(), 16_000, 8_000), 8_000, sample_rate_hz)
    assert words(telephone + tone, sample_rate_hz) == ("low-bandwidth",)


def test_digital_silence_is_no_quiet_moment() -> None:
    padded = np.concatenate([with_noise(-3.0), np.zeros(6_000, np.float32)])
    assert words(padded) == ("noisy",)
    assert words(np.concatenate([spoken(), np.zeros(6_000, np.float32)])) == ()


@pytest.mark.parametrize(("snr_db", "expected"), [(35.0, ()), (8.0, ("noisy",))])
def test_a_room_is_noisy_beside_its_speech_however_little_that_is(snr_db: float, expected: tuple[str, ...]) -> None:
    speech = 3 * spoken()[:19_200]
    sound = np.random.default_rng(1).normal(0, np.std(speech) * 10 ** (-snr_db / 20), 30 * 16_000)
    assert words(sound.astype(np.float32)) == ("noisy",)
    sound[8_000 : 8_000 + len(speech)] += speech
    assert words(sound.astype(np.float32)) == expected


def test_silence_is_too_quiet_but_neither_noisy_nor_narrow() -> None:
    assert words(np.zeros(16_000, np.float32)) == ("too-quiet",)
    assert words(np.zeros(0, np.float32)) == ()


def test_speech_is_too_quiet_where_none_of_it_is_louder_than_minus_55_dbfs() -> None:
    loudest_dbfs = frame_levels_dbfs(spoken(), 16_000).max()
    for level_dbfs, expected in ((-53, ()), (-57, ("too-quiet",))):
        assert words(spoken() * np.float32(10 ** ((level_dbfs - loudest_dbfs) / 20))) == expected


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9_000), max_size=12),
    snr_db=st.floats(-10, 30),
    gain=st.floats(0.5, 30),
    sample_rate_hz=st.sampled_from([16_000, 44_100]),
)
def test_where_blocks_end_changes_no_word(sizes: list[int], snr_db: float, gain: float, sample_rate_hz: int) -> None:
    whole = np.clip(np.float32(gain) * with_noise(snr_db), -1, 1)
    meter = QualityMeter(sample_rate_hz)
    for block in np.split(whole, np.cumsum(sizes)):
        meter.accept(block)
    assert meter.words() == words(whole, sample_rate_hz)


@pytest.mark.parametrize("level_db", [-6, -40, -64])
def test_the_level_of_a_sine_is_that_of_its_root_mean_square(level_db: float) -> None:
    sine = np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * 400 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(frame_levels_dbfs(sine.astype(np.float32) + 0.1, 16_000), level_db, atol=0.1)


def test_silence_is_below_65_dbfs_and_an_offset_is_no_sound() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 16_000).astype(np.float32)
    assert is_silent(frame_levels_dbfs(np.float32(10 ** (-67 / 20)) * noise + np.float32(0.5), 16_000))
    assert not is_silent(frame_levels_dbfs(np.float32(10 ** (-63 / 20)) * noise, 16_000))
    assert is_silent(frame_levels_dbfs(np.zeros(0, np.float32), 16_000))


def test_the_active_part_begins_and_ends_within_35_db_of_the_loudest() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 64_000).astype(np.float32)
    for part in (slice(0, 16_000), slice(32_000, 40_000), slice(56_000, 64_000)):  # a pause inside stays
        noise[part] *= np.float32(10 ** (-45 / 20))
    assert active_part(noise, 16_000) == pytest.approx((16_000, 56_000), abs=400)
    assert active_part(np.zeros(48_000, np.float32), 16_000) is None
    assert active_part(np.zeros(0, np.float32), 16_000) is None


RATE_HZ = 16_000  # channels that take turns like two sides of a call are noticed, one speaker in stereo is not


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
