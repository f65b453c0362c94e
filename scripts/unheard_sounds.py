"""Sounds that are no speech and that nothing was fitted on, for scripts/no_emotion.py.

All but the music are arithmetic of this file's own: scripts/sounds, which made what the sound head was fitted on, is
not used. The music is a random MIDI file, played by fluidsynth with another General MIDI sound font than
scripts/make_sounds.py takes, or by programs (instruments) that it leaves out.
"""

import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile

RATE_HZ = 48_000
SEED = 97
FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
HEARD_PROGRAMS = (*range(55), *range(56, 96), *range(104, 112))  # fitted on, with another sound font
UNHEARD_PROGRAMS = (55, *range(96, 104), *range(112, 128))
TICKS_A_BEAT = 24
SCALE = (0, 2, 3, 5, 7, 8, 11)  # harmonic minor
ROOM_DBFS = -60.0

Array: TypeAlias = npt.NDArray[np.float64]
Maker: TypeAlias = Callable[[np.random.Generator, int], Array]


def tone(rng: np.random.Generator, n_samples: int) -> Array:
    """A sine of 100 Hz to 8 kHz."""
    return sine(float(np.exp(rng.uniform(np.log(100), np.log(8_000)))), n_samples)


def hum(rng: np.random.Generator, n_samples: int) -> Array:
    """Mains hum: 50 or 60 Hz and its harmonics, even ones stronger, in faint noise."""
    mains_hz = float(rng.choice([50.0, 60.0]))
    orders = range(1, int(rng.integers(3, 25)))
    strengths = [rng.uniform(0.2, 1) * (1 if order % 2 else 2) / order for order in orders]
    waves = [strength * sine(order * mains_hz, n_samples) for order, strength in zip(orders, strengths, strict=True)]
    return np.asarray(np.sum(waves, axis=0)) + 0.01 * rng.normal(size=n_samples)


def chord(rng: np.random.Generator, n_samples: int) -> Array:
    """A triad with or without a seventh, held."""
    third = int(rng.choice([3, 4]))
    steps = (0, third, 7, 10)[: int(rng.choice([3, 4]))]
    root_hz = float(110 * 2 ** rng.uniform(0, 2))
    slope = rng.uniform(1, 3)
    return np.asarray(np.sum([rich(root_hz * 2 ** (step / 12), n_samples, slope) for step in steps], axis=0))


def tune(rng: np.random.Generator, n_samples: int) -> Array:
    """A melody of notes that die away, one after the other."""
    found = np.zeros(n_samples)
    start, place = 0, int(rng.integers(7, 15))
    slope, decay_s = rng.uniform(1, 3), rng.uniform(0.1, 1.5)
    while start < n_samples:
        n_note = min(int(rng.choice([0.15, 0.2, 0.3, 0.45, 0.6]) * RATE_HZ), n_samples - start)
        place = int(np.clip(place + rng.integers(-3, 4), 0, 20))
        key = 12 * (place // len(SCALE)) + SCALE[place % len(SCALE)]
        fading = np.exp(-np.arange(n_note) / (decay_s * RATE_HZ))
        found[start : start + n_note] = rich(110 * 2 ** (key / 12), n_note, slope) * fading * edges(n_note)
        start += n_note
    return found


def coloured_noise(rng: np.random.Generator, n_samples: int) -> Array:
    """Violet, blue, white, pink or brown noise, or one between them."""
    return noise(rng, n_samples, slope=rng.uniform(-2, 2))


def room(rng: np.random.Generator, n_samples: int) -> Array:
    """Sound of an empty room, at −60 dBFS: low noise and a trace of hum."""
    sound = noise(rng, n_samples, slope=rng.uniform(0.8, 1.6)) + 0.1 * hum(rng, n_samples)
    return np.asarray(sound / np.sqrt(np.mean(sound**2)) * 10 ** (ROOM_DBFS / 20))


def played(programs: Sequence[int], rng: np.random.Generator, n_samples: int) -> Array:
    """Random chords and notes of one instrument, played by fluidsynth."""
    midi = score(rng, int(rng.choice(programs)), 2 * n_samples / RATE_HZ + 2)
    with tempfile.TemporaryDirectory() as name:
        notes, sound = Path(name) / "notes.mid", Path(name) / "sound.wav"
        notes.write_bytes(midi)
        words = ("-n", "-i", "-q", "-r", str(RATE_HZ), "-T", "wav", "-F", str(sound), str(FONT), str(notes))
        subprocess.run(["fluidsynth", *words], check=True, capture_output=True)
        stereo, _ = soundfile.read(sound, always_2d=True)
    mono = stereo.mean(axis=1)[:n_samples]
    return np.pad(mono, (0, n_samples - len(mono)))


def score(rng: np.random.Generator, program: int, n_beats: float) -> bytes:
    """Write a MIDI file of one track: one to three keys together, then the next; two beats last a second."""
    track = bytes((0, 0xC0, program))
    now, place = 0, int(rng.integers(7, 15))
    while now < n_beats * TICKS_A_BEAT:
        length = int(rng.choice([6, 12, 24, 48]))  # below 128, so that one byte tells each time
        place = int(np.clip(place + rng.integers(-4, 5), 0, 24))
        places = [place + 2 * number for number in range(int(rng.integers(1, 4)))]
        keys = [36 + 12 * (one // len(SCALE)) + SCALE[one % len(SCALE)] for one in places]
        track += b"".join(bytes((0, 0x90, key, int(rng.integers(50, 120)))) for key in keys)
        track += b"".join(bytes((0 if number else length, 0x80, key, 0)) for number, key in enumerate(keys))
        now += length
    track += b"\0\xff\x2f\0"
    header = b"MThd" + (6).to_bytes(4, "big") + b"\0\0\0\1" + TICKS_A_BEAT.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def sine(frequency_hz: float, n_samples: int) -> Array:
    """A sine of amplitude 1."""
    return np.asarray(np.sin(2 * np.pi * frequency_hz / RATE_HZ * np.arange(n_samples)))


def rich(frequency_hz: float, n_samples: int, slope: float) -> Array:
    """Eight harmonics, the k-th of amplitude k^−slope."""
    return np.asarray(np.sum([order**-slope * sine(order * frequency_hz, n_samples) for order in range(1, 9)], axis=0))


def edges(n_samples: int) -> Array:
    """Fade in and out over 5 ms."""
    until_edge = np.minimum(np.arange(n_samples), np.arange(n_samples)[::-1])
    return np.asarray(np.clip(until_edge / (0.005 * RATE_HZ), 0, 1))


def noise(rng: np.random.Generator, n_samples: int, slope: float) -> Array:
    """Noise whose power falls with frequency^−slope: 0 white, 1 pink, 2 brown; constant below 20 Hz."""
    frequencies_hz = np.maximum(np.fft.rfftfreq(n_samples, 1 / RATE_HZ), 20.0)
    spectrum = np.fft.rfft(rng.normal(size=n_samples)) * frequencies_hz ** (-slope / 2)
    sound = np.fft.irfft(spectrum, n_samples)
    return np.asarray(sound / np.abs(sound).max())


def makers() -> dict[str, Maker]:
    """Every class that can be made here."""
    made: dict[str, Maker] = {
        "tone, 100 Hz to 8 kHz": tone,
        "hum": hum,
        "chord": chord,
        "melody": tune,
        "coloured noise": coloured_noise,
        "room noise, −60 dBFS": room,
    }
    if shutil.which("fluidsynth") and FONT.is_file():
        made["music, another sound font"] = partial(played, HEARD_PROGRAMS)
        made["music, other programs"] = partial(played, UNHEARD_PROGRAMS)
    return made


def make(name: str, number: int) -> npt.NDArray[np.float32]:
    """One sound of a class: 1 to 8 s at 48 kHz, its peak at −30 to −1 dBFS (room noise as it is)."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode()), number])
    maker = makers()[name]
    n_samples = int(rng.uniform(1, 8) * RATE_HZ)
    sound = maker(rng, n_samples)
    if maker is not room:
        sound = edges(n_samples) * sound / (np.abs(sound).max() + 1e-9) * 10 ** (rng.uniform(-30, -1) / 20)
    return sound.astype(np.float32)
