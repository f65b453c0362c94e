"""Voice activity as Silero's network, as published, has it: frame by frame, with what it remembers between frames.

Without the gain that earnest gives to quiet frames, which the published network has not.
"""

from pathlib import Path

import make_voice_activity
import numpy as np
import pytest

from earnest.audio import activity
from earnest.audio.activity import BEGINS_AT, ENDS_BELOW, Shares, activity_called

WITHIN = 1e-5
BLOCK = 16  # frames: half a second


def until_it_begins_anew(stored: Shares) -> int:
    """Return the frames before earnest forgets what it heard, which the published network never does.

    That is behind the first half second without speech that follows speech.
    """
    has_spoken = False
    for start in range(0, len(stored) - BLOCK + 1, BLOCK):
        block = stored[start : start + BLOCK]
        has_spoken |= bool((block >= BEGINS_AT).any())
        if has_spoken and (block < ENDS_BELOW).all():
            return start + BLOCK
    return len(stored)


@pytest.mark.parametrize("path", make_voice_activity.CLIPS, ids=lambda path: str(path.stem))
def test_voice_activity_equals_the_stored_numbers_of_the_published_network(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "MOST_GAIN_DB", 0.0)
    stored, heard = np.load(make_voice_activity.STORED)[path.stem], make_voice_activity.frames(path)
    n_alike = until_it_begins_anew(stored)
    assert n_alike > 0.9 * len(stored)
    found = activity_called("silero").probabilities(heard)
    assert found[:n_alike] == pytest.approx(stored[:n_alike], abs=WITHIN)
    streamed = activity_called("silero")
    assert np.concatenate([streamed.probabilities(frame[None]) for frame in heard]) == pytest.approx(found, abs=WITHIN)
