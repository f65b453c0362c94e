"""Inputs that once did harm, each with its story and the test that keeps it out; ``python -m attacks`` tells them.

A module is an area. It makes its inputs by code, from seeds, so that nothing hostile lies in the repository, and lists
them as ``ATTACKS``.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Attack:
    """One input or way to behave.

    Attributes
    ----------
    name : what it is, in a few words
    before : what it did, measured
    after : what it does now, measured
    test : what holds that, as pytest names it ("tests/unit/audio/test_bombs.py::test_a_bomb_is_refused")
    """

    name: str
    before: str
    after: str
    test: str


def attacks() -> Iterator[tuple[str, Attack]]:
    """Yield all, each with its area."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        if not module.name.startswith("_"):
            for attack in getattr(importlib.import_module(f"attacks.{module.name}"), "ATTACKS", ()):
                yield module.name, attack
