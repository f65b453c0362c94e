"""A made-up corpus of voices that a small model learns: emotion moves pitch, loudness, rate and melody.

It comes as a manifest, and in the folders and label files of IEMOCAP and of THAI SER.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from earnest.corpora.manifest import Utterance, write_manifest

RATE_HZ = 16_000
NAME = "made-up"


@dataclass(frozen=True)
class Manner:
    """How an emotion sounds: relative to the speaker's neutral voice."""

    pitch: float
    level: float
    syllables_per_s: float
    melody: float  # rise of pitch over the clip, as a share
    tilt: float  # how fast harmonics fade


MANNERS = {
    "neutral": Manner(1.0, 0.10, 4.0, 0.0, 1.0),
    "happy": Manner(1.5, 0.15, 5.5, 0.4, 0.8),
    "sad": Manner(0.8, 0.05, 2.5, -0.3, 1.6),
    "angry": Manner(1.3, 0.30, 6.5, -0.1, 0.5),
}


def spoken(emotion: str, speaker: int, take: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return one clip of 0.5 to 0.8 s with faint noise around the voice, shape (samples,)."""
    rng = np.random.default_rng([seed, speaker, take, list(MANNERS).index(emotion)])
    manner = MANNERS[emotion]
    time_s = np.arange(round(rng.uniform(0.5, 0.8) * RATE_HZ)) / RATE_HZ
    own_pitch_hz = (105 if speaker % 2 else 190) * (1 + 0.04 * speaker) * rng.uniform(0.96, 1.04)
    pitch_hz = own_pitch_hz * manner.pitch * (1 + manner.melody * (time_s / time_s[-1] - 0.5))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    formants_hz = np.array([500.0, 1_500.0, 2_500.0]) * (1 + 0.05 * (speaker - 2))
    wave = np.zeros(len(time_s))
    for harmonic in range(1, 25):
        nearness = np.exp(-0.5 * ((harmonic * own_pitch_hz * manner.pitch - formants_hz) / 250) ** 2).sum()
        wave += (0.2 + nearness) / harmonic**manner.tilt * np.sin(harmonic * phase)
    syllables = 0.55 - 0.45 * np.cos(2 * np.pi * manner.syllables_per_s * time_s)
    wave *= manner.level * rng.uniform(0.8, 1.2) * syllables / np.abs(wave).max()
    return (wave + rng.normal(0, 0.0005, len(time_s))).astype(np.float32)


def write_corpus(
    folder: Path, n_speakers: int = 6, n_takes: int = 3, seed: int = 0, shuffle_labels: bool = False
) -> Path:
    """Write the clips and their manifest; return the path of the manifest.

    With ``shuffle_labels`` the labels are drawn anew, so that nothing can be learned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for speaker in range(n_speakers):
        for emotion in MANNERS:
            for take in range(n_takes):
                path = folder / f"{speaker:02d}-{emotion}-{take}.wav"
                soundfile.write(path, spoken(emotion, speaker, take, seed), RATE_HZ, subtype="PCM_16")
                rows.append((path, f"made-up-{speaker:02d}", "male" if speaker % 2 else "female", emotion))
    labels = [emotion for *_, emotion in rows]
    if shuffle_labels:
        labels = np.random.default_rng(seed).permutation(labels).tolist()
    utterances = [
        Utterance(path.stem, path, corpus=NAME, speaker=speaker, gender=gender, emotion=label, native_emotion=label)
        for (path, speaker, gender, _), label in zip(rows, labels, strict=True)
    ]
    manifest = folder / "manifest.csv"
    write_manifest(utterances, manifest)
    return manifest


RATINGS = {"neutral": (3.0, 2.5, 3.0), "happy": (4.5, 3.5, 3.5), "sad": (2.0, 1.5, 2.0), "angry": (1.5, 4.5, 4.5)}
"""Valence, arousal and dominance of each emotion, 1 to 5 as in IEMOCAP."""


def write_iemocap(folder: Path, n_takes: int = 2) -> Path:
    """Write IEMOCAP's five sessions, one improvised dialogue each, whose partners share it; return the folder."""
    for session in range(1, 6):
        dialogue, lines = f"Ses0{session}F_impro01", ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
        wavs = folder / f"Session{session}" / "sentences" / "wav" / dialogue
        for speaker, letter in enumerate("FM"):
            for number, (emotion, take, wave) in enumerate(_turns(speaker, n_takes, session)):
                name = f"{dialogue}_{letter}{number:03d}"
                ratings = [rating + 0.25 * (take % 2) for rating in RATINGS[emotion]]
                lines.append(
                    f"[{number}.0 - {number}.9]\t{name}\t{emotion[:3]}\t[{', '.join(f'{r:.4f}' for r in ratings)}]"
                )
                _write(wavs / f"{name}.wav", wave)
        labels = folder / f"Session{session}" / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
        labels.parent.mkdir(parents=True)
        labels.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_thai_ser(folder: Path, n_takes: int = 1) -> Path:
    """Write six studios of THAI SER in three batches, and two recordings over Zoom; return the folder."""
    labels, actors = {}, []
    for room, place in (*((f"s{n:03d}", "studio") for n in (1, 2, 11, 12, 21, 22)), ("z001", "zoom"), ("z002", "zoom")):
        for partner in range(2):
            actor = f"{len(actors) + 1:03d}"
            actors.append({"Actor's ID": actor, "Age": 20, "Sex": "Male" if partner else "Female"})
            for number, (emotion, _, wave) in enumerate(_turns(partner, n_takes, len(actors))):
                for microphone in ("con", "clip") if place == "studio" else ("mic",):
                    name = f"{room}_{microphone}_actor{actor}_impro1_{number + 1}.flac"
                    _write(
                        folder / f"{place}{room[1:]}" / microphone / name, wave if microphone != "clip" else wave / 2
                    )
                    if microphone != "clip":
                        labels[name] = [{"assigned_emo": emotion.capitalize()}]
    (folder / "emotion_label.json").write_text(json.dumps(labels), encoding="utf-8")
    (folder / "actor_demography.json").write_text(json.dumps({"data": actors}), encoding="utf-8")
    return folder


def _turns(speaker: int, n_takes: int, seed: int) -> Iterator[tuple[str, int, npt.NDArray[np.float32]]]:
    """Yield emotion, take and sound of all that one speaker says; speaker 0 is female, 1 is male."""
    for emotion in MANNERS:
        for take in range(n_takes):
            yield emotion, take, spoken(emotion, speaker, take, seed)


def _write(path: Path, wave: npt.NDArray[np.float32]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, RATE_HZ, subtype="PCM_16")


def recipe_text(epochs: int = 6, extra: str = "", corpus: str = NAME) -> str:
    """Return a recipe for the made-up corpus that trains in seconds; ``extra`` goes into ``[training]``."""
    return f"""\
corpus = "{corpus}"
model = "cabg"
[front_end]
n_fft = 512
win_length = 512
hop_length = 256
n_mels = 40
trim = "gradient"
decibel_reference = "one"
[network]
width = 32
[training]
epochs = {epochs}
batch_size = 8
learning_rate = 4e-3
{extra}
"""


@dataclass(frozen=True)
class Trained:
    """What `earnest train` and `earnest export` made of the made-up corpus."""

    recipe: Path
    manifest: Path
    run: Path
    bundle: Path

    @property
    def data(self) -> str:
        """The option's value that says where the corpus is."""
        return f"{NAME}={self.manifest}"
