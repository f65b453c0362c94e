"""Clips of a run's own split: what ranges are measured on, and what shows whether accuracy was lost."""

import json
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
from earnest.recipe import read_recipe
from earnest.training.record import read_record
from earnest.training.run import scheme_of

SEED = 0
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


def calibration_clips(run: Path, folders: Mapping[str, Path]) -> Clips:
    """Draw training clips of a run, at most 120."""
    return _drawn(run, "train", folders, N_CALIBRATION)


def validation_clips(run: Path, folders: Mapping[str, Path]) -> Clips:
    """Draw validation clips of a run, at most 400: their speakers were not trained on; test clips are left alone."""
    return _drawn(run, "valid", folders, N_VALIDATION)


def clips_of(run: Path, part: str, folders: Mapping[str, Path]) -> list[tuple[Utterance, int]]:
    """Return the utterances of one part of a run's split ("train", "valid", "test"), with their classes' indices.

    Parameters
    ----------
    folders : corpus name → folder, see `earnest.corpora.load.corpus_root`
    """
    path = run / "split.json"
    try:
        keys = json.loads(path.read_text(encoding="utf-8"))[part]
    except (OSError, ValueError, KeyError) as error:
        raise EarnestError(f"{path}: not the split of a run ({error!r}).") from error
    recipe, classes = read_recipe(run), read_record(run).classes
    rows = {row.key: row for row in load_utterances(recipe.corpora, folders)}
    missing = [key for key in keys if key not in rows]
    if missing:
        raise CorpusError(f"{path}: {missing[0]} is not in the corpora. Say with --data where the run's corpora are.")
    scheme = scheme_of(recipe, list(rows.values()))
    named = (
        (rows[key], scheme.class_of(rows[key].emotion, rows[key].corpus, rows[key].native_emotion)) for key in keys
    )
    return [(row, classes.index(name)) for row, name in named if name in classes]


def _drawn(run: Path, part: str, folders: Mapping[str, Path], n_most: int) -> Clips:
    found = clips_of(run, part, folders)
    if not found:
        raise CorpusError(f"{run}: its split has no {part} clips, which INT8 needs. Train with a {part} set.")
    chosen = np.random.default_rng(SEED).permutation(len(found))[:n_most]
    rate_hz = read_recipe(run).front_end.sample_rate_hz
    rows = [found[index] for index in sorted(chosen)]
    waveforms = [load_waveform(row.path, rate_hz, row.start_s, row.end_s) for row, _ in rows]
    return Clips(waveforms, np.array([target for _, target in rows], np.int64))
