"""Derive valence and arousal from emotions, and put them into bundles' graphs as the output ``affect_derived``.

Usage: python scripts/fit_affect.py [--compare] FOLDER BUNDLE [BUNDLE ...]

Nobody rated the corpora at hand, so nothing here is learnt from ratings. Each emotion has a place on both scales
(`PLACES`); a recording's target is halfway between the place of what its actor was asked for, times the level that was
asked for (low 1/3, medium 2/3, high 1, none said 1), and the place of what most listeners heard who had its sound alone
(CREMA-D's summaryTable.csv; several emotions, where votes are tied, count the same). EmoDB's listeners named no other
emotion: its recordings have the place of their class. A ridge regression of the embedding learns the targets of CREMA-D
and EmoDB; its penalty is the one whose answers to speakers left out (five folds) correlate best with those places.

``FOLDER`` holds what scripts/fit_adaptation.py heard of all corpora, which come from $EARNEST_DATA. RAVDESS and nEMO
are not fitted on and choose nothing: what is printed of them is written into bundle.json too. A bundle that has the
output already gets the new one in its place. ``--compare`` writes nothing; it prints other targets, and the places
expected under the probabilities of a discriminant, by the same folds.
"""

import csv
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fit_adaptation import CORPORA, shrinkage_of
from fit_intensity import BUNDLES, LEVELS, N_FOLDS, PENALTIES, Heard, above, measured, write
from graph_heads import add_affect
from scipy.linalg import solve

from earnest.bundle import BundleInfo, load_bundle
from earnest.corpora.load import corpus_root, load_utterances
from earnest.errors import CorpusError
from earnest.evaluation.calibration import softmax
from earnest.evaluation.metrics import concordance
from earnest.learning.discriminant import discriminant

PLACES: Mapping[str, tuple[float, float]] = {
    "neutral": (0.0, 0.0),
    "calm": (0.68, -0.46),  # their "relaxed"
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "angry": (-0.51, 0.59),
    "fearful": (-0.64, 0.60),
    "disgust": (-0.60, 0.35),
    "surprised": (0.40, 0.67),
    "boredom": (-0.65, -0.62),
}
"""Mean pleasure and arousal, −1 to 1, that people gave to terms of emotion: Russell and Mehrabian (1977), Evidence for
a three-factor theory of emotions, Journal of Research in Personality 11, 273–294. Neutral is the middle of the scales.
"""
LETTERS = {"N": "neutral", "H": "happy", "S": "sad", "A": "angry", "F": "fearful", "D": "disgust"}
TRAINED, UNHEARD = ("crema-d", "emodb"), ("ravdess", "nemo")
HIGH, LOW = ("angry", "happy", "fearful"), ("sad", "neutral", "calm")  # arousal
PLEASANT, UNPLEASANT = ("happy",), ("angry", "sad", "fearful", "disgust")
VALENCE, AROUSAL = 0, 1
LEFT_OUT = ("crema-d, as asked for", "crema-d, as heard", "emodb")

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.bool_]


class Placed(Heard):
    """Affect places of the actors' emotions and of the listeners' votes, both (recordings, 2), −1 to 1."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        utterances = load_utterances(CORPORA, {})
        facts = self.corpus, self.speaker, self.emotion, self.level
        known = [(row.corpus, row.speaker, row.emotion, row.intensity) for row in utterances]
        if known != list(zip(*(values.tolist() for values in facts), strict=True)):
            raise CorpusError(f"{path}: is of other clips than $EARNEST_DATA. Run scripts/fit_adaptation.py again.")
        self.place = np.array([PLACES[emotion] for emotion in self.emotion.tolist()])
        levels = np.array([LEVELS.get(level, 1.0) for level in self.level.tolist()])
        is_crema_d = self.corpus == "crema-d"
        self.asked_place = np.where(is_crema_d, levels, 1.0)[:, None] * self.place
        votes, self.heard_place = votes_of(corpus_root("crema-d", {}) / "summaryTable.csv"), self.place.copy()
        for row in np.flatnonzero(is_crema_d):
            self.heard_place[row] = votes[utterances[row].utterance_id]
        self.trained = np.isin(self.corpus, TRAINED)
        # A clip counts by the root of how rare its corpus is: EmoDB's 3.8 times as much as one of CREMA-D's.
        sizes = {corpus: np.sum(self.corpus == corpus) for corpus in TRAINED}
        self.weight = np.array([sizes.get(corpus, np.inf) ** -0.5 for corpus in self.corpus.tolist()])
        speakers = sorted(set(self.speaker[self.trained].tolist()))
        self.fold = np.array([speakers.index(one) % N_FOLDS if one in speakers else -1 for one in self.speaker])


def votes_of(path: Path) -> dict[str, Floats]:
    """Return recording → place of what most listeners to its sound heard; the mean of several with as many votes."""
    with path.open(newline="", encoding="utf-8") as file:
        heard = {row["FileName"]: row["VoiceVote"].split(":") for row in csv.DictReader(file)}
    return {name: np.mean([PLACES[LETTERS[letter]] for letter in letters], axis=0) for name, letters in heard.items()}


class Ridge:
    """A ridge regression of weighted recordings on standardised values, for any targets and penalty."""

    def __init__(self, embedding: Floats, weight: Floats) -> None:
        self.share = (weight / weight.sum())[:, None]
        self.mean, self.deviation = embedding.mean(axis=0), embedding.std(axis=0) + 1e-6
        self.values = (embedding - self.mean) / self.deviation
        # (Zᵀ·S·Z·N/D + λ·I)·w = Zᵀ·S·(y − ȳ)·N/D, with N clips, D values and the clips' shares S.
        self.weighed = self.share * self.values * (len(weight) / self.values.shape[1])
        self.gram = self.weighed.T @ self.values

    def fitted(self, target: Floats, penalty: float) -> tuple[Floats, Floats]:
        """Return weight (width, targets) and bias (targets,) for targets (recordings, targets)."""
        middle = (self.share * target).sum(axis=0)
        gram = self.gram.copy()
        gram[np.diag_indices(len(gram))] += penalty
        weight = solve(gram, self.weighed.T @ (target - middle), assume_a="pos") / self.deviation[:, None]
        return weight, middle - self.mean @ weight


class LeftOut:
    """Answers to speakers of CREMA-D and EmoDB by regressions that have not seen them."""

    def __init__(self, heard: Placed) -> None:
        self.heard = heard
        rows = [heard.trained & (heard.fold != number) for number in range(N_FOLDS)]
        self.folds = [
            (heard.fold == n, one, Ridge(heard.embedding[one], heard.weight[one])) for n, one in enumerate(rows)
        ]

    def answers(self, target: Floats, penalty: float) -> Floats:
        """Return valence and arousal (recordings, 2), −1 to 1; NaN for recordings of other corpora."""
        told = np.full(target.shape, np.nan)
        for held, rows, ridge in self.folds:
            weight, bias = ridge.fitted(target[rows], penalty)
            told[held] = np.clip(self.heard.embedding[held] @ weight + bias, -1, 1)
        return told

    def best(self, target: Floats) -> tuple[float, Floats]:
        """Return the penalty of the best agreement, and its answers."""
        tried = {penalty: self.answers(target, penalty) for penalty in PENALTIES}
        penalty = max(tried, key=lambda one: float(np.mean(agreement(self.heard, tried[one]))))
        return penalty, tried[penalty]

    def expected(self, info: BundleInfo) -> Floats:
        """Return the places expected under calibrated probabilities, which a discriminant without the speaker gives."""
        places = np.array([PLACES[name] for name in info.classes])
        shrinkage = shrinkage_of(info.recipe)
        known = np.isin(self.heard.emotion, info.classes)
        told = np.full((len(known), 2), np.nan)
        for held, learnt, _ in self.folds:
            rows = learnt & known
            classes = np.array([info.classes.index(name) for name in self.heard.emotion[rows].tolist()])
            corpora = self.heard.corpus[rows].tolist()
            weight, bias = discriminant(self.heard.embedding[rows], classes, shrinkage, len(places), corpora)
            told[held] = softmax((self.heard.embedding[held] @ weight.T + bias) / info.temperature) @ places
        return told


def correlation(first: Floats, second: Floats) -> float:
    """Return Pearson's correlation."""
    return float(np.corrcoef(first, second)[0, 1])


def agreement(heard: Placed, told: Floats) -> list[float]:
    """Return correlations of valence and arousal with places: CREMA-D's as asked for, as heard, EmoDB's."""
    crema_d, emodb = (heard.corpus == corpus for corpus in TRAINED)
    pairs = ((crema_d, heard.place), (crema_d, heard.heard_place), (emodb, heard.place))
    return [correlation(told[rows, side], place[rows, side]) for rows, place in pairs for side in (VALENCE, AROUSAL)]


def between(told: Floats, heard: Placed, rows: Rows, high: tuple[str, ...], low: tuple[str, ...]) -> float:
    """Return the share of pairs in which one of the ``high`` emotions has more than one of the ``low`` ones."""
    rows = rows & np.isin(heard.emotion, high + low)
    return above(told[rows], np.isin(heard.emotion[rows], high))


def unheard(heard: Placed, told: Floats) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield corpora that were not fitted on, with how their emotions are told apart."""
    sides = ((VALENCE, "valence", PLEASANT, UNPLEASANT), (AROUSAL, "arousal", HIGH, LOW))
    for corpus in UNHEARD:
        rows = heard.corpus == corpus
        found: dict[str, float] = {}
        for side, name, high, low in sides:
            values, places = told[rows, side], heard.place[rows, side]
            speakers = [rows & (heard.speaker == who) for who in sorted(set(heard.speaker[rows].tolist()))]
            found |= {
                f"{name}, correlation": correlation(values, places),
                f"{name}, concordance": concordance(values, places) or 0.0,
                f"{name}, offset": float(np.mean(values - places)),
                f"{name}, pairs": between(told[:, side], heard, rows, high, low),
                f"{name}, pairs, worst speaker": min(between(told[:, side], heard, one, high, low) for one in speakers),
            }
        yield corpus, {name: round(value, 3) for name, value in found.items()}


def arousal_of_levels(heard: Placed, told: Floats, corpus: str) -> dict[str, float]:
    """Measure how often a strong recording has more arousal than a normal one, where a corpus has these levels."""
    return measured(heard, told[:, AROUSAL], corpus) if "strong" in heard.level[heard.corpus == corpus] else {}


def compare(name: str, heard: Placed, info: BundleInfo) -> None:
    """Print what other targets, and expected places, are worth for speakers left out."""
    left_out, half = LeftOut(heard), 0.5
    targets = {
        "asked": heard.place,
        "asked × level": heard.asked_place,
        "heard": heard.heard_place,
        "asked, heard": half * (heard.place + heard.heard_place),
        "asked × level, heard": half * (heard.asked_place + heard.heard_place),
    }
    tried = {what: left_out.best(target)[1] for what, target in targets.items()}
    tried["expected under probabilities"] = left_out.expected(info)
    levels = (heard.corpus == "crema-d") & np.isin(heard.level, ("low", "high"))
    for what, told in tried.items():
        numbers = agreement(heard, told)
        ranked = above(told[levels, AROUSAL], heard.level[levels] == "high")
        cells = " | ".join(f"{number:.3f}" for number in (*numbers, float(np.mean(numbers)), ranked))
        sys.stdout.write(f"| `{name}` | {what} | {cells} |\n")


def fit(name: str, source: Path, heard: Placed) -> None:
    """Fit, measure, write."""
    target = (heard.asked_place + heard.heard_place) / 2
    penalty, told = LeftOut(heard).best(target)
    agreed = np.round(np.reshape(agreement(heard, told), (3, 2)), 3).tolist()
    rows = heard.trained
    slopes, middle = Ridge(heard.embedding[rows], heard.weight[rows]).fitted(target[rows], penalty)
    # The graph tells 0 to 1, as networks do that learnt from ratings: (−1 … 1) / 2 + 1/2.
    weight, bias = (slopes / 2).astype(np.float16).astype(np.float32), (middle / 2 + 0.5).astype(np.float32)
    answers = np.clip(heard.embedding @ weight + bias, 0, 1) * 2 - 1
    said: dict[str, object] = {"penalty": penalty, "speakers left out": dict(zip(LEFT_OUT, agreed, strict=True))}
    said |= {corpus: {**row, **arousal_of_levels(heard, answers, corpus)} for corpus, row in unheard(heard, answers)}
    sys.stdout.write(f"{name}: {said}\n")
    write(source, partial(add_affect, weight=weight, bias=bias), "affect_derived", said)


def main(words: list[str]) -> None:
    """Fit each bundle, or compare."""
    is_comparing = words[0] == "--compare"
    folder, *names = words[1:] if is_comparing else words
    for name in names:
        source = Path(name) if Path(name).is_dir() else BUNDLES / name
        heard = Placed(Path(folder) / f"{source.name}.npz")
        if is_comparing:
            compare(source.name, heard, load_bundle(source).info)
        else:
            fit(source.name, source, heard)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1:])
