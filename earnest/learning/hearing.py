"""Recordings → embeddings that can be learnt from: those of speech alone; why the others can't."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.audio.source import AudioInput
from earnest.runtime.embedding import EmbeddedRecording
from earnest.runtime.predictor import Predictor

PROBLEMS = {
    "error": "not readable",
    "too-short": "too short",
    "no-speech": "no speech in it",
    "vocal-burst": "a voice without words (laugh, cry, sigh, scream), no speech",
}


@dataclass(frozen=True, eq=False)
class HeardRecording:
    """One recording: its embedding (width,), None where no speech was heard.

    Attributes
    ----------
    seconds : of the recording, NaN where it can't be read
    problem : why there is no embedding, "" where there is one
    """

    embedding: npt.NDArray[np.float32] | None
    seconds: float
    problem: str = ""

    @classmethod
    def of(cls, row: EmbeddedRecording) -> "HeardRecording":
        """Keep the embedding of speech, and turn any other status into a problem."""
        seconds = float("nan") if row.duration_s is None else row.duration_s
        if row.status == "ok":
            return cls(row.vector, seconds)
        told = row.error if row.status == "error" else None
        return cls(None, seconds, told or PROBLEMS[row.status])


def hear(predictor: Predictor, sources: Iterable[AudioInput], jobs: int = 1) -> Iterator[HeardRecording]:
    """Yield what was heard of each recording, in order, by `earnest.runtime.predictor.Predictor.embed_many`."""
    yield from map(HeardRecording.of, predictor.embed_many(sources, jobs))
