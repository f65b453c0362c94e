"""Choose closed-form heads on validation speakers; test recordings are never read.

Usage: python scripts/lab.py heads RECIPE PROTOCOL [KEY=VALUE ...]

In every fold of PROTOCOL, heads are fitted on the training recordings and scored on the validation recordings: WA / UA,
per cent, mean over folds. KEY=VALUE changes the recipe (network.pooled_blocks=[1,2]). Corpora come from $EARNEST_DATA.
The lab book, docs/results/experiments.md, quotes what this prints.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from earnest.apps.cli._training import changes_of
from earnest.corpora.load import scheme_of_rows
from earnest.evaluation.protocols import protocol_called
from earnest.experiments.task import SharedClips, auxiliary_utterances, task_of
from earnest.learning.discriminant import Shrinkage, discriminant, speaker_discriminant
from earnest.settings.recipe import Training, read_recipe
from earnest.training.closed_form import is_speaker_dependent
from earnest.training.finetune import finetune_embedding
from earnest.training.run import initial_classifier
from earnest.training.runtime_statistics import COPY, SpeakerEmbeddings, speaker_embeddings

SHRINKAGES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Fold:
    """A fold's training data and its questions."""

    train: SpeakerEmbeddings
    valid: SpeakerEmbeddings
    n_classes: int
    training: Training
    speaker_dependent: bool
    value_weights: np.ndarray | None


def main(recipe_path: str, protocol: str, changes: list[str]) -> None:
    """Print one table."""
    print_heads(list(folds_of(recipe_path, protocol, changes)))


def folds_of(recipe_path: str, protocol: str, changes: list[str]) -> Iterator[Fold]:
    """Embed the training and validation recordings of every fold; each recording once."""
    recipe = read_recipe(Path(recipe_path), changes_of(changes))
    task = task_of(recipe, protocol_called(protocol), {})
    wanted = {row.key: row for split in task.splits for row in (*split.train, *split.valid)}
    scheme = scheme_of_rows(task.recipe.scheme, list(wanted.values()))
    shared = SharedClips(list(wanted.values()), auxiliary=auxiliary_utterances(task.recipe, task.folders))
    for split in task.splits:
        clips, classifier = shared.of(task.recipe), initial_classifier(task.recipe, scheme.classes)
        if task.recipe.finetune:
            with TemporaryDirectory() as folder:
                beside = clips.auxiliary_of(split)
                finetune_embedding(classifier, clips.of(split.train), beside, task.recipe, Path(folder))
        train, valid = (
            speaker_embeddings(classifier.network, clips.of(rows), clips.cache) for rows in (split.train, split.valid)
        )
        network = classifier.network
        told = task.recipe.training, is_speaker_dependent(network), network.value_weights
        yield Fold(train, valid, len(scheme.classes), *told)


def print_heads(folds: list[Fold]) -> None:
    """Score the discriminant at several shrinkages."""
    for shrinkage in SHRINKAGES:
        scores = [wa_and_ua(logits_of(fold, shrinkage).argmax(axis=1), fold.valid.targets) for fold in folds]
        say(f"shrinkage {shrinkage}: {np.mean(scores, axis=0)[0]:.1f} / {np.mean(scores, axis=0)[1]:.1f}")


def logits_of(fold: Fold, shrinkage: float) -> np.ndarray:
    """Answer a fold's validation recordings (rows, classes) by the discriminant of its training recordings."""
    train, asked, shrunk = fold.train, fold.valid.embeddings, Shrinkage(shrinkage, fold.value_weights)
    if not fold.speaker_dependent:
        weights, bias = discriminant(train.embeddings, train.targets, shrunk, fold.n_classes, train.corpora)
        return np.asarray(asked @ weights.T + bias)
    voices, prior = [name.split(COPY)[0] for name in train.speakers], fold.training.speaker_prior
    heard = train.embeddings, train.targets, voices, shrunk, prior, fold.n_classes
    weights, bias = speaker_discriminant(*heard)
    return np.logaddexp.reduce((asked @ weights.T + bias).reshape(len(asked), -1, fold.n_classes), axis=1)


def say(*words: str) -> None:
    """Write one line, at once."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def wa_and_ua(predicted: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Return the share of right answers and the mean recall, per cent."""
    right = predicted == true
    return 100 * float(right.mean()), 100 * float(np.mean([right[true == label].mean() for label in np.unique(true)]))


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] != "heads":
        sys.exit(__doc__)
    main(sys.argv[2], sys.argv[3], sys.argv[4:])
