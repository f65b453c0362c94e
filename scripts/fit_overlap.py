"""Do several people speak at once? Fit a head for it beside a bundle's classes, and put it into its graph.

Usage: python scripts/fit_overlap.py BUNDLE [BUNDLE ...]

Heard is speech of CREMA-D and EmoDB: alone (two people in turn among it, and voices far behind), and while others
speak, both as it is, changed as recipes/base.toml changes training clips, over anybody's microphone, and in halls; of
speech alone some more in halls. The head is a discriminant on the embedding with three classes, alone, with one other
and with several others; its score is the larger of the two log-odds of not being alone. They are scaled by what they
say of the corpus that they were not fitted on (Platt, 1999, where one recording of ten has overlapped speech), and
moved so that of its single voices, voices far behind among them, one in fifty is called overlapped. Printed, and
written into bundle.json, is the share called overlapped: of each corpus by a head of the other one, of RAVDESS and nEMO
by the head that is written. Corpora come from $EARNEST_DATA.

`large` ships with such a head. `base`, `small` and the research models ship with one score, fitted without the halls by
this file as it was in 21295612: these heads don't find more in corpora that they were not fitted on
(docs/results/experiments.md, "Overlapped speech: two scores instead of one").
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fit_heads import Floats, halves, write_softening
from graph_heads import OverlapHead, add_overlap
from hard_speech import in_range
from hear_sounds import changed, embeddings, in_a_hall, over_microphone

from earnest.audio.io import load_waveform
from earnest.audio.quality import active_part
from earnest.audio.waveform import Waveform
from earnest.augment.base import mix_at_snr
from earnest.augment.level import at_level
from earnest.bundle import load_bundle
from earnest.corpora.load import load_utterances, usable
from earnest.corpora.manifest import Utterance

RATE_HZ, SEED = 16_000, 33
CLIPS = {"crema-d": 1_600, "emodb": 535, "ravdess": 300, "nemo": 300}  # each alone, and with others
FITTED = ("crema-d", "emodb")
SHRINKAGE, EXPECTED = 0.6, 0.1  # of the covariance towards a sphere; share of recordings with overlapped speech
CALLED_ALONE = 0.02  # of single voices, called overlapped
LONGEST_S, SHORTEST_S = 4.0, 0.5
BEHIND_DB, FAR_BEHIND_DB = (-1.0, 6.0), (15.0, 30.0)  # how far all others are below the voice
OVERLAPPED_FROM = 0.5  # of the recording


@dataclass(frozen=True)
class Item:
    """A recording to be heard: who speaks, who else does, and in what way."""

    corpus: str
    way: str  # HALL, or a key of ALONE or TOGETHER
    path: str
    others: tuple[str, ...]

    @property
    def n_others(self) -> int:
        """How many others speak at the same time: none, one, or 2 for several."""
        if self.way not in TOGETHER:
            return 0
        return 2 if self.way == "several others" else 1


ALONE = {"alone": 0.6, "in turn": 0.25, "far behind": 0.15}  # how often
HALL, IN_HALLS = "in a hall", 0.45  # and how many are heard there once more
TOGETHER = {"one other": 0.6, "one other, in part": 0.2, "several others": 0.2}


def items(corpus: str) -> Iterator[Item]:
    """Yield the sounds of one corpus, in a fixed order."""
    rng, halls = np.random.default_rng([SEED, len(corpus)]), np.random.default_rng([SEED, len(corpus), 1])
    rows: Sequence[Utterance] = usable(load_utterances([corpus], {})).utterances
    for at in sorted(rng.permutation(len(rows))[: CLIPS[corpus]]):
        strangers = [str(row.path) for row in rows if row.speaker != rows[at].speaker]
        for ways in (ALONE, TOGETHER):
            way = str(rng.choice(list(ways), p=list(ways.values())))
            n_others = int(rng.integers(2, 6)) if way == "several others" else 1
            yield Item(corpus, way, str(rows[at].path), tuple(str(one) for one in rng.choice(strangers, n_others)))
        if halls.random() < IN_HALLS:
            yield Item(corpus, HALL, str(rows[at].path), ())


def voice(path: str) -> Waveform:
    """Read a recording without the silence at its ends, at one level."""
    waveform = load_waveform(path, RATE_HZ)
    first, end = active_part(waveform, RATE_HZ) or (0, len(waveform))
    return at_level(waveform[first:end], -25.0)


def sound_of(item: Item, rng: np.random.Generator) -> Waveform:
    """Return the sound of one item, shape (samples,), at most four seconds."""
    speech, others = voice(item.path), [voice(path) for path in item.others]
    if item.way == "in turn":
        speech = np.concatenate([speech[: RATE_HZ * 2], others[0][: RATE_HZ * 2]])
    elif item.way not in ("alone", HALL):
        speech = _together(speech, others, item.way, rng)
    speech = np.pad(speech[: int(LONGEST_S * RATE_HZ)], RATE_HZ // 10)
    kind = rng.random()
    if item.way == HALL:
        speech = in_a_hall(speech, rng)
    elif kind < 0.3:
        speech = changed(speech, rng)
    elif kind < 0.55:
        speech = over_microphone(speech, rng)
    elif kind < 0.75:
        speech = in_a_hall(speech, rng)
    return in_range(speech)


def _together(speech: Waveform, others: Sequence[Waveform], way: str, rng: np.random.Generator) -> Waveform:
    n_samples = max(min(len(speech), *map(len, others)), int(SHORTEST_S * RATE_HZ))
    speech = speech[:n_samples]
    behind = np.zeros(len(speech), np.float32)
    for other in others:
        part = other[: len(speech)]
        behind[: len(part)] += part
    if way == "one other, in part":
        n_alone = int(rng.uniform(0, 1 - OVERLAPPED_FROM) * len(speech))
        behind = np.concatenate([np.zeros(n_alone, np.float32), behind[: len(behind) - n_alone]])
    return mix_at_snr(speech, behind, rng.uniform(*(FAR_BEHIND_DB if way == "far behind" else BEHIND_DB)))


def fitted(embedding: Floats, n_others: npt.NDArray[np.int_]) -> tuple[Floats, Floats]:
    """Fit a shrunk discriminant on standardised embeddings (rows, width), of none, one and several others.

    Returns
    -------
    w = Σ⁻¹(mₖ − m₀), shape (width, 2), and b = −w·(mₖ + m₀)/2, shape (2,)
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    mean, deviation = embedding.mean(axis=0), embedding.std(axis=0) + 1e-6
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE, priors=[0.5, 0.25, 0.25])
    model.fit((embedding - mean) / deviation, n_others)
    weight = ((model.coef_[1:] - model.coef_[0]) / deviation).T
    return weight, model.intercept_[1:] - model.intercept_[0] - mean @ weight


def slope(scores: Floats, overlapped: npt.NDArray[np.bool_]) -> float:
    """Return a of log-odds a·s + b (Platt, 1999), where one recording of ten is overlapped."""
    from sklearn.linear_model import LogisticRegression

    share = np.where(overlapped, EXPECTED / overlapped.mean(), (1 - EXPECTED) / (1 - overlapped.mean()))
    model = LogisticRegression(C=1e6).fit(scores[:, None], overlapped, sample_weight=share)
    return float(model.coef_[0, 0])


def line(scores: Floats, corpus: npt.NDArray[np.str_]) -> float:
    """Return the score that the share `CALLED_ALONE` of single voices is above; corpora count alike."""
    counts = {name: np.count_nonzero(corpus == name) for name in FITTED}
    falling = np.argsort(-scores)
    above = np.cumsum([1 / (len(FITTED) * counts[name]) for name in corpus[falling]])
    return float(scores[falling[np.searchsorted(above, CALLED_ALONE)]])


def head_of(embedding: Floats, every: Sequence[Item]) -> tuple[OverlapHead, Mapping[str, Mapping[str, float]]]:
    """Fit, scale, and tell what is called overlapped: corpus → way → per cent."""
    n_others = np.array([item.n_others for item in every])
    overlapped = n_others > 0
    corpus = np.array([item.corpus for item in every])
    own = np.isin(corpus, FITTED)
    scores = np.full(len(every), np.nan)
    for name in FITTED:
        weight, bias = fitted(embedding[own & (corpus != name)], n_others[own & (corpus != name)])
        scores[corpus == name] = (embedding[corpus == name] @ weight + bias).max(axis=1)
    scale = slope(scores[own], overlapped[own])
    shift = -scale * line(scores[own & ~overlapped], corpus[own & ~overlapped])
    weight, bias = fitted(embedding[own], n_others[own])
    scores[~own] = (embedding[~own] @ weight + bias).max(axis=1)
    called = scale * scores + shift > 0
    told = {
        name: {
            way: round(100 * float(called[[item.corpus == name and item.way == way for item in every]].mean()), 1)
            for way in (*ALONE, HALL, *TOGETHER)
        }
        for name in CLIPS
    }
    return OverlapHead(halves(scale * weight), scale * bias + shift), told


def main(folders: list[str]) -> None:
    """Hear everything once, and write into each bundle."""
    every = [item for corpus in CLIPS for item in items(corpus)]
    for folder, embedding in zip(folders, embeddings(folders, every, sound_of, SEED), strict=True):
        head, told = head_of(embedding, every)
        sys.stdout.write(f"{folder}, per cent called overlapped: {json.dumps(told, indent=1)}\n")
        write_softening(load_bundle(Path(folder)), "overlap", told, partial(add_overlap, head=head))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
