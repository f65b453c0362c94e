"""Parts of made-up sounds: random curves, noises, oscillators, decays, resonances, rooms."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import signal

RATE_HZ = 16_000
NYQUIST_HZ = RATE_HZ / 2
Array = NDArray[np.float64]
Sound = Callable[[np.random.Generator, int], Array]
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 6, 7, 10), tuple(range(12)))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform: for frequencies and times."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def seconds(n_samples: int) -> Array:
    """The time of each sample."""
    return np.arange(n_samples) / RATE_HZ


def curve(rng: np.random.Generator, n_samples: int, rate_hz: float) -> Array:
    """A random curve, mean 0 and variance near 1, with ``rate_hz`` knots a second and straight lines between them."""
    n_knots = int(n_samples / RATE_HZ * rate_hz) + 3
    return np.interp(seconds(n_samples) * rate_hz, np.arange(n_knots), rng.normal(size=n_knots))


def noise(rng: np.random.Generator, n_samples: int, slope: float = 0.0) -> Array:
    """Gaussian noise whose power goes with frequency to ``slope``: 0 white, -1 pink, -2 brown, 1 blue; variance 1."""
    spectrum = np.fft.rfft(rng.normal(size=n_samples))
    frequencies = np.maximum(np.fft.rfftfreq(n_samples, 1 / RATE_HZ), 20.0)
    coloured = np.fft.irfft(spectrum * frequencies ** (slope / 2), n_samples)
    return coloured / (coloured.std() + 1e-12)


def band(waveform: Array, low_hz: float, high_hz: float, order: int = 2) -> Array:
    """Band-pass filter between two frequencies (Butterworth)."""
    low_hz = min(max(low_hz, 10.0), 0.8 * NYQUIST_HZ)
    high_hz = min(max(high_hz, 1.1 * low_hz), 0.98 * NYQUIST_HZ)
    return signal.sosfilt(signal.butter(order, (low_hz, high_hz), "bandpass", fs=RATE_HZ, output="sos"), waveform)


def low_pass(waveform: Array, high_hz: float, order: int = 2) -> Array:
    """Low-pass filter below a frequency (Butterworth)."""
    high_hz = min(high_hz, 0.98 * NYQUIST_HZ)
    return signal.sosfilt(signal.butter(order, high_hz, "lowpass", fs=RATE_HZ, output="sos"), waveform)


def resonances(waveform: Array, centres_hz: Sequence[float], quality: float, dry: float = 0.1) -> Array:
    """The sum of peak filters at some frequencies, and a share of what went in."""
    rung = dry * waveform
    for centre_hz in centres_hz:
        rung = rung + signal.lfilter(*signal.iirpeak(min(centre_hz, 0.95 * NYQUIST_HZ), quality, RATE_HZ), waveform)
    return rung


def phase(frequency_hz: Array | float, n_samples: int) -> Array:
    """The phase in radians of an oscillator whose frequency may change."""
    return 2 * np.pi * np.cumsum(np.broadcast_to(np.asarray(frequency_hz, dtype=float), n_samples)) / RATE_HZ


def harmonics(frequency_hz: Array | float, n_samples: int, amplitudes: Sequence[float] | Array) -> Array:
    """Sines at the multiples of a frequency; those above the band are left out."""
    angle = phase(frequency_hz, n_samples)
    highest_hz = float(np.max(frequency_hz))
    total = np.zeros(n_samples)
    for number, amplitude in enumerate(amplitudes, start=1):
        if number * highest_hz < NYQUIST_HZ and amplitude:
            total += amplitude * np.sin(number * angle)
    return total


def spectrum(rng: np.random.Generator, n_harmonics: int = 24) -> Array:
    """Random amplitudes of harmonics: a slope, sometimes only the odd ones, each a little off."""
    numbers = np.arange(1, n_harmonics + 1)
    amplitudes = numbers ** -rng.uniform(0.4, 2.2) * rng.uniform(0.3, 1, n_harmonics)
    return amplitudes * np.where(numbers % 2, 1, rng.choice([0.0, 0.3, 1.0]))


def vibrato(rng: np.random.Generator, n_samples: int, semitones: float) -> Array:
    """A factor on a frequency: a wave of 4 to 8 Hz that sets in late, and a slow drift."""
    time_s = seconds(n_samples)
    wave = np.sin(2 * np.pi * rng.uniform(4, 8) * time_s) * np.minimum(time_s / rng.uniform(0.05, 0.6), 1)
    return 2 ** ((semitones * wave + 0.1 * curve(rng, n_samples, 3)) / 12)


def decay(n_samples: int, half_life_s: float, attack_s: float = 0.001) -> Array:
    """An envelope that rises in ``attack_s`` and then halves again and again."""
    time_s = seconds(n_samples)
    return np.minimum(time_s / attack_s, 1) * 0.5 ** (time_s / half_life_s)


def held(n_samples: int, attack_s: float, release_s: float) -> Array:
    """An envelope that rises, stays and falls."""
    time_s = seconds(n_samples)
    return np.clip(np.minimum(time_s / attack_s, (time_s[::-1] if n_samples else time_s) / release_s), 0, 1)


def onsets(rng: np.random.Generator, n_samples: int, rate_hz: float, jitter: float) -> Array:
    """Sample numbers of events: evenly spaced at ``jitter`` 0, at random moments at 1."""
    gap = RATE_HZ / rate_hz
    n_events = int(n_samples / gap) + 2
    gaps = (1 - jitter) * gap + jitter * rng.exponential(gap, n_events)
    starts = np.cumsum(gaps) - gaps[0] * rng.uniform(0.1, 1)
    starts = starts[starts < n_samples - 1].astype(int)
    return starts if len(starts) else np.array([n_samples // 4])


def place(target: Array, piece: Array, start: int) -> None:
    """Add a piece to a longer waveform, in place; what does not fit is cut."""
    end = min(len(target), start + len(piece))
    target[start:end] += piece[: end - start]


def events(
    rng: np.random.Generator, n_samples: int, rate_hz: float, jitter: float, piece: Callable[[], Array]
) -> Array:
    """Pieces at many moments, each louder or softer than the last."""
    total = np.zeros(n_samples)
    for start in onsets(rng, n_samples, rate_hz, jitter):
        place(total, piece() * rng.uniform(0.4, 1), int(start))
    return total


def impact(rng: np.random.Generator, modes_hz: Array, half_life_s: float, noise_share: float) -> Array:
    """A struck thing: decaying sines at its modes, the high ones shorter, and a burst of noise."""
    n_samples = int(RATE_HZ * min(10 * half_life_s + 0.02, 3))
    time_s = seconds(n_samples)
    total = np.zeros(n_samples)
    for mode_hz in modes_hz[modes_hz < NYQUIST_HZ]:
        half_s = half_life_s * (modes_hz.min() / mode_hz) ** rng.uniform(0.2, 0.8)
        total += (
            rng.uniform(0.2, 1) * np.sin(2 * np.pi * mode_hz * time_s + rng.uniform(0, 6)) * 0.5 ** (time_s / half_s)
        )
    burst = rng.normal(size=n_samples) * decay(n_samples, 0.2 * half_life_s)
    return total / max(len(modes_hz), 1) + noise_share * burst


def melody(rng: np.random.Generator, n_samples: int, note: Callable[[float, int], Array]) -> Array:
    """Notes of a random scale, one after another; ``note`` gets a frequency and a number of samples."""
    total = np.zeros(n_samples)
    scale = rng.choice(len(SCALES))
    root_hz, beat_s = log_uniform(rng, 80, 500), log_uniform(rng, 0.12, 1.5)
    start, degree = 0, int(rng.integers(0, 8))
    overlap = rng.uniform(0.8, 1.5)
    while start < n_samples:
        degree = int(np.clip(degree + rng.integers(-3, 4), -3, 14))
        steps = SCALES[scale]
        semitones = steps[degree % len(steps)] + 12 * (degree // len(steps))
        length = int(RATE_HZ * beat_s * rng.choice([0.5, 1, 1, 2]))
        if start == 0 or rng.random() > 0.1:
            place(total, note(root_hz * 2 ** (semitones / 12), int(length * overlap)) * rng.uniform(0.5, 1), start)
        start += length
    return total


def room(rng: np.random.Generator, waveform: Array) -> Array:
    """A room's reverberation of 0.1 to 2 s: decaying noise, darker in some rooms."""
    n_tail = int(RATE_HZ * log_uniform(rng, 0.1, 2))
    tail = low_pass(rng.normal(size=n_tail), log_uniform(rng, 1_000, 7_800), 1) * decay(n_tail, n_tail / RATE_HZ / 10)
    wet = signal.fftconvolve(waveform, tail)[: len(waveform)]
    share = rng.uniform(0.05, 0.8)
    return (1 - share) * waveform + share * wet * waveform.std() / (wet.std() + 1e-12)


def recorded(rng: np.random.Generator, waveform: Array) -> NDArray[np.float32]:
    """Simulate a microphone: a room, a band, a noise floor, overload, a peak of -60 to 0 dBFS."""
    heard = waveform - waveform.mean()
    heard = heard / (np.abs(heard).max() + 1e-12)
    if rng.random() < 0.4:
        heard = room(rng, heard)
    if rng.random() < 0.4:
        heard = low_pass(heard, log_uniform(rng, 1_500, 7_800), int(rng.integers(1, 5)))
    if rng.random() < 0.15:
        heard = band(heard, rng.uniform(150, 400), rng.uniform(2_500, 3_800))
    if rng.random() < 0.6:
        floor = noise(rng, len(heard), rng.uniform(-2, 0.5))
        heard = heard + floor * heard.std() * 10 ** (-rng.uniform(5, 60) / 20)
    heard = heard / (np.abs(heard).max() + 1e-12)
    if rng.random() < 0.08:
        heard = np.clip(heard * log_uniform(rng, 1.2, 8), -1, 1)
    level_db = -60 * rng.random() ** 1.5
    return np.asarray(np.clip(heard * 10 ** (level_db / 20), -1, 1), dtype=np.float32)
