"""Two systems on the same utterances: intervals by bootstrap, p-values by exchange, both over whole speakers.

Also McNemar's exact test, and Holm's correction.
"""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earnest.errors import CorpusError
from earnest.evaluation.answers import TO_SCORE, TextColumn, map_words, text_column
from earnest.evaluation.confusion import Counts, cells_of, confusion_counts, headline_scores
from earnest.evaluation.intervals import (
    N_RESAMPLES,
    Interval,
    Over,
    cluster_of,
    counts_by,
    limits_of,
    resampled_counts,
)
from earnest.evaluation.predictions import Predictions
from earnest.evaluation.splits import fold_and_repeat
from earnest.labels import composed

Indices = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
MOST_EXACT = 14  # speakers up to which all 2ⁿ exchanges are tried
N_EXCHANGES = 10_000  # drawn of more
SAME = 1e-12  # differences below are rounding


@dataclass(frozen=True)
class Exchange:
    """The two-sided p-value of `exchange_p`.

    Attributes
    ----------
    least_p : the smallest that ``p`` can be: 2/2ⁿ of n speakers who make a difference, 1 of none; where exchanges are
        drawn, one of all that are
    n : how many make a difference, speakers or utterances
    """

    p: float
    least_p: float
    n: int


@dataclass(frozen=True)
class Difference:
    """Score of b minus that of a, with its bootstrap interval.

    Attributes
    ----------
    p : two-sided: the share of exchanges of both systems, speaker by speaker, with a difference as large
    least_p, n_exchanged : see `Exchange`
    """

    value: float
    interval: Interval
    p: float
    least_p: float
    n_exchanged: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"value": self.value, "interval": asdict(self.interval), "p": self.p, "least_p": self.least_p}


@dataclass(frozen=True)
class Comparison:
    """System b beside system a, on the utterances that both answered for.

    Attributes
    ----------
    n : utterances in common
    n_pairs : answers that were compared: more than utterances where trainings were repeated
    only_in_a, only_in_b : utterances that only one file has; they are left out
    wa, ua : b minus a
    only_a_right, only_b_right : pairs of answers of which one is right
    p_mcnemar : exact, two-sided; it takes pairs for independent, which those of one speaker or one utterance are not
    resemble : whether pairs may be of one speaker: unless all have speakers of their own
    """

    n: int
    n_pairs: int
    only_in_a: int
    only_in_b: int
    wa: Difference
    ua: Difference
    only_a_right: int
    only_b_right: int
    p_mcnemar: float
    resemble: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = ("n", "n_pairs", "only_in_a", "only_in_b", "only_a_right", "only_b_right", "p_mcnemar")
        return {**{name: getattr(self, name) for name in plain}, "wa": self.wa.to_dict(), "ua": self.ua.to_dict()}


def compare(a: Predictions, b: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Comparison:
    """Compare two systems utterance by utterance; utterances are matched by corpus and utterance id.

    Of repeated trainings the first of one system is compared with the first of the other, and so on; where one was
    repeated more often, each of its answers counts alike.

    Raises `CorpusError` when no utterance is in both, an utterance is in one file twice in different folds that are no
    repeats, or the files name different true classes for an utterance.
    """
    rows_a, rows_b, n = _matched(a, b)
    answers = _Answers.of(a.take(rows_a), b.take(rows_b))
    right_a, right_b = answers.a == answers.true, answers.b == answers.true
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    wa, ua = _differences(answers, rng, n_resamples)
    return Comparison(
        n=n,
        n_pairs=len(rows_a),
        only_in_a=a.n_recordings - n,
        only_in_b=b.n_recordings - n,
        wa=wa,
        ua=ua,
        only_a_right=only_a,
        only_b_right=only_b,
        p_mcnemar=mcnemar(only_a, only_b),
        resemble=len(set(answers.speaker) - {""}) < n,
    )


def clip_names(predictions: Predictions) -> list[tuple[str, str]]:
    """Return corpus and utterance of each row, by which utterances of two files are matched; see `composed`."""
    return [(composed(corpus), composed(utterance)) for corpus, utterance in predictions.identities]


def difference_in_ua(
    a: Predictions, b: Predictions, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> Difference:
    """Compare two answers to the same utterances, row by row; an utterance that two folds test is there twice."""
    return _differences(_Answers.of(a, b), rng, n_resamples)[1]


def exchange_p(shares: Floats, sizes: Counts, rng: np.random.Generator) -> Exchange:
    """Test a difference that is a sum over speakers, two-sided, by exchanging both systems' answers to each of them.

    Were neither system better, the share of a speaker in the difference would have the other sign as often: approximate
    randomisation (Noreen, 1989). All 2ⁿ exchanges are tried for up to 14 speakers who make a difference, else 10,000
    are drawn.

    Parameters
    ----------
    shares : shape (kinds,), of one cluster of each kind
    sizes : shape (kinds,), clusters of each kind
    """
    observed = abs(float(shares @ sizes)) - SAME
    # A sign that turns is the same for x and −x, so equal shares are one kind, whatever their signs. Rounding says
    # which are equal; their values stay as they are, for sums of rounded ones would miss ties.
    values, first, kind = np.unique(np.abs(shares).round(12), return_index=True, return_inverse=True)
    values = np.abs(shares)[first]
    counts = np.bincount(kind, weights=sizes, minlength=len(values)).astype(np.int64)
    values, counts = values[values > SAME], counts[values > SAME]
    n = int(counts.sum())
    if n <= MOST_EXACT:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)  # (2ⁿ, n)
        sums = signs @ values.repeat(counts)
        return Exchange(float((np.abs(sums) >= observed).mean()), min(1.0, 2.0 ** (1 - n)), n)
    n_larger = 0
    for start in range(0, N_EXCHANGES, step := max(1, 10**6 // len(values))):
        n_drawn = min(step, N_EXCHANGES - start)
        sums = (2 * rng.binomial(counts, 0.5, size=(n_drawn, len(counts))) - counts) @ values
        n_larger += int((np.abs(sums) >= observed).sum())
    # The data itself counts as one more exchange, so that p is never 0 (Phipson and Smyth, 2010).
    return Exchange((n_larger + 1) / (N_EXCHANGES + 1), 1 / (N_EXCHANGES + 1), n)


def mcnemar(only_a_right: int, only_b_right: int) -> float:
    """Return the exact two-sided p-value of so uneven a division, were both systems as often right.

    It is that of a fair coin: 2 · P(X ≤ the smaller count), X binomial with n = sum of both, at most 1.
    """
    n, fewer = only_a_right + only_b_right, min(only_a_right, only_b_right)
    if 2 * fewer >= n:
        return 1.0
    # log of the largest term C(n, k)·2⁻ⁿ; in logarithms, since 2ⁿ overflows from n = 1,024 on.
    log_top = math.lgamma(n + 1) - math.lgamma(fewer + 1) - math.lgamma(n - fewer + 1) - n * math.log(2)
    # From the largest term downwards: C(n, i − 1) = C(n, i) · i / (n − i + 1).
    steps = np.arange(fewer, 0, -1, dtype=np.float64)
    terms = np.cumprod(steps / (n - steps + 1))
    return min(1.0, 2 * math.exp(log_top) * (1 + float(terms.sum())))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm, 1979), in the order given."""
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("A p-value is from 0 to 1.")
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    # Step-down: the i-th smallest of m is multiplied by m − i + 1, and none may fall below the one before it.
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected.tolist()


def _matched(a: Predictions, b: Predictions) -> tuple[Indices, Indices, int]:
    """Match the rows of a and b by utterance, in the order of a; return them, and how many utterances both have."""
    places_a, places_b = _places(a), _places(b)
    common = [place for place in places_a if place in places_b]
    if not common:
        first_a, first_b = (_name(next(iter(places))) for places in (places_a, places_b))
        raise CorpusError(
            f"The two files have no recording in common: {first_a} is in the first, {first_b} in the second. They are "
            "matched by the columns corpus and utterance_id: write them alike in both."
        )
    pairs, others = [], dict[tuple[str, str], tuple[str, str]]()
    for place in common:
        own, other = list(places_a[place].values()), list(places_b[place].values())
        true_a, true_b = a.classes[a.emotion[own[0]]], b.classes[b.emotion[other[0]]]
        if true_a != true_b:
            others.setdefault((true_b, true_a), place)
        n_pairs = math.lcm(len(own), len(other))  # so that each answer of a system counts alike
        pairs += [(own[pair % len(own)], other[pair % len(other)]) for pair in range(n_pairs)]
    if others:
        raise _other_labels(others, {a.classes[number] for number in a.emotion})
    rows_a, rows_b = np.array(pairs, dtype=np.intp).T
    return rows_a, rows_b, len(common)


def _other_labels(others: Mapping[tuple[str, str], tuple[str, str]], known: Container[str]) -> CorpusError:
    """Return the error for labels that differ; where the first file never has those of the second, how to map them.

    Parameters
    ----------
    others : true label of the second file, and of the first → an utterance that has them
    known : true labels of the first file
    """
    ((theirs, ours), place), *_ = others.items()
    told = f"{_name(place)}: the first file says it is {ours}, the second {theirs}"
    advice = "Only answers to the same labels can be compared"
    if not any(label in known for label, _ in others):
        advice += f". Where they mean the same, say {map_words([*others])}{TO_SCORE}"
    return CorpusError(f"{told}. {advice}.")


def _places(predictions: Predictions) -> dict[tuple[str, str], dict[int, int]]:
    """Return utterance → number of the repeat → row."""
    names = predictions.folds
    repeats = {name: fold_and_repeat(name, names)[1] for name in names}
    places: dict[tuple[str, str], dict[int, int]] = {}
    for row, (name, fold) in enumerate(zip(clip_names(predictions), predictions.fold, strict=True)):
        if places.setdefault(name, {}).setdefault(repeats[fold], row) != row:
            raise CorpusError(
                f"{_name(name)} is in one file twice, in different folds. Compare files with one answer per recording."
            )
    return places


def _name(place: tuple[str, str]) -> str:
    return "/".join(filter(None, place))


@dataclass(frozen=True)
class _Answers:
    """True class and both answers an utterance, shape (rows,), numbered over the classes of both; −1 is no answer."""

    true: npt.NDArray[np.int64]
    a: npt.NDArray[np.int64]
    b: npt.NDArray[np.int64]
    n_classes: int
    speaker: TextColumn
    recording: npt.NDArray[np.int64]

    @classmethod
    def of(cls, a: Predictions, b: Predictions) -> "_Answers":
        classes = tuple(dict.fromkeys((*a.classes, *b.classes)))
        # The last place is for −1, no answer, which as an index counts from the end.
        number_b = np.array([*(classes.index(name) for name in b.classes), -1])
        speaker = text_column(one or other for one, other in zip(a.speaker, b.speaker, strict=True))
        return cls(a.emotion, a.predicted, number_b[b.predicted], len(classes), speaker, a.recording)

    def counts(self, predicted: npt.NDArray[np.int64]) -> Counts:
        """Return the confusion counts of one system."""
        return confusion_counts(self.true, predicted, self.n_classes)


def _differences(answers: _Answers, rng: np.random.Generator, n_resamples: int) -> tuple[Difference, Difference]:
    """Draw the same speakers for both systems and return the differences in WA and UA."""
    counts_a, counts_b, sizes, over = _clusters(answers)
    n_drawn = int(sizes.sum())
    shape = (n_resamples, answers.n_classes, answers.n_classes + 1)  # true class × answer, the last column: no answer
    # Paired: one draw of speakers serves both systems, so what makes a speaker hard cancels in the difference.
    drawn = resampled_counts(np.hstack([counts_a, counts_b]), sizes, rng, n_resamples)
    resampled = [headline_scores(cells.reshape(shape)) for cells in np.hsplit(drawn, 2)]
    whole = [headline_scores(answers.counts(predicted)) for predicted in (answers.a, answers.b)]
    more_right = np.diagonal((counts_b - counts_a).reshape(-1, *shape[1:]), axis1=1, axis2=2)  # (kinds, classes)
    found = []
    for name, weights in _weights(answers.counts(answers.a).sum(axis=1)).items():
        change = resampled[1][name] - resampled[0][name]
        tested = exchange_p(more_right @ weights, sizes, rng)
        limits = Interval(*limits_of(change, n_drawn), over)
        found.append(Difference(float(whole[1][name] - whole[0][name]), limits, tested.p, tested.least_p, tested.n))
    return found[0], found[1]


def _weights(support: Counts) -> dict[str, Floats]:
    """Return what one more right answer to each class adds to WA and to UA, shape (classes,)."""
    occurs = support > 0
    # WA = Σ_k right_k / n, UA = 1/K · Σ_k right_k / n_k over the K classes that occur.
    return {"wa": np.full(len(support), 1 / support.sum()), "ua": occurs / (np.maximum(support, 1) * occurs.sum())}


def _clusters(answers: _Answers) -> tuple[Counts, Counts, Counts, Over]:
    """Return cell counts of both systems a kind of cluster, shape (kinds, cells), and how many clusters are of it.

    Clusters that are single utterances are of one kind where true class and both answers are the same; others are each
    a kind of their own.
    """
    n_cells = answers.n_classes * (answers.n_classes + 1)
    cells_a, cells_b = (cells_of(answers.true, one, answers.n_classes) for one in (answers.a, answers.b))
    owner, over = cluster_of(answers.speaker, answers.recording)
    if owner is None:
        # Drawing utterances one by one is drawing their kinds by a multinomial: far fewer columns.
        # A kind is a pair of cells (a, b), as the one number a·n + b.
        kinds, sizes = np.unique(cells_a * n_cells + cells_b, return_counts=True)
        one_hot = np.eye(n_cells, dtype=np.int64)
        return one_hot[kinds // n_cells], one_hot[kinds % n_cells], sizes, over
    counts_a, counts_b = (counts_by(owner, cells, n_cells) for cells in (cells_a, cells_b))
    return counts_a, counts_b, np.ones(len(counts_a), np.int64), over
