"""Embeddings of recordings: the vector before the network's last layer, a row a recording."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.runtime.frames import FrameColumn, Framed
from earnest.runtime.prediction import Prediction

Vector = npt.NDArray[np.float32]
_KNOWN = ("path", "status", "duration_s", "speech_s", "model", "error")  # of a recording, beside its vector
_HEARD = frozenset({"unsure", "mixed"})  # of the emotion, which is not asked here


@dataclass(frozen=True, eq=False)
class EmbeddedRecording:
    """One recording's embedding.

    Attributes
    ----------
    path : as it was given
    status : "ok"; "vocal-burst" or "no-speech" where no speech was found, and the embedding is of all that was heard;
        "too-short", "error"
    vector : shape (width,): the mean over windows of speech, weighted by their length as a prediction's are; None where
        nothing was heard
    error : why there is no embedding, in a sentence
    """

    path: str
    status: str
    duration_s: float | None = None
    speech_s: float | None = None
    vector: Vector | None = None
    model: str = ""
    error: str | None = None

    @classmethod
    def of(cls, answer: Prediction, mean: npt.NDArray[np.float64] | None) -> "EmbeddedRecording":
        """Put an answer about a recording and the mean of its windows' embeddings together."""
        status = "ok" if answer.status in _HEARD else answer.status
        vector = None if mean is None or status == "error" else mean.astype(np.float32)
        error = answer.error
        if vector is None and error is None:
            error = (
                f"{answer.path}: {'shorter than the model hears' if status == 'too-short' else 'silent'}. Leave it out."
            )
        return cls(answer.path, status, answer.duration_s, answer.speech_s, vector, answer.model, error)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, as a line of `earnest embed --json`; the vector is the list ``embedding``."""
        # str() of a float32 has the digits that tell it from its neighbours, and no more.
        vector = None if self.vector is None else [float(str(value)) for value in self.vector]
        return {name: getattr(self, name) for name in _KNOWN} | {"embedding": vector}


@dataclass(frozen=True, eq=False)
class Embeddings(Framed):
    """Embeddings of several recordings; ``numpy.asarray`` gives the vectors.

    Attributes
    ----------
    names : the recordings' paths, as they were given
    vectors : shape (recordings, width), float32; a row without an embedding is NaN
    rows : what else is known of each, see `EmbeddedRecording`
    """

    names: tuple[str, ...]
    vectors: Vector
    rows: tuple[EmbeddedRecording, ...]

    @classmethod
    def of(cls, rows: Iterable[EmbeddedRecording], width: int) -> "Embeddings":
        """Gather rows, whose vectors have ``width`` values."""
        rows = tuple(rows)
        vectors = np.full((len(rows), width), np.nan, np.float32)
        for place, row in enumerate(rows):
            if row.vector is not None:
                vectors[place] = row.vector
        return cls(tuple(row.path for row in rows), vectors, rows)

    @property
    def model(self) -> str:
        """Name of the bundle; "" where there is no row."""
        return self.rows[0].model if self.rows else ""

    @property
    def width(self) -> int:
        """Values of one embedding."""
        return int(self.vectors.shape[1])

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Whether each recording has an embedding, shape (recordings,)."""
        return np.array([row.vector is not None for row in self.rows], bool)

    @property
    def errors(self) -> tuple[str | None, ...]:
        """Why a recording has no embedding, a sentence each; None for the others."""
        return tuple(row.error for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.array(self.vectors, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        n_without = int((~self.found).sum())
        return f"<Embeddings {len(self)} × {self.width} of '{self.model}', {n_without} without>"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: the model, the width, and each of ``rows``, see `EmbeddedRecording.to_dict`."""
        return {"model": self.model, "width": self.width, "rows": [row.to_dict() for row in self.rows]}

    def columns(self) -> Mapping[str, FrameColumn]:
        """Return the facts about each recording, with the vectors in the column ``embedding``."""
        return embedding_columns(self.rows, self.width)


def embedding_columns(rows: Iterable[EmbeddedRecording], width: int) -> Mapping[str, FrameColumn]:
    """Return the columns of a table of embeddings, also where none has a vector."""
    rows = list(rows)
    columns = {
        name: FrameColumn("text" if name in ("path", "status", "model", "error") else "number", values)
        for name, values in ((name, [getattr(row, name) for row in rows]) for name in _KNOWN)
    }
    return {**columns, "embedding": FrameColumn("vector", [row.vector for row in rows], width)}
