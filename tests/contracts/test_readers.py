"""Only `EarnestError` leaves a reader: every reader of files from outside × seeds × damage."""

import json
import os
import subprocess
import sys

import pytest

from fuzz import ROOT
from fuzz.damage import damage
from fuzz.readers import readers

SECONDS = float(os.environ.get("READERS_SECONDS", "0.3"))  # a reader; more by hand: READERS_SECONDS=60
SEED = int(os.environ.get("READERS_SEED", "0"))
CHEAP = [reader.name for reader in readers().values() if not reader.costly]
COSTLY = [reader.name for reader in readers().values() if reader.costly]


@pytest.mark.parametrize("name", CHEAP)
def test_only_an_earnest_error_leaves_a_reader(name: str) -> None:
    found = damage(readers()[name], SECONDS, SEED, least=30)
    assert not found.crashes, found.to_dict()


@pytest.mark.parametrize("name", COSTLY)
def test_only_an_earnest_error_leaves_a_decoder(name: str) -> None:
    """In a process of its own: decoders and models are native code."""
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "damage", name, str(SECONDS), str(SEED)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not found["crashes"], found
