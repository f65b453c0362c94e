"""Recordings of three real corpora, for tests that need them."""

import os
from pathlib import Path

import pytest

from earnest.corpora.manifest import AUDIO_SUFFIXES

DATA = os.environ.get("EARNEST_DATA")
CORPORA = ("ravdess", "emodb", "crema-d")
N_CLIPS = 50
needs_real_clips = pytest.mark.skipif(not DATA, reason="EARNEST_DATA is not set: needs the real corpora")


def real_clips() -> list[Path]:
    """Return fifty recordings, of 1.6 to 5 s: heard at once or, the longer ones, in windows; skip without a corpus."""
    found = []
    for corpus in CORPORA:
        root = Path(str(DATA)) / corpus
        if not root.is_dir():
            pytest.skip(f"{corpus} is not in EARNEST_DATA")
        paths = sorted(path for path in root.rglob("*") if path.suffix in AUDIO_SUFFIXES)
        found += paths[:: len(paths) // 20][:17]
    return found[:N_CLIPS]
