"""A finished evaluation once more, recorded noise mixed into every test clip.

The models, the splits and the plain predictions stay as they are; what is new lies beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.base import AUGMENTATIONS, generator_for
from earnest.augment.mixing import mix_at_snr
from earnest.augment.noise_files import NoiseFiles, drawn_stretch
from earnest.config import from_mapping
from earnest.errors import RecipeError
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.noise_curve import NoiseCurve
from earnest.evaluation.predictions import Predictions, joined, read_predictions, write_predictions
from earnest.evaluation.repeats import told_apart
from earnest.evaluation.splits import Split
from earnest.recipe import Recipe
from earnest.run_files import write_json
from earnest.training.evaluate import BOOTSTRAP_SEED
from earnest.training.fold_clips import FoldClips
from earnest.training.run import PREDICTIONS
from earnest.training.task import Task

METRICS_NOISE = "metrics-noise.json"
LOWEST_DB, HIGHEST_DB = -30.0, 60.0


@dataclass(frozen=True)
class NoiseTest:
    """Which noise is mixed into test clips, and how loud.

    Attributes
    ----------
    folder, names : see `NoiseFiles`
    snr_db : the levels, each a result of its own
    """

    folder: str
    snr_db: tuple[float, ...] = (0.0, 5.0, 10.0, 20.0)
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.snr_db or len(set(self.snr_db)) < len(self.snr_db):
            raise RecipeError("The levels of noise must be one or more different numbers of dB.")
        if wrong := [level for level in self.snr_db if not LOWEST_DB <= level <= HIGHEST_DB]:
            raise RecipeError(f"A level of noise must be from {LOWEST_DB:g} to {HIGHEST_DB:g} dB, got {wrong[0]:g}.")
        for name in self.names:
            NoiseFiles(self.folder, names=(name,)).check_ready()  # a name without recordings is told
        self.files.check_ready()

    @cached_property
    def files(self) -> NoiseFiles:
        """The recordings."""
        return NoiseFiles(self.folder, names=self.names)

    def mixed_into(self, waveform: Waveform, key: str, snr_db: float, sample_rate_hz: int) -> Waveform:
        """Return a noisy copy of a clip (samples,); the draw depends on ``key`` and level alone."""
        rng = generator_for(f"{key} {snr_db:g}")
        path, _ = self.files.recordings[rng.integers(len(self.files.recordings))]
        return mix_at_snr(waveform, drawn_stretch(path, len(waveform), sample_rate_hz, rng), snr_db)

    def heard_in_training(self, recipe: Recipe) -> int:
        """Count the recordings that the recipe also trains with."""
        heard: set[Path] = set()
        for table in recipe.augment:
            if AUGMENTATIONS.get(str(table.get("name"))) is NoiseFiles:
                values = {key: value for key, value in table.items() if key != "name"}
                heard |= {path.resolve() for path, _ in from_mapping(NoiseFiles, values, "augment").recordings}
        return len(heard & {path.resolve() for path, _ in self.files.recordings})


@dataclass(frozen=True)
class NoisyEvaluation:
    """Scores of clean test clips and of each level in dB, and what is in ``metrics-noise.json``."""

    clean: Scores
    levels: Mapping[float, Scores]
    curve: NoiseCurve
    document: Mapping[str, Any]

    def sentence(self) -> str:
        """Say what was mixed in, and whether training had heard it."""
        noise = self.document["noise"]
        names = ", ".join(noise["names"]) or noise["folder"]
        heard = f"{noise['heard_in_training']} of them" if noise["heard_in_training"] else "none"
        return f"{noise['recordings']} recordings ({names}), {heard} heard in training"


def evaluate_noisy(
    task: Task,
    output: Path,
    command: str,
    noise: NoiseTest,
) -> NoisyEvaluation:
    """Answer the test clips of every fold again, with noise.

    Parameters
    ----------
    output : of `evaluate`, finished; gets metrics-noise.json and predictions-noise-LEVEL.csv
    """
    clean = joined([read_predictions(output / split.fold / PREDICTIONS) for split in task.splits])
    scores, n_unchanged = {}, 0
    for level in noise.snr_db:
        parts = [fold_noisy(output / split.fold, split, noise, level) for split in task.splits]
        together = joined([predictions for predictions, _ in parts])
        n_unchanged += sum(unchanged for _, unchanged in parts)
        write_predictions(together, output / f"predictions-noise-{level:g}.csv")
        scores[level], _ = told_apart(score(together, np.random.default_rng(BOOTSTRAP_SEED)))
    plain, _ = told_apart(score(clean, np.random.default_rng(BOOTSTRAP_SEED)))
    curve = NoiseCurve.of(plain, scores)
    document = {
        **_facts(task, command, noise),
        "n_without_noise": n_unchanged,
        "n": curve.n,
        "levels": curve.to_list(),
    }
    write_json(output / METRICS_NOISE, document)
    return NoisyEvaluation(plain, scores, curve, document)


def fold_noisy(run: Path, split: Split, noise: NoiseTest, snr_db: float) -> tuple[Predictions, int]:
    """Return the predictions of one fold's test set, in the order of its plain ones.

    Returns
    -------
    predictions, and the number of clips that stayed as they are (silence: its own, or ten times the recording's)
    """
    clips = FoldClips.tested(run, split)
    return clips.heard_as(lambda waveform, key: noise.mixed_into(waveform, key, snr_db, clips.rate_hz))


def _facts(task: Task, command: str, noise: NoiseTest) -> dict[str, Any]:
    return {
        "protocol": task.protocol.name,
        "speaker_independent": task.protocol.speaker_independent,
        "title": task.title,
        "folds": [split.fold for split in task.splits],
        "part": task.choice.part,
        "command": command,
        "seed": task.seeds[0],
        "recipe": task.recipe.to_dict(),
        "noise": {
            "folder": noise.folder,
            "names": list(noise.names),
            "recordings": len(noise.files.recordings),
            "heard_in_training": noise.heard_in_training(task.recipe),
        },
    }
