"""A finished evaluation beside the same with less training data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from earnest.evaluation.data_curve import Amount
from earnest.evaluation.train_share import with_train_share
from earnest.run_files import write_json
from earnest.training.evaluate import Evaluation, evaluate
from earnest.training.search_space import SearchSpace
from earnest.training.task import Task

DATA_CURVE = "data_curve.json"


def with_share(task: Task, share: float) -> Task:
    """Return the task with a share of its training data; every result says so."""
    less = task.with_splits(lambda split: with_train_share(split, share))
    return replace(less, choice=replace(less.choice, note=f"{share:g} of the training data"))


def with_shares(task: Task, shares: Sequence[float]) -> dict[float, Task]:
    """Return share → task, ascending; all of the data is the task itself and left out."""
    return {share: with_share(task, share) for share in sorted(set(shares) - {1.0})}


def evaluate_less(
    task: Task,
    whole: Evaluation,
    less: Mapping[float, Task],
    output: Path,
    command: str,
    jobs: int = 1,
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
        outcome = evaluate(part, output / f"train-share-{share:g}", command, jobs, on_fold, space)
        amounts.append(Amount.of(share, part.splits, outcome.scores))
    amounts.append(Amount.of(1.0, task.splits, whole.scores))
    document = {"title": task.title, "command": command, "amounts": [amount.to_dict() for amount in amounts]}
    write_json(output / DATA_CURVE, document)
    return amounts
