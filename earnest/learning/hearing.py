"""Recordings → embeddings, as a prediction hears them: the same gate, the same windows, their mean over the speech."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earnest.audio.source import Source
from earnest.audio.waveform import Waveform
from earnest.errors import BundleError
from earnest.runtime.bulk import BATCH_S, Bulk
from earnest.runtime.decoders import Reading
from earnest.runtime.graph import Graph, Outputs
from earnest.runtime.prediction import Status
from earnest.runtime.predictor import Predictor

EMBEDDING = "embedding"


@dataclass(frozen=True, eq=False)
class HeardRecording:
    """One recording: its answer's status, and its embedding (width,), None where no speech was heard.

    Attributes
    ----------
    seconds : of the recording, NaN where it can't be read
    problem : why there is no embedding, "" where there is one
    """

    embedding: npt.NDArray[np.float32] | None
    seconds: float
    problem: str = ""


class _EmbeddingNetwork:
    """A bundle's graph that gives its embedding with every answer."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.predicted = (*graph.predicted, EMBEDDING)

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Answer a batch; see `Graph.run`."""
        return self._graph.run(waveforms, names or self.predicted)


class EmbeddingBulk(Bulk):
    """One pass over many recordings that yields embeddings, in their order."""

    def __init__(self, predictor: Predictor, batch_s: float = BATCH_S) -> None:
        """Hear with one model.

        Raises
        ------
        BundleError
            When the predictor averages several answers: each model has an embedding of its own.
        """
        graph = predictor.graph
        if not isinstance(graph, Graph):
            raise BundleError(f"'{predictor.info.name}' has no embedding of its own. Name one model, without variants.")
        reading = Reading(predictor.max_seconds, predictor.decoders, predictor.file_s)
        super().__init__(_EmbeddingNetwork(graph), predictor.info, reading, batch_s=batch_s)

    def embeddings(self, sources: Iterable[Source], jobs: int = 1) -> Iterator[HeardRecording]:
        """Yield what was heard of each recording; what can't be read has a problem instead of an embedding."""
        for clip in self._clips(sources, jobs):
            answer = self._prediction(clip)
            tally = clip.answers.tally if clip.answers else None
            seconds = float("nan") if answer.duration_s is None else answer.duration_s
            if tally is None or EMBEDDING not in tally.sums or answer.status in PROBLEMS:
                yield HeardRecording(None, seconds, answer.error or PROBLEMS.get(answer.status, "no speech in it"))
            else:
                yield HeardRecording((tally.sums[EMBEDDING] / tally.n_answered).astype(np.float32), seconds)


PROBLEMS: dict[Status, str] = {
    "error": "not readable",
    "too-short": "too short",
    "no-speech": "no speech in it",
    "vocal-burst": "a voice without words (laugh, cry, sigh, scream), no speech",
}
