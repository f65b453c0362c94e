"""Instruments made by arithmetic: strings, winds, organs, pads. None of them has syllables."""

import numpy as np
from scipy import signal

from sounds.parts import (
    RATE_HZ,
    Array,
    Sound,
    band,
    curve,
    decay,
    events,
    harmonics,
    held,
    log_uniform,
    melody,
    noise,
    phase,
    resonances,
    spectrum,
    vibrato,
)


def plucked(rng: np.random.Generator, n_samples: int) -> Array:
    """Strings by Karplus and Strong (1983): noise in a loop that loses its high frequencies."""
    loss = 1 - log_uniform(rng, 0.0005, 0.02)

    def note(frequency_hz: float, length: int) -> Array:
        period = max(int(RATE_HZ / frequency_hz), 4)
        pluck = np.zeros(max(length, period + 1))
        pluck[:period] = rng.uniform(-1, 1, period)
        loop = np.zeros(period + 2)
        loop[0], loop[period], loop[period + 1] = 1, -loss / 2, -loss / 2
        return signal.lfilter([1.0], loop, pluck)

    return melody(rng, n_samples, note)


def organ(rng: np.random.Generator, n_samples: int) -> Array:
    stops = rng.uniform(0, 1, 16) * (rng.random(16) < 0.5)
    stops[0] = 1
    intervals = 2 ** (rng.choice([0, 3, 4, 5, 7, 9, 12], 3, replace=False) / 12)

    def chord(frequency_hz: float, length: int) -> Array:
        pipes = (harmonics(frequency_hz * interval, length, stops) for interval in intervals)
        return sum(pipes, np.zeros(length)) * held(length, 0.03, 0.06)

    return melody(rng, n_samples, chord)


def pad(rng: np.random.Generator, n_samples: int) -> Array:
    root_hz, total = log_uniform(rng, 60, 400), np.zeros(n_samples)
    for step in rng.choice([0, 3, 4, 7, 10, 12, 16, 19], 4, replace=False):
        for detune in rng.uniform(0.99, 1.01, 2):
            total += harmonics(root_hz * 2 ** (step / 12) * detune, n_samples, spectrum(rng, 10))
    return total * np.exp(0.3 * curve(rng, n_samples, 1)) * held(n_samples, 0.3, 0.3)


def whistle(rng: np.random.Generator, n_samples: int) -> Array:
    breath = rng.uniform(0.01, 0.2)

    def note(frequency_hz: float, length: int) -> Array:
        pitch_hz = np.minimum(3 * frequency_hz, 4_000) * vibrato(rng, length, 0.4)
        air = band(noise(rng, length), float(pitch_hz.mean()), 1.5 * float(pitch_hz.mean()))
        return (np.sin(phase(pitch_hz, length)) + breath * air) * held(length, 0.04, 0.05)

    return melody(rng, n_samples, note)


def blown(rng: np.random.Generator, n_samples: int, amplitudes: Array, breath: float, modes_hz: list[float]) -> Array:
    """A melody of harmonics with vibrato, breath and the resonances of a body."""
    depth, attack_s = rng.uniform(0, 0.6), rng.uniform(0.02, 0.15)

    def note(frequency_hz: float, length: int) -> Array:
        tone = harmonics(frequency_hz * vibrato(rng, length, depth), length, amplitudes)
        return (tone + breath * noise(rng, length, -0.5)) * held(length, attack_s, 0.08)

    return resonances(melody(rng, n_samples, note), modes_hz, rng.uniform(1, 6), 0.4)


def flute(rng: np.random.Generator, n_samples: int) -> Array:
    return blown(rng, n_samples, np.array([1, 0.4, 0.15, 0.05]), rng.uniform(0.02, 0.4), [log_uniform(rng, 500, 2_000)])


def clarinet(rng: np.random.Generator, n_samples: int) -> Array:
    numbers = np.arange(1, 20)
    return blown(rng, n_samples, (numbers % 2) / numbers, 0.03, [log_uniform(rng, 800, 3_000) for _ in range(2)])


def brass(rng: np.random.Generator, n_samples: int) -> Array:
    modes_hz = [log_uniform(rng, 400, 2_500) for _ in range(3)]
    return blown(rng, n_samples, np.arange(1, 25) ** -rng.uniform(0.3, 1), rng.uniform(0, 0.05), modes_hz)


def violin(rng: np.random.Generator, n_samples: int) -> Array:
    modes_hz = [rng.uniform(250, 350), rng.uniform(420, 600), rng.uniform(900, 1_500), rng.uniform(2_000, 3_500)]
    return blown(rng, n_samples, 1 / np.arange(1, 30), rng.uniform(0.02, 0.15), modes_hz)


def resonant_drone(rng: np.random.Generator, n_samples: int) -> Array:
    """A buzz through fixed resonances, as in a didgeridoo or a bowed box: voiced, but no syllable."""
    pitch_hz = log_uniform(rng, 60, 450) * vibrato(rng, n_samples, rng.uniform(0, 1))
    buzz = harmonics(pitch_hz, n_samples, np.arange(1, 35) ** -rng.uniform(0.3, 1.2))
    modes_hz = [log_uniform(rng, 150, 5_000) for _ in range(int(rng.integers(2, 6)))]
    rung = resonances(buzz + rng.uniform(0, 0.2) * noise(rng, n_samples), modes_hz, rng.uniform(2, 15), 0.05)
    return rung * np.exp(0.3 * curve(rng, n_samples, 2))


def theremin(rng: np.random.Generator, n_samples: int) -> Array:
    pitch_hz = log_uniform(rng, 150, 900) * 2 ** (0.6 * curve(rng, n_samples, log_uniform(rng, 0.5, 2)))
    loudness = np.exp(0.5 * curve(rng, n_samples, 2))
    return loudness * harmonics(pitch_hz * vibrato(rng, n_samples, 0.5), n_samples, spectrum(rng, 8))


def accordion(rng: np.random.Generator, n_samples: int) -> Array:
    amplitudes, beat = np.arange(1, 25) ** -rng.uniform(0.3, 1), rng.uniform(1.002, 1.015)

    def note(frequency_hz: float, length: int) -> Array:
        reeds = harmonics(frequency_hz, length, amplitudes) + harmonics(frequency_hz * beat, length, amplitudes)
        return reeds * held(length, 0.04, 0.05)

    return melody(rng, n_samples, note)


def fm_synth(rng: np.random.Generator, n_samples: int) -> Array:
    """Frequency modulation (Chowning, 1973) with a modulation index that decays."""
    ratio, index, half_s = (
        rng.choice([0.5, 1, 1.41, 2, 3, 3.5, 5]),
        log_uniform(rng, 0.5, 10),
        log_uniform(rng, 0.05, 1),
    )

    def note(frequency_hz: float, length: int) -> Array:
        envelope = decay(length, half_s, 0.005)
        modulator = index * envelope * np.sin(phase(frequency_hz * ratio, length))
        return envelope * np.sin(phase(frequency_hz, length) + modulator)

    return melody(rng, n_samples, note)


def reversed_decays(rng: np.random.Generator, n_samples: int) -> Array:
    def piece() -> Array:
        n_piece = int(RATE_HZ * log_uniform(rng, 0.2, 1.5))
        source = harmonics(log_uniform(rng, 80, 2_000), n_piece, spectrum(rng, 10)) + noisy * rng.normal(size=n_piece)
        return (source * decay(n_piece, n_piece / RATE_HZ / 6))[::-1]

    noisy = rng.uniform(0, 1)
    return events(rng, n_samples, rng.uniform(0.7, 3), 0.5, piece)


SOUNDS: dict[str, Sound] = {
    "plucked": plucked,
    "organ": organ,
    "pad": pad,
    "whistle": whistle,
    "flute": flute,
    "clarinet": clarinet,
    "brass": brass,
    "violin": violin,
    "resonant-drone": resonant_drone,
    "theremin": theremin,
    "accordion": accordion,
    "fm-synth": fm_synth,
    "reversed-decays": reversed_decays,
}
