"""Recorded noise from a folder, at a signal-to-noise ratio."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from earnest.audio.io import load_waveform
from earnest.audio.sound_file import length_by_header_s
from earnest.audio.source import Part
from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, Augmentation, Range, mix_at_snr, power
from earnest.bundle import TrainingCorpus
from earnest.corpora.base import audio_files
from earnest.corpora.load import ENVIRONMENT
from earnest.errors import RecipeError
from earnest.settings.limits import Bounds, LowHigh

LONGEST_S = 60.0  # of each recording: what is decoded stays in memory
PAUSE_DB = 30.0  # a stretch so far below its recording is a pause; raised to the level of speech it would be hiss
_TRIES = 10
LICENCES: Mapping[str, tuple[str, str]] = {"noise-esc10": ("CC-BY-3.0", "Piczak (2015), ACM Multimedia")}
"""Folder of noises → its licence, and whom to name."""

# SNR in dB by a part of the path. DEMAND says PCAFETER, DKITCHEN, NPARK, STRAFFIC, PRESTO, NRIVER, SPSQUARE.
NTU_LEVELS_DB: Mapping[str, float] = {
    "cafeter": 0.0,
    "kitchen": 0.0,
    "park": 6.0,
    "traffic": 6.0,
    "presto": 10.0,
    "river": 0.0,
    "square": 0.0,
}
PRESETS: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "ntu": NTU_LEVELS_DB,
    "ntu-extended": {
        **NTU_LEVELS_DB,
        "airport": 0.0,
        "living": 10.0,
        "restaurant": 5.0,
        "babble": 6.0,
        "vacuum": 10.0,
        "hallway": 0.0,
        "cafe": 13.0,
        "neighbo": 15.0,
        "office": 0.0,
        "field": 0.0,
        "washing": -5.0,
    },
}


def stretch_of(noise: Waveform, start: int, n_samples: int) -> Waveform:
    """Return ``n_samples`` from ``start`` on; noise that ends before begins anew.

    Parameters
    ----------
    noise : shape (samples,), at least one
    """
    if start + n_samples <= len(noise):
        return noise[start : start + n_samples]
    # Turned until ``start`` comes first, then repeated as often as needed.
    return np.resize(np.roll(noise, -start), n_samples)


@lru_cache(maxsize=128)
def noise_recording(path: Path, sample_rate_hz: int) -> Waveform:
    """Decode the first minute of a recording; the last 128 of a process stay in memory, read-only."""
    noise = load_waveform(Part(path, 0.0, LONGEST_S), sample_rate_hz)
    noise.flags.writeable = False
    return noise


def level_for(path: str, levels_db: Mapping[str, float]) -> float | None:
    """Return the level of the longest name that is a part of ``path``, upper or lower case; None where none is."""
    named = [name for name in levels_db if name.lower() in path.lower()]
    return levels_db[max(named, key=len)] if named else None


@AUGMENTATIONS.register("noise-files")
@dataclass(frozen=True)
class NoiseFiles(Augmentation):
    """Mix in a random stretch of a random recording.

    Attributes
    ----------
    folder : with recordings in folders of any depth; first looked for in the folder that ``EARNEST_DATA`` names
    snr_db : lowest and highest, over the whole utterance
    names : use only recordings with one of these in their path below ``folder``; empty: all
    levels_db : part of a path → its fixed ratio in dB; only recordings named here or in ``names`` are used
    preset : levels of a published system, completed by ``levels_db``
    """

    folder: str
    snr_db: Annotated[Range, LowHigh(ge=-60, le=100)] = (0.0, 20.0)
    names: tuple[str, ...] = ()
    levels_db: Mapping[str, Annotated[float, Bounds(ge=-60, le=100)]] = field(default_factory=dict)
    preset: Literal["none", "ntu", "ntu-extended"] = "none"

    @classmethod
    def example_settings(cls, recordings: Path) -> Mapping[str, Any]:
        return {"folder": str(recordings)}

    def check_ready(self) -> None:
        _ = self.recordings

    @cached_property
    def recordings(self) -> tuple[tuple[Path, Range], ...]:
        """The recordings in use, each with its lowest and highest ratio in dB.

        Raises `RecipeError` when the folder is missing or holds none.
        """
        root = folder_called(self.folder)
        levels_db = {**PRESETS[self.preset], **self.levels_db}
        chosen = []
        for path in audio_files(root):
            inside = path.relative_to(root).as_posix()
            level_db = level_for(inside, levels_db)
            if level_db is not None:
                chosen.append((path, (level_db, level_db)))
            elif any(name.lower() in inside.lower() for name in self.names) or not (self.names or levels_db):
                chosen.append((path, self.snr_db))
        if not chosen:
            wanted = " or ".join(dict.fromkeys([*self.names, *levels_db]))
            named = f" with {wanted} in its path" if wanted else ""
            raise RecipeError(f"{root} holds no recording{named}. Put noises (wav, flac, …) there or name another one.")
        return tuple(chosen)

    def ledger(self) -> tuple[TrainingCorpus, ...]:
        """The recordings in use; of each the first minute is heard."""
        root = folder_called(self.folder).resolve()
        licence, whom = LICENCES.get(root.name, ("unknown", ""))
        seconds = [length_by_header_s(path) for path, _ in self.recordings]
        hours = sum(min(one, LONGEST_S) for one in seconds if not math.isnan(one)) / 3600
        return (TrainingCorpus(root.name, licence, len(seconds), 0, round(hours, 3), whom),)

    def apply(self, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
        path, snr_db = self.recordings[rng.integers(len(self.recordings))]
        noise = drawn_stretch(path, len(waveform), sample_rate_hz, rng)
        return mix_at_snr(waveform, noise, rng.uniform(*snr_db))


def drawn_stretch(path: Path, n_samples: int, sample_rate_hz: int, rng: np.random.Generator) -> Waveform:
    """Return a random stretch (samples,) of a recording that is no pause; after ten pauses, silence."""
    noise = noise_recording(path, sample_rate_hz)
    # A pause is what has less than P·10^(−dB/10), with P the power of the whole recording.
    lowest = power(noise) * 10 ** (-PAUSE_DB / 10)
    last = len(noise) - n_samples if len(noise) > n_samples else len(noise) - 1
    for _ in range(_TRIES):
        stretch = stretch_of(noise, int(rng.integers(last + 1)), n_samples)
        if power(stretch) >= lowest:
            return stretch
    return np.zeros(n_samples, np.float32)


def folder_called(folder: str) -> Path:
    """Return a folder of recordings, first looked for in the one that ``EARNEST_DATA`` names."""
    given = Path(folder).expanduser()
    data = os.environ.get(ENVIRONMENT)
    places = [Path(data).expanduser() / given, given] if data else [given]
    for place in places:
        if place.is_dir():
            return place
    looked = " and ".join(dict.fromkeys(map(str, places)))
    where = f"Write its full path, or set {ENVIRONMENT} to what holds '{folder}'"
    remedy = "Check the path" if given.is_absolute() else where
    raise RecipeError(
        f"there is no folder {looked}. {remedy}, or leave noise from recordings out, as recipes/own.toml does."
    )
