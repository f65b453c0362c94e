"""Tables of ``[[augment]]`` with every default spelled out."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from earnest.augment.base import AUGMENTATIONS
from earnest.config import from_mapping


def resolved_tables(tables: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Return the tables as the augmentations read them."""
    return tuple(_resolved(**table) for table in tables)


def _resolved(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, **asdict(from_mapping(AUGMENTATIONS.get(name), settings, name))}
