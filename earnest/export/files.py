"""Writing of a bundle's files: all of them or none; here without torch."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from earnest.bundle import BundleInfo
from earnest.errors import EarnestError, told
from earnest.export.card import model_card
from earnest.files.locks import has_lock, held_folder
from earnest.files.writing import put_in_place, write_atomically

NOTICE, MODEL = "NOTICE.txt", "model.onnx"
BUNDLE, BEGUN = "bundle.json", ".begun"
MODEL_FILES = {MODEL, "model.xml", "model.bin"}


def write_bundle(output: Path, files: Mapping[str, bytes], info: BundleInfo) -> None:
    """Write a bundle with its card: all files beside their places first, then moved, ``bundle.json`` last.

    Parameters
    ----------
    files : all that ``info`` lists, by name; graphs that it does not list are removed
    """
    text = json.dumps(info.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    files = {**files, "card.md": model_card(info).encode(), BUNDLE: f"{text}\n".encode()}
    with held_folder(output), told(output):
        begun = output / BEGUN
        begun.mkdir(exist_ok=True)
        for name, content in files.items():
            write_atomically(begun / name, content)
        for name in {*MODEL_FILES, BUNDLE} - (files.keys() - {BUNDLE}):
            (output / name).unlink(missing_ok=True)
        for name in files:
            put_in_place(begun / name, output / name)
        shutil.rmtree(begun)


def refuse_full(
    output: Path, overwrite: bool, instead: str = "Replace it with --overwrite, or choose another --output."
) -> None:
    """Raise `EarnestError` that ends with ``instead`` for a folder that holds more than an export that was killed."""
    with told(output):
        held = [path.name for path in output.iterdir() if not path.name.startswith(".")] if output.is_dir() else []
        killed = (output / BEGUN).exists() or (BUNDLE in held and has_lock(output))  # or goes on: its lock refuses
    if held and not overwrite and not killed:
        raise EarnestError(f"{output}: holds {min(held)}. {instead}")
