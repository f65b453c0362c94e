"""What `earnest score` reads: answers in anybody's format, and what was true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from earnest.corpora.affect import affect_of
from earnest.corpora.load import corpus_root, load_corpus, usable
from earnest.corpora.manifest import Utterance, read_manifest
from earnest.evaluation.affect import affect_scores
from earnest.evaluation.answers import Answers
from earnest.evaluation.importers import read_any
from earnest.evaluation.joining import Joined, join
from earnest.evaluation.prediction_table import Predictions, TextColumn
from earnest.evaluation.slices import manifest_columns
from earnest.evaluation.wording import Relabelled, Wording, relabelled
from earnest.labels import scheme_called

SLICED = ("style", "intensity")


@dataclass(frozen=True)
class Source:
    """Where the truth is, and how labels are to be read.

    Attributes
    ----------
    corpora : corpus name → its folder or manifest
    words : their label → ours
    """

    manifest: Path | None = None
    corpora: Mapping[str, Path] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    scheme: str | None = None
    form: str | None = None
    ignore_unknown: bool = False

    @property
    def has_truth(self) -> bool:
        """Whether truth is looked up rather than read from the file."""
        return self.manifest is not None or bool(self.corpora)

    def utterances(self) -> list[Utterance]:
        """Return the rows of manifest and corpora, clips that are not usable too."""
        rows = [] if self.manifest is None else read_manifest(self.manifest)
        for name, root in self.corpora.items():
            rows += load_corpus(name, corpus_root(name, {name: root}))
        return rows


@dataclass(frozen=True, eq=False)
class ToScore:
    """Predictions ready for scoring.

    Attributes
    ----------
    notes : what was left out or counted as wrong, in sentences
    columns : what else the manifest says about each row, for slices
    more : scores of the answers beside the emotion
    """

    predictions: Predictions
    notes: Sequence[str] = ()
    columns: Mapping[str, TextColumn] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def to_score(path: Path, source: Source) -> ToScore:
    """Read a file and put truth beside it."""
    answers = read_any(path, source.form)
    if not source.has_truth:
        if not source.words and source.scheme is None:
            predictions = answers.predictions()
            return ToScore(predictions)
        found = relabelled(answers, _wording(source, answers, ()))
        predictions = found.answers.predictions()
        return ToScore(predictions, _notes(found, None))
    rows = source.utterances()
    wording = _wording(source, answers, rows)
    found = relabelled(answers.without_truth(), wording)
    joined = join(found.answers, rows, wording.scheme, source.ignore_unknown, usable(rows).left_out)
    predictions = joined.predictions
    columns = manifest_columns(predictions, joined.utterances, SLICED)
    return ToScore(predictions, _notes(found, joined), columns, _affect_scores(predictions, joined.utterances))


def _wording(source: Source, answers: Answers, rows: Sequence[Utterance]) -> Wording:
    emotions = [row.emotion for row in rows] or answers.classes()
    scheme = None if source.scheme is None else scheme_called(source.scheme, emotions)
    return Wording(source.words, scheme, canonical=source.has_truth or scheme is not None)


def _notes(found: Relabelled, joined: Joined | None) -> list[str]:
    is_outside = found.is_outside if joined is None else found.is_outside[joined.kept]
    counted = [
        (found.n_dropped, "Left out, their true label not being in the scheme"),
        (int(is_outside.sum()), "Answers that are not in the scheme, counted as none"),
    ]
    if joined is not None:
        counted += [
            (joined.n_dropped, "Clips of the manifest left out, unusable or their label not in the scheme"),
            (joined.n_unanswered, "Clips of the manifest without an answer, counted as wrong"),
            (joined.n_unknown, "Left out, their clip not being in the manifest"),
        ]
    return [f"{what}: {count}." for count, what in counted if count]


def _affect_scores(predictions: Predictions, rows: Sequence[Utterance]) -> dict[str, Any]:
    if predictions.predicted_affect is None:
        return {}
    true = np.array([affect_of(row) for row in rows])
    scores = affect_scores(predictions.predicted_affect, true)
    return {"affect": {name: one.to_dict() for name, one in scores.items()}} if scores else {}
