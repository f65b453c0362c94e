"""Speech as strangers record it: beside a jingle, in a stadium, whispered …: is it refused? Is what is told right?

Usage: python scripts/odd_sound.py [MODEL ...]

200 recordings each of RAVDESS and of nEMO (drawn with seed 0; the models' classes only), which no permissive model
heard, are predicted under each condition (`CONDITIONS`). Writes docs/results/odd-sound.md. Corpora come from
$EARNEST_DATA.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from hard_speech import CORPORA, N_CLIPS, RATE_HZ, SEED, drawn_clips, in_range, lines, rows_of
from no_emotion import unfitted_bursts
from scipy.linalg import solve_toeplitz
from scipy.signal import butter, lfilter, sosfilt

from earnest.audio.io import load_waveform
from earnest.audio.quality import active_part
from earnest.audio.waveform import Waveform
from earnest.augment.base import mix_at_snr
from earnest.augment.coloured_noise import coloured_noise
from earnest.augment.reverb import reverberated, room_response
from earnest.augment.time_stretch import stretched
from earnest.runtime.predictor import Predictor

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "odd-sound.md"
HEAD = """# Speech as strangers record it

Written by `python scripts/odd_sound.py {words}`: {n_clips} clips each of two corpora that these models never heard. Per
cent: refused (no speech, or a vocal burst), told (not unsure), the share of the told answers that is right ("–": of
fewer than ten), and how sure these are on average. Of 90 told answers chance alone moves "right" by ten points.

*Wind* is gusts below 400 Hz, so many decibels louder than the speech. *Whispered*: noise in place of the voice, through
the same spectral envelope. *Thin*: nothing below 500 Hz, as from the loudspeaker of a phone. *Two microphones*, one of
them 1 ms later, are two channels, of which the models hear the mean. Slower and faster speech keeps its pitch. *A
stadium*: overdriven, five echoes, nothing above 4.5 kHz, and a hall of 2.5 s. *An offset* is a constant, three times
the peak. *A jingle* of 1.2 s, 12 dB louder than the speech, stands before and behind it, so many seconds away. So does
*a laugh* of up to 1.5 s, as loud as the speech: of EmoGator's contributors that nothing was fitted on.
"""
TABLE = """
## `{name}`

| | RAVDESS: refused | told | right | confidence | nEMO: refused | told | right | confidence |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
"""
Change: TypeAlias = Callable[[Waveform, np.random.Generator], Waveform]
"""A clip (samples,) and a generator to a changed copy, (samples,) or (samples, channels)."""


def wind(n_samples: int, rng: np.random.Generator) -> Waveform:
    """Make gusts: noise below 400 Hz whose level moves within 31 dB, every 0.15 s."""
    noise = lfilter(*butter(2, 400, fs=RATE_HZ), coloured_noise(n_samples, RATE_HZ, "white", rng))
    at = np.arange(n_samples) / (0.15 * RATE_HZ)
    levels_db = rng.uniform(-25, 6, int(at[-1]) + 2)
    return np.asarray(noise * 10 ** (np.interp(at, np.arange(len(levels_db)), levels_db) / 20), np.float32)


def whispered(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Put noise in the place of the voice: linear prediction of order 18, frames of 32 ms, softer below 500 Hz."""
    n, hop, order = 512, 128, 18
    window = np.hanning(n + 1)[:-1]
    padded = np.pad(waveform, n)
    noise, found = rng.standard_normal(len(padded)), np.zeros(len(padded))
    for start in range(0, len(padded) - n, hop):
        frame = padded[start : start + n] * window
        r = np.correlate(frame, frame, "full")[n - 1 : n + order].astype(np.float64)
        r[0] = 1.0001 * r[0] + 1e-9
        a = solve_toeplitz(r[:order], r[1:])  # x[t] = Σ_k a[k]·x[t − k] + e[t], for k from 1 to 18
        gain = np.sqrt(max(r[0] - a @ r[1:], 1e-12) / n)
        found[start : start + n] += window * gain * lfilter([1], [1, *-a], noise[start : start + n])
    whole = lfilter(*butter(1, 500, "high", fs=RATE_HZ), found[n:-n])
    return np.asarray(whole * np.std(waveform) / np.std(whole), np.float32)


def stadium(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Say it over the loudspeakers of a stadium."""
    delay = int(rng.uniform(0.15, 0.35) * RATE_HZ)
    echoes = sum(0.6**k * np.pad(waveform, (k * delay, (4 - k) * delay)) for k in range(5))
    driven = np.tanh(3 * echoes / np.abs(echoes).max())
    band = sosfilt(butter(3, [300, 4_500], "band", fs=RATE_HZ, output="sos"), driven)
    return reverberated(np.pad(band, (0, RATE_HZ)).astype(np.float32), room_response(2.5, 0.0, RATE_HZ, rng))


def jingle(rng: np.random.Generator) -> Waveform:
    """Play eight notes of a scale, 0.15 s each, with overtones that fade."""
    time = np.arange(int(0.15 * RATE_HZ)) / RATE_HZ
    notes_hz = 880 * 2 ** (rng.choice([0, 2, 4, 7, 9, 12], 8) / 12)
    overtones = (np.sin(2 * np.pi * k * np.outer(notes_hz, time)) / k for k in range(1, 5))
    return np.ravel(sum(overtones) * np.exp(-3 * time)).astype(np.float32)


@cache
def laughs() -> list[Waveform]:
    """Load vocal bursts of amusement by contributors that no fitting saw, up to 1.5 s of each."""
    chosen = [row for row in unfitted_bursts() if row.native_emotion == "amusement"]
    return [active(load_waveform(row.path, RATE_HZ))[: int(1.5 * RATE_HZ)] for row in chosen]


def laugh(rng: np.random.Generator) -> Waveform:
    """Draw a laugh."""
    return laughs()[rng.integers(len(laughs()))]


def active(waveform: Waveform) -> Waveform:
    """Cut off what is silent before and after."""
    first, end = active_part(waveform, RATE_HZ) or (0, len(waveform))
    return waveform[first:end]


def between(waveform: Waveform, before: Waveform, behind: Waveform, gap_s: float, level: float) -> Waveform:
    """Put the speech between two sounds, so many times as loud as it (amplitude)."""
    speech, pause = active(waveform), np.zeros(int(gap_s * RATE_HZ), np.float32)
    first, last = (level * np.std(speech) * sound / np.std(sound) for sound in (before, behind))
    return np.concatenate([first, pause, speech, pause, last])


def high_passed(waveform: Waveform, from_hz: float) -> Waveform:
    """Take away what lies below a frequency."""
    return np.asarray(sosfilt(butter(4, from_hz, "high", fs=RATE_HZ, output="sos"), waveform), np.float32)


CONDITIONS: dict[str, Change] = {
    "as it is": lambda waveform, _: waveform,
    "wind, 10 dB": lambda waveform, rng: mix_at_snr(waveform, wind(len(waveform), rng), -10.0),
    "whispered": whispered,
    "thin": lambda waveform, _: high_passed(waveform, 500.0),
    "two microphones": lambda waveform, _: np.stack([waveform, np.pad(waveform, (16, 0))[:-16]], axis=1),
    "0.67 times as fast": lambda waveform, _: stretched(waveform, 0.67, RATE_HZ),
    "1.5 times as fast": lambda waveform, _: stretched(waveform, 1.5, RATE_HZ),
    "a stadium": stadium,
    "an offset": lambda waveform, _: waveform / np.abs(waveform).max() * 0.05 + np.float32(0.15),
    "a jingle, 0.2 s": lambda waveform, rng: between(waveform, jingle(rng), jingle(rng), 0.2, 4.0),
    "a jingle, 0.8 s": lambda waveform, rng: between(waveform, jingle(rng), jingle(rng), 0.8, 4.0),
    "a laugh, 0.2 s": lambda waveform, rng: between(waveform, laugh(rng), laugh(rng), 0.2, 1.0),
    "a laugh, 0.8 s": lambda waveform, rng: between(waveform, laugh(rng), laugh(rng), 0.8, 1.0),
}


def cells(model: Predictor, corpus: str) -> Iterator[list[str]]:
    """Predict recordings of one corpus with one model; yield the four cells of each condition."""
    rng = np.random.default_rng(SEED)
    chosen = drawn_clips(rows_of(model, corpus), rng)
    for change in CONDITIONS.values():
        answers = [model.predict((in_range(change(clip, rng)), RATE_HZ)) for _, clip in chosen]
        rows = [row for row, _ in chosen]
        told = [(a.emotion == row.emotion, a.confidence) for a, row in zip(answers, rows, strict=True) if a.emotion]
        shares = [np.mean([not answer.probabilities for answer in answers]), len(told) / N_CLIPS]
        shares += np.mean(told, axis=0).tolist() if len(told) >= 10 else []
        yield [*(f"{100 * share:.1f}" for share in shares), "–", "–"][:4]


def main(names: Sequence[str]) -> None:
    """Predict with each model and write."""
    text = HEAD.format(words=" ".join(names), n_clips=N_CLIPS)
    for name in names:
        model = Predictor.load(name)
        text += TABLE.format(name=Path(name).name) + lines(CONDITIONS, [cells(model, corpus) for corpus in CORPORA])
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or ["base"])
