"""Protocols with a number in their name, such as ``speaker-10fold``: over any manifest, in as many folds as asked."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from earnest.errors import RecipeError
from earnest.evaluation.dividing import KeyFolds, StratifiedFolds, group_named, speaker_folds
from earnest.evaluation.protocol import Protocol

FEWEST_FOLDS = 3  # one to test, one to validate, one to train
_NUMBER = re.compile(r"(?<=-)([1-9]\d{0,3})(?=fold$)")


@dataclass(frozen=True)
class Family:
    """Protocols that differ in their number of folds alone.

    Attributes
    ----------
    pattern : name with {k} for the number
    make : number of folds → protocol
    """

    pattern: str
    make: Callable[[int], Protocol]


def _speaker_folds(k: int) -> Protocol:
    return Protocol(
        name=f"speaker-{k}fold",
        description=f"any manifest, the k-th speaker in fold k mod {k}",
        corpora=(),
        scheme="native",
        divide=speaker_folds(k),
    )


def _group_folds(k: int) -> Protocol:
    return Protocol(
        name=f"group-{k}fold",
        description=f"any manifest whose clips name a group, the k-th group in fold k mod {k}; speakers may be shared",
        corpora=(),
        scheme="native",
        divide=KeyFolds(k, group_named, "groups"),
        speaker_independent=False,
    )


def _stratified_folds(k: int) -> Protocol:
    return Protocol(
        name=f"stratified-{k}fold",
        description=f"any manifest, {k} stratified random folds over clips; speakers are shared",
        corpora=(),
        scheme="native",
        divide=StratifiedFolds(k, seed=0),
        speaker_independent=False,
    )


FAMILIES = (
    Family("speaker-{k}fold", _speaker_folds),
    Family("group-{k}fold", _group_folds),
    Family("stratified-{k}fold", _stratified_folds),
)


def family_member(name: str) -> Protocol | None:
    """Return the protocol of a name that ends in a number of folds; None for another name."""
    number = _NUMBER.search(name)
    if number is None:
        return None
    pattern = f"{name[: number.start()]}{{k}}fold"
    make = {family.pattern: family.make for family in FAMILIES}.get(pattern)
    if make is None:
        return None
    k = int(number.group())
    if k < FEWEST_FOLDS:
        raise RecipeError(f"{name}: needs {FEWEST_FOLDS} folds or more: to train on, to validate on and to test.")
    return make(k)


def examples(k: int = 5) -> tuple[Protocol, ...]:
    """Return one protocol of each family, for lists."""
    return tuple(family.make(k) for family in FAMILIES)


def similar_names(name: str) -> list[str]:
    """Return one name a family with the number of a wrong name, so that the nearest can be suggested."""
    number = re.search(r"\d{1,4}", name)
    k = max(FEWEST_FOLDS, int(number.group())) if number else 5
    return [family.pattern.format(k=k) for family in FAMILIES]
