"""Electronic sounds and noises: tones, telephones, alarms, hums, static, clicks, near silence."""

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
    melody,
    noise,
    onsets,
    phase,
    seconds,
    spectrum,
)

KEYPAD_HZ = ((697, 770, 852, 941), (1209, 1336, 1477, 1633))
SMALLEST_STEP = 1 / 32_768  # of 16-bit files


def shaped(rng: np.random.Generator, frequency_hz: Array | float, n_samples: int) -> Array:
    """An oscillator of random shape: sine, rough square, saw, or random harmonics."""
    shapes = (np.ones(1), 1 / np.arange(1, 30) * (np.arange(1, 30) % 2), 1 / np.arange(1, 30), spectrum(rng))
    return harmonics(frequency_hz, n_samples, shapes[rng.integers(len(shapes))])


def gated(rng: np.random.Generator, n_samples: int, on_s: float, off_s: float) -> Array:
    """One while a signal is on and zero while it is off, with edges of 3 ms."""
    position = (seconds(n_samples) + rng.uniform(0, on_s)) % (on_s + off_s)
    return np.clip(np.minimum(position, on_s - position) / 0.003, 0, 1)


def tone(rng: np.random.Generator, n_samples: int) -> Array:
    return shaped(rng, log_uniform(rng, 60, 6_000), n_samples)


def tone_steps(rng: np.random.Generator, n_samples: int) -> Array:
    return melody(rng, n_samples, lambda hz, n: shaped(rng, hz, n) * held(n, 0.005, 0.01))


def chord(rng: np.random.Generator, n_samples: int) -> Array:
    root_hz = log_uniform(rng, 80, 800)
    intervals = rng.choice(24, int(rng.integers(2, 6)), replace=False)
    return sum((shaped(rng, root_hz * 2 ** (step / 12), n_samples) for step in intervals), np.zeros(n_samples))


def sweep(rng: np.random.Generator, n_samples: int) -> Array:
    low_hz, high_hz, period_s = log_uniform(rng, 50, 800), log_uniform(rng, 900, 7_500), log_uniform(rng, 0.2, 8)
    position = (seconds(n_samples) / period_s) % 1
    return shaped(rng, low_hz * (high_hz / low_hz) ** (position if rng.random() < 0.5 else 1 - position), n_samples)


def dtmf(rng: np.random.Generator, n_samples: int) -> Array:
    n_on = int(RATE_HZ * rng.uniform(0.05, 0.3))

    def key() -> Array:
        pair = (rng.choice(frequencies) for frequencies in KEYPAD_HZ)
        return sum((np.sin(phase(float(hz), n_on)) for hz in pair), np.zeros(n_on)) * held(n_on, 0.003, 0.003)

    return events(rng, n_samples, RATE_HZ / n_on / rng.uniform(1.2, 4), 0.0, key)


def telephone_ring(rng: np.random.Generator, n_samples: int) -> Array:
    if rng.random() < 0.5:
        ring = harmonics(rng.uniform(400, 480), n_samples, [1]) + harmonics(rng.uniform(400, 500), n_samples, [1])
    else:
        pitches_hz = log_uniform(rng, 500, 2_500) * np.where(seconds(n_samples) * rng.uniform(8, 30) % 1 < 0.5, 1, 1.25)
        ring = shaped(rng, pitches_hz, n_samples)
    return ring * gated(rng, n_samples, rng.uniform(0.4, 2), rng.uniform(0.2, 4))


def telephone_busy(rng: np.random.Generator, n_samples: int) -> Array:
    busy = harmonics(rng.uniform(380, 500), n_samples, [1, 0.02]) + rng.integers(2) * harmonics(620.0, n_samples, [1])
    return busy * gated(rng, n_samples, rng.uniform(0.15, 0.6), rng.uniform(0.15, 0.6))


def alarm(rng: np.random.Generator, n_samples: int) -> Array:
    alternate = seconds(n_samples) * rng.uniform(1, 10) % 1 < rng.uniform(0.3, 0.7)
    pitches_hz = log_uniform(rng, 400, 3_000) * np.where(alternate, 1, rng.uniform(0.5, 1.6))
    return shaped(rng, pitches_hz, n_samples) * (gated(rng, n_samples, 0.5, 0.2) if rng.random() < 0.5 else 1)


def siren(rng: np.random.Generator, n_samples: int) -> Array:
    wave = np.sin(2 * np.pi * log_uniform(rng, 0.1, 5) * seconds(n_samples) + rng.uniform(0, 6))
    return shaped(rng, log_uniform(rng, 400, 1_200) * 2 ** (rng.uniform(0.2, 1) * wave), n_samples)


def beeps(rng: np.random.Generator, n_samples: int) -> Array:
    beep = shaped(rng, log_uniform(rng, 300, 5_000), n_samples)
    return beep * gated(rng, n_samples, log_uniform(rng, 0.03, 0.5), log_uniform(rng, 0.05, 2))


def mains_hum(rng: np.random.Generator, n_samples: int) -> Array:
    hum = harmonics(float(rng.choice([50.0, 60.0])), n_samples, spectrum(rng, 12))
    return hum + rng.uniform(0, 0.05) * noise(rng, n_samples, -1)


def hum_with_buzz(rng: np.random.Generator, n_samples: int) -> Array:
    mains_hz = float(rng.choice([50.0, 60.0, 100.0, 120.0]))
    pulses = np.maximum(np.sin(phase(mains_hz, n_samples)), 0) ** log_uniform(rng, 4, 200)
    buzz = band(pulses, rng.uniform(60, 600), rng.uniform(2_000, 7_500), 1)
    return buzz / buzz.std() + rng.uniform(0.2, 3) * mains_hum(rng, n_samples)


def white_noise(rng: np.random.Generator, n_samples: int) -> Array:
    return noise(rng, n_samples, rng.uniform(-0.2, 0.2))


def pink_noise(rng: np.random.Generator, n_samples: int) -> Array:
    return noise(rng, n_samples, rng.uniform(-1.3, -0.7))


def brown_noise(rng: np.random.Generator, n_samples: int) -> Array:
    return noise(rng, n_samples, rng.uniform(-3, -1.7))


def blue_noise(rng: np.random.Generator, n_samples: int) -> Array:
    return noise(rng, n_samples, rng.uniform(0.7, 2))


def band_noise(rng: np.random.Generator, n_samples: int) -> Array:
    low_hz = log_uniform(rng, 60, 5_000)
    steady = band(noise(rng, n_samples), low_hz, low_hz * log_uniform(rng, 1.15, 4))
    return steady * np.exp(rng.uniform(0, 1) * curve(rng, n_samples, log_uniform(rng, 0.5, 30)))


def pulsed_noise(rng: np.random.Generator, n_samples: int) -> Array:
    pulses = gated(rng, n_samples, log_uniform(rng, 0.03, 1), log_uniform(rng, 0.03, 1))
    return pulses * noise(rng, n_samples, rng.uniform(-2, 1))


def radio_static(rng: np.random.Generator, n_samples: int) -> Array:
    hiss = noise(rng, n_samples) * np.exp(rng.uniform(0.2, 1.2) * curve(rng, n_samples, log_uniform(rng, 2, 60)))
    whistle_hz = log_uniform(rng, 300, 3_000) * 2 ** (0.3 * curve(rng, n_samples, 0.5))
    return band(hiss, 300, rng.uniform(2_500, 7_000)) + rng.choice([0, 0.5]) * harmonics(whistle_hz, n_samples, [1])


def modem(rng: np.random.Generator, n_samples: int) -> Array:
    n_symbols, base_hz = int(n_samples / RATE_HZ * log_uniform(rng, 30, 1_200)) + 2, log_uniform(rng, 500, 2_500)
    symbols = rng.integers(0, int(rng.choice([2, 4, 8])), n_symbols)
    held_symbols = symbols[np.arange(n_samples) * n_symbols // n_samples]
    data = np.sin(phase(base_hz + held_symbols * log_uniform(rng, 50, 600), n_samples))
    return data + rng.choice([0, 0.5]) * harmonics(log_uniform(rng, 900, 2_300), n_samples, [1])


def vinyl_crackle(rng: np.random.Generator, n_samples: int) -> Array:
    impulses = (rng.random(n_samples) < log_uniform(rng, 3, 150) / RATE_HZ) * rng.standard_t(3, n_samples)
    crackle = band(impulses, rng.uniform(200, 1_500), rng.uniform(3_000, 7_500), 1)
    return crackle / (crackle.std() + 0.01) + rng.uniform(0.02, 0.5) * noise(rng, n_samples, -1)


def clicks(rng: np.random.Generator, n_samples: int) -> Array:
    def click() -> Array:
        return rng.choice([-1, 1]) * decay(n_click, half_life_s, 1e-4)

    half_life_s = log_uniform(rng, 0.0001, 0.003)
    n_click = int(RATE_HZ * 12 * half_life_s) + 2
    return events(rng, n_samples, log_uniform(rng, 0.5, 40), float(rng.choice([0, 0.3, 1])), click)


def dc_and_clicks(rng: np.random.Generator, n_samples: int) -> Array:
    levels = rng.uniform(-1, 1, 20)
    edges = np.zeros(n_samples, dtype=int)
    edges[onsets(rng, n_samples, log_uniform(rng, 0.5, 8), 1.0)] = 1
    return levels[np.cumsum(edges) % 20] + 0.003 * noise(rng, n_samples)


def clipped_wave(rng: np.random.Generator, n_samples: int) -> Array:
    wobble = 2 ** (rng.uniform(0, 0.5) * curve(rng, n_samples, log_uniform(rng, 0.3, 4)))
    wave = shaped(rng, log_uniform(rng, 50, 1_500) * wobble, n_samples) + rng.uniform(0, 0.2) * noise(rng, n_samples)
    return np.clip(wave * log_uniform(rng, 2, 100), -1, 1)


def granular_noise(rng: np.random.Generator, n_samples: int) -> Array:
    longest_s, slope = log_uniform(rng, 0.01, 0.2), rng.uniform(-2, 1)

    def grain() -> Array:
        n_grain = int(RATE_HZ * rng.uniform(0.3, 1) * longest_s) + 8
        centre_hz = log_uniform(rng, 150, 6_000)
        filtered = band(noise(rng, n_grain, slope), 0.7 * centre_hz, 1.4 * centre_hz)
        return filtered * np.hanning(n_grain)

    return events(rng, n_samples, log_uniform(rng, 4, 60), 0.8, grain)


def game_blips(rng: np.random.Generator, n_samples: int) -> Array:
    def blip() -> Array:
        n_blip = int(RATE_HZ * log_uniform(rng, 0.03, 0.3))
        glide = np.linspace(0, rng.uniform(-2, 2), n_blip)
        return shaped(rng, np.minimum(log_uniform(rng, 200, 2_500) * 2**glide, 7_000), n_blip) * held(
            n_blip, 0.002, 0.02
        )

    return events(rng, n_samples, log_uniform(rng, 1, 12), rng.uniform(0, 1), blip)


def ring_modulation(rng: np.random.Generator, n_samples: int) -> Array:
    carrier = shaped(rng, log_uniform(rng, 60, 3_000), n_samples)
    return carrier * np.sin(phase(log_uniform(rng, 1, 400) * 2 ** curve(rng, n_samples, 1), n_samples))


def microphone_handling(rng: np.random.Generator, n_samples: int) -> Array:
    def thump() -> Array:
        n_thump = int(RATE_HZ * log_uniform(rng, 0.05, 0.5))
        return low_pass(rng.normal(size=n_thump), log_uniform(rng, 60, 600)) * decay(
            n_thump, n_thump / RATE_HZ / 6, 0.01
        )

    rubbing = noise(rng, n_samples, -1) * np.exp(1.5 * curve(rng, n_samples, 8))
    thumps = events(rng, n_samples, log_uniform(rng, 0.7, 6), 1.0, thump)
    return thumps + rng.uniform(0, 0.1) * rubbing


def room_noise(rng: np.random.Generator, n_samples: int) -> Array:
    """Coloured noise at -85 to -60 dBFS (RMS), sometimes with a hum: a quiet room."""
    quiet = noise(rng, n_samples, rng.uniform(-2.5, 0.3))
    quiet = quiet + rng.choice([0, 0.5]) * mains_hum(rng, n_samples)
    return quiet / quiet.std() * 10 ** (rng.uniform(-85, -60) / 20)


def near_silence(rng: np.random.Generator, n_samples: int) -> Array:
    """The last one to three steps of a 16-bit converter."""
    return (
        rng.integers(-1, 2, n_samples)
        * (rng.random(n_samples) < rng.uniform(0.01, 1))
        * SMALLEST_STEP
        * (rng.integers(1, 4))
    )


SOUNDS: dict[str, Sound] = {
    "tone": tone,
    "tone-steps": tone_steps,
    "chord": chord,
    "sweep": sweep,
    "dtmf": dtmf,
    "telephone-ring": telephone_ring,
    "telephone-busy": telephone_busy,
    "alarm": alarm,
    "siren": siren,
    "beeps": beeps,
    "mains-hum": mains_hum,
    "hum-with-buzz": hum_with_buzz,
    "white-noise": white_noise,
    "pink-noise": pink_noise,
    "brown-noise": brown_noise,
    "blue-noise": blue_noise,
    "band-noise": band_noise,
    "pulsed-noise": pulsed_noise,
    "radio-static": radio_static,
    "modem": modem,
    "vinyl-crackle": vinyl_crackle,
    "clicks": clicks,
    "dc-and-clicks": dc_and_clicks,
    "clipped-wave": clipped_wave,
    "granular-noise": granular_noise,
    "game-blips": game_blips,
    "ring-modulation": ring_modulation,
    "microphone-handling": microphone_handling,
}
QUIET: dict[str, Sound] = {"room-noise": room_noise, "near-silence": near_silence}  # at their level as they are
