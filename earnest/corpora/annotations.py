"""Labels that people give to parts of recordings: as rows of a manifest, in a journal that survives a kill; agreement.

Two annotators of the same recordings agree by Cohen's kappa (Cohen, 1960).
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.audio.io import decode
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, printable, printable_json, shown, told
from earnest.files.reading import read_bytes
from earnest.files.writing import add_whole, write_atomically
from earnest.labels import EMOTIONS, UNSURE

LARGEST_JOURNAL = 1 << 28  # bytes
MOST_HISTORY = 1 << 22  # bytes of what has changed since: of three hours, each change is a line of 100 kB and more


@dataclass(frozen=True, slots=True)
class Annotation:
    """One emotion in a part of a recording.

    Attributes
    ----------
    emotion : any word; "unsure", or a vocal burst in parentheses, where the model named no emotion
    by_hand : whether a person said or confirmed it
    """

    start_s: float
    end_s: float
    emotion: str
    speaker: str = ""
    by_hand: bool = False

    @property
    def has_label(self) -> bool:
        """Whether an emotion is named."""
        return self.emotion != UNSURE and not self.emotion.startswith("(")

    @property
    def is_labelled(self) -> bool:
        """Whether a person named the emotion, or confirmed it."""
        return self.has_label and self.by_hand


def utterances_of(annotated: Mapping[str, Sequence[Annotation]], corpus: str = "annotated") -> list[Utterance]:
    """Return a row for each part whose emotion a person said or confirmed, in order of recordings and time.

    What the model alone said is left out: it is no truth to train on, to be scored by or to agree with. A word that is
    not canonical is the ``native_emotion`` of "other", as in manifests of own recordings.

    Parameters
    ----------
    annotated : path of a recording → its parts
    """
    rows: list[Utterance] = []
    for path, parts in annotated.items():
        chosen = [one for one in parts if one.is_labelled]
        for part in sorted(chosen, key=lambda one: one.start_s):
            times = f"{round(1000 * part.start_s)}-{round(1000 * part.end_s)}"
            rows.append(
                Utterance(
                    utterance_id=f"{Path(path).stem}-{len(rows):05d}-{times}",
                    path=Path(path),
                    start_s=part.start_s,
                    end_s=part.end_s,
                    corpus=corpus,
                    speaker=part.speaker,
                    emotion=part.emotion if part.emotion in EMOTIONS else "other",
                    native_emotion=part.emotion,
                    group=path,  # parts of one recording stay in one set
                )
            )
    return rows


class AnnotationJournal:
    """The annotations of recordings in a file, a line a change: what was written is there after a kill.

    From time to time it is written anew, a line a recording.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._n_bytes_anew = path, 0

    def read(self) -> dict[str, tuple[Annotation, ...]]:
        """Return path → its parts as they were last; a last line that was just being written is left out.

        Raises `EarnestError` when the file is not one of these.
        """
        if not self._path.exists():
            return {}
        latest: dict[str, tuple[Annotation, ...] | None] = {}
        lines = read_bytes(self._path, most=LARGEST_JOURNAL).split(b"\n")
        for number, line in enumerate(lines[:-1], 1):
            try:
                path, parts = _from_line(line)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise EarnestError(
                    f"{self._path}, line {number}: not written by earnest ({error}). Move the file away to start again."
                ) from error
            latest[path] = parts
        return {path: parts for path, parts in latest.items() if parts is not None}

    def write(self, path: str, parts: Sequence[Annotation] | None) -> None:
        """Add a recording's parts as they are now, None for one that nobody touched; a kill after it loses nothing."""
        line = _to_line(path, parts).encode()
        with told(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(end - 1, 0))
                if end and file.read(1) != b"\n":  # a full disk or a kill cut a line off: it never was
                    file.seek(0)
                    end = file.truncate(file.read().rfind(b"\n") + 1)
                add_whole(file, line, end)
                n_bytes = end + len(line)
        if n_bytes > self._n_bytes_anew + MOST_HISTORY:
            self._n_bytes_anew = n_bytes
            with suppress(EarnestError, ValueError, TypeError, KeyError, RecursionError):  # not our lines: they stay
                self._write_anew()

    def _write_anew(self) -> None:
        lines = read_bytes(self._path, most=LARGEST_JOURNAL).splitlines(keepends=True)
        latest = b"".join({json.loads(line)["path"]: line for line in lines}.values())
        write_atomically(self._path, latest)
        self._n_bytes_anew = len(latest)


def _to_line(path: str, parts: Iterable[Annotation] | None) -> str:
    values = {"path": path, "parts": None if parts is None else [asdict(part) for part in parts]}
    return printable_json(json.dumps(values, ensure_ascii=False, allow_nan=False)) + "\n"


def _from_line(line: bytes) -> tuple[str, tuple[Annotation, ...] | None]:
    values = json.loads(line)
    parts = values["parts"]
    return str(values["path"]), None if parts is None else tuple(_part(item) for item in parts)


def _part(item: Mapping[str, Any]) -> Annotation:
    part = Annotation(**item)
    if not 0 <= float(part.start_s) < float(part.end_s) < float("inf") or not part.emotion:
        raise ValueError("a part needs a start before its end, and an emotion")
    if not all(isinstance(text, str) for text in (part.emotion, part.speaker)) or type(part.by_hand) is not bool:
        raise ValueError("'emotion' and 'speaker' must be texts, 'by_hand' true or false")
    return part


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

    Raises `AudioError` when such a recording can't be read; `EarnestError` when stretches of one of them overlap, or a
    recording stands twice: that time would count twice.
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
