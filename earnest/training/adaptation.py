"""What a bundle needs to get used to a voice (`earnest.runtime.adaptation`), fitted on speakers whose labels are known.

The discriminant of the plain model is fitted again, on embeddings less their speaker's mean. Only two
scales come from validation speakers, each heard as a stream without labels, as the runtime hears them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earnest.evaluation.calibration import fit_temperature, negative_log_likelihood
from earnest.runtime.adaptation import Adaptation, Adapter
from earnest.training.discriminant import Floats, discriminant

How: TypeAlias = Literal["causal", "all", "one-emotion"]
HOWS: Mapping[How, str] = {
    "causal": "each test speaker's clips in a drawn order, each answered with what was heard before it",
    "all": "each test speaker's clips all heard, without labels, before any is answered",
    "one-emotion": "as causal, but a stream of its own for each emotion of a speaker; the hardest case, not a result",
}
FEWEST_SPEAKERS = 3
# Validation speakers share the training channel, where sharper is safer; in strange channels it learns too little:
# trained on CREMA-D and EmoDB, 0.3 lost four points on streams of RAVDESS against 0.1.
POSTERIOR_SCALES = (0.1, 0.15, 0.2)


@dataclass(frozen=True)
class Heard:
    """Clips of known speakers.

    Attributes
    ----------
    embeddings : shape (clips, width)
    targets : shape (clips,), numbers of the classes
    speakers : one name a clip, made unique over corpora
    seconds : shape (clips,)
    """

    embeddings: Floats
    targets: npt.NDArray[np.int64]
    speakers: Sequence[str]
    seconds: Floats

    def __len__(self) -> int:
        return len(self.targets)


def fit_adaptation(train: Heard, shrinkage: float, n_classes: int) -> Adaptation | None:
    """Fit all but the scales on training clips; None where fewer than three speakers are named."""
    rows_of = _rows_of(train.speakers)
    if "" in rows_of or len(rows_of) < FEWEST_SPEAKERS:
        return None
    centred, means = train.embeddings.copy(), []
    for rows in rows_of.values():
        means.append(train.embeddings[rows].mean(axis=0))
        centred[rows] -= means[-1]
    weights, bias = discriminant(centred, train.targets, shrinkage, n_classes)
    return Adaptation(
        mean=train.embeddings.mean(axis=0),
        class_means=np.stack([centred[train.targets == target].mean(axis=0) for target in range(n_classes)]),
        weights=weights,
        bias=bias,
        spread=np.maximum(np.std(means, axis=0), np.finfo(np.float32).tiny),
    )


def with_scales(adaptation: Adaptation, valid: Heard, seed: int) -> Adaptation:
    """Choose the two scales on validation speakers, heard as streams of all emotions and as streams of one.

    The rule's ``posterior_scale`` is the one of `POSTERIOR_SCALES` with the likeliest truth over both kinds of
    streams: on mixed streams alone the flattest wins, which takes a single emotion for the voice. The probabilities'
    ``scale`` is then fitted on the mixed ones; offsets don't depend on it.
    """
    candidates = [
        replace(adaptation, scale=1.0, posterior_scale=scale, least_speech_s=0.0) for scale in POSTERIOR_SCALES
    ]
    mixed = [_logits(candidate, valid, "causal", seed) for candidate in candidates]
    scales = [1 / fit_temperature(logits, valid.targets) for logits in mixed]
    losses = []
    for candidate, scale, logits in zip(candidates, scales, mixed, strict=True):
        alone = _logits(candidate, valid, "one-emotion", seed)
        losses.append(sum(negative_log_likelihood(rows, valid.targets, 1 / scale) for rows in (logits, alone)))
    best = int(np.argmin(losses))
    return replace(adaptation, scale=scales[best], posterior_scale=POSTERIOR_SCALES[best])


def _logits(adaptation: Adaptation, clips: Heard, how: How, seed: int) -> Floats:
    probabilities, _ = adapted_probabilities(adaptation, clips, how, seed)
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


def adapted_probabilities(
    adaptation: Adaptation, test: Heard, how: How, seed: int
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Answer clips of speakers never heard, as the runtime does; labels only divide the streams of "one-emotion".

    Returns
    -------
    probabilities (clips, classes), and which rows have them (clips,): none has before the rule's ``least_speech_s``
    """
    probabilities = np.zeros((len(test), len(adaptation.bias)))
    answered = np.zeros(len(test), np.bool_)
    for rows in _streams(test, how, seed):
        adapter = Adapter(adaptation)
        if how == "all":
            adapter.learn_from(test.embeddings[rows], float(test.seconds[rows].sum()))
        for row in rows:
            seconds = float(test.seconds[row])
            answer = adapter.hear(test.embeddings[row], seconds, seconds)
            if answer is not None:
                probabilities[row], answered[row] = answer, True
    return probabilities, answered


def _streams(clips: Heard, how: How, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the rows of each stream in the order in which they are heard."""
    labels = clips.targets if how == "one-emotion" else np.zeros_like(clips.targets)
    keys = [f"{speaker}\n{label}" for speaker, label in zip(clips.speakers, labels, strict=True)]
    for number, rows in enumerate(_rows_of(keys).values()):
        yield np.random.default_rng([seed, number]).permutation(rows)


def _rows_of(names: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        found.setdefault(name, []).append(row)
    return {name: np.array(rows, np.int64) for name, rows in found.items()}
