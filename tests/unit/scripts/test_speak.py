"""Made-up speech: the same numbers give the same sentences and manners, and files that are there stay."""

import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

SCRIPT = Path(__file__).parents[3] / "scripts" / "speak.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def test_what_is_said_follows_from_the_number_alone(script: dict[str, Any]) -> None:
    once, again, other = (script["espeak_command"](Path("x.wav"), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert once == again != other
    phrases = {script["phrase"](np.random.default_rng(seed)) for seed in range(50)}
    assert len(phrases) == 50 and all(phrase[-1] in ".!?," for phrase in phrases)
    letters = {script["letter"](np.random.default_rng(seed)) for seed in range(50)}
    assert len(letters) > 25 and all(2 <= len(one) <= 7 and one[-1] in ".!?," for one in letters)


@pytest.mark.skipif(not (shutil.which("espeak-ng") and shutil.which("flite")), reason="espeak-ng or flite is missing")
def test_it_speaks_what_is_missing(script: dict[str, Any], tmp_path: Path) -> None:
    script["main"](tmp_path, 6)
    lengths = [soundfile.info(path).duration for path in sorted(tmp_path.glob("*.wav"))]
    assert len(lengths) == 6 and min(lengths) > 0.3 and len(set(lengths)) == 6
    (tmp_path / "00002.wav").unlink()
    kept = (tmp_path / "00001.wav").stat().st_mtime_ns
    script["main"](tmp_path, 6)
    assert (tmp_path / "00001.wav").stat().st_mtime_ns == kept
    assert [soundfile.info(path).duration for path in sorted(tmp_path.glob("*"))] == lengths
