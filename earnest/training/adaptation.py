"""What a bundle needs to get used to a voice (`earnest.runtime.adaptation`), fitted on speakers whose labels are known.

The discriminant of the plain model is fitted again, on embeddings less their speaker's mean. How much an emotion varies
in a voice never heard comes from training speakers who take turns (those whose labels the embedding itself was fitted
on are no measure of that); only the scale comes from validation speakers, each heard as a stream without labels, as the
runtime hears them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.evaluation.calibration import fit_temperature
from earnest.runtime.adaptation import Adaptation
from earnest.runtime.adapter import Adapter
from earnest.training.discriminant import discriminant, rows_by_corpus
from earnest.training.shrunk import Floats

How: TypeAlias = Literal["causal", "ten", "all", "one-emotion"]
HOWS: Mapping[How, str] = {
    "causal": "each test speaker's clips in a drawn order, each answered with what was heard before it",
    "ten": "ten drawn clips of each test speaker heard, without labels, before any is answered",
    "all": "each test speaker's clips all heard, without labels, before any is answered",
    "one-emotion": "as causal, but a stream of its own for each emotion of a speaker; the hardest case, not a result",
}
HEARD_FIRST: Mapping[How, int | None] = {"ten": 10, "all": None}
FEWEST_SPEAKERS = 3
N_TURNS = 5
COPY = "#"  # behind a speaker: a changed copy, a voice of its own but for turns
SMALLEST = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Heard:
    """Clips of known speakers.

    Attributes
    ----------
    embeddings : shape (clips, width)
    targets : shape (clips,), numbers of the classes
    speakers : one name a clip, made unique over corpora
    seconds : shape (clips,)
    corpora : of each clip; None for one
    new : whether a clip is as recorded and the embedding's own weights never saw its speaker's labels, shape (clips,);
        None for all
    """

    embeddings: Floats
    targets: npt.NDArray[np.int64]
    speakers: Sequence[str]
    seconds: Floats
    new: npt.NDArray[np.bool_] | None = None
    corpora: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def new_rows(self, n_classes: int) -> npt.NDArray[np.int64]:
        """Return the rows of speakers who are new to the embedding, or all where these are too few."""
        every = np.arange(len(self))
        rows = every if self.new is None else np.flatnonzero(self.new)
        few = len({self.speakers[row] for row in rows.tolist()}) < FEWEST_SPEAKERS
        return every if few or len(np.unique(self.targets[rows])) < n_classes else rows

    def only(self, rows: npt.NDArray[np.int64]) -> "Heard":
        """Return some clips, which all count."""
        speakers = [self.speakers[row] for row in rows.tolist()]
        return Heard(self.embeddings[rows], self.targets[rows], speakers, self.seconds[rows])

    def centred(self) -> tuple[Floats, Floats]:
        """Return the embeddings less their speaker's mean (clips, width), and these means (speakers, width)."""
        centred, means = self.embeddings.copy(), []
        for rows in _rows_of(self.speakers).values():
            means.append(self.embeddings[rows].mean(axis=0))
            centred[rows] -= means[-1]
        return centred, np.stack(means)


def fit_adaptation(train: Heard, shrinkage: float, n_classes: int) -> Adaptation | None:
    """Fit all but the scales on training clips; None where fewer than three voices are named."""
    voices = {_voice_of(speaker) for speaker in train.speakers}
    if "" in voices or len(voices) < FEWEST_SPEAKERS:
        return None
    centred, means = train.centred()
    weights, _ = discriminant(centred, train.targets, shrinkage, n_classes, train.corpora)
    scores = _unheard_scores(centred, train, shrinkage, n_classes)
    rows = train.new_rows(n_classes)
    whitening, full_variety = _variety_of(scores[rows], train.targets[rows], n_classes)
    directions = whitening @ weights
    return Adaptation(
        directions=directions,
        origin=directions @ train.embeddings.mean(axis=0),
        places=np.stack([_class_mean(centred, train, target) for target in range(n_classes)]) @ directions.T,
        spread=np.maximum(np.std(means @ directions.T, axis=0), np.finfo(np.float32).tiny),
        full_variety=full_variety,
    )


def _class_mean(centred: Floats, train: Heard, target: int) -> Floats:
    """Return the mean of a class (width,); its corpora count the same, as for the discriminant."""
    parts = rows_by_corpus(train.targets == target, train.corpora)
    return np.asarray(np.mean([centred[rows].mean(axis=0) for rows in parts], axis=0))


def _unheard_scores(centred: Floats, train: Heard, shrinkage: float, n_classes: int) -> Floats:
    """Return scores (clips, classes) of discriminants that were fitted on other speakers, who take turns."""
    voices = [_voice_of(speaker) for speaker in train.speakers]
    turn_of = {voice: position % N_TURNS for position, voice in enumerate(sorted(set(voices)))}
    turn = np.array([turn_of[voice] for voice in voices])
    scores = np.zeros((len(train), n_classes))
    for number in range(turn.max() + 1):
        held = turn == number
        if len(np.unique(train.targets[~held])) < n_classes:
            held = np.ones_like(held)  # too few speakers for turns: their own scores, which vary less
            weights, bias = discriminant(centred, train.targets, shrinkage, n_classes, train.corpora)
        else:
            others = train.corpora and [train.corpora[row] for row in np.flatnonzero(~held).tolist()]
            weights, bias = discriminant(centred[~held], train.targets[~held], shrinkage, n_classes, others)
        scores[held] = centred[held] @ weights.T + bias
    return scores


def _variety_of(scores: Floats, targets: npt.NDArray[np.int64], n_classes: int) -> tuple[Floats, float]:
    """Return what makes scores within a class of unit variance (classes − 1, classes), and the variety of all classes.

    Scores may all be raised alike without a difference; the directions leave that out.
    """
    contrasts = np.linalg.qr(np.column_stack([np.ones(n_classes), np.eye(n_classes)[:, 1:]]))[0][:, 1:]
    points = scores @ contrasts
    means = np.stack([points[targets == target].mean(axis=0) for target in range(n_classes)])
    within = np.cov((points - means[targets]).T) + 1e-9 * np.eye(n_classes - 1)
    whitening = np.linalg.inv(np.linalg.cholesky(within))
    between = (means - means.mean(axis=0)) @ whitening.T
    return whitening @ contrasts.T, 1 + float(np.mean(between**2))


def with_scale(adaptation: Adaptation, valid: Heard, seed: int) -> Adaptation:
    """Fit the scale of the answers on validation speakers, so that those to streams of all emotions are honest.

    How far a stream is trusted are constants, chosen on validation folds of RAVDESS and EmoDB and between corpora
    (docs/results/experiments.md).
    """
    valid = valid.only(valid.new_rows(len(adaptation.places)))
    trusting = replace(adaptation, scale=1.0, least_speech_s=0.0, trust_from=-2.0, trust_to=-1.0)  # always
    plain = np.full((len(valid), len(adaptation.places)), 1 / len(adaptation.places))
    found, _ = adapted_probabilities(trusting, valid, plain, "causal", seed)
    return replace(adaptation, scale=1 / fit_temperature(np.log(np.maximum(found, SMALLEST)), valid.targets))


def adapted_probabilities(
    adaptation: Adaptation, test: Heard, plain: npt.NDArray[np.floating], how: How, seed: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Answer clips of speakers never heard, as the runtime does; labels only divide the streams of "one-emotion".

    Parameters
    ----------
    plain : probabilities without adaptation, shape (clips, classes)

    Returns
    -------
    probabilities (clips, classes), and which rows are adapted (clips,): none is before the rule's ``least_speech_s``,
    nor while all that was heard sounds like one emotion; these keep the plain answer
    """
    found = plain.astype(np.float64)
    answered = np.zeros(len(test), np.bool_)
    for rows in _streams(test, how, seed):
        adapter = Adapter(adaptation)
        if how in HEARD_FIRST:
            first = rows[: HEARD_FIRST[how]]
            adapter.learn_from(test.embeddings[first], float(test.seconds[first].sum()))
        for row in rows:
            seconds = float(test.seconds[row])
            answer = adapter.hear(test.embeddings[row], plain[row], seconds, seconds)
            if answer is not None:
                found[row], answered[row] = answer, True
    return found, answered


def _streams(clips: Heard, how: How, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each stream in the order in which they are heard."""
    labels = clips.targets if how == "one-emotion" else np.zeros_like(clips.targets)
    keys = [f"{speaker}\n{label}" for speaker, label in zip(clips.speakers, labels, strict=True)]
    for number, rows in enumerate(_rows_of(keys).values()):
        yield np.random.default_rng([seed, number]).permutation(rows)


def _voice_of(speaker: str) -> str:
    return speaker.partition(COPY)[0]


def _rows_of(names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        found.setdefault(name, []).append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}
