"""Settings that distillation and fine-tuning of encoders share, and speakers who are only listened to."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from earnest.files.reading import read_toml
from earnest.settings.config import from_mapping
from earnest.settings.front_end import with_preset

HELD_OUT = 15  # every fifteenth speaker is listened to without learning
T = TypeVar("T")


def read_settings(kind: type[T], path: Path) -> T:
    """Read and check settings: ``path`` may be a folder with ``recipe.toml``; the front end may begin from a preset."""
    values = read_toml(path / "recipe.toml" if path.is_dir() else path)
    if isinstance(values.get("front_end"), dict):
        values["front_end"] = with_preset(values["front_end"], f"{path}: front_end")
    if isinstance(values.get("corpus"), str):
        values["corpus"] = [values["corpus"]]
    return from_mapping(kind, values, str(path))


def held_out_speakers(speakers: Iterable[str]) -> list[str]:
    """Return every fifteenth by name."""
    return sorted(set(speakers))[HELD_OUT - 1 :: HELD_OUT]
