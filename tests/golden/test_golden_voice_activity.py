"""Voice activity as Silero's network, as published, has it: frame by frame, with what it remembers between frames."""

from pathlib import Path

import make_voice_activity
import numpy as np
import pytest

from earnest.audio.activity import activity_called

WITHIN = 1e-5


@pytest.mark.parametrize("path", make_voice_activity.CLIPS, ids=lambda path: str(path.stem))
def test_voice_activity_equals_the_stored_numbers_of_the_published_network(path: Path) -> None:
    stored, heard = np.load(make_voice_activity.STORED)[path.stem], make_voice_activity.frames(path)
    assert activity_called("silero").probabilities(heard) == pytest.approx(stored, abs=WITHIN)
    streamed = activity_called("silero")
    assert np.concatenate([streamed.probabilities(frame[None]) for frame in heard]) == pytest.approx(stored, abs=WITHIN)
