"""Speech that is hard to hear: voices or noise behind it, a hall, a telephone …: is it refused? Is what is told right?

Usage: python scripts/hard_speech.py [MODEL ...]

200 recordings each of RAVDESS and of nEMO (seed 0; the models' classes only), which no permissive model heard, are
predicted as they are and under each condition (`CONDITIONS`). The voices behind are other recordings of the same
corpus; the noise is kinds of ESC-10 that nothing was trained with. Writes docs/results/hard-speech.md. Corpora come
from $EARNEST_DATA.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from earnest.audio.io import load_waveform
from earnest.audio.quality import active_part
from earnest.audio.waveform import Waveform
from earnest.augment.bandwidth import band_limited
from earnest.augment.base import mix_at_snr
from earnest.augment.coloured_noise import coloured_noise
from earnest.augment.level import at_level
from earnest.augment.noise_files import drawn_stretch
from earnest.augment.pitch_shift import pitch_shifted
from earnest.augment.reverb import reverberated, room_response
from earnest.augment.speed import at_speed
from earnest.augment.stress import clipped
from earnest.augment.telephone import over_telephone
from earnest.corpora.load import corpus_root, load_utterances, usable
from earnest.corpora.manifest import Utterance
from earnest.runtime.prediction import OVERLAPPED
from earnest.runtime.predictor import Predictor

OUTPUT = Path(__file__).parent.parent / "docs" / "results" / "hard-speech.md"
CORPORA, N_CLIPS, SEED, RATE_HZ = ("ravdess", "nemo"), 200, 0, 16_000
FEWEST, MOST = 2, 12  # voices behind
CROWDS, N_CROWDS, CROWD_S = (2, 4, 8, 16), 100, 6  # voices alone
NOISES = ("baby-cry", "helicopter", "person-sneeze", "sea-waves")  # in no recipe
HEAD = """# Speech that is hard to hear

Written by `python scripts/hard_speech.py {words}`: {n_clips} clips each of two corpora that these models never
heard. Per cent: refused (no speech, or a vocal burst), the share of all that is right (WA, weighted accuracy), told
(not unsure), the share of the told answers that is right ("–": of fewer than ten), and overlap: how many are called
"overlapped-speech" (of *voices* from 10 dB and *one voice* from 5 dB on, that is true).

*Voices* are {fewest} to {most} other speakers' clips at once, so many decibels below the speech. *Noise* is of kinds
that no training heard ({noises}). *A hall*: the sound falls by
60 dB in 1.5 s, and the speaker is far away. *Cut off* are the loudest samples. *Quiet* has white noise of a room 20 dB
below the speech. Another speed changes the pitch too, as on a tape. An *offset* is a constant of a tenth of the peak,
as a cheap sound card adds it. *A room around* is pink noise, so many decibels below the speech, under it and 0.8 s
before and behind. The beep is as loud as the peak, and so is the deviation of the click. *Mains hum* is 50 Hz with its
overtones, so many decibels below the speech; with −12 dB it is louder.

*Voices alone* are {n_crowds} mixtures of 6 s of speakers who are equally loud, none of them in front. No emotion is
right there, so every told one is a mistake: per cent told, what most of them say, the mean confidence of the told, and
per cent called "overlapped-speech". Half of a recording of RAVDESS is silence (of nEMO a twentieth): two of them
overlap for a quarter of the time.
"""
TABLE = """
## `{name}`

| | RAVDESS: refused | WA | told | right | overlap | nEMO: refused | WA | told | right | overlap |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""
CROWD_TABLE = """
| voices alone | RAVDESS: told | as | confidence | overlap | nEMO: told | as | confidence | overlap |
|---|---:|---|---:|---:|---:|---|---:|---:|
"""
Change: TypeAlias = Callable[[Waveform, Sequence[str], np.random.Generator], Waveform]
"""A clip (samples,), paths of other clips and a generator to a changed copy."""


def with_voices(waveform: Waveform, voices: Sequence[str], snr_db: float, rng: np.random.Generator) -> Waveform:
    """Put stretches of recordings behind a recording (samples,), each at the same level, all together at ``snr_db``."""
    return mix_at_snr(waveform, together(voices, len(waveform), rng), snr_db)


def together(voices: Sequence[str], n_samples: int, rng: np.random.Generator) -> Waveform:
    """Mix stretches of recordings, each at the same level."""
    stretches = (drawn_stretch(Path(path), n_samples, RATE_HZ, rng) for path in voices)
    return np.asarray(sum(at_level(stretch, -30.0) for stretch in stretches), np.float32)


def drawn_voices(others: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Draw two to twelve recordings."""
    return tuple(str(one) for one in rng.choice(others, int(rng.integers(FEWEST, MOST + 1))))


def quiet(waveform: Waveform, level_dbfs: float, room_dbfs: float, rng: np.random.Generator) -> Waveform:
    """Bring a recording (samples,) to a low level, in a room with white noise."""
    room = rng.standard_normal(len(waveform)).astype(np.float32)
    return at_level(waveform, level_dbfs) + at_level(room, room_dbfs)


def beep(level: float) -> Waveform:
    """Make 0.6 s of 1 kHz, as an answering machine's, and 0.3 s of silence."""
    tone = level * np.sin(2 * np.pi * 1_000 * np.arange(int(0.6 * RATE_HZ)) / RATE_HZ)
    return np.concatenate([tone, np.zeros(int(0.3 * RATE_HZ))]).astype(np.float32)


def click(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Make a key click: 0.4 s with 5 ms of white noise in it, whose deviation is the recording's peak."""
    pause = np.zeros(int(0.4 * RATE_HZ), np.float32)
    n_click = RATE_HZ // 200
    pause[n_click * 20 : n_click * 21] = rng.standard_normal(n_click) * np.abs(waveform).max()
    return pause


def in_a_room(waveform: Waveform, snr_db: float, rng: np.random.Generator) -> Waveform:
    """Put a recording's loud part, at most 2.4 s, into a room with pink noise, heard 0.8 s before and behind too."""
    first, end = active_part(waveform, RATE_HZ) or (0, len(waveform))
    speech = waveform[first : min(end, first + int(2.4 * RATE_HZ))]
    pause = np.zeros(int(0.8 * RATE_HZ), np.float32)
    sound = np.concatenate([pause, speech, pause])
    noise = coloured_noise(len(sound), RATE_HZ, "pink", rng)
    gain = float(np.std(speech) / np.std(noise)) * 10 ** (-snr_db / 20)
    return np.asarray(sound + gain * noise, np.float32)


def in_range(waveform: Waveform) -> Waveform:
    """Scale what is beyond [-1, 1] to fit."""
    return waveform / max(1.0, float(np.abs(waveform).max()))


def with_hum(waveform: Waveform, snr_db: float) -> Waveform:
    """Put mains hum, 50 Hz and its second, third and fifth multiple, under a recording (samples,)."""
    time = np.arange(len(waveform)) / RATE_HZ
    parts = ((1, 1.0), (2, 0.2), (3, 0.5), (5, 0.25))
    hum = sum(level * np.sin(2 * np.pi * 50 * multiple * time) for multiple, level in parts)
    return mix_at_snr(waveform, np.asarray(hum, np.float32), snr_db)


def _hum(snr_db: float) -> Change:
    return lambda waveform, _others, _rng: with_hum(waveform, snr_db)


def _voices(snr_db: float) -> Change:
    return lambda waveform, others, rng: with_voices(waveform, drawn_voices(others, rng), snr_db, rng)


def _one_voice(snr_db: float) -> Change:
    return lambda waveform, others, rng: with_voices(waveform, [str(rng.choice(others))], snr_db, rng)


def _noise(snr_db: float) -> Change:
    return lambda waveform, _others, rng: mix_at_snr(
        waveform, drawn_stretch(noises()[rng.integers(len(noises()))], len(waveform), RATE_HZ, rng), snr_db
    )


def _speed(rate: float) -> Change:
    return lambda waveform, _others, _rng: at_speed(waveform, rate)


def _pitch(semitones: float) -> Change:
    return lambda waveform, _others, _rng: pitch_shifted(waveform, semitones, RATE_HZ)


def _room(snr_db: float) -> Change:
    return lambda waveform, _others, rng: in_a_room(waveform, snr_db, rng)


@cache
def noises() -> list[Path]:
    """Return the recordings of `NOISES`."""
    root = corpus_root("noise-esc10", {})
    return sorted(path for name in NOISES for path in (root / name).glob("*.opus"))


CONDITIONS: dict[str, Change] = {
    "as it is": lambda waveform, _others, _rng: waveform,
    **{f"voices, {snr_db} dB": _voices(snr_db) for snr_db in (20, 15, 10, 5, 0)},
    **{f"one voice, {snr_db} dB": _one_voice(snr_db) for snr_db in (10, 5, 0)},
    **{f"noise, {snr_db} dB": _noise(snr_db) for snr_db in (10, 5, 0)},
    "a hall": lambda waveform, _others, rng: reverberated(waveform, room_response(1.5, -6.0, RATE_HZ, rng)),
    "telephone": lambda waveform, _others, _rng: over_telephone(waveform, RATE_HZ),
    "telephone, noise 10 dB": lambda waveform, others, rng: over_telephone(_noise(10)(waveform, others, rng), RATE_HZ),
    "nothing above 2 kHz": lambda waveform, _others, _rng: band_limited(waveform, 2_000.0, RATE_HZ),
    "0.7 times as fast": _speed(0.7),
    "1.4 times as fast": _speed(1.4),
    "4 semitones lower": _pitch(-4),
    "7 semitones higher": _pitch(7),
    "30 % cut off": lambda waveform, _others, _rng: clipped(waveform, 0.3),
    "quiet, −55 dBFS": lambda waveform, _others, rng: quiet(waveform, -55.0, -75.0, rng),
    "offset": lambda waveform, _others, _rng: waveform + 0.1 * np.abs(waveform).max(),
    "a room around, 30 dB": _room(30),
    "a room around, 20 dB": _room(20),
    "a beep before": lambda waveform, _others, _rng: np.concatenate([beep(float(np.abs(waveform).max())), waveform]),
    "a click behind": lambda waveform, _others, rng: np.concatenate([waveform, click(waveform, rng)]),
    **{f"mains hum, {str(snr_db).replace('-', '−')} dB": _hum(snr_db) for snr_db in (0, -6, -12)},
}


def rows_of(model: Predictor, corpus: str) -> list[Utterance]:
    """Return the recordings of a corpus that are of the model's classes."""
    return [row for row in usable(load_utterances([corpus], {})).utterances if row.emotion in model.info.classes]


def drawn_clips(rows: Sequence[Utterance], rng: np.random.Generator) -> list[tuple[Utterance, Waveform]]:
    """Draw recordings, each with its samples, in the order of the corpus."""
    chosen = [rows[at] for at in sorted(rng.permutation(len(rows))[:N_CLIPS])]
    return [(row, load_waveform(row.source, RATE_HZ)) for row in chosen]


def crowd_cells(model: Predictor, rows: Sequence[Utterance]) -> Iterator[list[str]]:
    """Predict mixtures of a corpus's voices with one model; yield the four cells of each number of voices."""
    rng = np.random.default_rng(SEED)
    for n_voices in CROWDS:
        told, n_overlapped = [], 0
        for _ in range(N_CROWDS):
            drawn = [str(path) for path in rng.choice([str(row.path) for row in rows], n_voices, replace=False)]
            crowd = at_level(together(drawn, CROWD_S * RATE_HZ, rng), -22.0)
            answer = model.predict((in_range(crowd), RATE_HZ))
            n_overlapped += OVERLAPPED in answer.quality
            if answer.status == "ok":
                told.append((answer.emotion, answer.confidence))
        emotions = [emotion for emotion, _ in told]
        most = max(sorted(set(emotions)), key=emotions.count, default="–")
        confidence = f"{np.mean([one for _, one in told]):.2f}" if told else "–"
        shares = [f"{100 * number / N_CROWDS:.0f}" for number in (len(told), n_overlapped)]
        yield [shares[0], f"{most} {emotions.count(most)}" if told else "–", confidence, shares[1]]


def cells(model: Predictor, rows: Sequence[Utterance]) -> Iterator[list[str]]:
    """Predict recordings of one corpus with one model; yield the five cells of each condition."""
    rng = np.random.default_rng(SEED)
    chosen = drawn_clips(rows, rng)
    others = {row.speaker: [str(one.path) for one in rows if one.speaker != row.speaker] for row, _ in chosen}
    for change in CONDITIONS.values():
        answers = []
        for row, clip in chosen:
            answer = model.predict((in_range(change(clip, others[row.speaker], rng)), RATE_HZ))
            likeliest = max(answer.probabilities, key=answer.probabilities.__getitem__, default="")
            facts = (answer.status == "ok", OVERLAPPED in answer.quality)
            answers.append((not answer.probabilities, likeliest == row.emotion, *facts))
        refused, right, told, overlapped = np.array(answers).T
        shares = [f"{100 * share.mean():.1f}" for share in (refused, right, told, overlapped)]
        yield [*shares[:3], f"{100 * right[told].mean():.1f}" if told.sum() >= 10 else "–", shares[3]]


def lines(names: Iterable[object], corpora: Iterable[Iterator[list[str]]]) -> str:
    """Return a table's lines, a name and the cells of each corpus, and show each as soon as it is there."""
    text = ""
    for name, *told in zip(names, *corpora, strict=True):
        line = f"| {' | '.join([str(name), *(cell for own in told for cell in own)])} |\n"
        sys.stdout.write(line)
        text += line
    return text


def main(names: Sequence[str]) -> None:
    """Predict with each model and write."""
    heard = ", ".join(NOISES)
    text = HEAD.format(
        words=" ".join(names), n_clips=N_CLIPS, fewest=FEWEST, most=MOST, noises=heard, n_crowds=N_CROWDS
    )
    for name in names:
        model = Predictor.load(name)
        corpora = [rows_of(model, corpus) for corpus in CORPORA]
        text += TABLE.format(name=Path(name).name) + lines(CONDITIONS, [cells(model, rows) for rows in corpora])
        text += CROWD_TABLE + lines(CROWDS, [crowd_cells(model, rows) for rows in corpora])
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or ["base"])
