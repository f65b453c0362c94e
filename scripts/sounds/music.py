"""Random music: a MIDI file of a few seconds, played by fluidsynth with a General MIDI sound font."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import signal

from sounds.parts import RATE_HZ, SCALES

FONT_FOLDER = Path("/usr/share/sounds/sf2")
FONTS = ("TimGM6mb.sf2", "FluidR3_GM.sf2", "default-GM.sf2")  # the first that is there
TICKS = 96  # a beat
DRUM_CHANNEL = 9
PIANO, ORGANS, GUITARS, BASSES, STRINGS = range(8), range(16, 24), range(24, 32), range(32, 40), range(40, 52)
CHOIR, BRASS, REEDS, PIPES = range(52, 55), range(56, 64), range(64, 72), range(72, 80)
CHROMATIC, LEADS, PADS, ETHNIC = range(8, 16), range(80, 88), range(88, 96), range(104, 112)
INSTRUMENTS: dict[str, Sequence[int]] = {
    "music-piano": PIANO,
    "music-mallets": CHROMATIC,
    "music-organ": ORGANS,
    "music-guitar": (*GUITARS, *BASSES),
    "music-strings": STRINGS,
    "music-choir": CHOIR,
    "music-winds": (*BRASS, *REEDS, *PIPES),
    "music-synth": (*LEADS, *PADS),
    "music-folk": ETHNIC,
    "music-drums": (),
    "music-band": (*PIANO, *ORGANS, *GUITARS, *BASSES, *STRINGS, *BRASS, *REEDS, *PIPES, *LEADS, *PADS),
}
Event = tuple[int, bytes]  # ticks since the start, what is sent


def variable_length(number: int) -> bytes:
    """A number as MIDI writes it: seven bits a byte, the highest bit set in all but the last."""
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


def midi_file(events: list[Event], beat_s: float) -> bytes:
    """A MIDI file of one track (format 0)."""
    track = b"\0\xff\x51\x03" + int(beat_s * 1e6).to_bytes(3, "big")
    now = 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track += variable_length(tick - now) + message
        now = tick
    track += b"\0\xff\x2f\0"
    header = b"MThd" + (6).to_bytes(4, "big") + b"\0\0\0\1" + TICKS.to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def note(channel: int, start: int, length: int, key: int, velocity: int) -> list[Event]:
    """A key that goes down and up."""
    return [
        (start, bytes((0x90 + channel, key, velocity))),
        (start + max(length, 1), bytes((0x80 + channel, key, 0))),
    ]


def part(rng: np.random.Generator, channel: int, program: int, n_ticks: int, keys: Sequence[int]) -> list[Event]:
    """One instrument: a melody, chords or broken chords on some keys."""
    events: list[Event] = [
        (0, bytes((0xC0 + channel, program))),
        (0, bytes((0xB0 + channel, 7, int(rng.integers(60, 128))))),
    ]
    step = int(TICKS * rng.choice([0.25, 0.5, 1, 2, 4]))
    n_together, legato = int(rng.choice([1, 1, 3, 4])), rng.uniform(0.3, 1.3)
    place, now = int(rng.integers(len(keys))), 0
    while now < n_ticks:
        length = int(step * rng.choice([0.5, 1, 1, 1, 2])) or 1
        place = int(np.clip(place + rng.integers(-3, 4), 0, len(keys) - 1))
        if rng.random() > 0.1:
            for voice in range(n_together):
                key = keys[min(place + 2 * voice, len(keys) - 1)]
                events += note(channel, now, int(length * legato), key, int(rng.integers(40, 128)))
        now += length
    return events


def drum_part(rng: np.random.Generator, n_ticks: int) -> list[Event]:
    """A pattern of General MIDI drums, over and over."""
    step, n_steps = TICKS // 4, int(rng.choice([12, 16]))
    kit = [36, 38, 42, *rng.integers(35, 82, 3)]
    pattern = rng.random((len(kit), n_steps)) < rng.uniform(0.05, 0.5, (len(kit), 1))
    pattern[0, 0] = True
    return [
        event
        for number in range(n_ticks // step)
        for drum in np.flatnonzero(pattern[:, number % n_steps])
        for event in note(DRUM_CHANNEL, number * step, step, int(kit[drum]), int(rng.integers(50, 128)))
    ]


def song(rng: np.random.Generator, programs: Sequence[int], length_s: float, n_parts: int, drums: bool) -> bytes:
    """A MIDI file of random parts in one scale and tempo, at least as long as asked for."""
    beat_s = rng.uniform(0.3, 1)
    n_ticks = int(TICKS * length_s / beat_s) + TICKS
    scale, root = SCALES[rng.integers(len(SCALES))], int(rng.integers(12))
    events: list[Event] = drum_part(rng, n_ticks) if drums else []
    for channel in range(n_parts):
        low = int(rng.choice([36, 48, 60]))
        keys = [key for key in range(low, low + 25) if (key - root) % 12 in scale]
        events += part(rng, channel, int(rng.choice(programs)), n_ticks, keys)
    return midi_file(events, beat_s)


def font() -> Path | None:
    """The sound font to play with, or None where fluidsynth or a font is absent."""
    if not shutil.which("fluidsynth"):
        return None
    return next((FONT_FOLDER / name for name in FONTS if (FONT_FOLDER / name).is_file()), None)


def played(midi: bytes, font: Path, n_samples: int) -> NDArray[np.float64]:
    """A MIDI file played by fluidsynth, mono at 16 kHz, cut or filled up with zeros to a length."""
    with tempfile.TemporaryDirectory() as folder:
        score, wav = Path(folder) / "score.mid", Path(folder) / "played.wav"
        score.write_bytes(midi)
        command = [
            "fluidsynth",
            "-n",
            "-i",
            "-q",
            "-r",
            str(2 * RATE_HZ),
            "-T",
            "wav",
            "-F",
            str(wav),
            str(font),
            str(score),
        ]
        subprocess.run(command, check=True, capture_output=True)
        stereo, _ = soundfile.read(wav, always_2d=True)
    mono = signal.resample_poly(stereo.mean(axis=1), 1, 2)[:n_samples]
    return np.pad(mono, (0, n_samples - len(mono)))


def musician(name: str, font: Path) -> Callable[[np.random.Generator, int], NDArray[np.float64]]:
    """The maker of a class of music."""

    def play(rng: np.random.Generator, n_samples: int) -> NDArray[np.float64]:
        band = name == "music-band"
        n_parts = 0 if name == "music-drums" else int(rng.integers(2, 6) if band else rng.integers(1, 4))
        drums = not n_parts or (band and rng.random() < 0.7)
        return played(song(rng, INSTRUMENTS[name], n_samples / RATE_HZ, n_parts, bool(drums)), font, n_samples)

    return play
