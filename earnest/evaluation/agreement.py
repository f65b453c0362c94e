"""Agreement of two annotators who labelled the same recordings: Cohen's kappa (Cohen, 1960)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.audio.io import decode
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, printable, shown

ROUNDED_S = 1e-3  # files round the ends of stretches


@dataclass(frozen=True)
class SharedStretch:
    """A stretch that both labelled; without an end where it is the recording's and nobody had to know it."""

    path: str
    start_s: float
    end_s: float | None
    first: str
    second: str


@dataclass(frozen=True)
class AnnotatorAgreement:
    """Labels of two annotators for the same stretches.

    Attributes
    ----------
    shared : stretches that both labelled, cut where either of them changes
    classes : all labels, sorted
    table : the first's labels in rows, the second's in columns, in ``classes``' order; seconds, or recordings where
        both labelled recordings as a whole
    kappa : (p_o − p_e) / (1 − p_e); None where it is not defined, as both always said the same one word
    """

    shared: tuple[SharedStretch, ...]
    classes: tuple[str, ...]
    table: npt.NDArray[np.float64]

    @property
    def observed(self) -> float:
        """Share on which they agree, p_o; 0 where nothing is shared."""
        return float(np.trace(self.table) / self.table.sum()) if self.table.sum() else 0.0

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa."""
        return cohen_kappa(self.table)


def cohen_kappa(table: npt.ArrayLike) -> float | None:
    """Return (p_o − p_e) / (1 − p_e) of a table of counts or weights; None where it is not defined.

    Parameters
    ----------
    table : the first's labels in rows, the second's in columns, shape (classes, classes), at least 0
    """
    shares = np.asarray(table, np.float64)
    if not shares.sum():
        return None
    shares = shares / shares.sum()
    # p_o = Σ_i p_ii; by chance, from the margins, p_e = Σ_i (Σ_j p_ij)·(Σ_j p_ji).
    observed, expected = float(np.trace(shares)), float(shares.sum(axis=1) @ shares.sum(axis=0))
    return None if expected >= 1 else (observed - expected) / (1 - expected)


def agreement(first: Sequence[Utterance], second: Sequence[Utterance]) -> AnnotatorAgreement:
    """Compare two manifests of the same recordings, over the time that both labelled.

    A row without an end goes to the end of the recording. Where all stretches are whole recordings each counts once,
    else each second, and recordings are read where their end is not told.

    Raises
    ------
    AudioError
        When such a recording can't be read.
    EarnestError
        When stretches of one of them overlap, or a recording stands twice: that time would count twice.
    """
    theirs = _by_path(second)
    shared = [one for path, rows in _by_path(first).items() for one in _shared(path, rows, theirs.get(path, ()))]
    are_whole = all(one.start_s == 0 and one.end_s is None for one in shared)
    shared = shared if are_whole else _ended(shared)
    classes = tuple(sorted({label for one in shared for label in (one.first, one.second)}))
    table = np.zeros((len(classes), len(classes)))
    for one in shared:
        lasts = 1.0 if one.end_s is None else one.end_s - one.start_s
        table[classes.index(one.first), classes.index(one.second)] += lasts
    return AnnotatorAgreement(tuple(shared), classes, table)


def _by_path(rows: Sequence[Utterance]) -> Mapping[str, list[Utterance]]:
    found = defaultdict(list)
    for row in rows:
        found[str(row.path.resolve())].append(row)
    by_path = {path: sorted(parts, key=lambda part: part.start_s) for path, parts in found.items()}
    for path, parts in by_path.items():
        for before, after in pairwise(parts):
            if before.end_s is None or before.end_s > after.start_s + ROUNDED_S:
                told = f"{shown(before.word)} and {shown(after.word)} of one annotator are both at {after.start_s:g} s"
                raise EarnestError(f"{printable(path)}: {told}. Each second counts once: give it one label.")
    return by_path


def _ended(stretches: Sequence[SharedStretch]) -> list[SharedStretch]:
    """Return stretches with their ends, those that lie behind the end of the recording left out."""
    lengths_s = {one.path: decode(Path(one.path)).duration_s for one in stretches if one.end_s is None}
    ended = [replace(one, end_s=lengths_s[one.path]) if one.end_s is None else one for one in stretches]
    return [one for one in ended if one.end_s is None or one.end_s > one.start_s]


def _shared(path: str, first: Sequence[Utterance], second: Sequence[Utterance]) -> list[SharedStretch]:
    found = []
    for one in first:
        for other in second:
            start_s = max(one.start_s, other.start_s)
            end_s = min((row.end_s for row in (one, other) if row.end_s is not None), default=None)
            if end_s is None or end_s > start_s:
                found.append(SharedStretch(path, start_s, end_s, one.word, other.word))
    return found
