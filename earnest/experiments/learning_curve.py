"""The learning curve: a finished evaluation beside the same with nested parts of its training speakers or clips."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from math import ceil
from pathlib import Path

from earnest.corpora.manifest import Utterance
from earnest.errors import RecipeError, SplitError
from earnest.evaluation.curves import Amount
from earnest.evaluation.splits import Split
from earnest.experiments.engines import ONE_BY_ONE, FoldEngine
from earnest.experiments.evaluate import Evaluation, evaluate
from earnest.experiments.task import Task
from earnest.experiments.tune import SearchSpace
from earnest.files.writing import write_json


def with_train_share(split: Split, share: float) -> Split:
    """Keep a share of the training data; validation and test sets stay as they are.

    Speaker-independent splits keep whole speakers, others clips of each emotion. Who stays depends on names alone, and
    who stays at a small share stays at every larger one.

    Raises
    ------
    SplitError
        When an emotion would have no training clips left.
    """
    if not 0 < share <= 1:
        raise RecipeError(f"A share of the training data must be above 0 and at most 1, got {share:g}.")
    kept = _of_speakers(split.train, share) if split.speaker_independent else _of_clips(split.train, share)
    lost = sorted({row.emotion for row in split.train} - {row.emotion for row in kept})
    if lost:
        raise SplitError(f"{split.title}: {share:g} of the training data holds no recording of {', '.join(lost)}.")
    return replace(split, train=kept)


def _of_speakers(rows: Sequence[Utterance], share: float) -> list[Utterance]:
    chosen = set(_first(sorted({row.speaker for row in rows}), share))
    return [row for row in rows if row.speaker in chosen]


def _of_clips(rows: Sequence[Utterance], share: float) -> list[Utterance]:
    by_emotion: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_emotion[row.emotion].append(row.key)
    chosen = {key for keys in by_emotion.values() for key in _first(keys, share)}
    return [row for row in rows if row.key in chosen]


def _first(names: Sequence[str], share: float) -> list[str]:
    """Return a share of the names, at least one, in an order drawn by hashing them."""
    drawn = sorted(names, key=lambda name: sha256(name.encode()).digest())
    return drawn[: ceil(round(share * len(drawn), 6))]


DATA_CURVE = "data_curve.json"


def with_share(task: Task, share: float) -> Task:
    """Return the task with a share of its training data; every result says so."""
    less = task.with_splits(lambda split: with_train_share(split, share))
    return replace(less, choice=replace(less.choice, note=f"{share:g} of the training data"))


def with_shares(task: Task, shares: Sequence[float]) -> dict[float, Task]:
    """Return share → task, ascending; all of the data is the task itself and left out."""
    return {share: with_share(task, share) for share in sorted(set(shares) - {1.0})}


def evaluate_learning_curve(
    task: Task,
    whole: Evaluation,
    less: Mapping[float, Task],
    output: Path,
    command: str,
    engine: FoldEngine = ONE_BY_ONE,
    on_fold: Callable[[str], object] | None = None,
    space: SearchSpace | None = None,
) -> list[Amount]:
    """Train and score with each share; validation and test clips stay.

    Parameters
    ----------
    whole : the outcome with all training data
    less : of `with_shares`
    output : gets a folder ``train-share-SHARE`` each and data_curve.json
    """
    amounts = []
    for share, part in less.items():
        outcome = evaluate(part, output / f"train-share-{share:g}", command, engine, on_fold, space)
        amounts.append(Amount.of(share, part.splits, outcome.scores))
    amounts.append(Amount.of(1.0, task.splits, whole.scores))
    document = {"title": task.title, "command": command, "amounts": [amount.to_dict() for amount in amounts]}
    write_json(output / DATA_CURVE, document)
    return amounts
