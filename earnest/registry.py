"""Named things, one module each: the registry reads names from the files and imports one when it is used."""

import re
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from typing import Generic, TypeVar

from earnest.errors import EarnestError
from earnest.suggest import suggestion

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one package, found by their ``@NAME.register("entry")`` lines without importing the modules.

    Listing the names of models must not import torch, so the names are read from the source text.
    """

    def __init__(self, variable: str, kind: str, package: str) -> None:
        self.variable = variable
        self.kind = kind
        self.package = package
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a class or function to make it available under ``name``."""

        def add(entry: T) -> T:
            if name in self._entries and self._entries[name] is not entry:
                raise EarnestError(f"Two {self.kind} entries are called '{name}'.")
            self._entries[name] = entry
            return entry

        return add

    @cached_property
    def _modules(self) -> dict[str, str]:
        pattern = re.compile(rf'^@{self.variable}\.register\("([^"]+)"\)', re.MULTILINE)
        found: dict[str, str] = {}
        for source in sorted(files(self.package).iterdir(), key=lambda item: item.name):
            if source.name.endswith(".py") and not source.name.startswith("_"):
                for name in pattern.findall(source.read_text(encoding="utf-8")):
                    found[name] = source.name.removesuffix(".py")
        return found

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        return sorted({*self._modules, *self._entries})

    def get(self, name: str) -> T:
        """Return the entry called ``name``, importing its module first.

        Raises
        ------
        EarnestError
            For an unknown name, with the nearest right one.
        """
        if name not in self._entries and name in self._modules:
            import_module(f"{self.package}.{self._modules[name]}")
        if name not in self._entries:
            raise EarnestError(f"There is no {self.kind} called '{name}'.{suggestion(name, self.names())}")
        return self._entries[name]
