"""Readers of files from outside, seeds for each, and what is done to the seeds; ``make fuzz`` lets a fuzzer at them.

`fuzz.readers` is the registry, `fuzz.mutations` damages seeds from a random generator (``tests/contracts/
test_readers.py`` and ``python -m fuzz damage``), `fuzz.target` is one atheris target, `fuzz.page` writes
docs/security/fuzz.md.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests"))  # made-up voices, bundles and results: one maker of each
