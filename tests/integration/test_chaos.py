"""`make chaos`, in short: a dozen kills, with a seed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "chaos.py"
TARGETS = ("predict-csv", "predict-parts", "batch", "learn-continue", "train", "evaluate-1", "export")


@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_commands_that_are_killed_at_random_moments_end_as_if_nothing_had_happened() -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow, earnest[parquet]")
    words = ("--kills", "12", "--seed", "22", "--targets", ",".join(TARGETS))
    done = subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = next(line for line in done.stdout.splitlines() if line.startswith("| all |")).split("|")[2:-1]
    n_rounds, n_kills, lost, doubled, corrupt, *_ = map(json.loads, cells)
    assert (lost, doubled, corrupt) == (0, 0, 0)
    assert n_kills >= 12
    assert n_rounds >= len(TARGETS)
