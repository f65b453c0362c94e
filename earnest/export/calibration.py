"""Clips of a run's own split: what ranges are measured on, and what shows whether accuracy was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, EarnestError
from earnest.reading import read_json
from earnest.recipe import read_recipe
from earnest.training.record import read_record
from earnest.training.run import scheme_of

SEED = 0
PARTS = ("train", "valid", "test")
N_CALIBRATION = 120
N_VALIDATION = 400


@dataclass(frozen=True)
class Clips:
    """Recordings at the model's rate, and the indices of their classes."""

    waveforms: Sequence[Waveform]
    targets: npt.NDArray[np.int64]

    def feeds(self) -> list[dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]]:
        """Return what the graph takes, a clip at a time."""
        return [
            {"waveform": waveform[None], "lengths": np.array([len(waveform)], np.int64)} for waveform in self.waveforms
        ]


def int8_clips(run: Path, folders: Mapping[str, Path]) -> tuple[Clips, Clips]:
    """Draw at most 120 training clips of a run, to measure ranges on, and at most 400 validation clips, to judge by.

    Validation speakers were not trained on, unless the run was refitted; test clips are left alone.
    """
    found = split_clips(run, folders)
    return _drawn(run, "train", found, N_CALIBRATION), _drawn(run, "valid", found, N_VALIDATION)


def split_clips(run: Path, folders: Mapping[str, Path]) -> dict[str, list[tuple[Utterance, int]]]:
    """Return the utterances of a run's split, with their classes' indices, under "train", "valid" and "test".

    Parameters
    ----------
    folders : corpus name → folder, see `earnest.corpora.load.corpus_root`
    """
    path = run / "split.json"
    split = read_json(path)
    try:
        keys = {part: list(split[part]) for part in PARTS}
    except (ValueError, KeyError, TypeError) as error:
        raise EarnestError(f"{path}: not the split of a run ({error!r}).") from error
    recipe, classes = read_recipe(run), read_record(run).classes
    rows = {row.key: row for row in load_utterances(recipe.corpora, folders)}
    missing = [key for part in PARTS for key in keys[part] if key not in rows]
    if missing:
        raise CorpusError(f"{path}: {missing[0]} is not in the corpora. Say with --data where the run's corpora are.")
    scheme = scheme_of(recipe, list(rows.values()))
    found: dict[str, list[tuple[Utterance, int]]] = {}
    for part in PARTS:
        chosen = [rows[key] for key in keys[part]]
        named = [(row, scheme.class_of(row.emotion, row.corpus, row.native_emotion)) for row in chosen]
        found[part] = [(row, classes.index(name)) for row, name in named if name in classes]
    return found


def load_clips(run: Path, rows: Sequence[tuple[Utterance, int]]) -> Clips:
    """Read utterances at the rate of a run's model."""
    rate_hz = read_recipe(run).front_end.sample_rate_hz
    waveforms = [load_waveform(row.path, rate_hz, row.start_s, row.end_s) for row, _ in rows]
    return Clips(waveforms, np.array([target for _, target in rows], np.int64))


def _drawn(run: Path, part: str, found: Mapping[str, Sequence[tuple[Utterance, int]]], n_most: int) -> Clips:
    rows = found[part]
    if not rows:
        raise CorpusError(f"{run}: its split has no {part} clips, which INT8 needs. Train with a {part} set.")
    chosen = np.random.default_rng(SEED).permutation(len(rows))[:n_most]
    return load_clips(run, [rows[index] for index in sorted(chosen)])
