"""A finished evaluation once more, every test clip heard in several variants whose probabilities are averaged.

The models, the splits and the plain predictions stay as they are; what is new lies beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from earnest.audio.io import load_waveform
from earnest.augment.tta import variants_called, variants_of
from earnest.corpora.manifest import Utterance
from earnest.evaluation.predictions import Predictions, joined, of_emotion, read_predictions, write_predictions
from earnest.evaluation.splits import Split
from earnest.models.classifier import SpeechClassifier
from earnest.training.evaluate import Evaluation, scored
from earnest.training.run import PREDICTIONS, load_run
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
    plain, classifier = read_predictions(run / PREDICTIONS), load_run(run)
    rows = {(row.corpus, row.utterance_id): row for row in split.test}
    tested = [rows[place] for place in zip(plain.corpus, plain.utterance_id, strict=True)]
    probabilities = np.stack([mean_probabilities(classifier, row, name) for row in tested])
    predicted = probabilities.argmax(axis=1).astype(np.int64)
    return replace(of_emotion(plain), probabilities=probabilities, predicted=predicted)


def mean_probabilities(classifier: SpeechClassifier, utterance: Utterance, name: str) -> npt.NDArray[np.float32]:
    """Return the mean of the calibrated probabilities (classes,) of one clip's variants."""
    rate_hz = classifier.front_end.settings.sample_rate_hz
    waveform = load_waveform(utterance.path, rate_hz, utterance.start_s, utterance.end_s)
    answers = []
    for heard in variants_of(waveform, name):
        with torch.no_grad():
            outputs = classifier(torch.from_numpy(heard)[None], torch.tensor([len(heard)]))
        answers.append(outputs["probabilities"][0].double().numpy())
    return np.asarray(np.mean(answers, axis=0), np.float32)
