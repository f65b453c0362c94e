"""What the application is made of, and under which licences: of a folder without Python, where the texts lie."""

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from earnest.apps.desktop.texts import tr
from earnest.errors import printable

PARTS = (
    "earnest", "PySide6_Essentials", "shiboken6", "pyqtgraph", "sounddevice", "numpy", "onnxruntime", "soundfile",
    "soxr", "pillow", "click", "rich",
)  # fmt: skip


def licences() -> str:
    """Return a line for each part, and where the licences' texts are."""
    folder = getattr(sys, "_MEIPASS", None)  # of PyInstaller
    if folder is not None:
        place = Path(folder) / "licences"
        names = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        return "\n".join([tr("The texts are in {place}:").format(place=printable(str(place))), "", *names])
    found = []
    for name in PARTS:
        try:
            found.append(distribution(name))
        except PackageNotFoundError:
            continue
    lines = [f"{one.name} {one.version}: {licence_of(one)}" for one in found]
    return "\n".join([*lines, "", tr("Each package has the text in its .dist-info folder.")])


def licence_of(package: Distribution) -> str:
    """Return a package's licence in a few words, as its makers declare it."""
    facts = package.metadata
    declared = [str(facts[name]).strip() for name in ("License-Expression", "License") if name in facts]
    short = [text for text in declared if text and len(text) < 80 and "\n" not in text]  # others are the whole text
    if short:
        return short[0]
    kinds = [str(line) for line in facts.get_all("Classifier") or () if str(line).startswith("License ::")]
    return ", ".join(line.rpartition(" :: ")[2] for line in kinds) or tr("see its folder")
