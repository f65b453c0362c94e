"""A finished evaluation once more, its models getting used to each test speaker's voice without labels.

The models, the splits and the plain predictions stay as they are; what is new lies beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from earnest.errors import EarnestError
from earnest.evaluation.predictions import Predictions, joined, read_predictions, write_predictions
from earnest.evaluation.splits import Split
from earnest.progress import SILENT, Progress
from earnest.runtime.adaptation import Adaptation, adaptation_entry
from earnest.training.adaptation import HOWS, How, adapted_probabilities
from earnest.training.clips import Clips
from earnest.training.companions import companion_files, heard_by
from earnest.training.evaluate import Evaluation, scored
from earnest.training.record import read_record
from earnest.training.run import PREDICTIONS, load_run
from earnest.training.task import Task, examples_of

N_NAMED = 3


def evaluate_adapted(
    task: Task,
    output: Path,
    command: str,
    hows: Sequence[How],
    progress: Progress = SILENT,
) -> dict[How, Evaluation]:
    """Answer the test clips of every fold again, adapted to their speakers.

    A clip that comes before the rule has heard enough, or several emotions, keeps its plain answer, as at run time.

    Parameters
    ----------
    output : of `evaluate`, finished; gets predictions-adapted-HOW.csv and metrics-adapted-HOW.json
    hows : which ways, see `earnest.training.adaptation.HOWS`
    """
    splits = task.splits
    adaptations = {split.fold: read_adaptation(output / split.fold) for split in splits}
    test = [row for split in splits for row in split.test]
    if silent := [row.key for row in test if not row.speaker]:
        raise EarnestError(f"Adapting needs speakers; {', '.join(silent[:N_NAMED])} name none.")
    examples = examples_of(task.recipe, list({row.key: row for row in test}.values()), progress)
    clips = {split.fold: Clips(examples) for split in splits}  # each fold may have an embedding of its own
    outcomes: dict[How, Evaluation] = {}
    for how in hows:
        parts = [
            adapted_fold(output / split.fold, split, clips[split.fold], adaptations[split.fold], how)
            for split in splits
        ]
        together = joined(parts)
        assert together.adapted is not None
        write_predictions(together, output / f"predictions-adapted-{how}.csv")
        facts = {"adapted": {"how": how, "means": HOWS[how], "share": float(np.mean(together.adapted))}}
        path = output / f"metrics-adapted-{how}.json"
        outcomes[how] = scored(task, together, output, command, path, facts)
    return outcomes


def adapted_fold(run: Path, split: Split, clips: Clips, adaptation: Adaptation, how: How) -> Predictions:
    """Return the predictions of one fold's test set, in the order of its plain ones."""
    plain, classifier = read_predictions(run / PREDICTIONS), load_run(run)
    heard = heard_by(classifier.network, clips.of(split.test), clips.embeddings)
    assert plain.probabilities is not None
    seed = read_record(run).seed
    probabilities, answered = adapted_probabilities(adaptation, heard, plain.probabilities, how, seed)
    predicted = np.where(answered, probabilities.argmax(axis=1), plain.predicted)
    return replace(plain, probabilities=probabilities.astype(np.float32), predicted=predicted, adapted=answered)


def read_adaptation(run: Path) -> Adaptation:
    """Read what a finished run holds for adaptation."""
    record = read_record(run)
    if record.adaptation is None:
        raise EarnestError(
            f'{run}: can\'t adapt to a voice. That takes a recipe with method = "discriminant", three training '
            "speakers or more, and a run of this version; choose another --output to train it again."
        )
    entry = adaptation_entry(record.adaptation, str(run))
    data = companion_files(run, (record.adaptation,))[entry.file]
    return Adaptation.read(entry, data, len(record.classes), str(run))
