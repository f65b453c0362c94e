"""A finished evaluation once more, every test clip heard in several variants whose probabilities are averaged.

The models, the splits and the plain predictions stay as they are; what is new lies beside them.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from earnest.audio.waveform import Waveform
from earnest.augment.tta import variants_called, variants_of
from earnest.evaluation.predictions import Predictions, joined, write_predictions
from earnest.evaluation.splits import Split
from earnest.training.evaluate import Evaluation, scored
from earnest.training.fold_clips import FoldClips, Probabilities
from earnest.training.task import Task


def evaluate_variants(
    task: Task,
    output: Path,
    command: str,
    names: Sequence[str],
) -> dict[str, Evaluation]:
    """Answer the test clips of every fold again, by the mean over variants (test-time augmentation).

    Parameters
    ----------
    output : of `evaluate`, finished; gets predictions-tta-NAME.csv and metrics-tta-NAME.json
    names : which variants, see `earnest.augment.tta.VARIANTS`
    """
    splits = task.splits
    outcomes: dict[str, Evaluation] = {}
    for name in names:
        together = joined([fold_variants(output / split.fold, split, name) for split in splits])
        write_predictions(together, output / f"predictions-tta-{name}.csv")
        facts = {"tta": {"name": name, "variants": len(variants_called(name))}}
        path = output / f"metrics-tta-{name}.json"
        outcomes[name] = scored(task, together, output, command, path, facts)
    return outcomes


def fold_variants(run: Path, split: Split, name: str) -> Predictions:
    """Return the predictions of one fold's test set, in the order of its plain ones."""
    clips = FoldClips.tested(run, split)
    return clips.answered(lambda waveform: mean_probabilities(clips, waveform, name))


def mean_probabilities(clips: FoldClips, waveform: Waveform, name: str) -> Probabilities:
    """Return the mean of the calibrated probabilities (classes,) of one clip's variants."""
    answers = [clips.probabilities(heard) for heard in variants_of(waveform, name)]
    return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)
