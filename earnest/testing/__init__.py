"""The contract that every corpus, network and augmentation keeps, also those of other packages.

In the tests of a package that adds some by entry points::

    from earnest.testing import parametrize_with_checks

    @parametrize_with_checks(corpora=["kitchen-talk"], models=["tdnn"], augmentations=["clipping"])
    def test_contract(check):
        check()

Without pytest: ``check_corpus("kitchen-talk")``, which raises an `AssertionError` for the first promise that is broken.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias
from unittest import SkipTest

from earnest.errors import MissingExtraError

if TYPE_CHECKING:
    import pytest

__all__ = [
    "Check",
    "augmentation_checks",
    "check_augmentation",
    "check_corpus",
    "check_model",
    "corpus_checks",
    "model_checks",
    "parametrize_with_checks",
]

Promise: TypeAlias = Callable[[str], None]  # takes the name of an entry


@dataclass(frozen=True)
class Check:
    """One promise of one entry.

    Attributes
    ----------
    name : of a registered corpus, network or augmentation
    promise : raises an `AssertionError` when that entry breaks it
    """

    name: str
    promise: Promise

    def __call__(self) -> None:
        """Check it; in words of `unittest`, which pytest understands, skip it where a package is missing."""
        try:
            self.promise(self.name)
        except MissingExtraError as error:
            raise SkipTest(str(error)) from error

    def __str__(self) -> str:
        """Name the test."""
        return f"{self.name}-{self.promise.__name__}"


def expect(right: bool, message: str) -> None:
    """Raise an `AssertionError` with a message, also where Python leaves ``assert`` out."""
    if not right:
        raise AssertionError(message)


def corpus_checks(name: str) -> list[Check]:
    """Return the checks of a registered corpus; they make up its audio, so no copy of it is needed."""
    return _checks("corpora", name)


def model_checks(name: str) -> list[Check]:
    """Return the checks of a registered network; they need the packages for training."""
    return _checks("models", name)


def augmentation_checks(name: str) -> list[Check]:
    """Return the checks of a registered augmentation."""
    return _checks("augmentations", name)


def check_corpus(name: str) -> None:
    """Raise an `AssertionError` that says what a corpus breaks of its contract."""
    _run(corpus_checks(name))


def check_model(name: str) -> None:
    """Raise an `AssertionError` that says what a network breaks of its contract; takes seconds to a minute."""
    _run(model_checks(name))


def check_augmentation(name: str) -> None:
    """Raise an `AssertionError` that says what an augmentation breaks of its contract."""
    _run(augmentation_checks(name))


def parametrize_with_checks(
    corpora: Iterable[str] = (), models: Iterable[str] = (), augmentations: Iterable[str] = ()
) -> "pytest.MarkDecorator":
    """Make one test a check of the function below, which takes ``check`` and calls it; for pytest."""
    import pytest

    checks = [
        *(check for name in corpora for check in corpus_checks(name)),
        *(check for name in models for check in model_checks(name)),
        *(check for name in augmentations for check in augmentation_checks(name)),
    ]
    return pytest.mark.parametrize("check", checks, ids=str)


def _checks(module: str, name: str) -> list[Check]:
    promises: tuple[Promise, ...] = import_module(f"earnest.testing.{module}").PROMISES
    return [Check(name, promise) for promise in promises]


def _run(checks: Iterable[Check]) -> None:
    for check in checks:
        check.promise(check.name)
