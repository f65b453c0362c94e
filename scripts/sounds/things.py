"""Machines, and things that hit, rub or break."""

import numpy as np

from sounds.parts import (
    NYQUIST_HZ,
    RATE_HZ,
    Array,
    Sound,
    band,
    curve,
    decay,
    events,
    harmonics,
    impact,
    log_uniform,
    low_pass,
    noise,
    phase,
    place,
    resonances,
    seconds,
    spectrum,
)


def speed(rng: np.random.Generator, n_samples: int, low_hz: float, high_hz: float) -> Array:
    """The speed of a machine in turns a second: up, down, or about steady, never quite even."""
    start_hz, end_hz = log_uniform(rng, low_hz, high_hz), log_uniform(rng, low_hz, high_hz)
    if rng.random() < 0.4:
        end_hz = start_hz * rng.uniform(0.95, 1.05)
    glide = start_hz * (end_hz / start_hz) ** np.linspace(0, 1, n_samples)
    return glide * np.exp(0.03 * curve(rng, n_samples, log_uniform(rng, 1, 20)))


def exhaust(rng: np.random.Generator, n_samples: int, low_hz: float, high_hz: float, rough: float) -> Array:
    """Firing pulses through the resonances of a pipe, with noise that follows the pulses."""
    turns_hz = speed(rng, n_samples, low_hz, high_hz)
    pulses = np.maximum(np.sin(phase(turns_hz, n_samples)), 0) ** rng.uniform(2, 12)
    pulses = pulses * (1 + rough * curve(rng, n_samples, float(turns_hz.mean())))
    driven = pulses + rng.uniform(0.05, 0.5) * noise(rng, n_samples, -1) * (0.2 + pulses)
    return resonances(driven, [log_uniform(rng, 60, 3_000) for _ in range(4)], rng.uniform(1, 6), 0.3)


def engine(rng: np.random.Generator, n_samples: int) -> Array:
    return exhaust(rng, n_samples, 15, 90, 0.2)


def motorbike(rng: np.random.Generator, n_samples: int) -> Array:
    return exhaust(rng, n_samples, 30, 220, 0.4)


def chainsaw(rng: np.random.Generator, n_samples: int) -> Array:
    return np.tanh(log_uniform(rng, 1, 10) * exhaust(rng, n_samples, 60, 260, 0.8))


def fan(rng: np.random.Generator, n_samples: int) -> Array:
    air = low_pass(noise(rng, n_samples, rng.uniform(-1.5, -0.3)), log_uniform(rng, 800, 7_000), 1)
    blades_hz = log_uniform(rng, 8, 200)
    beat = 1 + rng.uniform(0, 0.5) * np.sin(phase(blades_hz, n_samples))
    return air * beat + rng.uniform(0, 0.8) * harmonics(blades_hz * 2, n_samples, spectrum(rng, 8))


def helicopter(rng: np.random.Generator, n_samples: int) -> Array:
    chops = (0.5 + 0.5 * np.sin(phase(speed(rng, n_samples, 8, 30), n_samples))) ** rng.uniform(1, 8)
    return low_pass(noise(rng, n_samples, -1), log_uniform(rng, 500, 5_000)) * (0.05 + chops)


def jet(rng: np.random.Generator, n_samples: int) -> Array:
    roar = noise(rng, n_samples, rng.uniform(-1.5, 0)) * np.exp(0.2 * curve(rng, n_samples, 20))
    whine_hz = log_uniform(rng, 800, 4_000) * np.linspace(1, rng.uniform(0.6, 1.4), n_samples)
    loudness = np.exp(rng.uniform(-3, 3) * np.linspace(-0.5, 0.5, n_samples))
    return loudness * (roar + rng.uniform(0, 1) * harmonics(whine_hz, n_samples, [1, 0.4, 0.2]))


def drill(rng: np.random.Generator, n_samples: int) -> Array:
    load = 1 + 0.1 * curve(rng, n_samples, 3)
    motor = harmonics(speed(rng, n_samples, 100, 700) * load, n_samples, rng.uniform(0.1, 1, 16))
    hammering = 1 + rng.choice([0, 0.8]) * np.sign(np.sin(phase(rng.uniform(15, 60), n_samples)))
    return (motor + rng.uniform(0.2, 2) * band(noise(rng, n_samples), 800, 7_000)) * hammering


def washing_machine(rng: np.random.Generator, n_samples: int) -> Array:
    turn_hz = log_uniform(rng, 0.5, 15)
    slosh = noise(rng, n_samples, -1.5) * (0.3 + np.maximum(np.sin(phase(turn_hz, n_samples)), 0) ** 2)
    return slosh + rng.uniform(0.1, 1.5) * harmonics(speed(rng, n_samples, 50, 400), n_samples, spectrum(rng, 10))


def vacuum_cleaner(rng: np.random.Generator, n_samples: int) -> Array:
    motor = harmonics(speed(rng, n_samples, 150, 900), n_samples, spectrum(rng, 14))
    return noise(rng, n_samples, -0.6) + rng.uniform(0.3, 2) * motor


def train(rng: np.random.Generator, n_samples: int) -> Array:
    def joint() -> Array:
        clack = impact(rng, modes_hz, 0.03, 1.0)
        total = np.zeros(int(1.4 * gap) + len(clack))
        place(total, clack, 0)
        place(total, clack, int(rng.uniform(0.9, 1.1) * gap))
        return total

    modes_hz, gap = rng.uniform(80, 2_500, 6), rng.uniform(0.1, 0.3) * RATE_HZ
    rumble = low_pass(noise(rng, n_samples, -1.5), log_uniform(rng, 200, 3_000))
    return rumble + rng.uniform(0.3, 3) * events(rng, n_samples, rng.uniform(0.7, 2.5), 0.02, joint)


def car_horn(rng: np.random.Generator, n_samples: int) -> Array:
    low_hz = rng.uniform(250, 500)
    amplitudes = np.array([1, 0.9, 0.9, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.2, 0.1])
    both = harmonics(low_hz, n_samples, amplitudes) + harmonics(low_hz * rng.uniform(1.15, 1.3), n_samples, amplitudes)
    n_on = rng.integers(2, 8)
    return both * low_pass((curve(rng, n_samples, n_on / 2) > -0.3).astype(float), 30, 1)


def knocks(rng: np.random.Generator, n_samples: int) -> Array:
    modes_hz, half_s = rng.uniform(80, 1_500, 6), log_uniform(rng, 0.008, 0.05)
    return events(
        rng, n_samples, log_uniform(rng, 1, 8), rng.uniform(0, 0.5), lambda: impact(rng, modes_hz, half_s, 0.6)
    )


def footsteps(rng: np.random.Generator, n_samples: int) -> Array:
    def step() -> Array:
        n_step = int(RATE_HZ * 0.25)
        scrape = band(rng.normal(size=n_step), centre_hz, 3 * centre_hz) * decay(n_step, scrape_s, 0.01)
        place(scrape, 2 * impact(rng, modes_hz, 0.02, 0.3), 0)
        return scrape

    modes_hz, centre_hz, scrape_s = rng.uniform(60, 600, 4), log_uniform(rng, 300, 2_500), log_uniform(rng, 0.01, 0.08)
    return events(rng, n_samples, rng.uniform(1.2, 3.5), 0.08, step)


def door_slam(rng: np.random.Generator, n_samples: int) -> Array:
    modes_hz = rng.uniform(40, 800, 10)
    return events(
        rng, n_samples, rng.uniform(0.3, 0.8), 0.9, lambda: impact(rng, modes_hz, rng.uniform(0.03, 0.15), 1.5)
    )


def creak(rng: np.random.Generator, n_samples: int) -> Array:
    slips_hz = log_uniform(rng, 15, 200) * np.exp(0.7 * curve(rng, n_samples, log_uniform(rng, 1, 6)))
    slips = np.diff(np.floor(phase(slips_hz, n_samples) / (2 * np.pi)), prepend=0)
    creaking = resonances(slips, [log_uniform(rng, 300, 4_000) for _ in range(5)], rng.uniform(5, 30), 0)
    return creaking * np.maximum(curve(rng, n_samples, 2) + 0.7, 0)


def clock_tick(rng: np.random.Generator, n_samples: int) -> Array:
    modes_hz, half_s = rng.uniform(1_000, 6_500, 5), log_uniform(rng, 0.002, 0.02)
    return events(rng, n_samples, float(rng.choice([1, 2, 3, 4, 5])), 0.0, lambda: impact(rng, modes_hz, half_s, 0.5))


def typing(rng: np.random.Generator, n_samples: int) -> Array:
    low_hz = rng.uniform(300, 1_500)
    return events(
        rng,
        n_samples,
        rng.uniform(3, 12),
        0.5,
        lambda: impact(rng, rng.uniform(low_hz, 6_000, 4), log_uniform(rng, 0.002, 0.012), 0.8),
    )


def applause(rng: np.random.Generator, n_samples: int) -> Array:
    claps = np.zeros(n_samples)
    for _ in range(int(log_uniform(rng, 1, 40))):
        n_clap, centre_hz = int(RATE_HZ * 0.03), rng.uniform(600, 2_500)
        clap = band(rng.normal(size=n_clap), 0.6 * centre_hz, 1.6 * centre_hz) * decay(n_clap, 0.004)
        claps += rng.uniform(0.2, 1) * events(rng, n_samples, rng.uniform(2, 6), 0.2, lambda clap=clap: clap)  # type: ignore[misc]
    return claps


def glass(rng: np.random.Generator, n_samples: int) -> Array:
    half_s, rate_hz = log_uniform(rng, 0.01, 0.2), log_uniform(rng, 0.6, 30)
    return events(
        rng,
        n_samples,
        rate_hz,
        1.0,
        lambda: impact(rng, rng.uniform(1_200, 7_800, 6), half_s * rng.uniform(0.3, 1), 0.4),
    )


def bells(rng: np.random.Generator, n_samples: int) -> Array:
    partials = np.array([0.5, 1, 1.19, 1.5, 2, 2.51, 2.66, 3.01, 4.1]) * rng.uniform(0.98, 1.02, 9)
    root_hz, half_s = log_uniform(rng, 150, 2_000), log_uniform(rng, 0.1, 1)
    steps = rng.choice([1, 1.125, 1.25, 1.5], 3)
    return events(
        rng,
        n_samples,
        log_uniform(rng, 0.5, 5),
        0.2,
        lambda: impact(rng, root_hz * rng.choice(steps) * partials, half_s, 0.1),
    )


def coins(rng: np.random.Generator, n_samples: int) -> Array:
    rate_hz = rng.uniform(3, 20)
    return events(
        rng,
        n_samples,
        rate_hz,
        0.9,
        lambda: impact(rng, rng.uniform(2_500, 7_800, 4), log_uniform(rng, 0.01, 0.1), 0.1),
    )


def pots(rng: np.random.Generator, n_samples: int) -> Array:
    half_s = log_uniform(rng, 0.02, 0.2)
    return events(
        rng, n_samples, log_uniform(rng, 1, 7), 0.9, lambda: impact(rng, rng.uniform(250, 5_000, 8), half_s, 0.5)
    )


def paper(rng: np.random.Generator, n_samples: int) -> Array:
    rustle = band(noise(rng, n_samples), rng.uniform(500, 2_000), rng.uniform(4_000, 7_800), 1)
    grains = np.abs(noise(rng, n_samples)) ** rng.uniform(1, 4)
    return rustle * grains * np.exp(rng.uniform(1, 2.5) * curve(rng, n_samples, log_uniform(rng, 3, 25)))


def sawing(rng: np.random.Generator, n_samples: int) -> Array:
    stroke = np.abs(np.sin(phase(rng.uniform(0.5, 3), n_samples))) ** rng.uniform(0.5, 2)
    teeth = 1 + rng.uniform(0, 1) * np.sin(phase(20 + log_uniform(rng, 50, 400) * stroke, n_samples))
    return stroke * teeth * band(noise(rng, n_samples), rng.uniform(200, 1_500), rng.uniform(2_500, 7_500))


def ping_pong(rng: np.random.Generator, n_samples: int) -> Array:
    total = np.zeros(n_samples)
    start, gap = 0, rng.uniform(0.2, 0.8) * RATE_HZ
    first_gap, shrink, modes_hz = gap, rng.uniform(0.75, 0.95), rng.uniform(300, 4_000, 4)
    while start < n_samples:
        place(total, impact(rng, modes_hz, 0.01, 0.4) * gap / first_gap, int(start))
        gap = gap * shrink if gap > 0.02 * RATE_HZ else first_gap
        start += int(gap)
    return total


def drum(rng: np.random.Generator, kind: int) -> Array:
    """A bass drum (0), a snare drum (1), a cymbal (2) or a tom-tom (3)."""
    n_samples = int(RATE_HZ * 0.4)
    time_s = seconds(n_samples)
    if kind == 1:
        skin = np.sin(2 * np.pi * rng.uniform(150, 250) * time_s) * decay(n_samples, 0.03)
        return skin + band(rng.normal(size=n_samples), 800, 7_000) * decay(n_samples, rng.uniform(0.02, 0.07))
    if kind == 2:
        return band(rng.normal(size=n_samples), 4_000, 0.97 * NYQUIST_HZ) * decay(
            n_samples, log_uniform(rng, 0.01, 0.15)
        )
    rest_hz = rng.uniform(40, 80) if kind == 0 else rng.uniform(80, 250)
    return np.sin(phase(rest_hz * (1 + 2 * np.exp(-time_s / 0.03)), n_samples)) * decay(
        n_samples, rng.uniform(0.04, 0.1)
    )


def drums(rng: np.random.Generator, n_samples: int) -> Array:
    return events(rng, n_samples, log_uniform(rng, 1.5, 12), rng.uniform(0, 1), lambda: drum(rng, int(rng.integers(4))))


def rhythm_loop(rng: np.random.Generator, n_samples: int) -> Array:
    total, beat = np.zeros(n_samples), RATE_HZ * rng.uniform(0.08, 0.25)
    kit = [drum(rng, kind) * rng.uniform(0.3, 1) for kind in range(4)]
    pattern = rng.random((4, int(rng.choice([6, 8, 12, 16])))) < rng.uniform(0.15, 0.6, (4, 1))
    for number in range(int(n_samples / beat) + 1):
        for piece in np.flatnonzero(pattern[:, number % pattern.shape[1]]):
            place(total, kit[piece], int(number * beat))
    return total if total.any() else drums(rng, n_samples)


SOUNDS: dict[str, Sound] = {
    "engine": engine,
    "motorbike": motorbike,
    "chainsaw": chainsaw,
    "fan": fan,
    "helicopter": helicopter,
    "jet": jet,
    "drill": drill,
    "washing-machine": washing_machine,
    "vacuum-cleaner": vacuum_cleaner,
    "train": train,
    "car-horn": car_horn,
    "knocks": knocks,
    "footsteps": footsteps,
    "door-slam": door_slam,
    "creak": creak,
    "clock-tick": clock_tick,
    "typing": typing,
    "applause": applause,
    "glass": glass,
    "bells": bells,
    "coins": coins,
    "pots": pots,
    "paper": paper,
    "sawing": sawing,
    "ping-pong": ping_pong,
    "drums": drums,
    "rhythm-loop": rhythm_loop,
}
