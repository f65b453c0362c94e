"""What a shell is offered, asked as bash asks."""

import os
import subprocess
import sys

import pytest


def offered(words: str) -> list[str]:
    """Return what bash would offer for the last of ``words``, " " at the end for a new one."""
    count = len(words.split()) - (not words.endswith(" "))
    environ = {**os.environ, "_EARNEST_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    found = subprocess.run([sys.executable, "-m", "earnest"], env=environ, capture_output=True, text=True, check=True)
    return [line.partition(",")[2] for line in found.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("earnest pre", ["predict"]),
        ("earnest predict --mod", ["--model"]),
        ("earnest predict --model ba", ["base", "ba"]),
        ("earnest corpus check rav", ["ravdess", "ravdess-song"]),
        ("earnest evaluate recipe.toml --protocol emodb", ["emodb-loso"]),
        ("earnest tune recipe.toml --protocol emodb", ["emodb-loso"]),
        ("earnest predict --tta s", ["speed"]),
        ("earnest evaluate recipe.toml --tta gain-", ["gain-and-speed"]),
        ("earnest timeline --format text", ["textgrid"]),
    ],
)
def test_a_shell_is_offered_what_fits(words: str, expected: list[str]) -> None:
    assert offered(words) == expected
