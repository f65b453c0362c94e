"""Weather, water and animals."""

import numpy as np

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
    low_pass,
    noise,
    onsets,
    phase,
    resonances,
    spectrum,
)


def rain(rng: np.random.Generator, n_samples: int) -> Array:
    drops = (rng.random(n_samples) < log_uniform(rng, 100, 8_000) / RATE_HZ) * rng.exponential(1, n_samples)
    heard = band(
        drops * rng.choice([-1, 1], n_samples), log_uniform(rng, 200, 2_000), log_uniform(rng, 3_000, 7_800), 1
    )
    return heard / (heard.std() + 1e-9) + rng.uniform(0, 1) * noise(rng, n_samples, -0.7)


def bubble(rng: np.random.Generator, low_hz: float, high_hz: float) -> Array:
    """A drop's sound: a decaying sine that rises."""
    half_s = log_uniform(rng, 0.005, 0.04)
    n_samples = int(RATE_HZ * 8 * half_s)
    rise = np.linspace(1, rng.uniform(1, 2), n_samples)
    return np.sin(phase(log_uniform(rng, low_hz, high_hz) * rise, n_samples)) * decay(n_samples, half_s)


def drip(rng: np.random.Generator, n_samples: int) -> Array:
    low_hz = log_uniform(rng, 300, 1_500)
    return events(rng, n_samples, log_uniform(rng, 0.7, 6), rng.uniform(0, 1), lambda: bubble(rng, low_hz, 2 * low_hz))


def stream_water(rng: np.random.Generator, n_samples: int) -> Array:
    low_hz = log_uniform(rng, 200, 800)
    bubbles = events(rng, n_samples, log_uniform(rng, 30, 200), 1.0, lambda: bubble(rng, low_hz, 6 * low_hz))
    return bubbles + rng.uniform(0, 0.4) * noise(rng, n_samples, -1)


def wind(rng: np.random.Generator, n_samples: int) -> Array:
    gusts = np.exp(rng.uniform(0.3, 1.2) * curve(rng, n_samples, log_uniform(rng, 0.3, 3)))
    rush = noise(rng, n_samples, rng.uniform(-2.5, -1))
    howl_hz = log_uniform(rng, 200, 1_200)
    return gusts * rush + rng.uniform(0, 4) * gusts**2 * band(rush, howl_hz, 1.2 * howl_hz, 1)


def sea_waves(rng: np.random.Generator, n_samples: int) -> Array:
    swell = (0.5 + 0.5 * np.sin(phase(log_uniform(rng, 0.08, 0.5), n_samples) + rng.uniform(0, 6))) ** rng.uniform(1, 4)
    return noise(rng, n_samples, rng.uniform(-1.8, -0.8)) * (0.1 + swell) + 0.2 * swell * noise(rng, n_samples)


def fire(rng: np.random.Generator, n_samples: int) -> Array:
    def crackle() -> Array:
        n_crack = int(RATE_HZ * log_uniform(rng, 0.002, 0.03))
        return band(rng.normal(size=n_crack), 500, log_uniform(rng, 2_000, 7_500), 1) * decay(n_crack, 0.003) * 3

    roar = low_pass(noise(rng, n_samples, -2), 400) * np.exp(0.5 * curve(rng, n_samples, 6))
    return events(rng, n_samples, log_uniform(rng, 4, 60), 1.0, crackle) + rng.uniform(0.05, 0.6) * roar


def thunder(rng: np.random.Generator, n_samples: int) -> Array:
    rolls = sum(
        (
            np.roll(decay(n_samples, log_uniform(rng, 0.1, 1), rng.uniform(0.01, 0.3)), int(start))
            * (np.arange(n_samples) >= start)
            * rng.uniform(0.2, 1)
            for start in onsets(rng, n_samples, 1.5, 1.0)
        ),
        np.zeros(n_samples),
    )
    return low_pass(noise(rng, n_samples, -1.5), log_uniform(rng, 150, 2_500), 1) * rolls


def birds(rng: np.random.Generator, n_samples: int) -> Array:
    centre_hz, rate_hz = log_uniform(rng, 1_500, 5_500), log_uniform(rng, 0.8, 10)
    wobble_hz, depth, glide = rng.uniform(8, 60), rng.uniform(0, 0.2), rng.uniform(-0.6, 0.6)

    def chirp() -> Array:
        n_chirp = int(RATE_HZ * rng.uniform(0.3, 1) / rate_hz * 0.8)
        bend = glide * np.linspace(0, 1, n_chirp) + depth * np.sin(phase(wobble_hz, n_chirp))
        pitch_hz = np.minimum(centre_hz * rng.uniform(0.8, 1.2) * 2**bend, 7_600)
        return harmonics(pitch_hz, n_chirp, [1, rng.uniform(0, 0.2)]) * held(n_chirp, 0.01, 0.02)

    return events(rng, n_samples, rate_hz, rng.uniform(0, 0.8), chirp)


def pigeon(rng: np.random.Generator, n_samples: int) -> Array:
    centre_hz = rng.uniform(250, 650)

    def coo() -> Array:
        n_coo = int(RATE_HZ * rng.uniform(0.2, 0.7))
        bend = rng.uniform(-0.3, 0.3) * np.sin(np.pi * np.linspace(0, 1, n_coo))
        return np.sin(phase(centre_hz * rng.uniform(0.9, 1.1) * 2**bend, n_coo)) * held(n_coo, 0.08, 0.1)

    return events(rng, n_samples, rng.uniform(0.6, 2), 0.3, coo) + 0.01 * noise(rng, n_samples, -1)


def crickets(rng: np.random.Generator, n_samples: int) -> Array:
    total = np.zeros(n_samples)
    for _ in range(int(rng.integers(1, 6))):
        pulses = np.maximum(np.sin(phase(rng.uniform(15, 60), n_samples)), 0)
        trills = low_pass((np.sin(phase(rng.uniform(0.5, 4), n_samples)) > rng.uniform(-1, 0.5)).astype(float), 40, 1)
        total += rng.uniform(0.2, 1) * pulses * trills * np.sin(phase(rng.uniform(2_500, 7_000), n_samples))
    return total + 0.01 * noise(rng, n_samples)


def frogs(rng: np.random.Generator, n_samples: int) -> Array:
    modes_hz, rate_hz = [log_uniform(rng, 300, 3_000) for _ in range(3)], rng.uniform(20, 120)

    def croak() -> Array:
        n_croak = int(RATE_HZ * rng.uniform(0.08, 0.6))
        pulses = np.diff(np.floor(phase(rate_hz * np.linspace(1, rng.uniform(0.7, 1.6), n_croak), n_croak)), prepend=0)
        return resonances(np.minimum(pulses, 1), modes_hz, 8, 0) * held(n_croak, 0.03, 0.05)

    return events(rng, n_samples, rng.uniform(0.7, 4), 0.5, croak)


def animal_call(
    rng: np.random.Generator, pitch_hz: Array, resonances_hz: list[float], roughness: float, attack_s: float
) -> Array:
    """Harmonics of a gliding pitch through fixed resonances, with noise: a call, no syllables."""
    n_call = len(pitch_hz)
    jitter = np.exp(0.05 * roughness * curve(rng, n_call, 150))
    source = harmonics(pitch_hz * jitter, n_call, np.arange(1, 25) ** -0.7) + roughness * noise(rng, n_call, -0.5)
    return resonances(source, resonances_hz, rng.uniform(1.5, 5), 0.2) * held(n_call, attack_s, 0.3 * n_call / RATE_HZ)


def dog(rng: np.random.Generator, n_samples: int) -> Array:
    root_hz, modes_hz = log_uniform(rng, 150, 900), [log_uniform(rng, 500, 3_500) for _ in range(3)]

    def bark() -> Array:
        n_bark = int(RATE_HZ * rng.uniform(0.06, 0.25))
        arch = 1 + 0.4 * np.sin(np.pi * np.linspace(0.1, 1, n_bark)) - np.linspace(0, 0.4, n_bark)
        return animal_call(rng, root_hz * rng.uniform(0.9, 1.1) * arch, modes_hz, rng.uniform(0.5, 2.5), 0.01)

    return events(rng, n_samples, rng.uniform(0.8, 4), 0.5, bark)


def cat(rng: np.random.Generator, n_samples: int) -> Array:
    root_hz, modes_hz = rng.uniform(350, 900), [log_uniform(rng, 700, 4_000) for _ in range(3)]

    def meow() -> Array:
        n_meow = int(RATE_HZ * rng.uniform(0.4, 1.4))
        arch = 2 ** (rng.uniform(0.2, 0.8) * np.sin(np.pi * np.linspace(0, 1, n_meow) ** rng.uniform(0.4, 1)))
        return animal_call(rng, root_hz * arch, modes_hz, rng.uniform(0, 0.3), 0.1)

    return events(rng, n_samples, rng.uniform(0.4, 1), 0.5, meow)


def cow(rng: np.random.Generator, n_samples: int) -> Array:
    root_hz, modes_hz = rng.uniform(70, 250), [log_uniform(rng, 250, 2_000) for _ in range(3)]

    def moo() -> Array:
        n_moo = int(RATE_HZ * rng.uniform(0.8, 2.5))
        bend = rng.uniform(0.05, 0.4) * np.sin(np.pi * np.linspace(0, 1, n_moo))
        return animal_call(rng, root_hz * 2**bend, modes_hz, rng.uniform(0.1, 0.8), 0.2)

    return events(rng, n_samples, rng.uniform(0.3, 0.7), 0.4, moo)


def crow(rng: np.random.Generator, n_samples: int) -> Array:
    root_hz, modes_hz = rng.uniform(300, 700), [rng.uniform(1_000, 2_000), rng.uniform(2_000, 4_500)]

    def caw() -> Array:
        n_caw = int(RATE_HZ * rng.uniform(0.15, 0.5))
        return animal_call(rng, root_hz * np.linspace(1, rng.uniform(0.7, 1), n_caw), modes_hz, rng.uniform(1, 3), 0.03)

    return events(rng, n_samples, rng.uniform(0.7, 2.5), 0.4, caw)


def growl(rng: np.random.Generator, n_samples: int) -> Array:
    pitch_hz = log_uniform(rng, 25, 120) * np.exp(0.2 * curve(rng, n_samples, 3))
    call = animal_call(rng, pitch_hz, [log_uniform(rng, 150, 2_000) for _ in range(3)], rng.uniform(0.3, 2), 0.1)
    return call * np.exp(0.5 * curve(rng, n_samples, 4))


def insect(rng: np.random.Generator, n_samples: int) -> Array:
    pitch_hz = log_uniform(rng, 90, 700) * np.exp(
        rng.uniform(0, 0.15) * curve(rng, n_samples, log_uniform(rng, 0.5, 8))
    )
    distance = np.exp(rng.uniform(0.2, 1.5) * curve(rng, n_samples, log_uniform(rng, 0.3, 2)))
    return distance * harmonics(pitch_hz, n_samples, spectrum(rng, 20)) + 0.02 * noise(rng, n_samples)


def leaves(rng: np.random.Generator, n_samples: int) -> Array:
    rustle = band(noise(rng, n_samples), log_uniform(rng, 800, 3_000), 7_800, 1)
    return rustle * np.exp(curve(rng, n_samples, 1.5) + 0.5 * curve(rng, n_samples, 40))


SOUNDS: dict[str, Sound] = {
    "rain": rain,
    "drip": drip,
    "stream-water": stream_water,
    "wind": wind,
    "sea-waves": sea_waves,
    "fire": fire,
    "thunder": thunder,
    "leaves": leaves,
    "birds": birds,
    "pigeon": pigeon,
    "crickets": crickets,
    "frogs": frogs,
    "dog": dog,
    "cat": cat,
    "cow": cow,
    "crow": crow,
    "growl": growl,
    "insect": insect,
}
