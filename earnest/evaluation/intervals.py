"""Confidence intervals of scores: spread over folds, and a bootstrap that draws whole speakers.

Scores of slices, one a value: gender, speaker, corpus, style, intensity; and the gaps between them.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.corpora.manifest import Utterance, doubts_about_speakers, some_doubts
from earnest.errors import CorpusError, counted, named
from earnest.evaluation.answers import TextColumn, numbered, text_column
from earnest.evaluation.confusion import Counts, cells_of, confusion_counts, headline_scores
from earnest.evaluation.predictions import Predictions

N_RESAMPLES = 2000
MOST_DRAWN = 10**6  # numbers at a time, which bounds the memory: of 100,000 speakers 2,000 resamples are 1.6 GB
CONFIDENCE = 0.95
NORMAL = NormalDist()
# 95 % intervals over two to nine speakers hold the truth in 50 to 95 % of draws, over ten and more in 90 to 95
# (scripts/interval_coverage.py).
ENOUGH_SPEAKERS = 10
OFTEN = 0.05  # of all resamples: from there on it is told that they lack a class; one of two speakers 13 % do
EVEN = 0.75  # of the speakers is their effective number at least, where they have about equally many recordings
Over: TypeAlias = Literal["speakers", "utterances"]


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n − 1) over folds; no deviation for a single fold."""

    mean: float
    sd: float | None


def spread(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation."""
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap interval, expanded for the number of what is drawn; see `limits_of`.

    Attributes
    ----------
    over : what was drawn with replacement: whole speakers (an utterance without one is a speaker of its own), or single
        utterances where fewer than two speakers are known; an utterance comes with all its answers, also those of
        repeated trainings
    """

    low: float
    high: float
    over: Over
    confidence: float = CONFIDENCE


def bootstrap(
    predictions: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> dict[str, Interval]:
    """Draw whole speakers with replacement and return an interval for each headline score.

    The utterances of one speaker resemble each other, so drawing utterances would make the interval far too narrow. The
    order of the rows doesn't matter. Without any row there is a `CorpusError`.
    """
    if not len(predictions):
        raise CorpusError("There is no recording to score: the predictions are empty.")
    clusters, sizes, over = _clusters(predictions)
    n_classes = len(predictions.classes)
    cells = resampled_counts(clusters, sizes, rng, n_resamples)
    scores = headline_scores(cells.reshape(n_resamples, n_classes, n_classes + 1))
    return {name: Interval(*limits_of(values, int(sizes.sum())), over) for name, values in scores.items()}


def resampled_counts(clusters: Counts, sizes: Counts, rng: np.random.Generator, n_resamples: int) -> Counts:
    """Draw as many clusters as there are, with replacement, and add up their cells; shape (resamples, cells).

    Parameters
    ----------
    clusters : shape (kinds, cells), the counts of one cluster of each kind
    sizes : shape (kinds,), clusters of each kind
    """
    # Cluster bootstrap (Davison and Hinkley, 1997, 3.8): how often each is drawn is one multinomial a resample.
    n_drawn, counts = int(sizes.sum()), clusters.astype(np.float64)  # exact: far below 2^53
    step = max(1, MOST_DRAWN // len(sizes))
    parts = [
        rng.multinomial(n_drawn, sizes / n_drawn, size=min(step, n_resamples - start)).astype(np.float64) @ counts
        for start in range(0, n_resamples, step)
    ]
    return np.concatenate(parts).astype(np.int64)


def limits_of(resampled: npt.NDArray[np.float64], n_drawn: int) -> tuple[float, float]:
    """Return the limits of the expanded percentile interval (Hesterberg, 2015).

    A bootstrap over n speakers varies √((n − 1)/n) times as much as results of n other speakers do, and doesn't know
    how unsure that variation is. So its percentiles are those at which an interval with Student's t would end.

    Parameters
    ----------
    resampled : shape (resamples,)
    n_drawn : speakers or utterances in each resample; intervals of three and fewer are lowest to highest
    """
    tail = (1 - CONFIDENCE) / 2  # 2.5 % at each end
    if n_drawn > 1:
        # Φ(−√(n/(n − 1)) · t(0.975, n − 1))
        tail = NORMAL.cdf(-math.sqrt(n_drawn / (n_drawn - 1)) * _student_t(1 - tail, n_drawn - 1))
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return float(low), float(high)


def _student_t(probability: float, freedom: int) -> float:
    """Return a quantile of Student's t; that of 97.5 % is 0.1 % too small for 3 degrees of freedom, 11 % for one."""
    z = NORMAL.inv_cdf(probability)
    # Abramowitz and Stegun (1964), 26.7.5: t = z + g₁(z)/ν + g₂(z)/ν² + g₃(z)/ν³ + g₄(z)/ν⁴.
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))


def _clusters(predictions: Predictions) -> tuple[Counts, Counts, Over]:
    """Return cell counts a kind of cluster, shape (kinds, cells), and how many clusters are of that kind.

    Clusters that are single answers are of one kind a cell, which are far fewer; others are each a kind of their own.
    """
    n_classes = len(predictions.classes)
    n_cells = n_classes * (n_classes + 1)
    owner, over = cluster_of(predictions.speaker, predictions.recording)
    if owner is None:
        sizes = confusion_counts(predictions.emotion, predictions.predicted, n_classes).ravel()
        return np.eye(n_cells, dtype=np.int64), sizes, over
    counts = counts_by(owner, cells_of(predictions.emotion, predictions.predicted, n_classes), n_cells)
    return counts, np.ones(len(counts), np.int64), over


def counts_by(owner: npt.NDArray[np.int64], cells: npt.NDArray[np.int64], n_cells: int) -> Counts:
    """Count cells a cluster, shape (clusters, n_cells).

    Parameters
    ----------
    owner, cells : of each row, shape (rows,)
    """
    n_clusters = int(owner.max()) + 1
    flat = np.bincount(owner * n_cells + cells, minlength=n_clusters * n_cells)  # one count a (cluster, cell)
    return flat.reshape(n_clusters, n_cells).astype(np.int64)


def cluster_of(speaker: TextColumn, recording: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64] | None, Over]:
    """Number what is drawn together, for each answer (answers,); None where each answer is drawn by itself.

    These are speakers. Who is not named may be anybody, so that such a recording is a cluster of its own. Where fewer
    than two speakers are known, they are recordings: answers of several trainings to one recording resemble each other.

    Parameters
    ----------
    recording : as `Predictions.recording` numbers them, shape (answers,)
    """
    names = sorted(set(speaker) - {""})
    if len(names) < 2:
        are_repeated = int(recording.max(initial=-1)) + 1 < len(recording)
        return (recording if are_repeated else None), "utterances"
    owner = numbered(speaker, names)
    unnamed = owner < 0
    owner[unnamed] = len(names) + np.unique(recording[unnamed], return_inverse=True)[1]
    return owner, "speakers"


def count_speakers(predictions: Predictions) -> int:
    """Count speakers, a recording without one as a speaker of its own; 0 where nobody is named."""
    n_named = len(set(predictions.speaker) - {""})
    n_unnamed = predictions.take(np.flatnonzero(predictions.speaker == "")).n_recordings
    return n_named + n_unnamed if n_named else 0


@dataclass(frozen=True)
class ScoredSpeakers:
    """Whose recordings are scored.

    Attributes
    ----------
    corpora : speaker → corpora that have recordings of that name
    n_rows : speaker → rows, also those of repeated trainings
    n_unnamed : recordings without a speaker; who is not named may be anybody
    n_trainings : rows a recording, on average
    n_with : class → speakers who have it, recordings without a speaker one each
    """

    corpora: Mapping[str, frozenset[str]]
    n_rows: Mapping[str, int]
    n_unnamed: int
    n_trainings: float
    n_with: Mapping[str, int]

    @classmethod
    def of(cls, predictions: Predictions) -> "ScoredSpeakers":
        """Return the speakers of some recordings."""
        corpora: dict[str, set[str]] = {}
        for speaker, corpus in zip(predictions.speaker, predictions.corpus, strict=True):
            corpora.setdefault(speaker, set()).add(corpus)
        corpora.pop("", None)
        n_unnamed = predictions.take(np.flatnonzero(predictions.speaker == "")).n_recordings
        n_rows = Counter(predictions.speaker.tolist())
        n_trainings = len(predictions) / max(predictions.n_recordings, 1)
        owner, _ = cluster_of(predictions.speaker, predictions.recording)
        owner = predictions.recording if owner is None else owner
        n_with = {
            name: len(np.unique(owner[predictions.emotion == number]))
            for number, name in enumerate(predictions.classes)
            if (predictions.emotion == number).any()
        }
        return cls({name: frozenset(found) for name, found in corpora.items()}, n_rows, n_unnamed, n_trainings, n_with)

    @property
    def notes(self) -> list[str]:
        """Notes on the speakers for readers of intervals and p-values."""
        return [*filter(None, (self._few, self._uneven, self._rare, self._shared)), *self._alike]

    @property
    def _drawn(self) -> str:
        """Who is drawn, in words; not all rows have a speaker."""
        speakers = counted(len(self.corpora), "speaker")
        return f"{speakers} and {counted(self.n_unnamed, 'recording')} without one" if self.n_unnamed else speakers

    @property
    def _few(self) -> str:
        """Warn of intervals over few speakers; "" where there are enough."""
        if len(self.corpora) < 2:
            return (
                "Fewer than two speakers are named, so recordings are taken for independent: where speakers have "
                "several of them, 95 % intervals are too narrow and p-values too small."
                if self.n_unnamed
                else "Only one speaker: 95 % intervals and p-values are about other recordings of this speaker. They "
                "say nothing about other speakers."
            )
        if len(self.corpora) + self.n_unnamed >= ENOUGH_SPEAKERS:
            return ""
        own = ", each drawn as a speaker of its own" if self.n_unnamed else ""
        return (
            f"Only {self._drawn}{own}: 95 % intervals over few are wide, and yet hold the true value less often than "
            "19 times of 20: over two speakers in half of all cases, over three in three of four, over four in six of "
            "seven, over five to nine in nine of ten."
        )

    @property
    def _uneven(self) -> str:
        """Warn where a few speakers have most recordings, and intervals rest on them; "" elsewhere."""
        if len(self.corpora) < 2:
            return ""
        named = [self.n_rows[name] / self.n_trainings for name in self.corpora]
        sizes = np.sort([*named, *[1.0] * self.n_unnamed])[::-1]
        # As many with equally many recordings would vary as much: (Σ n)²/Σ n² (Kish, 1965).
        n_effective = float(sizes.sum() ** 2 / (sizes**2).sum())
        if n_effective >= min(ENOUGH_SPEAKERS, EVEN * len(sizes)):
            return ""
        n_most = round(n_effective)
        share = 100 * sizes[:n_most].sum() / sizes.sum()
        most = "the one with most recordings has" if n_most == 1 else f"the {n_most} with most recordings have"
        return (
            f"Of {self._drawn} {most} {share:.0f} %: all together tell as much as {n_effective:.1f} speakers with "
            "equally many would. Intervals and p-values rest on these few."
        )

    @property
    def _rare(self) -> str:
        """Warn of classes that many resamples lack, as few speakers have them; "" of none."""
        n_drawn = len(self.corpora) + self.n_unnamed
        # A resample of n has none of k with (1 − k/n)ⁿ.
        lacks = {name: (1 - n / n_drawn) ** n_drawn for name, n in self.n_with.items()}
        rare = [
            f"'{name}' ({self.n_with[name]}: {100 * share:.0f} %)" for name, share in lacks.items() if share > OFTEN
        ]
        if len(self.corpora) < 2 or not rare:
            return ""
        return (
            f"Few speakers of {n_drawn} have the class {named(rare)}: so many of the draws lack it, and their UA is "
            "over the other classes. The interval of UA is partly of another quantity."
        )

    @property
    def _alike(self) -> list[str]:
        """Name speakers of one corpus who may be one, spelled in several ways."""
        of_corpus: dict[str, set[str]] = {}
        for name, found in self.corpora.items():
            for corpus in found:
                of_corpus.setdefault(corpus, set()).add(name)
        return some_doubts(one for members in of_corpus.values() for one in doubts_about_speakers(members))

    @property
    def _shared(self) -> str:
        """Name speakers of several corpora, unless the name itself says whose they are, as "ravdess-07" does."""
        shared = [
            name
            for name, found in self.corpora.items()
            if len(found) > 1 and not any(name.startswith(f"{corpus}-") for corpus in found)
        ]
        if not shared:
            return ""
        return (
            f"Several corpora have the speaker {named(sorted(shared))}, taken for one person each. If these are "
            "different people, write the corpus before the name."
        )


OWN_COLUMNS = ("gender", "speaker", "corpus")
MANIFEST_COLUMNS = ("style", "intensity")
Floats = npt.NDArray[np.float64]
N_DRAWS = 400  # of gaps by chance
MOSTLY_ONE = 1.5  # values a speaker, below which they are taken for the speaker's, not the recording's
FEWEST = 30  # utterances of a value from which on its UA is more than chance


@dataclass(frozen=True)
class Slice:
    """The utterances with one value of a column; WA and UA from 0 to 1.

    Attributes
    ----------
    interval : of UA, None where it was not asked for
    """

    name: str
    value: str
    n: int
    wa: float
    ua: float
    interval: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "name"}


@dataclass(frozen=True)
class SliceGap:
    """The largest UA of a column's values minus the smallest."""

    ua: float
    best: str
    worst: str


def own_columns(predictions: Predictions, names: Iterable[str] = OWN_COLUMNS) -> dict[str, TextColumn]:
    """Return the columns of a predictions file with at least two values."""
    columns: dict[str, TextColumn] = {name: getattr(predictions, name) for name in names}
    return {name: column for name, column in columns.items() if len(set(column) - {""}) > 1}


def manifest_columns(predictions: Predictions, utterances: Iterable[Utterance]) -> dict[str, TextColumn]:
    """Look up style and intensity of each row in a manifest, by corpus and utterance.

    Raises `CorpusError` for a row that the manifest doesn't have.
    """
    known = {(row.corpus, row.utterance_id): row for row in utterances}
    rows = []
    for place in predictions.identities:
        if place not in known:
            raise CorpusError(f"'{'/'.join(filter(None, place))}' is not in the manifest.")
        rows.append(known[place])
    columns = {name: text_column(str(getattr(row, name) or "") for row in rows) for name in MANIFEST_COLUMNS}
    return {name: values for name, values in columns.items() if len(set(values) - {""}) > 1}


def slices(
    predictions: Predictions, columns: Mapping[str, TextColumn], rng: np.random.Generator | None = None
) -> list[Slice]:
    """Score each value of each column, in the order of the columns and of the sorted values.

    Parameters
    ----------
    columns : name → texts, shape (rows,), "" where it is unknown; such rows are in no slice of that column
    rng : draws the bootstrap of each slice's UA; without it there are no intervals
    """
    made = []
    for name, texts in columns.items():
        values, counts = _counts_by(predictions, texts)
        scores = headline_scores(counts) if values else {}
        for index, value in enumerate(values):
            n, wa, ua = int(counts[index].sum()), float(scores["wa"][index]), float(scores["ua"][index])
            # Without intervals no rows are looked for: of many speakers that takes longer than all other scores.
            interval = None if rng is None else bootstrap(predictions.take(np.flatnonzero(texts == value)), rng)["ua"]
            made.append(Slice(name, value, n, wa, ua, interval))
    return made


def gaps(parts: Iterable[Slice], fewest: int = FEWEST) -> dict[str, SliceGap]:
    """Return column → gap in UA over its values with at least ``fewest`` utterances, where two values have so many."""
    by_name: dict[str, list[Slice]] = {}
    for part in parts:
        if part.n >= fewest:
            by_name.setdefault(part.name, []).append(part)
    return {name: _gap(group) for name, group in by_name.items() if len(group) > 1}


def recall_gaps(predictions: Predictions, texts: TextColumn, fewest: int = FEWEST) -> dict[str, float | None]:
    """Return class → largest minus smallest recall over the values of a column, such as gender.

    A value counts for a class with at least ``fewest`` utterances of it; None where fewer than two values do.

    Parameters
    ----------
    texts : shape (rows,), "" where it is unknown
    """
    _, counts = _counts_by(predictions, texts)  # (values, classes, classes + 1)
    support = counts.sum(axis=2)
    # (values, classes), TP / (TP + FN); 0 where there is no utterance, which ``enough`` leaves out.
    recall = np.diagonal(counts, axis1=1, axis2=2) / np.maximum(support, 1)
    enough = support >= max(fewest, 1)
    return {
        name: float(np.ptp(recall[enough[:, index], index])) if enough[:, index].sum() > 1 else None
        for index, name in enumerate(predictions.classes)
    }


@dataclass(frozen=True)
class GapsByChance:
    """Gaps between groups that mean nothing, drawn again and again: of UA, and of the recall of each class.

    Attributes
    ----------
    ua : shape (draws,)
    recalls : class → shape (draws,), NaN where fewer than two groups have it
    """

    ua: Floats
    recalls: Mapping[str, Floats]


def of_many(texts: TextColumn) -> TextColumn:
    """Return a column with "" for the values of fewer rows than `gaps` counts; all of it where no two have so many."""
    counts = Counter(texts.tolist())
    kept = text_column(text if counts[text] >= FEWEST else "" for text in texts)
    return kept if len(set(kept) - {""}) > 1 else texts


def gaps_by_chance(predictions: Predictions, texts: TextColumn, rng: np.random.Generator) -> GapsByChance:
    """Draw the gaps between the values of a column that chance gives.

    Values that are speakers: which of a class are right is dealt anew to all recordings of it. Other values are dealt
    anew to speakers where most have one, as of gender, else to the recordings of each speaker, as of style.

    Parameters
    ----------
    texts : shape (rows,), "" where it is unknown; these rows are left out
    """
    predictions, texts = predictions.take(np.flatnonzero(texts != "")), texts[texts != ""]
    values, value = np.unique(texts.astype(str), return_inverse=True)
    # Who is not named may be anybody.
    own = [name or f"\0{row}" for name, row in zip(predictions.speaker, predictions.recording.tolist(), strict=True)]
    names, speaker = np.unique(own, return_inverse=True)
    parts, part = np.unique(speaker * len(values) + value, return_inverse=True)  # of a speaker, all of one value
    is_whole = len(parts) < MOSTLY_ONE * len(names)
    right, emotion = predictions.emotion == predictions.predicted, predictions.emotion
    uas, recalls = [], []
    for _ in range(N_DRAWS):
        if len(parts) == len(names) == len(values):
            hits, drawn = right[_dealt(emotion, rng)], value
        else:
            dealt = rng.permutation(parts % len(values))[part] if is_whole else value[_dealt(speaker, rng)]
            hits, drawn = right, dealt
        shape = (len(values), len(predictions.classes))
        support, found = (
            np.bincount(drawn * shape[1] + emotion, weights, shape[0] * shape[1]).reshape(shape)
            for weights in (None, hits)
        )
        recall = np.where(support > 0, found / np.maximum(support, 1), np.nan)  # (values, classes)
        ua = np.nansum(recall, axis=1) / (support > 0).sum(axis=1)
        uas.append(np.ptp(ua))
        several = (support > 0).sum(axis=0) > 1
        recalls.append(np.where(several, np.fmax.reduce(recall) - np.fmin.reduce(recall), np.nan))
    return GapsByChance(np.array(uas), dict(zip(predictions.classes, np.array(recalls).T, strict=True)))


def _dealt(groups: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return a permutation of rows, shape (rows,), in which each stays in its group."""
    rows = np.empty(len(groups), np.intp)
    rows[np.argsort(groups, kind="stable")] = np.lexsort((rng.random(len(groups)), groups))
    return rows


def _counts_by(predictions: Predictions, texts: TextColumn) -> tuple[list[str], Counts]:
    """Return the known values, sorted, and one confusion matrix each, shape (values, classes, classes + 1)."""
    values = sorted(set(texts))
    owner = numbered(texts, values)
    n_classes = len(predictions.classes)
    # One matrix for all: the true class of another value is another row.
    cells = cells_of(owner * n_classes + predictions.emotion, predictions.predicted, n_classes)
    shape = (len(values), n_classes, n_classes + 1)
    counts = np.bincount(cells, minlength=math.prod(shape)).reshape(shape).astype(np.int64)
    known = [index for index, value in enumerate(values) if value]
    return [values[index] for index in known], counts[known]


def _gap(group: Sequence[Slice]) -> SliceGap:
    worst = min(group, key=lambda part: part.ua)
    best = max((part for part in group if part is not worst), key=lambda part: part.ua)  # another one, also of equals
    return SliceGap(best.ua - worst.ua, best.value, worst.value)
