"""Results as rows, as Markdown and as ``metrics.json``, beside published ones; rows say if speakers were apart.

Cross-corpus results are a matrix: trained on rows, tested on columns. Curves are UA over the signal-to-noise ratio and
over the share of training data, and the loss over epochs.
"""

import csv
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from earnest.errors import EarnestError, shown
from earnest.evaluation.intervals import Spread
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.protocols import Protocol, protocol_called
from earnest.evaluation.splits import Split, fold_and_repeat
from earnest.evaluation.texts import NONE, ShownNumber, percent, pooled_text, spread_text
from earnest.files.reading import read_text

MARK = "within"
NOTE = "within: unseen speakers of the corpus that was trained on; all other cells: a corpus that was never heard"


@dataclass(frozen=True)
class Published:
    """One result of somebody else, in per cent.

    Attributes
    ----------
    protocol : the protocol of ours whose results it may stand beside
    system : model, or who answered
    wa_sd : over folds, where it is reported
    how : how it was chosen or what differs from the protocol; "" for nothing
    fold : the fold it belongs to, "" for the whole protocol
    """

    protocol: str
    system: str
    source: str
    wa: float | None = None
    ua: float | None = None
    wa_sd: float | None = None
    how: str = ""
    fold: str = ""


_EMOCATCHER = "EmoCatcher's repository"
_RE_MEASURED = "re-measured from EmoCatcher's checkpoints"
_EMOBOX = "EmoBox, table 4"
_HOW_TO = "audEERING's how-to"
_SER_TESTS = "audEERING ser-tests"
_EMOTION2VEC = "emotion2vec"
_NTU = "NTU's repository"
_ONE_SPEAKER = "improvised; its 5-fold tests one speaker a session"
_FOUR_CLASSES = "4 classes"

PUBLISHED = (
    Published("ravdess-6fold", "Whisper-large-v3, frozen", _EMOBOX, wa=75.9, ua=75.3),
    Published("ravdess-6fold", "WavLM-large, frozen", _EMOBOX, wa=72.2),
    Published("ravdess-6fold", "HuBERT-large, frozen", _EMOBOX, wa=70.3),
    Published("ravdess-6fold", "HuBERT-base, frozen", _EMOBOX, wa=66.2),
    Published("ravdess-6fold", "WavLM-base, frozen", _EMOBOX, wa=62.1),
    Published("ravdess-6fold", "wav2vec2-base, frozen", _EMOBOX, wa=55.4),
    Published(
        "ravdess-6fold",
        "EmoCatcher's recipe, re-trained",
        "re-trained from EmoCatcher's code",
        wa=57.0,
        how="other folds: 5 by actor; last epoch",
    ),
    Published("emocatcher-5fold", "EmoCatcher", _EMOCATCHER, wa=84.17, wa_sd=2.36, how="best epoch on test"),
    Published("emocatcher-5fold", "EmoCatcher", _RE_MEASURED, wa=81.88, how="last epoch"),
    Published("emocatcher-holdout", "EmoCatcher", _EMOCATCHER, wa=87.15, how="best epoch on test"),
    Published("emocatcher-holdout", "EmoCatcher", _RE_MEASURED, wa=85.42, how="last epoch"),
    Published("emodb-loso", "wav2vec2-large (12 layers) + SVC", _HOW_TO, ua=93.4),
    Published("emodb-loso", "ComParE features + SVC", _HOW_TO, ua=77.1),
    Published("emodb-loso", "listeners", _HOW_TO, ua=86.0, how="the corpus keeps what at least 80 % recognise"),
    Published("crema-d-5fold", "listeners, audio only", "the corpus' own votes", wa=40.9),
    Published("iemocap-5session", "emotion2vec", _EMOTION2VEC, wa=71.8),
    Published("iemocap-5session", "WavLM-large", _EMOTION2VEC, wa=70.0),
    Published("iemocap-5session", "HuBERT-base", _EMOTION2VEC, wa=64.9),
    Published("iemocap-5session", "wav2vec2-base", _EMOTION2VEC, wa=63.4),
    Published("iemocap-10speaker", "AlexNet + stability", _NTU, wa=74.0, ua=64.4, how=_ONE_SPEAKER),
    Published("iemocap-10speaker", "FCN+GAP", _NTU, wa=73.2, ua=62.6, how=_ONE_SPEAKER),
    Published("iemocap-10speaker", "ResNet18", _NTU, wa=71.6, ua=59.8, how=_ONE_SPEAKER),
    Published("thai-ser", "listeners", "the corpus' authors", wa=77.2, how="at most"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=70.0, how=_FOUR_CLASSES, fold="to-ravdess"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=91.0, how=_FOUR_CLASSES, fold="to-emodb"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=64.0, how=_FOUR_CLASSES, fold="to-crema-d"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=64.0, how=_FOUR_CLASSES, fold="to-iemocap"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=41.0, how=_FOUR_CLASSES, fold="to-ravdess"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=52.0, how=_FOUR_CLASSES, fold="to-emodb"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=45.0, how=_FOUR_CLASSES, fold="to-crema-d"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=44.0, how=_FOUR_CLASSES, fold="to-iemocap"),
)


@dataclass(frozen=True)
class ResultRow:
    """One line of a results table, all of it text ready to show."""

    result: str
    protocol: str
    speakers: str
    wa: str
    ua: str
    macro_f1: str = NONE
    pooled_wa: str = NONE
    answered: str = NONE


def result_row(result: str, protocol: str | Protocol, scores: Scores) -> ResultRow:
    """Return the line of a result of ours: mean ± sd over folds, and the pooled WA with its bootstrap interval."""
    over = scores.over_folds
    return ResultRow(
        result=result,
        protocol=_found(protocol).name,
        speakers=_found(protocol).kind,
        wa=spread_text(over["wa"]),
        ua=spread_text(over["ua"]),
        macro_f1=spread_text(over["macro_f1"]),
        pooled_wa=pooled_text(scores.wa, scores.intervals["wa"]),
        answered=percent(scores.coverage),
    )


def published_rows(protocol: str, folds: Container[str] | None = None) -> list[ResultRow]:
    """Return the lines of the published results that belong beside a protocol.

    Parameters
    ----------
    folds : that were scored, so that results of other folds alone are left out; None for all
    """
    rows = []
    for entry in PUBLISHED:
        if entry.protocol != protocol or (entry.fold and folds is not None and entry.fold not in folds):
            continue
        details = "; ".join(word for word in (entry.fold, entry.how, entry.source) if word)
        rows.append(
            ResultRow(
                result=f"{entry.system} [{details}]",
                protocol=protocol,
                speakers=protocol_called(protocol).kind,
                wa=_published_text(entry.wa, entry.wa_sd),
                ua=_published_text(entry.ua, None),
            )
        )
    return rows


def results_table(results: Mapping[str, Scores], protocol: str | Protocol) -> list[ResultRow]:
    """Return our results (name → scores) and below them the published ones."""
    return [
        *(result_row(name, protocol, scores) for name, scores in results.items()),
        *published_rows(_found(protocol).name, {fold for scores in results.values() for fold in scores.folds}),
    ]


def metrics_document(protocol: str | Protocol, scores: Scores, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``metrics.json``: protocol, ``facts`` (recipe, seed, command …) and scores."""
    chosen = _found(protocol)
    return {
        "protocol": chosen.name,
        "speaker_independent": chosen.speaker_independent,
        "title": f"{chosen.name} ({chosen.kind})",
        **facts,
        **scores.to_dict(),
    }


def _found(protocol: str | Protocol) -> Protocol:
    return protocol_called(protocol) if isinstance(protocol, str) else protocol


def _published_text(value: float | None, sd: float | None) -> ShownNumber:
    if value is None:
        return ShownNumber(NONE, None)
    return ShownNumber(f"{value:g}" if sd is None else f"{value:g} ± {sd:g}", {"mean": value, "sd": sd})


@dataclass(frozen=True)
class Matrix:
    """Scores of every pair of corpora.

    Attributes
    ----------
    cells : (trained on, tested on) → scores; where both are the same, over held-out speakers
    """

    corpora: tuple[str, ...]
    cells: Mapping[tuple[str, str], Scores]

    @classmethod
    def of(cls, predictions: Predictions, prefix: str = "from-") -> "Matrix":
        """Score the predictions of folds ``from-CORPUS``, their repeats together, by the corpus of their utterances."""
        trained_on = {
            fold: fold_and_repeat(fold, predictions.folds)[0].removeprefix(prefix) for fold in predictions.folds
        }
        corpus_of_row = np.array([trained_on[fold] for fold in predictions.fold.tolist()])
        cells = {}
        for trained in dict.fromkeys(trained_on.values()):
            for tested in sorted(set(predictions.corpus[corpus_of_row == trained])):
                rows = np.flatnonzero((corpus_of_row == trained) & (predictions.corpus == tested))
                cells[trained, tested] = score(predictions.take(rows), np.random.default_rng(0))
        return cls(tuple(sorted(set(predictions.corpus))), cells)

    @property
    def rows(self) -> list[str]:
        """The corpora that were trained on."""
        return list(dict.fromkeys(trained for trained, _ in self.cells))

    def to_dict(self) -> dict[str, Any]:
        """Return one entry a cell."""
        return {
            "note": NOTE,
            "cells": [
                {
                    "trained_on": trained,
                    "tested_on": tested,
                    "within_corpus": trained == tested,
                    "n": scores.n,
                    "wa": scores.wa,
                    "ua": scores.ua,
                    "intervals": {name: asdict(scores.intervals[name]) for name in ("wa", "ua")},
                }
                for (trained, tested), scores in self.cells.items()
            ],
        }

    def table(self) -> list[list[str]]:
        """Return a row of texts for each corpus trained on: its name, then UA in per cent a column."""
        return [[trained, *(self._text(trained, tested) for tested in self.corpora)] for trained in self.rows]

    def _text(self, trained: str, tested: str) -> str:
        if (trained, tested) not in self.cells:
            return NONE
        text = percent(self.cells[trained, tested].ua)
        return f"{text} ({MARK})" if trained == tested else text


@dataclass(frozen=True)
class NoiseCurve:
    """WA and UA (shares from 0 to 1, over folds) of clean test utterances and of each level; ``n`` utterances each.

    Attributes
    ----------
    levels : SNR in dB → (WA, UA)
    """

    clean: tuple[Spread, Spread]
    levels: Mapping[float, tuple[Spread, Spread]]
    n: int

    @classmethod
    def of(cls, clean: Scores, levels: Mapping[float, Scores]) -> "NoiseCurve":
        """Take the means and deviations over folds of scores."""

        def both(scores: Scores) -> tuple[Spread, Spread]:
            return scores.over_folds["wa"], scores.over_folds["ua"]

        return cls(both(clean), {level: both(scores) for level, scores in levels.items()}, clean.n)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str) -> "NoiseCurve":
        """Read the curve from a ``metrics-noise.json``."""
        try:
            rows = {row["snr_db"]: (Spread(**row["wa"]), Spread(**row["ua"])) for row in document["levels"]}
            return cls(rows.pop(None), rows, document["n"])
        except (KeyError, TypeError) as error:
            raise EarnestError(f"{where}: not from `earnest evaluate --noise` ({error!r}).") from error

    def to_list(self) -> list[dict[str, Any]]:
        """Return one row a level, clean (``snr_db`` null) first."""
        rows = [(None, self.clean), *self.levels.items()]
        return [{"snr_db": db, "wa": asdict(wa), "ua": asdict(ua), "n": self.n} for db, (wa, ua) in rows]


@dataclass(frozen=True)
class Amount:
    """A point of the learning curve: scores with a share of the training data.

    Attributes
    ----------
    clips, speakers : trained on, mean over folds
    wa, ua : on the same test utterances as with all data, over folds
    """

    share: float
    clips: float
    speakers: float
    wa: Spread
    ua: Spread

    @classmethod
    def of(cls, share: float, splits: Sequence[Split], scores: Scores) -> "Amount":
        """Average training sizes and scores over splits."""
        n = len(splits)
        clips = sum(len(split.train) for split in splits) / n
        speakers = sum(len({row.speaker for row in split.train}) for split in splits) / n
        return cls(share, clips, speakers, scores.over_folds["wa"], scores.over_folds["ua"])


def read_history(path: Path) -> list[dict[str, float]]:
    """Read ``history.csv``, one row an epoch, without empty cells (validation, where there is none); [] for no file."""
    if not path.exists():
        return []
    try:
        reader = csv.DictReader(StringIO(read_text(path, what="history"), newline=""))
        rows = [{name: value for name, value in row.items() if value} for row in reader]
        for row in rows:
            for name, value in row.items():
                if not isinstance(value, str) or not math.isfinite(float(value)):
                    raise ValueError(f"column {shown(name)} holds {shown(value)}")
            float(row["epoch"])
    except (KeyError, ValueError, csv.Error) as error:
        raise EarnestError(f"{path}: not a history of `earnest train` ({error}). Remove it, or train again.") from error
    return [{name: float(value) for name, value in row.items()} for row in rows]
