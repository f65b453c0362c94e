"""Named things, one module each; other packages add theirs by entry points.

The registry reads our names from the files and those of other packages from their metadata, and imports a module when
one of its entries is used.
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from inspect import get_annotations
from typing import TYPE_CHECKING, Generic, TypeVar

from earnest.errors import EarnestError, suggestion

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one package, found by their ``@NAME.register("entry")`` lines without importing the modules.

    Listing the names of models must not import torch, so the names are read from the source text.
    """

    def __init__(self, variable: str, kind: str, package: str, group: str = "", contract: type = object) -> None:
        """Make a registry.

        Parameters
        ----------
        variable : the name of the registry in the source text
        kind : what an entry is, for messages
        package : whose modules hold our entries
        group : of the entry points by which other packages add theirs; "" for one that is called as the package
        contract : what an entry of another package must be; its annotations without a value are names that it needs
        """
        self.variable = variable
        self.kind = kind
        self.package = package
        self.group = group or package
        self.contract = contract
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate a class or function to make it available under ``name``."""

        def add(entry: T) -> T:
            is_ours = getattr(entry, "__module__", "").startswith(f"{self.package}.")
            if self._entries.get(name, entry) is not entry or (not is_ours and name in self._modules):
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

    @cached_property
    def _entry_points(self) -> Mapping[str, "list[EntryPoint]"]:
        """Entry points of installed packages, by name; only their metadata is read."""
        from importlib.metadata import entry_points

        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            found.setdefault(point.name, []).append(point)
        return found

    def names(self) -> list[str]:
        """All names, sorted; nothing is imported."""
        return sorted({*self._modules, *self._entries, *self._entry_points})

    def __contains__(self, name: str) -> bool:
        return name in self._modules or name in self._entries or name in self._entry_points

    def find(self, name: str) -> T | None:
        """Return the entry called ``name`` as `get` does, None where there is none."""
        return self.get(name) if name in self else None

    def get(self, name: str) -> T:
        """Return the entry called ``name``, importing its module first.

        Raises `EarnestError` for an unknown name, with the nearest right one; for a name that two packages use; and for
        an entry of another package that can't be imported or is not of this kind. Other entries stay usable.
        """
        points = self._entry_points.get(name, [])
        self._refuse_two(name, points)
        if name not in self._entries and name in self._modules:
            import_module(f"{self.package}.{self._modules[name]}")
        if name not in self._entries and points:
            self._entries[name] = self._loaded(points[0])
        if name not in self._entries:
            raise EarnestError(f"There is no {self.kind} called '{name}'.{suggestion(name, self.names())}")
        return self._entries[name]

    def package_of(self, name: str) -> str:
        """Name and version of the package that adds an entry, "" for ours; nothing is imported."""
        points = self._entry_points.get(name, [])
        return _package_of(points[0]) if points else ""

    def _refuse_two(self, name: str, points: "list[EntryPoint]") -> None:
        owners = ["earnest"] if name in self._modules else []
        owners += [_package_of(point) for point in points]
        if len(owners) > 1:
            raise EarnestError(
                f"Two {self.kind} entries are called '{name}': those of {' and '.join(owners)}."
                f" Uninstall {owners[-1]}, or give its entry point in '{self.group}' another name."
            )

    def _loaded(self, point: "EntryPoint") -> T:
        where = f"The {self.kind} '{point.name}' of the package {_package_of(point)}"
        remedy = "Update or uninstall that package."
        try:
            entry = point.load()
        except (Exception, SystemExit) as error:  # code of strangers: it may raise anything
            raise EarnestError(f"{where} can't be imported ({type(error).__name__}: {error}). {remedy}") from error
        if not self._is_of_this_kind(entry):
            raise EarnestError(f"{where} is no {self.contract.__name__}: {point.value}. {remedy}")
        if lacking := self._lacking(entry):
            raise EarnestError(f"{where} has no {', '.join(lacking)} ({point.value}). {remedy}")
        loaded: T = entry
        return loaded

    def _is_of_this_kind(self, entry: object) -> bool:
        by_name_alone = getattr(self.contract, "_is_protocol", False)
        return isinstance(entry, type) and (by_name_alone or issubclass(entry, self.contract))

    def _lacking(self, entry: type) -> list[str]:
        needed = [name for name in get_annotations(self.contract) if not hasattr(self.contract, name)]
        return [name for name in needed if not hasattr(entry, name)] + sorted(getattr(entry, "__abstractmethods__", ()))


def _package_of(point: "EntryPoint") -> str:
    """Name and version, as pip calls them."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value.partition(":")[0]
