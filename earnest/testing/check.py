"""One promise of one entry: what test runners call, and how a broken one is told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias
from unittest import SkipTest

from earnest.errors import MissingExtraError

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
