"""What distillation and fine-tuning of encoders share: settings, speakers who are only listened to, and files."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from earnest.errors import RecipeError
from earnest.files.reading import read_toml
from earnest.files.writing import refuse_foreign, write_atomically
from earnest.models.pretrained import KNOWN_SPEAKERS, ORIGIN, SCALE, packed
from earnest.settings.front_end import with_preset
from earnest.settings.limits import from_mapping
from earnest.training.finetune import HISTORY, WEIGHTS

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


def claim(folder: Path, settings: str, what: str) -> None:
    """Write the settings into the folder as ``recipe.toml``, or refuse one that holds others."""
    path = folder / "recipe.toml"
    refuse_foreign(folder, path.name, (WEIGHTS, HISTORY))
    if path.exists() and path.read_text(encoding="utf-8") != settings:
        raise RecipeError(f"{folder}: holds another {what}. Choose another --output, or remove the folder.")
    write_atomically(path, settings.encode())


def metadata_of(origin: str, known_speakers: Iterable[str]) -> dict[str, str]:
    """Return what is written beside tensors: their origin, and the speakers (corpus/speaker) whose labels they know."""
    known = sorted(known_speakers)
    return {ORIGIN: origin, **({KNOWN_SPEAKERS: json.dumps(known)} if known else {})}


def packed_state(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return tensors as they are written, ``prefix`` before their names: kernels as whole numbers with their scales."""
    stored = {}
    for name, tensor in state.items():
        key = prefix + name
        if tensor.ndim > 1:  # biases and norms are small, and stay as they are
            stored[key], stored[key + SCALE] = packed(tensor)
        else:
            stored[key] = tensor
    return stored
