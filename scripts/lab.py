"""Choose closed-form heads and the rule of adaptation on validation speakers; test clips are never read.

Usage: python scripts/lab.py heads RECIPE PROTOCOL [KEY=VALUE ...]
       python scripts/lab.py adaptation RECIPE PROTOCOL [KEY=VALUE ...]

In every fold of PROTOCOL, heads are fitted on the training clips and scored on the validation clips: WA / UA, per cent,
mean over folds. KEY=VALUE changes the recipe (network.pooled_blocks=[1,2]). Corpora come from $EARNEST_DATA. The lab
book, docs/results/experiments.md, quotes what this prints.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from earnest.apps.cli._options import changes_of
from earnest.evaluation.calibration import fit_temperature, softmax
from earnest.evaluation.protocols import protocol_called
from earnest.experiments.task import SharedClips, auxiliary_utterances, task_of
from earnest.runtime._rule import RuleAdaptation as Adaptation
from earnest.runtime._rule import RuleAdapter as Adapter
from earnest.settings.recipe import read_recipe
from earnest.settings.training import Training
from earnest.training.closed_form import discriminant, is_speaker_dependent, speaker_discriminant
from earnest.training.finetune import finetune_embedding
from earnest.training.run import initial_classifier, scheme_of
from earnest.training.runtime_statistics import COPY, SpeakerEmbeddings, fit_adaptation, heard_by, with_scale

SHRINKAGES = (0.2, 0.4, 0.6, 0.8)
STREAMS = ("all", "ten", "one emotion", "two", "three")
RULES: Mapping[str, Mapping[str, float]] = {
    "as it is": {},
    "always trusted": {"trust_from": -2.0, "trust_to": -1.0},
    "told apart 0.55 to 0.65": {"told_from": 0.55, "told_to": 0.65},
    "told apart 0.6 to 0.8": {"told_from": 0.6, "told_to": 0.8},
    "the plain mean never": {"told_from": 2.0, "told_to": 3.0},
    "usual places": {"place_prior": 1e9},
    "usual places, the plain mean never": {"place_prior": 1e9, "told_from": 2.0, "told_to": 3.0},
    "places' prior 10": {"place_prior": 10.0},
}


@dataclass(frozen=True)
class Fold:
    """What a fold knows and what it is asked."""

    train: SpeakerEmbeddings
    valid: SpeakerEmbeddings
    n_classes: int
    training: Training
    speaker_dependent: bool


def main(what: str, recipe_path: str, protocol: str, changes: list[str]) -> None:
    """Print one table."""
    folds = list(folds_of(recipe_path, protocol, changes))
    {"heads": print_heads, "adaptation": print_adaptation}[what](folds)


def folds_of(recipe_path: str, protocol: str, changes: list[str]) -> Iterator[Fold]:
    """Embed the training and validation clips of every fold; each clip once."""
    recipe = read_recipe(Path(recipe_path), changes_of(changes))
    task = task_of(recipe, protocol_called(protocol), {})
    wanted = {row.key: row for split in task.splits for row in (*split.train, *split.valid)}
    scheme = scheme_of(task.recipe, list(wanted.values()))
    shared = SharedClips(list(wanted.values()), auxiliary=auxiliary_utterances(task.recipe, task.folders))
    for split in task.splits:
        clips, classifier = shared.of(task.recipe), initial_classifier(task.recipe, scheme.classes)
        if task.recipe.finetune:
            with TemporaryDirectory() as folder:
                beside = clips.auxiliary_of(split)
                finetune_embedding(classifier, clips.of(split.train), beside, task.recipe, Path(folder))
        train, valid = (
            heard_by(classifier.network, clips.of(rows), clips.cache) for rows in (split.train, split.valid)
        )
        speaker_dependent = is_speaker_dependent(classifier.network)
        yield Fold(train, valid, len(scheme.classes), task.recipe.training, speaker_dependent)


def print_heads(folds: list[Fold]) -> None:
    """Score the discriminant at several shrinkages."""
    for shrinkage in SHRINKAGES:
        scores = [wa_and_ua(logits_of(fold, shrinkage).argmax(axis=1), fold.valid.targets) for fold in folds]
        say(f"shrinkage {shrinkage}: {np.mean(scores, axis=0)[0]:.1f} / {np.mean(scores, axis=0)[1]:.1f}")


def logits_of(fold: Fold, shrinkage: float) -> np.ndarray:
    """Answer a fold's validation clips (rows, classes) by the discriminant of its training clips."""
    train, asked = fold.train, fold.valid.embeddings
    if not fold.speaker_dependent:
        weights, bias = discriminant(train.embeddings, train.targets, shrinkage, fold.n_classes, train.corpora)
        return np.asarray(asked @ weights.T + bias)
    voices, prior = [name.split(COPY)[0] for name in train.speakers], fold.training.speaker_prior
    weights, bias = speaker_discriminant(train.embeddings, train.targets, voices, shrinkage, prior, fold.n_classes)
    return np.logaddexp.reduce((asked @ weights.T + bias).reshape(len(asked), -1, fold.n_classes), axis=1)


def say(*words: str) -> None:
    """Write one line, at once."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def wa_and_ua(predicted: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Return the share of right answers and the mean recall, per cent."""
    right = predicted == true
    return 100 * float(right.mean()), 100 * float(np.mean([right[true == label].mean() for label in np.unique(true)]))


def print_adaptation(folds: list[Fold]) -> None:
    """Score rules on streams of validation speakers: WA of the clips of each kind of stream."""
    fitted = []
    for fold in folds:
        logits = logits_of(fold, fold.training.shrinkage)
        plain = softmax(logits / fit_temperature(logits, fold.valid.targets))
        adaptation = fit_adaptation(fold.train, fold.training.shrinkage, fold.n_classes)
        assert adaptation is not None
        fitted.append((fold, plain, with_scale(adaptation, fold.valid, 0)))
    say(f"{'WA on streams of':36}", *(f"{name:>12}" for name in STREAMS))
    say(f"{'plain':36}", *(f"{share(fitted, name, None):12.1f}" for name in STREAMS))
    for rule_name, rule in RULES.items():
        say(f"{rule_name:36}", *(f"{share(fitted, name, rule):12.1f}" for name in STREAMS))


def share(fitted: list[tuple[Fold, np.ndarray, Adaptation]], name: str, rule: Mapping[str, float] | None) -> float:
    """Return the share of right answers over folds, per cent; without a rule the plain ones'."""
    right = []
    for fold, plain, found in fitted:
        adaptation = replace(found, **{"least_speech_s": 0.0, **(rule or {})})
        answers = []
        for learnt, answered in streams_of(fold, name):
            adapter = Adapter(adaptation)
            adapter.learn_from(fold.valid.embeddings[learnt], 100.0)
            for row in answered:
                adapted = None if rule is None else adapter.hear(fold.valid.embeddings[row], plain[row], 3.0, 3.0)
                answers.append((plain[row] if adapted is None else adapted).argmax() == fold.valid.targets[row])
        right.append(np.mean(answers))
    return 100 * float(np.mean(right))


def streams_of(fold: Fold, name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows to learn from, without labels, and the rows to answer."""
    rng = np.random.default_rng(0)
    for speaker in sorted(set(fold.valid.speakers)):
        rows = np.flatnonzero([one == speaker for one in fold.valid.speakers])
        labels = fold.valid.targets[rows]
        if name == "all":
            yield rows, rows
        elif name == "ten":
            order = rng.permutation(rows)
            yield order[:10], order[10:]
        else:
            n_emotions = {"one emotion": 1, "two": 2, "three": 3}[name]
            for first in range(fold.n_classes):
                others = rng.choice(fold.n_classes, n_emotions, replace=False)
                chosen = rows[np.isin(labels, [first] if n_emotions == 1 else others)]
                if len(chosen):
                    yield chosen, chosen


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("heads", "adaptation"):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
