"""The nearest right name, for messages about wrong ones."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 64  # of a wrong name that is compared: its time grows with the length


def suggestion(wrong: str, right: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" or the list of choices, ready to end an error message."""
    choices = sorted(right)
    near = get_close_matches(wrong[:LONGEST], choices, n=1, cutoff=0.5)
    if near:
        return f" Did you mean '{near[0]}'?"
    return f" Choose one of: {', '.join(choices)}." if choices else ""
