"""Noise from a folder: which recordings, which stretch of them, and what is said when there are none."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from earnest.augment.base import build_chain, ledger_of_tables, power
from earnest.augment.noise_files import PRESETS, NoiseFiles, level_for, noise_recording, stretch_of
from earnest.errors import EarnestError, RecipeError
from earnest.testing.sounds import voice

RATE_HZ = 16_000


def write_noise(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(0, 0.1, 2 * RATE_HZ)
    soundfile.write(path, noise, RATE_HZ, subtype="FLOAT")
    return path


def snr_of(mixture: np.ndarray, speech: np.ndarray) -> float:
    return float(10 * np.log10(power(speech) / power(mixture.astype(np.float64) - speech)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def share_at(noise: np.ndarray, frequency_hz: float) -> float:
    powers = np.abs(np.fft.rfft(noise)) ** 2
    middle = round(frequency_hz * len(noise) / RATE_HZ)
    return float(powers[middle - 3 : middle + 4].sum() / max(powers.sum(), 1e-12))


def test_noise_that_is_long_enough_is_a_stretch_of_the_recording() -> None:
    noise = np.arange(100, dtype=np.float32)
    np.testing.assert_array_equal(stretch_of(noise, 30, 50), np.arange(30, 80))


def test_noise_that_is_too_short_begins_anew() -> None:
    noise = np.arange(4, dtype=np.float32)
    np.testing.assert_array_equal(stretch_of(noise, 3, 10), [3, 0, 1, 2, 3, 0, 1, 2, 3, 0])


def test_what_is_added_is_a_stretch_of_one_of_the_recordings_at_a_ratio_from_the_range(tmp_path: Path) -> None:
    paths = [write_noise(tmp_path / "a" / f"{seed}.wav", seed=seed) for seed in range(3)]
    augmentation = NoiseFiles(str(tmp_path), snr_db=(3, 9))
    seen = set()
    for seed in range(30):
        mixture = augmentation.apply(voice(), RATE_HZ, rng(seed))
        assert 3 - 0.05 <= snr_of(mixture, voice()) <= 9 + 0.05
        added = mixture - voice()
        for number, path in enumerate(paths):
            there = scipy.signal.correlate(noise_recording(path, RATE_HZ), added, mode="valid", method="fft")
            start = int(there.argmax())
            if likeness(noise_recording(path, RATE_HZ)[start : start + len(added)], added) > 0.999:
                seen.add((number, start))
    assert {number for number, _ in seen} == {0, 1, 2}
    assert len(seen) == 30


def test_recordings_are_resampled_to_the_rate_of_the_clips(tmp_path: Path) -> None:
    time_s = np.arange(3 * 44_100) / 44_100
    soundfile.write(tmp_path / "hum.wav", 0.1 * np.sin(2 * np.pi * 1_000 * time_s), 44_100)
    mixture = NoiseFiles(str(tmp_path), snr_db=(0, 0)).apply(voice(), RATE_HZ, rng())
    assert np.abs(np.fft.rfft((mixture - voice()) * np.hanning(len(mixture)))).argmax() == 1_000


def test_a_recording_is_decoded_once(tmp_path: Path) -> None:
    path = write_noise(tmp_path / "a.wav")
    augmentation = NoiseFiles(str(tmp_path))
    before = augmentation.apply(voice(), RATE_HZ, rng())
    path.unlink()
    np.testing.assert_array_equal(augmentation.apply(voice(), RATE_HZ, rng()), before)


def test_pauses_of_a_recording_are_not_raised_to_the_level_of_speech(tmp_path: Path) -> None:
    hum = 1e-4 * np.sin(2 * np.pi * 440 * np.arange(40_000) / RATE_HZ)  # 40 dB below the recording's mean
    soundfile.write(tmp_path / "bark.wav", np.append(rng().normal(0, 0.1, 8_000), hum), RATE_HZ, subtype="FLOAT")
    augmentation = NoiseFiles(str(tmp_path), snr_db=(0, 0))
    clip = voice(0.25)
    added = [augmentation.apply(clip, RATE_HZ, rng(seed)) - clip for seed in range(60)]
    assert max(share_at(noise, 440) for noise in added) < 0.5
    assert sum(noise.any() for noise in added) > 45  # ten draws in a row that fall into the pause are rare


def test_only_recordings_with_a_wanted_name_are_used(tmp_path: Path) -> None:
    for name in ("rain/1.wav", "rain/2.wav", "dog/1.wav", "Kitchen-rain.wav"):
        write_noise(tmp_path / name)
    found = NoiseFiles(str(tmp_path), names=("RAIN",)).recordings
    assert sorted(path.relative_to(tmp_path).as_posix() for path, _ in found) == [
        "Kitchen-rain.wav",
        "rain/1.wav",
        "rain/2.wav",
    ]


@pytest.mark.parametrize(
    ("path", "level_db"),
    [
        ("PCAFETER/ch01.wav", 0),
        ("SCAFE/ch01.wav", 13),
        ("washing.wav", -5),
        ("NeighborSpeaking_1.wav", 15),
        ("sea", None),
    ],
)
def test_the_longest_name_in_a_path_decides_its_level(path: str, level_db: float | None) -> None:
    assert level_for(path, PRESETS["ntu-extended"]) == level_db


def test_the_levels_of_ntu_are_fixed_and_can_be_completed(tmp_path: Path) -> None:
    for name in ("NPARK/ch01.wav", "PRESTO/ch01.wav", "rain/1.wav", "sea/1.wav"):
        write_noise(tmp_path / name)
    augmentation = NoiseFiles(str(tmp_path), preset="ntu", levels_db={"rain": 3.0})
    levels = {path.parent.name: snr_db for path, snr_db in augmentation.recordings}
    assert levels == {"NPARK": (6, 6), "PRESTO": (10, 10), "rain": (3, 3)}
    measured = {round(snr_of(augmentation.apply(voice(), RATE_HZ, rng(seed)), voice()), 1) for seed in range(20)}
    assert measured == {6, 10, 3}


def test_whose_noise_is_mixed_in_is_a_line_of_the_ledger(tmp_path: Path) -> None:
    for name in ("noise-esc10/rain/1.wav", "noise-esc10/sea/1.wav", "mine/1.wav"):
        write_noise(tmp_path / name)
    (known,) = NoiseFiles(str(tmp_path / "noise-esc10"), names=("rain",)).ledger()
    assert (known.name, known.licence, known.n_utterances) == ("noise-esc10", "CC-BY-3.0", 1)
    assert "Piczak" in known.attribution
    (mine,) = ledger_of_tables([{"name": "gain"}, {"name": "noise-files", "folder": str(tmp_path / "mine")}])
    assert (mine.name, mine.licence, mine.n_utterances) == ("mine", "unknown", 1)


def test_a_folder_is_looked_for_where_the_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_noise(tmp_path / "noises" / "a.wav")
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    assert len(NoiseFiles("noises").recordings) == 1
    monkeypatch.delenv("EARNEST_DATA")
    monkeypatch.chdir(tmp_path)
    assert len(NoiseFiles("noises").recordings) == 1


def test_a_missing_folder_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARNEST_DATA", "/nowhere")
    with pytest.raises(EarnestError) as error:
        build_chain([{"name": "noise-files", "folder": "noise-esc10"}], RATE_HZ)
    message = str(error.value)
    assert message.startswith("augment 1 (noise-files): there is no folder ")
    assert str(Path("/nowhere/noise-esc10")) in message
    assert "EARNEST_DATA" in message


def test_a_missing_full_path_is_named_once_and_not_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path))
    with pytest.raises(RecipeError, match=rf"there is no folder {tmp_path}/none\. Check the path, or "):
        build_chain([{"name": "noise-files", "folder": str(tmp_path / "none")}], RATE_HZ)


def test_a_folder_without_fitting_recordings_is_an_error_that_names_what_was_looked_for(tmp_path: Path) -> None:
    write_noise(tmp_path / "sea.wav")
    with pytest.raises(RecipeError, match="no recording with rain in its path"):
        build_chain([{"name": "noise-files", "folder": str(tmp_path), "names": ["rain"]}], RATE_HZ)


def test_the_real_noises_are_found() -> None:
    data = os.environ.get("EARNEST_DATA")
    if not data or not (Path(data) / "noise-esc10").is_dir():
        pytest.skip("noise-esc10 is not in EARNEST_DATA")
    augmentation = NoiseFiles("noise-esc10", snr_db=(5, 5), names=("rain", "helicopter"))
    assert len(augmentation.recordings) == 20
    for seed in range(5):
        assert snr_of(augmentation.apply(voice(3), RATE_HZ, rng(seed)), voice(3)) == pytest.approx(5, abs=0.05)
