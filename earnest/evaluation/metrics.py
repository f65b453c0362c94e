"""Scores of one predictions file: WA, UA, F1, calibration, gender, affect, spread over folds and speakers.

Also what its probabilities are good for beside the answer: top-k, ROC and precision-recall curves, when not to answer.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from earnest.corpora.load import affect_range, affect_scale
from earnest.errors import counted
from earnest.evaluation.answers import TextColumn, numbered
from earnest.evaluation.calibration import CalibrationScores, calibration_scores, known_rows, reliability, selective
from earnest.evaluation.confusion import (
    HEADLINES,
    ClassScores,
    class_scores,
    confusion_counts,
    headline_scores,
    normalised,
)
from earnest.evaluation.intervals import (
    CONFIDENCE,
    N_RESAMPLES,
    Interval,
    ScoredSpeakers,
    Slice,
    Spread,
    bootstrap,
    count_speakers,
    gaps,
    own_columns,
    recall_gaps,
    slices,
    spread,
)
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.splits import fold_and_repeat
from earnest.evaluation.texts import range_text
from earnest.labels import AFFECT

BOOTSTRAP_SEED = 0  # everywhere, so that intervals are the same
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AffectScores:
    """One of valence, arousal and dominance, over the ``n`` rows that have both answer and rating.

    Attributes
    ----------
    rmse : in the unit of ``scale``, the lowest and the highest rating
    """

    rmse: float
    ccc: float | None
    n: int
    scale: tuple[float, float] = (0.0, 1.0)


def affect_scores(
    predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating], scale: tuple[float, float] = (0.0, 1.0)
) -> dict[str, AffectScores]:
    """Score valence, arousal and dominance, as far as anything is known of them.

    Parameters
    ----------
    predicted, true : shape (rows, 3), NaN where unknown, from 0 to 1
    scale : what 0 and 1 are in the unit of the ratings; the concordance is the same in any
    """
    low, high = scale
    scores: dict[str, AffectScores] = {}
    for name, answers, ratings in zip(AFFECT, predicted.T, true.T, strict=True):
        error = rmse(answers, ratings)
        if error is not None:
            n = len(_known(answers, ratings)[0])
            # An error grows with the unit of the scale, a concordance does not.
            scores[name] = AffectScores((high - low) * error, concordance(answers, ratings), n, scale)
    return scores


def affect_results(predictions: Predictions, limits: Sequence[float] = ()) -> dict[str, Any] | None:
    """Score answers of affect against the ratings beside them, in their unit; None where there are none.

    Parameters
    ----------
    limits : lowest and highest rating, where it is not to be what the corpus reader says
    """
    if predictions.predicted_affect is None or predictions.affect is None:
        return None
    true = np.full(predictions.affect.shape, np.nan)
    corpora = set(predictions.corpus.tolist())
    for corpus in corpora:
        low_high = affect_range(corpus, limits)
        if low_high:
            rows, (low, high) = predictions.corpus == corpus, low_high
            # (rating − low)/(high − low), 0 to 1 as answers are.
            true[rows] = np.clip((predictions.affect[rows].astype(np.float64) - low) / (high - low), 0, 1)
    scores = affect_scores(predictions.predicted_affect, true, affect_scale(corpora, limits))
    return {name: asdict(one) for name, one in scores.items()} or None


def rmse(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> float | None:
    """Return the root mean square error, in the unit of the values; None without a known pair.

    Parameters
    ----------
    predicted, true : shape (rows,), NaN where unknown
    """
    errors = np.subtract(*_known(predicted, true))
    # √(1/n · Σ_i (x_i − y_i)²)
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else None


def concordance(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> float | None:
    """Return Lin's concordance correlation coefficient, −1 to 1; None where nothing varies.

    It is 2·cov / (var + var + (difference of means)²): correlation, less what scale and offset are wrong.

    Parameters
    ----------
    predicted, true : shape (rows,), NaN where unknown
    """
    first, second = _known(predicted, true)
    if not len(first):
        return None
    # Lin (1989), with population moments (divided by n), as the field computes it.
    covariance = np.mean((first - first.mean()) * (second - second.mean()))
    total = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    return float(2 * covariance / total) if total > 0 else None


def _known(predicted: npt.NDArray[np.floating], true: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    known = ~(np.isnan(predicted) | np.isnan(true))  # rated and answered
    return predicted[known].astype(np.float64), true[known].astype(np.float64)


STRONG_FROM = 3.5  # of an arousal from 1 to 5: the multitask network's authors (MohammadUmarAsif) on RAVDESS


@dataclass(frozen=True)
class IntensityScores:
    """The share of the ``n`` utterances called normal or strong that the answered arousal tells right."""

    wa: float
    n: int

    def sentence(self) -> str:
        """Write the share as a sentence, in per cent."""
        share = f"{100 * self.wa:.1f} % of {counted(self.n, 'utterance')}"
        return f"Intensity right: {share}, strong from an arousal of {STRONG_FROM} on (1 to 5)."


def intensity_scores(predictions: Predictions) -> IntensityScores | None:
    """Score "normal" or "strong" by the answered arousal; None where no utterance is called so, or none is answered."""
    if predictions.predicted_affect is None or predictions.intensity is None:
        return None
    arousal = predictions.predicted_affect[:, AFFECT.index("arousal")]  # 0 to 1; NaN without an answer, which is wrong
    called, answered = np.isin(predictions.intensity, ("normal", "strong")), ~np.isnan(arousal)
    right = answered & ((1 + 4 * arousal >= STRONG_FROM) == (predictions.intensity == "strong"))
    return IntensityScores(float(right[called].mean()), int(called.sum())) if (called & answered).any() else None


GENDERS = ("female", "male")


@dataclass(frozen=True)
class GenderRecall:
    """The share of one gender's ``n`` utterances that was answered right, 0 to 1, its interval, and how many speakers.

    Attributes
    ----------
    n_speakers : 0 where none is named
    """

    n: int
    recall: float
    interval: Interval
    n_speakers: int


@dataclass(frozen=True)
class GenderScores:
    """WA and UA of the gender, 0 to 1; an utterance without an answer counts as wrong.

    Attributes
    ----------
    n : utterances whose gender is known
    n_speakers : whose these are, 0 where none is named
    intervals : of ``wa`` and ``ua``, over speakers
    recalls : gender → its recall, of those that occur
    """

    n: int
    n_speakers: int
    wa: float
    ua: float
    intervals: Mapping[str, Interval]
    recalls: Mapping[str, GenderRecall]

    def sentence(self) -> str:
        """Write the scores as a sentence, in per cent."""
        whole, interval = f"Gender right: {100 * self.wa:.1f} % of {counted(self.n, 'utterance')}", self.intervals["wa"]
        parts = (f"{name} {100 * one.recall:.1f} ({range_text(one.interval)})" for name, one in self.recalls.items())
        told = f"{whole} ({range_text(interval)}), {', '.join(parts)}"
        return f"{told}; 95 % intervals over {interval.over}.{self._without_errors()}"

    def _without_errors(self) -> str:
        """Explain intervals of 100 to 100: a voice that is misheard is misheard in all of its recordings."""
        lines = {"of all": (self.wa, self.n_speakers, self.n)}
        lines |= {f"of {name}": (one.recall, one.n_speakers, one.n) for name, one in self.recalls.items()}
        most = [
            f"{100 * most_wrong(n_speakers or n):.1f} % {what} "
            f"({counted(n_speakers, 'speaker') if n_speakers else counted(n, 'utterance')})"
            for what, (right, n_speakers, n) in lines.items()
            if right == 1
        ]
        told = f" Where every answer is right, up to {', '.join(most)} can be wrong (rule of three, 95 %)."
        return told if most else ""


def most_wrong(n: int) -> float:
    """Return the share that can be wrong where all of ``n`` answers are right: a one-sided 95 % bound, about 3/n."""
    # The exact bound p has (1 − p)ⁿ = 0.05 (Hanley and Lippman-Hand, 1983).
    return float(1 - (1 - CONFIDENCE) ** (1 / n))


def gender_scores(
    predictions: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> GenderScores | None:
    """Score the answers; None where the system gives none, or no utterance's gender is known.

    Folds without any answer are not scored: their training recordings named no gender.

    Parameters
    ----------
    rng : draws the bootstrap
    """
    if predictions.predicted_gender is None:
        return None
    true, answered = (numbered(column, GENDERS) for column in (predictions.gender, predictions.predicted_gender))
    folds = {*predictions.fold[answered >= 0]}
    rows = np.flatnonzero((true >= 0) & np.isin(predictions.fold, [*folds]))
    if not len(rows):
        return None
    asked = replace(predictions, classes=GENDERS, emotion=true, predicted=answered, probabilities=None).take(rows)
    counts = confusion_counts(asked.emotion, asked.predicted, len(GENDERS))
    whole, intervals = headline_scores(counts), bootstrap(asked, rng, n_resamples)
    recalls = {}
    for index, (name, one) in enumerate(zip(GENDERS, class_scores(counts), strict=True)):
        if one.recall is not None:
            own = asked.take(np.flatnonzero(asked.emotion == index))
            limits = bootstrap(own, rng, n_resamples)["wa"]
            recalls[name] = GenderRecall(own.n_recordings, one.recall, limits, count_speakers(own))
    return GenderScores(
        n=asked.n_recordings,
        n_speakers=count_speakers(asked),
        wa=float(whole["wa"]),
        ua=float(whole["ua"]),
        intervals={name: intervals[name] for name in ("wa", "ua")},
        recalls=recalls,
    )


def top_k(probabilities: npt.NDArray[np.floating], true: npt.NDArray[np.integer], k: int) -> float:
    """Return the share of rows whose true class is among the ``k`` most probable.

    Of equal probabilities the earlier class comes first, as in argmax. A row without probabilities counts as wrong.

    Parameters
    ----------
    probabilities : shape (rows, classes), NaN in rows that have none
    true : shape (rows,), class numbers
    """
    if k < 1 or not len(true):
        raise ValueError(f"Top-k needs k of at least 1 and at least one row, got k = {k} and {len(true)} rows.")
    own = probabilities[np.arange(len(true)), true][:, None]  # (rows, 1)
    earlier = np.arange(probabilities.shape[1]) < true[:, None]  # (rows, classes)
    before = (probabilities > own) | ((probabilities == own) & earlier)  # NaN compares as False: left to `answered`
    answered = known_rows(probabilities)
    return float((answered & (before.sum(axis=1) < k)).mean())


def roc_auc(scores: npt.NDArray[np.floating], is_positive: Bools) -> float:
    """Return the area under the ROC curve: the chance that a positive has a higher score than a negative, ties half."""
    known = ~np.isnan(scores)
    positives, negatives = scores[known & is_positive], np.sort(scores[known & ~is_positive])
    if not (len(positives) and len(negatives)):
        raise ValueError("The area under a ROC curve needs positives and negatives.")
    # Mann and Whitney (1947): U = Σ over positives of (negatives below + half of those equal); AUC = U / (n₊·n₋).
    # Both insertion points together are 2·below + equal, hence the 2 in the denominator.
    beaten = np.searchsorted(negatives, positives, "left") + np.searchsorted(negatives, positives, "right")
    return float(beaten.sum() / (2 * len(positives) * len(negatives)))


def macro(
    measure: Callable[[npt.NDArray[np.floating], Bools], float],
    probabilities: npt.NDArray[np.floating],
    true: npt.NDArray[np.integer],
) -> float | None:
    """Return the mean of ``measure`` (class against the rest) over the classes that occur.

    Rows without probabilities are left out; None when fewer than two classes are left.

    Parameters
    ----------
    measure : such as `roc_auc`
    probabilities : shape (rows, classes), NaN in rows that have none
    true : shape (rows,), class numbers
    """
    known = known_rows(probabilities)
    rows, labels = probabilities[known], true[known]
    occurring = np.unique(labels)
    if len(occurring) < 2:
        return None
    return float(np.mean([measure(rows[:, index], labels == index) for index in occurring]))


COVERAGES = (0.8, 0.5)
RANKS = (2, 3)


@dataclass(frozen=True)
class ConfidenceScores:
    """Scores of the probabilities; a row without any counts as wrong in all but ``auc``.

    Attributes
    ----------
    top : k → share of rows whose true class is among the k most probable
    auc : area under the ROC curve of a class against the rest, mean over the classes that occur; None for one class
    aurc : area under the risk–coverage curve
    accuracy_at : coverage → WA over that share of the rows, the most confident
    """

    top: Mapping[int, float]
    auc: float | None
    aurc: float
    accuracy_at: Mapping[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "top": {str(k): share for k, share in self.top.items()},
            "auc": self.auc,
            "aurc": self.aurc,
            "accuracy_at": {f"{coverage:g}": accuracy for coverage, accuracy in self.accuracy_at.items()},
        }


def confidence_scores(predictions: Predictions) -> ConfidenceScores | None:
    """Score the probabilities; None when there are none."""
    probabilities, true = predictions.probabilities, predictions.emotion
    if probabilities is None or not known_rows(probabilities).any():
        return None
    curve = selective(probabilities, true)
    return ConfidenceScores(
        top={k: top_k(probabilities, true, k) for k in RANKS},
        auc=macro(roc_auc, probabilities, true),
        aurc=curve.aurc,
        accuracy_at={coverage: curve.accuracy_at(coverage) for coverage in COVERAGES},
    )


@dataclass(frozen=True)
class Scores:
    """Everything ``metrics.json`` says about one predictions file; shares from 0 to 1.

    Attributes
    ----------
    wa, ua, macro_f1, weighted_f1 : over all rows together
    n, n_answered : rows, and those with an answer
    n_recordings : fewer than rows where several trainings answered the same ones
    confusion : true class in rows, predicted in columns; rows without an answer are in ``unanswered``
    folds : fold → headline scores, n and how many classes it has; with probabilities also ECE, and the mean and 95 %
        quantile that chance gives
    over_folds : headline → mean and sd over folds
    intervals : headline → bootstrap interval over speakers
    speakers : whose recordings these are, and what that means for the intervals
    calibration, confidence : None when the file has no probabilities
    slices : by gender, speaker and corpus, where the file tells several apart, and by what else was asked for; those
        by gender have intervals
    recall_gaps : class → largest difference in recall between genders; None where there are too few utterances
    gender : of the answers to it, None where there are none
    """

    classes: tuple[str, ...]
    n: int
    n_recordings: int
    n_answered: int
    wa: float
    ua: float
    macro_f1: float
    weighted_f1: float
    per_class: Mapping[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    unanswered: Mapping[str, int]
    folds: Mapping[str, Mapping[str, float]]
    over_folds: Mapping[str, Spread]
    intervals: Mapping[str, Interval]
    speakers: ScoredSpeakers
    calibration: CalibrationScores | None
    confidence: ConfidenceScores | None
    slices: tuple[Slice, ...]
    recall_gaps: Mapping[str, float | None]
    gender: GenderScores | None

    @property
    def coverage(self) -> float:
        """Share of rows with an answer."""
        return self.n_answered / self.n

    def size(self, what: str) -> str:
        """Describe the size of the test: "60 clips"; where several trainings answered them "60 clips, 120 answers"."""
        recordings = counted(self.n_recordings, what)
        return recordings if self.n == self.n_recordings else f"{recordings}, {counted(self.n, 'answer')}"

    @property
    def lacking(self) -> str:
        """Warn of folds that lack classes, and of their UA and macro-F1; "" where none does."""
        n_classes = sum(one.n > 0 for one in self.per_class.values())
        n_lacking = sum(one.get("n_classes", n_classes) < n_classes for one in self.folds.values())
        if not n_lacking:
            return ""
        return (
            f"UA: in {n_lacking} of {len(self.folds)} folds a class has no recording, and their UA is the mean recall "
            "over the others; in their macro-F1 such a class counts as 0 where it is an answer. Over all recordings UA "
            f"is {100 * self.ua:.1f}, macro-F1 {100 * self.macro_f1:.1f}."
        )

    @property
    def repeated(self) -> str:
        """Explain the count where several trainings answered the same recordings; "" where none did."""
        if self.n == self.n_recordings:
            return ""
        return (
            f"{self.size('recording')} of several trainings: tables of classes, speakers and mistakes count answers, "
            "intervals draw recordings with all of theirs."
        )

    @property
    def without_errors(self) -> str:
        """Explain an interval of 100 to 100; "" where an answer is wrong."""
        if self.wa < 1:
            return ""
        return (
            "Every answer is right, so there is no error for the bootstrap to draw, and its interval is one point. "
            f"Up to {100 * most_wrong(self.n_recordings):.1f} % of recordings can be wrong (rule of three, 95 %), were "
            f"they independent; {self._speakers_without_errors}."
        )

    @property
    def _speakers_without_errors(self) -> str:
        n = len(self.speakers.corpora)
        if n < 2:
            return "those of one speaker are not"
        return f"as only {n} speakers were heard, up to {100 * most_wrong(n):.1f} % of speakers can be misunderstood"

    @property
    def notes(self) -> list[str]:
        """Notes for readers of the headline and its intervals."""
        return [*filter(None, (self.repeated, *self.speakers.notes, self.without_errors, self.lacking))]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``metrics.json``."""
        return {
            "n": self.n,
            "n_recordings": self.n_recordings,
            "coverage": self.coverage,
            **{name: getattr(self, name) for name in HEADLINES},
            "over_folds": {name: asdict(value) for name, value in self.over_folds.items()},
            "intervals": {name: asdict(value) for name, value in self.intervals.items()},
            "calibration": None if self.calibration is None else asdict(self.calibration),
            "confidence": None if self.confidence is None else self.confidence.to_dict(),
            "per_class": {name: asdict(value) for name, value in self.per_class.items()},
            "classes": list(self.classes),
            "confusion": [list(row) for row in self.confusion],
            "confusion_axes": {"rows": "true", "columns": "predicted"},
            "confusion_by_true": self.confusion_shares("true"),
            "confusion_by_predicted": self.confusion_shares("predicted"),
            "unanswered": dict(self.unanswered),
            "folds": {name: dict(value) for name, value in self.folds.items()},
            "slices": {name: [part.to_dict() for part in parts] for name, parts in self._slices_by_column().items()},
            "gaps": {name: asdict(gap) for name, gap in gaps(self.slices).items()},
            "recall_gaps": {"gender": dict(self.recall_gaps)},
            "gender": None if self.gender is None else asdict(self.gender),
        }

    def confusion_shares(self, by: Literal["true", "predicted"]) -> list[list[float]]:
        """Return the confusion matrix divided by the utterances of each true class, or by the answers of each class."""
        counts = np.column_stack([np.array(self.confusion), [self.unanswered[name] for name in self.classes]])
        shares: list[list[float]] = normalised(counts, by)[:, :-1].tolist()
        return shares

    def _slices_by_column(self) -> dict[str, list[Slice]]:
        columns: dict[str, list[Slice]] = {}
        for part in self.slices:
            columns.setdefault(part.name, []).append(part)
        return columns


def score(
    predictions: Predictions,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    columns: Mapping[str, TextColumn] | None = None,
) -> Scores:
    """Score predictions.

    Parameters
    ----------
    rng : draws the bootstrap, and labels for the expected calibration error
    columns : what else to slice by, name → one text a row, see `earnest.evaluation.intervals.manifest_columns`
    """
    classes = predictions.classes
    counts = confusion_counts(predictions.emotion, predictions.predicted, len(classes))
    intervals = bootstrap(predictions, rng, n_resamples)
    folds = {name: _fold_scores(predictions.of_fold(name), rng) for name in predictions.folds}
    return Scores(
        classes=classes,
        n=len(predictions),
        n_recordings=predictions.n_recordings,
        n_answered=int((predictions.predicted >= 0).sum()),
        **{name: float(value) for name, value in headline_scores(counts).items()},
        per_class=dict(zip(classes, class_scores(counts), strict=True)),
        confusion=tuple(tuple(row) for row in counts[:, :-1].tolist()),
        unanswered=dict(zip(classes, counts[:, -1].tolist(), strict=True)),
        folds=folds,
        over_folds={name: spread([fold[name] for fold in folds.values()]) for name in HEADLINES},
        intervals=intervals,
        speakers=ScoredSpeakers.of(predictions),
        calibration=_calibration(predictions, rng),
        confidence=confidence_scores(predictions),
        slices=(
            *slices(predictions, own_columns(predictions, ("gender",)), rng),
            *slices(predictions, {**own_columns(predictions, ("speaker", "corpus")), **(columns or {})}),
        ),
        recall_gaps=recall_gaps(predictions, predictions.gender),
        gender=gender_scores(predictions, rng, n_resamples),
    )


def _fold_scores(predictions: Predictions, rng: np.random.Generator) -> dict[str, float]:
    counts = confusion_counts(predictions.emotion, predictions.predicted, len(predictions.classes))
    scores = {name: float(value) for name, value in headline_scores(counts).items()}
    scores |= {"n": len(predictions), "n_classes": int((counts.sum(axis=1) > 0).sum())}
    calibration = _calibration(predictions, rng)
    if calibration is None or calibration.expected_ece is None:
        return scores
    expected = calibration.expected_ece
    return {**scores, "ece": calibration.ece, "expected_ece": expected.mean, "expected_ece_q95": expected.q95}


def _calibration(predictions: Predictions, rng: np.random.Generator) -> CalibrationScores | None:
    probabilities, predicted = predictions.probabilities, predictions.predicted
    if probabilities is None:
        return None
    scores = calibration_scores(probabilities, predictions.emotion, rng)
    if scores is None:
        return None
    known = known_rows(probabilities)
    answered = known & (predicted >= 0)
    rows = probabilities[answered]
    # Of equal probabilities any may be answered.
    is_other = rows[np.arange(len(rows)), predicted[answered]] < rows.max(axis=1, initial=0)
    n_unsure = int((known & ~answered).sum())
    told = reliability(rows, predictions.emotion[answered]).ece if n_unsure and len(rows) else None
    return replace(scores, n_rows=len(predictions), n_unsure=n_unsure, n_other=int(is_other.sum()), ece_told=told)


def scores_of(predictions: Predictions) -> Scores:
    """Score predictions, those of repeats by their mean."""
    return seeds_apart(score(predictions, np.random.default_rng(BOOTSTRAP_SEED)))[0]


def seeds_apart(scores: Scores) -> tuple[Scores, dict[str, Spread]]:
    """Separate the spread over folds from the spread over repeats.

    Returns
    -------
    scores whose ``over_folds`` are of each fold's mean over its repeats; headline → spread over repeats of their means
    over folds, empty where each fold was trained once
    """
    if not any(fold_and_repeat(fold, scores.folds)[1] > 1 for fold in scores.folds):
        return scores, {}
    return replace(scores, over_folds=_spreads(scores.folds, 0)), _spreads(scores.folds, 1)


def _spreads(folds: Mapping[str, Mapping[str, float]], along: int) -> dict[str, Spread]:
    found = {}
    for headline in HEADLINES:
        values = defaultdict(list)
        for name, scores in folds.items():
            values[fold_and_repeat(name, folds)[along]].append(scores[headline])
        found[headline] = spread([spread(several).mean for several in values.values()])
    return found
