"""Speech that is hard to hear: voices behind it, another speed, cut off, quiet: is it refused? Is what is told right?

Usage: python scripts/hard_speech.py [MODEL ...]

200 clips each of RAVDESS and of nEMO (seed 0; the models' classes only), which no permissive model heard, are predicted
as they are and under each condition (`CONDITIONS`). The voices behind are other clips of the same corpus. Writes
docs/results/hard-speech.md. Corpora come from $EARNEST_DATA.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.augment.level import at_level, mix_at_snr
from earnest.augment.noise_files import drawn_stretch
from earnest.augment.speed import at_speed
from earnest.augment.stress import clipped
from earnest.corpora.load import load_utterances, usable
from earnest.runtime.predictor import Predictor

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "hard-speech.md"
CORPORA, N_CLIPS, SEED, RATE_HZ = ("ravdess", "nemo"), 200, 0, 16_000
FEWEST, MOST = 2, 12  # voices behind
HEAD = """# Speech that is hard to hear

Written by `python scripts/hard_speech.py {words}`: {n_clips} clips each of two corpora that these models never
heard. Per cent: refused (no speech, or a vocal burst), the share of all that is right (WA, weighted accuracy), told
(not unsure), and the share of the told answers that is right ("–": of fewer than ten).

*Voices* are {fewest} to {most} other speakers' clips at once, so many decibels below the speech. *Cut off* are the
loudest samples. *Quiet* has white noise of a room 20 dB below the speech.

| model | corpus | condition | refused | WA | told | right |
|---|---|---|---:|---:|---:|---:|
"""
Change: TypeAlias = Callable[[Waveform, Sequence[str], np.random.Generator], Waveform]
"""A clip (samples,), paths of other clips and a generator to a changed copy."""


def with_voices(waveform: Waveform, voices: Sequence[str], snr_db: float, rng: np.random.Generator) -> Waveform:
    """Put stretches of recordings behind a clip (samples,), each at the same level, all together at ``snr_db``."""
    stretches = (drawn_stretch(Path(path), len(waveform), RATE_HZ, rng) for path in voices)
    behind = np.asarray(sum(at_level(stretch, -30.0) for stretch in stretches), np.float32)
    return mix_at_snr(waveform, behind, snr_db)


def drawn_voices(others: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Draw two to twelve recordings."""
    return tuple(str(one) for one in rng.choice(others, int(rng.integers(FEWEST, MOST + 1))))


def quiet(waveform: Waveform, level_dbfs: float, room_dbfs: float, rng: np.random.Generator) -> Waveform:
    """Bring a clip (samples,) to a low level, in a room with white noise."""
    room = rng.standard_normal(len(waveform)).astype(np.float32)
    return at_level(waveform, level_dbfs) + at_level(room, room_dbfs)


def in_range(waveform: Waveform) -> Waveform:
    """Scale what is beyond [-1, 1] to fit."""
    return waveform / max(1.0, float(np.abs(waveform).max()))


def _voices(snr_db: float) -> Change:
    return lambda waveform, others, rng: with_voices(waveform, drawn_voices(others, rng), snr_db, rng)


def _speed(rate: float) -> Change:
    return lambda waveform, _others, _rng: at_speed(waveform, rate)


CONDITIONS: dict[str, Change] = {
    "as it is": lambda waveform, _others, _rng: waveform,
    **{f"voices, {snr_db} dB": _voices(snr_db) for snr_db in (20, 15, 10, 5, 0)},
    "0.7 times as fast": _speed(0.7),
    "1.4 times as fast": _speed(1.4),
    "30 % cut off": lambda waveform, _others, _rng: clipped(waveform, 0.3),
    "quiet, −55 dBFS": lambda waveform, _others, rng: quiet(waveform, -55.0, -75.0, rng),
}


def lines(name: str) -> Iterator[str]:
    """Predict with one model; yield a line for each corpus and condition."""
    model = Predictor.load(name)
    for corpus in CORPORA:
        rows = [row for row in usable(load_utterances([corpus], {})).utterances if row.emotion in model.info.classes]
        rng = np.random.default_rng(SEED)
        chosen = [rows[at] for at in sorted(rng.permutation(len(rows))[:N_CLIPS])]
        clips = [load_waveform(row.path, RATE_HZ, row.start_s, row.end_s) for row in chosen]
        others = {row.speaker: [str(one.path) for one in rows if one.speaker != row.speaker] for row in chosen}
        for condition, change in CONDITIONS.items():
            told = []
            for row, clip in zip(chosen, clips, strict=True):
                answer = model.predict((in_range(change(clip, others[row.speaker], rng)), RATE_HZ))
                likeliest = max(answer.probabilities, key=answer.probabilities.__getitem__, default="")
                told.append((not answer.probabilities, likeliest == row.emotion, answer.status == "ok"))
            refused, right, sure = np.array(told).T
            cells = [f"{100 * share.mean():.1f}" for share in (refused, right, sure)]
            cells.append(f"{100 * right[sure].mean():.1f}" if sure.sum() >= 10 else "–")
            yield f"| {Path(name).name} | {corpus} | {condition} | {' | '.join(cells)} |"


def main(names: Sequence[str]) -> None:
    """Predict with each model and write."""
    text = HEAD.format(words=" ".join(names), n_clips=N_CLIPS, fewest=FEWEST, most=MOST)
    for name in names:
        for line in lines(name):
            sys.stdout.write(f"{line}\n")
            text += f"{line}\n"
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or ["base"])
