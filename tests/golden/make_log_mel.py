"""Writes ``log_mel.npz``: log spectrograms of one seeded signal, computed with librosa and scipy alone.

Run it as ``python tests/golden/make_log_mel.py``; nothing of earnest is imported.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

STORED = Path(__file__).with_name("log_mel.npz")
SECONDS = 1.2
Floats = npt.NDArray[np.float64]

# The fields of a front end's settings, every one, so that a changed default changes no test.
COMMON: dict[str, Any] = {
    "sample_rate_hz": 16_000,
    "fmin_hz": 0.0,
    "fmax_hz": None,
    "decibel_reference": "max",
    "top_db": 80.0,
    "window": "hann",
    "pre_emphasis": 0.0,
    "level": "none",
    "trim": "none",
    "trim_db": 40.0,
    "scale": "mel",
}
PRESETS: dict[str, dict[str, Any]] = {
    "emocatcher": COMMON
    | {"sample_rate_hz": 22_050, "n_fft": 4096, "win_length": 2048, "hop_length": 1364, "n_mels": 64}
    | {"fmax_hz": 6000.0, "decibel_reference": "one", "trim": "gradient"},
    "moody": COMMON
    | {"sample_rate_hz": 22_050, "n_fft": 2048, "win_length": 2048, "hop_length": 512, "n_mels": 128}
    | {"level": "rms", "trim": "peak"},
    "ntu": COMMON
    | {"n_fft": 800, "win_length": 640, "hop_length": 160, "n_mels": 128, "window": "hamming", "pre_emphasis": 0.97},
    "ntu-logspec": COMMON
    | {"n_fft": 800, "win_length": 640, "hop_length": 160, "n_mels": 128, "window": "hamming", "pre_emphasis": 0.97}
    | {"scale": "linear", "fmax_hz": 4000.0},
    "ntu-logspec-8khz": COMMON
    | {"sample_rate_hz": 8_000, "n_fft": 400, "win_length": 320, "hop_length": 80, "n_mels": 128}
    | {"window": "hamming", "pre_emphasis": 0.97, "scale": "linear", "fmax_hz": 4000.0},
    "vino": COMMON | {"sample_rate_hz": 22_050, "n_fft": 2048, "win_length": 2048, "hop_length": 512, "n_mels": 128},
    "multitask": COMMON
    | {"sample_rate_hz": 22_050, "n_fft": 2048, "win_length": 2048, "hop_length": 512, "n_mels": 256, "trim": "peak"},
    "whisper": COMMON | {"n_fft": 400, "win_length": 400, "hop_length": 160, "n_mels": 80, "decibel_reference": "one"},
    "base": COMMON
    | {"n_fft": 400, "win_length": 400, "hop_length": 160, "n_mels": 80, "decibel_reference": "one"}
    | {"level": "deviation", "trim": "peak"},
    "small-512": COMMON | {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40, "fmin_hz": 50.0},
    "small-1024": COMMON
    | {"n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_mels": 64, "decibel_reference": "one", "top_db": None},
}


def signal(sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Return a wavering voice between two faint stretches, shape (samples,)."""
    rng = np.random.default_rng(20_240_517)
    time_s = np.arange(round(SECONDS * sample_rate_hz)) / sample_rate_hz
    phase = 2 * np.pi * np.cumsum(170 + 40 * np.sin(2 * np.pi * 1.3 * time_s)) / sample_rate_hz
    wave = sum(np.sin(number * phase + number) / number for number in range(1, 20))
    voiced = (time_s > 0.3) & (time_s < 0.9)
    # Were the noise in the voice much fainter, single precision alone would cost 1e-3 dB between the harmonics.
    noise = rng.normal(0, 1, len(time_s)) * np.where(voiced, 0.002, 0.0004)
    syllables = 0.6 - 0.4 * np.cos(2 * np.pi * 5 * time_s)
    return (0.2 * voiced * syllables * wave + noise).astype(np.float32)


def reference_log_mel(waveform: npt.NDArray[np.float32], settings: dict[str, Any]) -> Floats:
    """Compute a preset's spectrogram, trimmed, shape (bands, frames), in double precision."""
    import librosa

    exact = waveform.astype(np.float64)
    if settings["level"] == "deviation":
        exact = exact - np.mean(exact)
    if settings["level"] != "none":
        exact = exact / np.sqrt(np.mean(exact**2))
    if settings["pre_emphasis"]:
        exact = librosa.effects.preemphasis(exact, coef=settings["pre_emphasis"], zi=[0.0])
    sizes = {name: settings[name] for name in ("n_fft", "win_length", "hop_length", "window")}
    sizes["pad_mode"] = "reflect"
    if settings["scale"] == "linear":
        bins_hz = librosa.fft_frequencies(sr=settings["sample_rate_hz"], n_fft=settings["n_fft"])
        heard = (bins_hz >= settings["fmin_hz"]) & (bins_hz < settings["fmax_hz"])
        power = np.abs(librosa.stft(exact, **sizes))[heard] ** 2
    else:
        power = librosa.feature.melspectrogram(
            y=exact,
            sr=settings["sample_rate_hz"],
            n_mels=settings["n_mels"],
            fmin=settings["fmin_hz"],
            fmax=settings["fmax_hz"],
            **sizes,
        )
    reference = np.max if settings["decibel_reference"] == "max" else 1.0
    log_mel = librosa.power_to_db(power, ref=reference, amin=1e-10, top_db=settings["top_db"])
    start, end = 0, log_mel.shape[1]
    if settings["trim"] == "gradient":
        start, end = gradient_frames(log_mel)
    elif settings["trim"] == "peak":
        start, end = peak_frames(exact, settings)
    return np.asarray(log_mel[:, start:end])


def gradient_frames(log_mel: Floats) -> tuple[int, int]:
    """Return first and end frame by EmoCatcher's rule; ``log_mel`` (n_mels, frames) is decibels of power.

    The rule calls the power an amplitude, so its decibels are twice ours, floored at −100 and 80 below their peak.
    """
    from scipy.ndimage import gaussian_filter1d

    decibels = np.maximum(2 * log_mel, -100)
    decibels = np.maximum(decibels, decibels.max() - 80)
    energy = ((decibels - decibels.min()) / (decibels.max() - decibels.min())).sum(axis=0)
    smooth = gaussian_filter1d(np.sort(energy), sigma=10)
    active = np.flatnonzero(energy > smooth[np.argmax(np.gradient(smooth))])
    return max(int(active[0]) - 3, 0), min(int(active[-1]) + 3, len(energy))


def peak_frames(waveform: Floats, settings: dict[str, Any]) -> tuple[int, int]:
    """Return first and end frame as ``librosa.effects.trim`` finds them, the clip continued as for the spectrum."""
    import librosa

    level = librosa.feature.rms(
        y=waveform,
        frame_length=settings["win_length"],
        hop_length=settings["hop_length"],
        pad_mode="reflect",
    )[0]
    active = np.flatnonzero(librosa.amplitude_to_db(level, ref=np.max, top_db=None) > -settings["trim_db"])
    return int(active[0]), int(active[-1]) + 1


def main() -> None:
    """Compute and store every preset."""
    stored = {
        name: reference_log_mel(signal(settings["sample_rate_hz"]), settings).astype(np.float32)
        for name, settings in PRESETS.items()
    }
    np.savez_compressed(STORED, **stored)


if __name__ == "__main__":
    main()
