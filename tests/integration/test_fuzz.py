"""The fuzzer's targets start, reach their readers and find nothing in two seconds; more: ``make fuzz SECONDS=60``."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz import page
from fuzz.readers import readers

# One of each group in every run; the others when minutes don't matter.
GROUPS = {reader.partition(":")[0]: reader for reader in reversed(list(readers()))}
TARGETS = [name if name in GROUPS.values() else pytest.param(name, marks=pytest.mark.slow) for name in readers()]


@pytest.mark.skipif(not find_spec("atheris"), reason="atheris has no build for this system or Python")
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzzer_finds_nothing_in_two_seconds(name: str, tmp_path: Path) -> None:
    from fuzz.campaign import fuzz_once

    (tmp_path / "corpus").mkdir()
    n_done, crashes = fuzz_once(name, 2.0, tmp_path, tmp_path / "corpus")
    assert not crashes
    assert n_done > 0


def test_the_page_tells_what_was_counted() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()
    assert not [name for name, count in page.read_counts().items() if count.open]
